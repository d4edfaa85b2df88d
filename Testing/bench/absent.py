"""Slicer without something that it usually has: a main window, a module, a package."""

from __future__ import annotations

import sys

import slicer


def main_window(monkeypatch) -> None:
    """As with ``--no-main-window``: no layout manager, no main window, until the test ends."""
    monkeypatch.setattr(slicer.app, "layouts", None)
    monkeypatch.setattr(slicer.app, "window", None)


def module(monkeypatch, name: str) -> None:
    """As without a module, or a package, of a name: its import fails until the test ends."""
    monkeypatch.setitem(sys.modules, name, None)

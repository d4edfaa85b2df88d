"""Brings up the bench; fails a test on faults that Slicer would print and forget."""

from __future__ import annotations

from pathlib import Path

import pytest

from Testing import bench
from Testing.bench import application, dicom, faults
from Testing.bench.dialogs import Dialogs

MODULE = Path(__file__).resolve().parents[2] / "SSRKD" / "SSRKD.py"


@pytest.fixture(scope="session")
def booted():
    """The package ``slicer``, once in a run."""
    return bench.boot()


@pytest.fixture(autouse=True)
def slicer(booted):
    """The package ``slicer`` with an empty scene; nothing may have gone wrong unseen."""
    booted.mrmlScene.Clear(0)
    booted.app.settings().clear()
    dicom.forget_instances()
    faults.take()
    yield booted
    application.settle()
    unseen = faults.take()
    assert not unseen, "went wrong unseen:\n" + "\n".join(unseen)


@pytest.fixture(scope="session")
def module(booted):
    """The module SSRKD, loaded as at Slicer's start-up."""
    if not MODULE.exists():
        pytest.skip("SSRKD/SSRKD.py is not there yet")
    loaded = bench.load_module(MODULE)
    bench.start_up()
    return loaded


@pytest.fixture
def panel(module, slicer):
    """The open panel: the object of class SSRKDWidget."""
    yield bench.open_module("SSRKD")
    bench.shut_down_module("SSRKD")


@pytest.fixture
def dialogs(slicer, monkeypatch):
    """Records messages and questions of ``slicer.util``; set ``dialogs.answer``."""
    recorder = Dialogs()
    recorder.install(monkeypatch)
    return recorder

"""The module's self-test, as Slicer and the extensions' factory run it."""

from __future__ import annotations

import logging

import pytest

from Testing import bench
from Testing.bench import absent
from Testing.bench.pythonqt import Inside
from Testing.module.conftest import keep_worker


@pytest.fixture
def run(module, slicer, monkeypatch, caplog):
    """Runs the self-test; returns what it said. Its panel is shut down afterwards."""
    keep_worker(monkeypatch)

    def run():
        with caplog.at_level(logging.INFO):
            slicer.selfTests["SSRKD"]()
        return caplog.text

    yield run
    if Inside(slicer.modules.ssrkd).widget is not None:
        bench.shut_down_module("SSRKD")


def test_self_test_reconstructs_the_sample(run):
    said = run()
    assert "Comparing" in said and "from the true bones" in said


def test_self_test_without_networks_and_main_window_says_what_is_skipped(run, there, monkeypatch):
    """The factory's computers have no PyTorch, and Slicer may run with --no-main-window."""
    absent.main_window(monkeypatch)
    said = run()
    assert "Opening the panel" in said and "Reconstructing" not in said
    assert "skipped: PyTorch and safetensors cannot be found" in said


def test_self_test_fails_where_a_step_does(run, there, monkeypatch):
    from SSRKDSlicer.radiographs import outlines

    monkeypatch.setattr(outlines, "updateOutlines", lambda *_: [])
    with pytest.raises(AssertionError):
        run()

"""Crop on a radiograph of a whole leg: the knee is looked for, and the region drawn around it."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.errors import GeometryError
from Testing.bench import user
from Testing.module import ball_worker
from Testing.module.cases import loadSampleFiles, settle


@pytest.fixture
def core(panel, slicer, monkeypatch):
    """A panel with the sample's radiographs, taken for those of a whole leg."""
    core = panel.panel
    ball_worker.install(core)
    monkeypatch.setattr("SSRKDSlicer.panel.radiographs_section.shows_whole_leg", lambda view: True)
    loadSampleFiles()
    slicer.app.processEvents()
    return core


def test_panel_crop_of_a_whole_leg_starts_around_the_knee(core):
    user.click(core.ui.frontalCropButton)
    settle(core)
    assert [request["do"] for request in core.asked] == ["locate"]
    assert core.requireSetup().crops == ((60, 150, 220, 260), None)
    assert core.ui.frontalCropButton.checked and not core.ui.lateralCropButton.checked
    assert "around the knee that was found" in core.ui.statusLabel.text
    region = core.parameters.nodeOf("frontal", "Crop")
    assert list(region.GetDisplayNode().GetViewNodeIDs()) == ["vtkMRMLSliceNodeSSRKDFrontal"]
    region.SetSize(*(np.array(region.GetSize()) * [1.0, 0.5, 1.0]))
    assert core.requireSetup().crops[0] == (60, 215, 220, 130)
    user.click(core.ui.frontalCropButton)
    settle(core)
    assert core.requireSetup().crops == (None, None) and len(core.asked) == 1
    # A knee that is not in the picture: the region starts around everything.
    user.click(core.ui.lateralCropButton)
    settle(core)
    assert len(core.asked) == 2 and core.parameters.crop("lateral") is not None
    assert core.requireSetup().crops == (None, None)


def test_panel_crop_can_be_cancelled_and_survives_a_refusal(core, monkeypatch):
    user.click(core.ui.frontalCropButton)
    core.cancel()
    settle(core)
    assert core.parameters.nodeOf("frontal", "Crop") is None
    assert not core.ui.frontalCropButton.checked

    def refuse(*_, onFailed, **__):
        return core.tasks.worker.refused(GeometryError("Both legs.", "Crop it."), onFailed)

    monkeypatch.setattr(core.tasks, "locate", refuse)
    user.click(core.ui.frontalCropButton)
    settle(core)
    assert core.parameters.crop("frontal") is not None  # around everything, to be dragged
    assert "Both legs" in core.ui.statusLabel.text

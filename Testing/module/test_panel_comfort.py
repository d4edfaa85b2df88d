"""What makes a day with the panel easier: brightness, weights, the time that is left, help."""

from __future__ import annotations

import shutil

import qt

from Testing.bench import user
from Testing.module.cases import ROOT, loadSampleFiles


def test_panel_display_acts_on_both_radiographs_and_follows_the_mouse(core, slicer):
    frontal, lateral = loadSampleFiles()
    slicer.app.processEvents()
    core.ui.displayGroup.collapsed = False
    slicer.app.processEvents()
    user.click(core.ui.placeButton)
    slicer.app.processEvents()
    shown = core.case().placed[0].GetDisplayNode()
    user.type_text(core.ui.displayWindow, "1234")
    user.type_text(core.ui.displayLevel, "567")
    user.click(core.ui.displayInvertCheck)
    for display in (frontal.GetDisplayNode(), shown):
        assert (display.GetWindow(), display.GetLevel()) == (1234, 567)
        assert display.GetColorNodeID() == "vtkMRMLColorTableNodeInvertedGrey"
    assert lateral.GetDisplayNode().GetWindow() != 1234
    shown.SetWindowLevel(400, 300)  # the mouse in the view
    assert (core.ui.displayWindow.value, core.ui.displayLevel.value) == (400, 300)
    user.choose(core.ui.displayView, "Lateral")
    assert core.ui.displayWindow.value == core.case().placed[1].GetDisplayNode().GetWindow()
    assert not core.ui.displayInvertCheck.checked
    user.choose(core.ui.displayView, "Frontal")
    user.click(core.ui.displayAutoButton)
    assert shown.GetAutoWindowLevel() and shown.GetWindow() != 400
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert not core.ui.displayWindow.enabled


def test_panel_imported_weights_tell_size_and_date_and_are_removed(
    core, slicer, tmp_path, monkeypatch, dialogs
):
    monkeypatch.setenv("SSRKD_WEIGHTS", str(tmp_path))
    shipped = ROOT / "SSRKDLib" / "data" / "weights" / "virtual-knee.zip"
    shutil.copy(shipped, tmp_path / "other.zip")
    monkeypatch.setattr("SSRKDLib.weights.catalogue.SHIPPED_FOLDER", tmp_path / "none")
    core.parameters.weights = "virtual-knee"
    core.refreshSoon()
    slicer.app.processEvents()
    megabytes = shipped.stat().st_size / 1e6
    assert f"{megabytes:.0f} MB, imported on 2" in core.ui.estimateLabel.text
    dialogs.answer = False
    user.click(core.ui.removeWeightsButton)
    assert (tmp_path / "other.zip").is_file()
    dialogs.answer = True
    user.click(core.ui.removeWeightsButton)
    slicer.app.processEvents()
    assert not (tmp_path / "other.zip").exists() and core.parameters.weights == ""
    assert not core.ui.removeWeightsButton.enabled


def test_panel_status_bar_tells_the_time_left_and_that_a_job_is_done(core, slicer, monkeypatch):
    told = []
    monkeypatch.setattr(
        slicer.util, "showStatusMessage", lambda text, duration=0: told.append(text)
    )
    end = []

    class Running:
        finished = False

    def starter(onProgress, onDone, onFailed):
        end.append(onDone)
        return Running()

    core.start("Reconstruct", starter, lambda result: None)
    core.jobStarted -= 30  # s
    core._onProgress("field", 0.75, "Extracting surfaces")
    assert told[-1] == "Extracting surfaces (75%, 10 s left)"
    core._onProgress("field", 0.05, "")
    assert told[-1] == "Extracting surfaces (5%)"
    end[0]({})
    assert told[-1] == "Reconstruct: done."


def test_panel_help_and_citation_are_one_click_away(core, slicer, monkeypatch):
    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    user.click(core.ui.helpButton)
    assert opened[0].endswith("/Docs/slicer.md")
    user.click(core.ui.citeButton)
    assert "arXiv 2508.13947" in slicer.app.clipboard().text()

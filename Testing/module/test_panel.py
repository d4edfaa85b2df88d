"""The panel as a clinician uses it: radiographs in, one click, four bones; and what goes wrong."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation.metrics import compare_meshes
from SSRKDLib.evaluation.regions import region_around
from SSRKDLib.surfaces.knee import joint_centre
from Testing.bench import reload_module, user
from Testing.bench.pythonqt import Inside
from Testing.module.cases import cancelAt, loadSampleFiles, sampleTruth, settle, waitUntil

STAGES = ("read", "load", "locate", "segment", "encode", "fit", "check", "write")


@pytest.fixture
def core(panel, monkeypatch):
    """The panel's inner object, at the quickest resolution; a double click is no matter here."""
    from SSRKDSlicer.panel import run_section

    monkeypatch.setattr(run_section, "_DOUBLE_CLICK", 0.0)
    panel.panel.parameters.spacing = 2.0
    panel.panel.refresh()
    return panel.panel


def distance(models):
    """Mean distance of model nodes to the sample's true bones, mm."""
    from SSRKDSlicer.radiographs.outlines import worldMesh

    truth = sampleTruth()
    made = {bone: worldMesh(node) for bone, node in models.items()}
    rows = compare_meshes(made, truth, region_around(joint_centre(truth)))
    return rows[-1]["assd_mm"]


def modelCount(slicer):
    nodes = slicer.util.getNodesByClass("vtkMRMLModelNode")
    return sum(node.GetAttribute("SSRKD.About") is not None for node in nodes)


def test_panel_two_dicom_files_and_a_click_make_four_bones(core, slicer):
    loadSampleFiles()
    slicer.app.processEvents()
    assert core.ui.frontalSelector.currentNode().GetName() == "SSRKD_frontal"  # chosen by itself
    assert core.ui.lateralSelector.currentNode().GetName() == "SSRKD_lateral"
    assert "Left knee" in core.ui.summaryLabel.text
    assert "SDD 1200 mm" in core.ui.summaryLabel.text
    core.parameters.spacing = 1.0
    slicer.app.processEvents()
    user.click(core.ui.reconstructButton)
    assert core.ui.reconstructButton.text == "Cancel"
    assert core.ui.progressBar.visible
    settle(core)
    assert core.ui.reconstructButton.text == "Reconstruct"
    assert not core.ui.progressBar.visible
    models = core.case().models
    assert list(models) == list(BONES)
    assert distance(models) < 0.9
    assert "Left knee reconstructed in" in core.ui.statusLabel.text
    # The table shows what the report says.
    table = core.ui.resultsTable
    assert float(table.item(1, 2).text().split()[0]) > 100  # cm3 of a femur's end
    assert all(float(table.item(row, column).text()) > 0.8 for row in range(4) for column in (3, 4))
    # Radiographs, outlines and bones are in one folder.
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = core.case().folder()
    assert hierarchy.GetItemName(folder) == "Knee of SSRKD"
    for node in (*core.case().placed, *models.values()):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder


def test_panel_shows_bones_outlines_and_radiographs(core, slicer):
    """Pixels of the rendered views."""
    from SSRKDSlicer.scene import layouts

    loadSampleFiles()
    slicer.app.processEvents()
    user.click(core.ui.reconstructButton)
    settle(core)
    manager = slicer.app.layoutManager()
    blueish = {}
    for name in (layouts.sliceName("frontal"), layouts.sliceName("lateral"), "1"):
        image = Inside(manager).grab(name).astype(int)
        blueish[name] = ((image[..., 2] - image[..., 0] > 60) & (image[..., 2] > 110)).sum()
        assert image.std() > 10, name
    assert all(count > 40 for count in blueish.values()), blueish  # the femur's colour
    user.click(core.ui.outlinesCheck)
    image = Inside(manager).grab(layouts.sliceName("frontal")).astype(int)
    assert ((image[..., 2] - image[..., 0] > 60) & (image[..., 2] > 110)).sum() < 10


@pytest.mark.parametrize("stage", STAGES)
def test_panel_cancel_in_each_stage_changes_nothing(core, slicer, afresh, stage):
    loadSampleFiles()
    slicer.app.processEvents()
    before = slicer.mrmlScene.GetNumberOfNodes()
    assert cancelAt(core, stage, core.ui.reconstructButton) == [stage]
    assert "cancelled" in core.ui.statusLabel.text
    assert modelCount(slicer) == 0
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert core.ui.reconstructButton.text == "Reconstruct"
    if stage == "fit":
        user.click(core.ui.reconstructButton)
        settle(core)
        assert modelCount(slicer) == 4


def test_panel_state_and_results_survive_saving_and_loading(core, slicer, tmp_path):
    loadSampleFiles()
    slicer.app.processEvents()
    user.choose(core.ui.sideCombo, "Left")
    user.click(core.ui.modelSection)
    slicer.app.processEvents()
    user.choose(core.ui.deviceCombo, "CPU")
    user.click(core.ui.reconstructButton)
    settle(core)
    before = {bone: node.GetName() for bone, node in core.case().models.items()}
    volume = core.ui.resultsTable.item(1, 2).text()
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert core.ui.frontalSelector.currentNode() is None
    assert core.ui.sideCombo.currentText == "Automatic"
    assert not core.ui.resultsTable.enabled
    slicer.util.loadScene(path)
    slicer.app.processEvents()
    assert core.ui.frontalSelector.currentNode().GetName() == "SSRKD_frontal"
    assert core.ui.sideCombo.currentText == "Left"
    assert core.ui.deviceCombo.currentText == "CPU"
    assert core.parameters.spacing == 2.0
    assert {bone: node.GetName() for bone, node in core.case().models.items()} == before
    assert core.ui.resultsTable.item(1, 2).text() == volume
    core.case().models["femur"].GetDisplayNode().SetOpacity(0.5)
    first = dict(core.case().models)
    user.click(core.ui.reconstructButton)
    settle(core)
    assert modelCount(slicer) == 4
    assert core.case().models == first  # the same nodes, as they looked, with new surfaces
    assert first["femur"].GetDisplayNode().GetOpacity() == 0.5
    assert distance(core.case().models) < 1.2


def test_panel_another_pair_gets_nodes_of_its_own(core, slicer):
    loadSampleFiles()
    slicer.app.processEvents()
    user.click(core.ui.reconstructButton)
    settle(core)
    first = dict(core.case().models)
    frontal, lateral = loadSampleFiles()
    user.choose(core.ui.frontalSelector, frontal.GetName())
    user.choose(core.ui.lateralSelector, lateral.GetName())
    slicer.app.processEvents()
    user.click(core.ui.reconstructButton)
    settle(core)
    assert modelCount(slicer) == 8
    assert not set(first.values()) & set(core.case().models.values())


def startAndReach(core, stage):
    """Click Reconstruct and wait for a stage of the slowest kind of job."""
    core.parameters.surface, core.parameters.spacing = "field", 0.5
    user.click(core.ui.reconstructButton)
    waitUntil(lambda: core.job is None or core.job.stage == stage, stage)
    assert core.job is not None


def test_panel_worker_killed_in_the_middle(core, slicer):
    loadSampleFiles()
    slicer.app.processEvents()
    startAndReach(core, "field")
    os.kill(core.tasks.worker._pid, signal.SIGKILL)
    settle(core)
    assert "ended in the middle" in core.ui.statusLabel.text
    assert modelCount(slicer) == 0
    core.parameters.surface, core.parameters.spacing = "fitted", 2.0
    user.click(core.ui.reconstructButton)
    settle(core)
    assert modelCount(slicer) == 4


def test_panel_scene_closed_in_the_middle(core, slicer):
    loadSampleFiles()
    slicer.app.processEvents()
    startAndReach(core, "field")
    slicer.mrmlScene.Clear(0)
    settle(core)
    assert "The scene was closed" in core.ui.logEdit.plainText
    assert modelCount(slicer) == 0
    loadSampleFiles()
    slicer.app.processEvents()
    core.parameters.spacing = 2.0
    slicer.app.processEvents()
    user.click(core.ui.reconstructButton)
    settle(core)
    assert modelCount(slicer) == 4


def test_panel_radiograph_deleted_in_the_middle(core, slicer, afresh):
    frontal, _ = loadSampleFiles()
    slicer.app.processEvents()
    core.parameters.spacing = 2.0
    user.click(core.ui.reconstructButton)
    waitUntil(lambda: core.job is None or core.job.stage == "locate")
    slicer.mrmlScene.RemoveNode(frontal)
    settle(core)
    assert modelCount(slicer) == 4  # nothing is lost
    assert "removed meanwhile" in core.ui.statusLabel.text
    assert not core.ui.reconstructButton.enabled
    assert "No frontal radiograph is chosen" in core.ui.summaryLabel.text


def test_panel_weights_folder_unplugged(core, slicer, tmp_path, monkeypatch):
    loadSampleFiles()
    monkeypatch.setenv("SSRKD_WEIGHTS", str(tmp_path / "stick"))
    core.parameters.weights = "from-a-stick"
    slicer.app.processEvents()
    assert "(missing)" in core.ui.weightsCombo.currentText
    user.click(core.ui.reconstructButton)
    settle(core)
    assert "'from-a-stick' are missing" in core.ui.statusLabel.text
    assert core.job is None


def test_panel_two_quick_clicks_start_once(panel, slicer, monkeypatch):
    from SSRKDSlicer.panel import run_section

    core = panel.panel
    core.parameters.spacing = 2.0
    loadSampleFiles()
    slicer.app.processEvents()
    reconstruct = core.tasks.reconstruct

    def slowly(*args, **callbacks):
        """On a busy computer the second click waits while the radiographs are written."""
        time.sleep(1.1 * run_section._DOUBLE_CLICK)
        return reconstruct(*args, **callbacks)

    monkeypatch.setattr(core.tasks, "reconstruct", slowly)
    user.click(core.ui.reconstructButton)
    user.click(core.ui.reconstructButton)
    assert core.job is not None
    assert not core.job.cancelling
    assert "click again to cancel" in core.ui.logEdit.plainText
    settle(core)
    assert modelCount(slicer) == 4


def test_panel_swapped_radiographs_are_sorted_by_their_tags(core, slicer):
    frontal, lateral = loadSampleFiles()
    core.parameters.setNode("frontal", "", lateral)
    core.parameters.setNode("lateral", "", frontal)
    slicer.app.processEvents()
    assert "exchanged" in core.ui.summaryLabel.text
    user.click(core.ui.reconstructButton)
    settle(core)
    assert distance(core.case().models) < 1.2
    names = [node.GetName() for node in core.case().placed]
    assert names == ["SSRKD_frontal (in 3D)", "SSRKD_lateral (in 3D)"]


def test_panel_disk_full_or_temporary_folder_gone_is_said(core, slicer, tmp_path, monkeypatch):
    loadSampleFiles()
    slicer.app.processEvents()
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setattr(slicer.app, "temporaryPath", str(blocked), raising=False)
    user.click(core.ui.reconstructButton)
    settle(core)
    assert "temporary folder" in core.ui.statusLabel.text
    assert core.ui.reconstructButton.text == "Reconstruct"


def test_panel_gpu_memory_offers_the_cpu(core, slicer, dialogs, monkeypatch):
    """A worker that says what one with too small a GPU says."""
    from SSRKDSlicer.worker.worker_client import WorkerError

    loadSampleFiles()
    slicer.app.processEvents()
    core.parameters.device = "cuda"
    asked = []
    submit = core.tasks.worker.submit

    def small(request, onProgress=None, onDone=None, onFailed=None):
        asked.append(request["device"])
        if request["device"] == "cuda":
            error = WorkerError("The GPU's memory does not suffice.", "", "DeviceMemoryError")
            return core.tasks.worker.refused(error, onFailed)
        return submit(request, onProgress, onDone, onFailed)

    monkeypatch.setattr(core.tasks.worker, "submit", small)
    dialogs.answer = False
    user.click(core.ui.reconstructButton)
    settle(core)
    assert asked == ["cuda"]
    assert "memory" in core.ui.statusLabel.text
    dialogs.answer = True
    user.click(core.ui.reconstructButton)
    settle(core)
    assert asked == ["cuda", "cuda", "cpu"]
    assert any("on the CPU instead" in text for text in dialogs.texts("yes_no"))
    assert modelCount(slicer) == 4


def test_panel_segment_edit_and_reconstruct(core, slicer):
    """An edited mask changes the result; an untouched one does not."""
    from SSRKDSlicer.scene.masks import readMasks

    loadSampleFiles()
    slicer.app.processEvents()
    user.click(core.ui.reconstructButton)
    settle(core)
    plain = {b: slicer.util.arrayFromModelPoints(n).copy() for b, n in core.case().models.items()}
    user.click(core.ui.segmentButton)
    settle(core)
    frontal, lateral = core.case().masks
    masks = readMasks(frontal, core.case().placed[0])
    assert all(mask.sum() > 500 for mask in masks)
    assert core.ui.editMasksButton.enabled
    user.click(core.ui.reconstructButton)
    settle(core)
    again = {b: slicer.util.arrayFromModelPoints(n).copy() for b, n in core.case().models.items()}
    for bone in BONES:
        np.testing.assert_array_equal(again[bone], plain[bone])
    for node, placed in zip((frontal, lateral), core.case().placed):
        wider = readMasks(node, placed)[1]
        from scipy import ndimage

        wider = ndimage.binary_dilation(wider, iterations=12)
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            wider[None].astype(np.uint8), node, "femur", placed
        )
    user.click(core.ui.reconstructButton)
    settle(core)
    assert "masks were edited" in core.ui.logEdit.plainText
    edited = slicer.util.arrayFromModelPoints(core.case().models["femur"])
    assert edited.shape != plain["femur"].shape or not np.allclose(edited, plain["femur"])
    user.click(core.ui.useMasksCheck)  # and without them it is as before
    user.click(core.ui.reconstructButton)
    settle(core)
    ignored = slicer.util.arrayFromModelPoints(core.case().models["femur"])
    np.testing.assert_array_equal(ignored, plain["femur"])


def test_panel_survives_a_reload_of_the_module(module, slicer):
    from Testing.bench import open_module, shut_down_module

    open_module("SSRKD")
    try:
        widget = reload_module("SSRKD")
        loadSampleFiles()
        slicer.app.processEvents()
        widget.panel.parameters.spacing = 2.0
        user.click(widget.ui.reconstructButton)
        settle(widget.panel)
        assert modelCount(slicer) == 4
    finally:
        shut_down_module("SSRKD")

"""What goes stale, is lost or is left dangling in a careless panel."""

from __future__ import annotations

import types

import numpy as np
import pytest
import qt

from Testing.bench import application, dicom, open_module, reload_module, shut_down_module, user
from Testing.module.cases import SAMPLES, loadSampleFiles, settle, waitUntil


@pytest.fixture
def core(panel, slicer):
    core = panel.panel
    core.parameters.spacing = 2.0
    core.ui.scaleGroup.collapsed = False
    loadSampleFiles()
    slicer.app.processEvents()
    return core


def run(core, button="reconstructButton"):
    user.click(getattr(core.ui, button))
    settle(core)


def test_panel_numbers_are_typed_letter_by_letter(core, slicer):
    user.choose(core.ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    user.type_text(core.ui.frontalSpacing, "0.143")
    user.type_text(core.ui.markerSize, "25.4")
    user.type_text(core.ui.lateralAngle, "-87.5")
    user.choose(core.ui.geometryCombo, "Rig file")
    slicer.app.processEvents()
    core.refreshSoon()  # something elsewhere in the scene, while the user types
    user.type_text(core.ui.rigFile, "/somewhere/rig.json")
    assert core.parameters.rigFile == "/somewhere/rig.json"
    slicer.app.processEvents()
    assert core.parameters.number("frontal", "Spacing") == 0.143
    assert core.parameters.markerSize == 25.4
    assert core.parameters.number("lateral", "Angle") == -87.5


def test_panel_scale_and_crop_belong_to_their_radiograph(core, slicer):
    frontal = core.ui.frontalSelector.currentNode()
    core.parameters.setScale("frontal", 0.3)
    user.click(core.ui.frontalCropButton)
    roi = core.parameters.nodeOf("frontal", "Crop")
    roi.SetSize(*(np.array(roi.GetSize()) * [0.5, 0.5, 1]))
    core.refresh()
    assert core.setup.rig.views[0].pixel_spacing[0] == 0.3
    assert "cropped to 256 x 256" in core.ui.summaryLabel.text
    other, _ = loadSampleFiles()
    core.ui.frontalSelector.setCurrentNode(other)
    slicer.app.processEvents()
    assert core.setup.rig.views[0].pixel_spacing[0] == pytest.approx(0.5859375)
    assert core.setup.crops == (None, None)
    assert not core.ui.frontalCropButton.checked
    assert "cropped" not in core.ui.summaryLabel.text
    core.ui.frontalSelector.setCurrentNode(frontal)
    slicer.app.processEvents()
    assert core.setup.rig.views[0].pixel_spacing[0] == 0.3


def test_panel_crop_of_a_moved_volume(core, slicer):
    """The region lies on the radiograph where a transform put it."""
    node = core.ui.frontalSelector.currentNode()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = [100.0, 20.0, -50.0]
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    user.click(core.ui.frontalCropButton)
    roi = core.parameters.nodeOf("frontal", "Crop")
    roi.SetSize(*(np.array(roi.GetSize()) * [0.5, 0.5, 1]))
    assert core.requireSetup().crops[0] == (128, 128, 256, 256)


def test_panel_segmenting_again_asks_before_edits_are_lost(core, slicer, dialogs):
    from SSRKDSlicer.scene.masks import readMasks

    run(core, "segmentButton")
    node, placed = core.case().masks[0], core.case().placed[0]
    empty = np.zeros((1, 512, 512), np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(empty, node, "femur", placed)
    dialogs.answer = False
    user.click(core.ui.segmentButton)
    assert len(dialogs.texts("yes_no")) == 1
    assert core.job is None
    assert not readMasks(node, placed)[1].any()
    dialogs.answer = True
    run(core, "segmentButton")
    assert readMasks(node, placed)[1].any()


def test_panel_masks_show_when_they_are_the_result(core, slicer):
    run(core)
    run(core, "segmentButton")
    masks = core.case().masks
    assert all(node.GetDisplayNode().GetVisibility() for node in masks)
    run(core)
    assert not any(node.GetDisplayNode().GetVisibility() for node in masks)


def test_panel_segment_editor_is_opened_on_visible_masks(core, slicer, monkeypatch):
    """The editor itself is not on the bench; what it is told is."""
    run(core, "segmentButton")
    run(core)
    told = {}
    node = types.SimpleNamespace(
        OverwriteNone=2, SetOverwriteMode=lambda mode: told.update(mode=mode)
    )
    editor = types.SimpleNamespace(
        mrmlSegmentEditorNode=lambda: node,
        setSegmentationNode=lambda n: told.update(segmentation=n),
        setSourceVolumeNode=lambda n: told.update(volume=n),
    )
    monkeypatch.setattr(
        slicer.modules, "SegmentEditorWidget", types.SimpleNamespace(editor=editor), raising=False
    )
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: told.update(module=name))
    user.click(core.ui.editMasksButton)
    case = core.case()
    assert told == {
        "module": "SegmentEditor", "mode": 2, "segmentation": case.masks[0],
        "volume": case.placed[0],
    }  # fmt: skip
    assert case.masks[0].GetDisplayNode().GetVisibility()


def test_panel_nodes_deleted_during_a_job_lose_nothing(core, slicer, afresh):
    run(core)
    run(core, "segmentButton")
    for what in ("models", "masks"):
        user.click(core.ui.reconstructButton if what == "models" else core.ui.segmentButton)
        waitUntil(lambda: core.job is None or core.job.stage == "locate")
        nodes = core.case().models["femur"] if what == "models" else core.case().masks[1]
        slicer.mrmlScene.RemoveNode(nodes)
        settle(core)
        assert "✗" not in core.ui.statusLabel.text, core.ui.statusLabel.text
        assert len(core.case().models) == 4
    assert all(core.case().masks)


def test_panel_outlines_follow_the_geometry(core, slicer):
    from SSRKDSlicer.radiographs.outlines import outlinesOf

    run(core)
    user.choose(core.ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    for view in ("frontal", "lateral"):
        user.type_text(getattr(core.ui, f"{view}Spacing"), "0.5859")
        user.type_text(getattr(core.ui, f"{view}Sdd"), "1500")
    slicer.app.processEvents()
    user.click(core.ui.placeButton)
    slicer.app.processEvents()
    placed = core.case().placed[0]
    plane = placed.GetOrigin()[1]
    outlines = [
        node
        for node in outlinesOf(core.case().models.values())
        if node.GetAttribute("SSRKD.Placed") == "frontal"
    ]
    assert len(outlines) == 4
    for node in outlines:
        points = slicer.util.arrayFromModelPoints(node)
        np.testing.assert_allclose(points[:, 1], plane, atol=1e-3)


def test_panel_size_may_be_typed_while_the_ball_is_awaited(core, slicer):
    user.choose(core.ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    for button in (core.ui.ballButton, core.ui.rulerButton):
        user.click(button)
        user.type_text(core.ui.markerSize, "30")
        slicer.app.processEvents()
        assert button.checked
        assert "✗" not in core.ui.statusLabel.text


def test_panel_place_mode_ends_with_escape_scene_and_module(core, slicer):
    from Testing.bench import close_module

    interaction = slicer.app.applicationLogic().GetInteractionNode()
    user.choose(core.ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode")
    user.click(core.ui.ballButton)
    (escape,) = slicer.util.mainWindow().findChildren(qt.QShortcut)
    assert escape.key.toString() == "Esc"
    escape.activated.emit()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    user.click(core.ui.rulerButton)
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)  # another tool
    slicer.app.processEvents()
    assert not core.ui.rulerButton.checked and not core.ui.ballButton.checked
    application.settle()
    assert not slicer.util.mainWindow().findChildren(qt.QShortcut)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == before
    user.click(core.ui.rulerButton)
    close_module("SSRKD")
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    open_module("SSRKD")
    slicer.app.processEvents()
    user.click(core.ui.ballButton)
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert not core.ui.ballButton.checked


def test_panel_that_was_reloaded_no_longer_writes(module, slicer):
    old = open_module("SSRKD")
    try:
        loadSampleFiles()
        slicer.app.processEvents()
        first = old.panel.ui.frontalSelector.currentNode()
        new = reload_module("SSRKD")
        other, _ = loadSampleFiles()
        new.panel.ui.frontalSelector.setCurrentNode(other)
        slicer.app.processEvents()
        slicer.mrmlScene.RemoveNode(first)
        slicer.app.processEvents()
        assert new.panel.parameters.nodeOf("frontal") is other
    finally:
        shut_down_module("SSRKD")


def test_panel_queued_job_is_cancelled_alone(core, module, slicer, afresh):
    ended = []
    job = module.SSRKDLogic().reconstruct(
        core.ui.frontalSelector.currentNode(), core.ui.lateralSelector.currentNode(),
        spacing=1.0, done=lambda case: ended.append(len(case.models)), failed=ended.append,
    )  # fmt: skip
    user.click(core.ui.reconstructButton)
    waiting = core.job
    core.cancel()
    assert waiting.finished
    assert "cancelled" in core.ui.statusLabel.text
    waitUntil(lambda: job.finished)
    assert ended == [4]


def test_panel_dicom_database_is_asked_for_the_file(panel, slicer, tmp_path):
    """Radiographs as the DICOM module loads them: by instance, without a storage node's path."""
    import shutil

    for view in ("frontal", "lateral"):
        path = tmp_path / f"{view}.dcm"
        shutil.copy(SAMPLES / f"SSRKD_{view}.dcm", path)
        node = slicer.util.loadVolume(str(path), {"singleFile": True})
        node.SetName(f"1: {view}")
        slicer.mrmlScene.RemoveNode(node.GetStorageNode())
        node.SetAttribute("DICOM.instanceUIDs", f"1.2.3.{view}")
        dicom.register_instance(f"1.2.3.{view}", str(path))
    panel.panel.refreshSoon()
    slicer.app.processEvents()
    assert "SDD 1200 mm" in panel.ui.summaryLabel.text
    # What is kept with the node for a saved scene names nobody.
    kept = panel.panel.parameters.nodeOf("frontal").GetAttribute("SSRKD.DicomTags")
    import pydicom

    dataset = pydicom.dcmread(tmp_path / "frontal.dcm", stop_before_pixels=True)
    assert dataset.PatientID
    assert '"patient": ""' in kept
    assert str(dataset.PatientID) not in kept


def test_tags_do_not_speak_of_an_image_that_was_cut(module, slicer):
    from SSRKDSlicer.radiographs.radiographs import RadiographNode

    node = loadSampleFiles()[0]
    assert RadiographNode(node, "frontal").dicomTags() is not None
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[:, :100].copy())
    assert RadiographNode(node, "frontal").dicomTags() is None


def test_panel_pair_of_one_patient_is_suggested(panel, slicer, tmp_path):
    import pydicom

    for view, patient in (("frontal", "other"), ("lateral", "wanted"), ("frontal", "wanted")):
        dataset = pydicom.dcmread(SAMPLES / f"SSRKD_{view}.dcm")
        dataset.PatientID = patient
        path = tmp_path / f"{patient} {view}.dcm"
        dataset.save_as(path)
        slicer.util.loadVolume(str(path), {"singleFile": True})
    slicer.app.processEvents()
    chosen = [panel.panel.parameters.nodeOf(view).GetName() for view in ("frontal", "lateral")]
    assert chosen == ["wanted frontal", "wanted lateral"]


def test_panel_broken_or_old_pytorch_is_not_a_dead_end(
    core, slicer, dialogs, extension, monkeypatch
):
    from SSRKDSlicer.worker import installation

    anew = ["uninstall", ("install", False, ">=2.10")]
    monkeypatch.setattr(installation, "installedVersion", lambda name: "2.4.1+cpu")
    user.click(core.ui.installationSection)
    slicer.app.processEvents()
    assert core.ui.installButton.text == "Update PyTorch"
    user.click(core.ui.installButton)
    assert extension.calls == anew
    monkeypatch.setattr(installation, "installedVersion", lambda name: "2.13.0")
    about = {
        "torch": "2.13.0", "safetensors": "1", "problem": "PyTorch does not load (DLL).",
        "gpu": None, "gpu_memory": None, "cores": 2, "weights": {},
    }  # fmt: skip

    def describe(onProgress=None, onDone=None, onFailed=None):
        onDone(about)
        return types.SimpleNamespace(finished=True)

    monkeypatch.setattr(core.tasks, "describe", describe)
    user.click(core.ui.checkButton)
    assert "does not load" in core.ui.installationLabel.text
    user.click(core.ui.installButton)
    assert extension.calls == 2 * anew


def test_panel_gpu_s_name_is_learned_from_a_job(module, slicer):
    from SSRKDSlicer.scene import timing

    timing.rememberGpu(None)
    assert timing.knownGpu() == ""
    timing.rememberGpu("NVIDIA H100")
    assert timing.knownGpu() == "NVIDIA H100"


def browse(edit):
    """Click the button of a field for a path."""
    user.click(edit.findChild(qt.QToolButton))


def test_panel_path_that_is_used_is_offered_again(core, slicer, tmp_path):
    user.choose(core.ui.geometryCombo, "Rig file")
    slicer.app.processEvents()
    for name in ("a b.json", "c.json"):
        (tmp_path / name).write_text("{}")
        user.type_text(core.ui.rigFile, str(tmp_path / name))
        assert core.parameters.rigFile == str(tmp_path / name)
    combo = core.ui.rigFile.findChild(qt.QComboBox)
    texts = [combo.itemText(index) for index in range(combo.count)]
    assert texts == [str(tmp_path / name) for name in ("c.json", "a b.json")]
    user.choose(combo, texts[1])
    assert core.parameters.rigFile == texts[1]
    core.ui.rigFile.currentPath = qt.QUrl.fromLocalFile(texts[0]).toString()  # a file manager's
    assert core.parameters.rigFile == texts[0]


def test_panel_browse_buttons_ask_for_what_they_need(core, slicer, tmp_path, monkeypatch):
    user.choose(core.ui.geometryCombo, "Rig file")
    slicer.app.processEvents()
    rig = tmp_path / "rig.JSON"
    rig.write_text("{}")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *a, **k: str(rig))
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *a, **k: str(tmp_path))
    browse(core.ui.rigFile)
    slicer.app.processEvents()
    assert core.ui.rigFile.currentPath == str(rig)
    assert "version" in core.ui.summaryLabel.text  # it was read
    user.choose(core.ui.geometryCombo, "Calibration files")
    for view in ("frontal", "lateral"):
        browse(getattr(core.ui, f"{view}Calibration"))
        slicer.app.processEvents()
        assert getattr(core.ui, f"{view}Calibration").currentPath == str(rig)
    assert "has no usable" in core.ui.summaryLabel.text
    browse(core.ui.exportFolder)
    slicer.app.processEvents()
    assert core.ui.exportFolder.currentPath == str(tmp_path)
    user.type_text(core.ui.exportFolder, "")
    slicer.app.processEvents()
    assert core.parameters.exportFolder == ""

"""The panel's section From CT: bones of a CT by a click, where the CT is; and what goes wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES, COLOURS
from Testing.bench import user
from Testing.module.cases import cancelAt, loadSampleFiles, settle, waitUntil
from Testing.module.conftest import worker_of
from Testing.support.ball_knee import BALLS, ball
from Testing.support.band_knee import write_band_bundle, write_band_ct
from Testing.support.projection_truth import rotation

#: A right knee somewhere in the scanner.
POSE = np.diag([-1.0, 1.0, 1.0, 1.0])
POSE[:3, 3] = [-150.0, 40.0, 700.0]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A CT, the same one with slices that lie askew, and a bundle with a teacher."""
    folder = tmp_path_factory.mktemp("ct")
    write_band_ct(folder / "scan.nrrd", pose=POSE)
    write_band_ct(folder / "askew.nrrd", pose=POSE, direction=rotation((1, -1, 2), 15))
    (folder / "weights").mkdir()
    write_band_bundle(folder / "weights" / "bands.zip")
    return folder


@pytest.fixture(scope="module", autouse=True)
def weights(module, files):
    """The bundle among the user's own, for this process and the worker, which is started anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSRKD_WEIGHTS", str(files / "weights"))
        worker_of(module).stop()
        yield
        worker_of(module).stop()


@pytest.fixture
def core(panel, slicer, monkeypatch):
    """The panel's inner object with the section open and weights that read CTs chosen."""
    from SSRKDSlicer.panel import run_section

    monkeypatch.setattr(run_section, "_DOUBLE_CLICK", 0.0)
    core = panel.panel
    user.click(core.ui.ctSection)
    core.parameters.weights, core.parameters.device = "bands", "cpu"
    slicer.app.processEvents()
    return core


def loadCt(core, slicer, files, name="scan"):
    node = slicer.util.loadVolume(str(files / f"{name}.nrrd"))
    slicer.app.processEvents()
    core.ui.ctSelector.setCurrentNode(node)
    slicer.app.processEvents()
    return node


def reconstruct(core, slicer):
    user.click(core.ui.ctReconstructButton)
    settle(core)
    assert "✗" not in core.ui.statusLabel.text, core.ui.statusLabel.text
    return core.case().models


def isTheKnee(models, toWorld=None):
    """The balls, where the CT shows them; ``toWorld``: RAS, where the CT was moved."""
    from SSRKDSlicer.radiographs.outlines import worldMesh

    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    moved = (np.eye(4) if toWorld is None else flip @ toWorld @ flip) @ POSE
    assert list(models) == list(BONES)
    for bone, (centre, radius) in BALLS.items():
        middle = (moved @ [*centre, 1.0])[:3]
        off = np.linalg.norm(worldMesh(models[bone]).vertices - middle, axis=1) - radius
        assert np.abs(off).mean() < 1.8, bone  # half a voxel
        assert worldMesh(models[bone]).volume() > 0


def modelCount(slicer):
    nodes = slicer.util.getNodesByClass("vtkMRMLModelNode")
    return sum(node.GetAttribute("SSRKD.About") is not None for node in nodes)


def test_panel_ct_and_a_click_make_four_bones(core, slicer, files):
    assert not core.ui.ctReconstructButton.enabled
    assert "Choose a CT first" in core.ui.ctReconstructButton.toolTip
    ct = loadCt(core, slicer, files)
    assert core.ui.ctReconstructButton.enabled
    seen = []
    listen = core._onProgress
    core._onProgress = lambda *step: (listen(*step), seen.append(core.ui.progressBar.format))
    user.click(core.ui.ctReconstructButton)
    assert core.ui.reconstructButton.text == "Cancel" and core.ui.progressBar.visible
    assert not core.ui.ctReconstructButton.enabled
    settle(core)
    assert any("Segmenting the bones, part 2 of" in text for text in seen)
    assert "Right knee reconstructed in" in core.ui.statusLabel.text
    assert core.ui.ctReconstructButton.enabled and core.ui.reconstructButton.text == "Reconstruct"
    models = core.case().models
    isTheKnee(models)
    # Named, coloured, filed and listed as others.
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    for row, (bone, node) in enumerate(models.items()):
        assert node.GetName() == f"Right {bone}"
        np.testing.assert_allclose(node.GetDisplayNode().GetColor(), COLOURS[bone])
        item = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
        assert hierarchy.GetItemName(item) == f"Knee of {ct.GetName()}"
        about = json.loads(node.GetAttribute("SSRKD.About"))
        assert about["weights"] == "bands"
        shown = core.ui.resultsTable.item(row, 2).text()
        assert shown == f"{about['volume_mm3'] / 1000:.1f} cm³"
        assert core.ui.resultsTable.item(row, 3).text() == ""  # no radiograph to agree with
        assert node.GetDisplayNode().GetVisibility2D()
    composite = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == ct.GetID()
    # The same CT again: the same nodes. Another one: others.
    user.choose(core.ui.ctSideCombo, "Left")
    slicer.app.processEvents()
    assert reconstruct(core, slicer) == models
    assert models["femur"].GetName() == "Left femur"
    assert "look like a right knee" in core.ui.statusLabel.text
    assert modelCount(slicer) == 4
    loadCt(core, slicer, files)
    again = reconstruct(core, slicer)
    assert not set(again.values()) & set(models.values()) and modelCount(slicer) == 8


@pytest.mark.parametrize("kind", ["turned", "warped"])
def test_panel_ct_bones_are_where_a_transform_put_the_ct(core, slicer, files, kind):
    import vtk

    ct = loadCt(core, slicer, files, "askew")
    turn = vtk.vtkTransform()
    turn.Translate(30.0, -200.0, 55.0)
    turn.RotateWXYZ(100.0, 0.3, 0.5, 0.8)
    if kind == "turned":
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        node.SetMatrixTransformToParent(turn.GetMatrix())
    else:
        # What a gantry's tilt is corrected with; here it does the same as the other.
        spline = vtk.vtkThinPlateSplineTransform()
        spline.SetBasisToR()
        source, target = vtk.vtkPoints(), vtk.vtkPoints()
        for corner in np.ndindex(2, 2, 2):
            point = 400.0 * np.array(corner) - [0, 200, -500]
            source.InsertNextPoint(*point)
            target.InsertNextPoint(*turn.TransformPoint(*point))
        spline.SetSourceLandmarks(source)
        spline.SetTargetLandmarks(target)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
        node.SetAndObserveTransformToParent(spline)
    ct.SetAndObserveTransformNodeID(node.GetID())
    models = reconstruct(core, slicer)
    assert all(model.GetParentTransformNode() is node for model in models.values())
    isTheKnee(models, slicer.util.arrayFromVTKMatrix(turn.GetMatrix()))


def test_panel_ct_region_leaves_the_rest_out(core, slicer, files):
    from SSRKDSlicer.radiographs.outlines import worldMesh

    ct = loadCt(core, slicer, files, "askew")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = [10.0, 20.0, 30.0]
    slicer.util.updateTransformMatrixFromArray(node, matrix)
    ct.SetAndObserveTransformNodeID(node.GetID())
    core.ui.ctRegionSelector.addNode()
    roi = core.parameters.nodeOf("ct", "Region")
    centre, radius = BALLS["femur"]
    middle = (POSE @ [*centre, 1.0])[:3] * [-1, -1, 1] + matrix[:3, 3]
    roi.SetXYZ(*middle)
    roi.SetRadiusXYZ(*([radius + 4.0] * 3))
    models = reconstruct(core, slicer)
    assert "Not found: fibula." in core.ui.statusLabel.text
    mesh = worldMesh(models["femur"])
    off = np.linalg.norm(mesh.vertices * [-1, -1, 1] - middle, axis=1) - radius
    assert np.abs(off).mean() < 1.8
    # Without a fibula nothing tells the side: bones are named without, and not compared.
    assert models["femur"].GetName() == "Femur"
    tag = slicer.vtkSegment.GetTerminologyEntryTagName()
    assert "71341001^Femur~^^~" in models["femur"].GetAttribute(tag)
    assert "The side was not given" in core.ui.statusLabel.text
    user.click(core.ui.compareSection)
    for _ in range(2):  # the section is laid out, and then what is in it
        slicer.app.processEvents()
    user.click(core.ui.compareButton)
    settle(core)
    assert "left or a right knee" in core.ui.statusLabel.text


def test_panel_ct_bones_can_be_compared_and_exported(core, slicer, files, tmp_path, monkeypatch):
    import qt

    from SSRKDSlicer.bones.results import modelPolyData

    loadCt(core, slicer, files)
    models = reconstruct(core, slicer)
    for bone, (centre, radius) in BALLS.items():
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", f"true {bone}")
        node.SetAndObservePolyData(modelPolyData(ball(centre, radius).transformed(POSE)))
    user.click(core.ui.compareSection)
    slicer.app.processEvents()
    user.click(core.ui.compareButton)
    settle(core)
    assert "Compared: mean ASSD" in core.ui.statusLabel.text
    assert float(core.ui.compareTable.item(4, 1).text()) < 1.8
    assert models["femur"].GetDisplayNode().GetScalarVisibility()
    path = tmp_path / "report.html"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *a, **k: str(path))
    user.click(core.ui.reportButton)
    assert "bands" in path.read_text("utf-8")
    path.unlink()
    core.parameters.exportFolder = str(tmp_path)
    core.refresh()
    user.click(core.ui.exportButton)
    assert {path.name for path in tmp_path.iterdir()} == {f"right_{bone}.stl" for bone in BONES}


@pytest.mark.parametrize("stage", ["read", "field", "write"])
def test_panel_ct_cancelled_changes_nothing(core, slicer, files, stage):
    loadCt(core, slicer, files)
    before = slicer.mrmlScene.GetNumberOfNodes()
    assert cancelAt(core, stage, core.ui.ctReconstructButton) == [stage]
    assert "cancelled" in core.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    if stage == "field":
        isTheKnee(reconstruct(core, slicer))


def test_panel_ct_mistakes_are_sentences(core, slicer, files):
    flat = slicer.util.addVolumeFromArray(np.zeros((1, 64, 64), np.int16), name="film")
    labels = slicer.util.addVolumeFromArray(np.ones((40, 40, 40), np.uint8), name="labels")
    water = slicer.util.addVolumeFromArray(np.full((40, 40, 40), -10, np.int16), name="water")
    for node, words in (
        (flat, "'film' has a single slice"),
        (labels, "'labels' is not in Hounsfield units"),
        (water, "No bone was found in the CT"),
    ):
        user.choose(core.ui.ctSelector, node.GetName())
        slicer.app.processEvents()
        user.click(core.ui.ctReconstructButton)
        settle(core)
        assert core.ui.statusLabel.text.startswith("✗") and words in core.ui.statusLabel.text
    # Weights that are missing, or contain no teacher.
    loadCt(core, slicer, files)
    core.parameters.weights = "gone"
    slicer.app.processEvents()
    user.click(core.ui.ctReconstructButton)
    assert "'gone' are missing" in core.ui.statusLabel.text
    assert core.job is None and modelCount(slicer) == 0


def test_panel_ct_weights_without_a_teacher_name_others(core, slicer, files, monkeypatch):
    import torch

    from SSRKDLib.weights.bundle import read_manifest, write_bundle

    manifest = read_manifest(files / "weights" / "bands.zip")
    networks = {"student": manifest["networks"]["teacher"]}
    path = files / "weights" / "xray.zip"
    write_bundle(
        path, {**manifest, "name": "xray", "networks": networks}, {"student.x": torch.zeros(2)}
    )
    try:
        loadCt(core, slicer, files)
        core.parameters.weights = "xray"
        slicer.app.processEvents()
        user.click(core.ui.ctReconstructButton)
        assert core.job is None  # told at once, without the worker
        assert "'xray' contain no teacher" in core.ui.statusLabel.text
        assert "bands" in core.ui.statusLabel.text
    finally:
        path.unlink()


def test_panel_ct_without_torch_says_where_to_install_it(core, slicer, files, monkeypatch):
    import sys

    from SSRKDSlicer.worker import worker_client

    loadCt(core, slicer, files)
    core.tasks.worker.stop()
    code = (
        "import sys; sys.modules['torch'] = None; "
        "from SSRKDLib.cli.main import main; main(['worker'])"
    )
    monkeypatch.setattr(worker_client, "workerCommand", lambda: [sys.executable, "-c", code])
    user.click(core.ui.ctReconstructButton)
    settle(core)
    core.tasks.worker.stop()
    assert "PyTorch is not installed" in core.ui.statusLabel.text
    assert "Installation" in core.ui.statusLabel.text


def test_panel_ct_deleted_in_the_middle_loses_nothing(core, slicer, files):
    ct = loadCt(core, slicer, files)
    user.click(core.ui.ctReconstructButton)
    waitUntil(lambda: core.job is None or core.job.stage == "field", "field")
    slicer.mrmlScene.RemoveNode(ct)
    settle(core)
    isTheKnee(core.case().models)


def test_panel_ct_then_radiographs_are_cases_of_their_own(core, slicer, files):
    loadCt(core, slicer, files)
    ofCt = reconstruct(core, slicer)
    loadSampleFiles()
    slicer.app.processEvents()
    core.parameters.weights, core.parameters.spacing = "", 2.0
    slicer.app.processEvents()
    user.click(core.ui.reconstructButton)
    settle(core)
    assert not set(ofCt.values()) & set(core.case().models.values())
    assert modelCount(slicer) == 8
    core.parameters.weights = "bands"
    slicer.app.processEvents()
    third = reconstruct(core, slicer)
    assert not set(third.values()) & set(ofCt.values())
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert hierarchy.GetItemName(core.case().folder()).startswith("Knee of scan")


def test_console_ct(module, slicer, files):
    from SSRKDLib.core.errors import Cancelled, SSRKDError

    logic = module.SSRKDLogic()
    bundle = str(files / "weights" / "bands.zip")
    ct = slicer.util.loadVolume(str(files / "scan.nrrd"))
    steps = []
    models = logic.reconstructFromCt(
        ct, weights=bundle, device="cpu", progress=lambda *step: steps.append(step)
    )
    isTheKnee(models)
    assert {stage for stage, *_ in steps} >= {"read", "load", "field", "surface"}
    failures = []
    job = logic.reconstructFromCt(ct, weights=bundle, done=print, failed=failures.append)
    job.cancel()
    waitUntil(lambda: job.finished)
    assert isinstance(failures[0], Cancelled)
    with pytest.raises(SSRKDError, match="No CT is chosen"):
        logic.reconstructFromCt(None, weights=bundle)

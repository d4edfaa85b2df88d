"""Clinical measures of the bones alone, and the bones as one segmentation."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import qt
from vtk.util.numpy_support import vtk_to_numpy

from Testing.bench import user
from Testing.module.cases import sampleTruth, settle


@pytest.fixture
def bones(core, slicer):
    """The sample's true bones as if they had been reconstructed; returns the panel."""
    from SSRKDLib.core.anatomy import BONES
    from SSRKDSlicer.bones.results import addModel
    from SSRKDSlicer.scene.folders import newFolder
    from SSRKDSlicer.tasks import CaseNodes

    folder, truth = newFolder("Knee"), sampleTruth()
    about = {"spacing_mm": 1.0, "weights": "none", "surface": "field"}
    models = {bone: addModel(bone, truth[bone], "L", about, folder) for bone in BONES}
    core.storeCase(CaseNodes(models=models))
    slicer.app.processEvents()
    return core


def test_panel_measures_are_shown_saved_and_go_with_the_bones(
    bones, slicer, tmp_path, monkeypatch, dialogs
):
    ui = bones.ui
    assert not ui.measuresTable.visible and not ui.measuresSaveButton.visible
    user.click(ui.measureButton)
    settle(bones)
    titles = [ui.measuresTable.item(row, 0).text() for row in range(ui.measuresTable.rowCount)]
    values = [ui.measuresTable.item(row, 1).text() for row in range(ui.measuresTable.rowCount)]
    slope = values[titles.index("Posterior tibial slope, medial")]
    assert slope.endswith("°") and 0 < float(slope[:-1]) < 15
    for name, inside in (("a.csv", "tibial_slope_medial,"), ("b.html", "<h1>Reconstruction: left")):
        path = tmp_path / name
        monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *a, p=path: str(p))
        user.click(ui.measuresSaveButton)
        assert inside in path.read_text(encoding="utf-8")
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert "Distances" not in page and "Reference" not in page and "image/png" in page
    rows = list(csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8")))
    assert len(rows) == len(titles)
    assert f"{float(rows[0]['value']):.1f}°" in values
    (tmp_path / "c.csv").write_text("mine")
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *a: str(tmp_path / "c"))
    for dialogs.answer, kept in ((False, True), (True, False)):
        user.click(ui.measuresSaveButton)
        assert ((tmp_path / "c.csv").read_text() == "mine") == kept
    assert "c.csv' is there already" in dialogs.texts("ok_cancel")[0]
    femur = bones.case().models["femur"]
    femur.SetAndObservePolyData(bones.case().models["tibia"].GetPolyData())
    bones.refreshSoon()
    slicer.app.processEvents()
    assert not ui.measuresTable.visible and not ui.measuresSaveButton.visible


def test_panel_bones_are_one_segmentation_named_and_coloured(bones, slicer):
    user.click(bones.ui.segmentationButton)
    node = bones.parameters.nodeOf("bones", "Segmentation")
    assert not node.GetDisplayNode().GetVisibility3D()  # the models stand there, with their colours
    models = bones.case().models
    segmentation = node.GetSegmentation()
    assert list(segmentation.GetSegmentIDs()) == list(models)
    for bone, model in models.items():
        segment = segmentation.GetSegment(bone)
        assert segment.GetName() == model.GetName()
        np.testing.assert_allclose(segment.GetColor(), model.GetDisplayNode().GetColor())
        box = [0.0] * 6
        segment.GetBounds(box)
        np.testing.assert_allclose(box, model.GetPolyData().GetBounds(), atol=1e-3)
    # As a reference it is found by terminology.
    from SSRKDSlicer.bones.comparison import matchReference

    _, matching = matchReference(node, "L", {})
    assert list(matching.bones) == list(models) and matching.side == "L"
    node.CreateBinaryLabelmapRepresentation()  # as the Segment Editor and statistics do
    image = slicer.vtkOrientedImageData()
    assert node.GetBinaryLabelmapRepresentation("femur", image)
    assert image.GetSpacing() == (0.5, 0.5, 0.5)
    volume = vtk_to_numpy(image.GetPointData().GetScalars()).sum() * 0.5**3
    assert volume == pytest.approx(sampleTruth()["femur"].volume(), rel=0.01)
    user.click(bones.ui.segmentationButton)  # again: the same node
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1

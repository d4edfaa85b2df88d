"""The panel's section Compare with CT: a reference, numbers, colours, alignment, a report."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import SimpleITK as sitk

from SSRKDLib.core.anatomy import BONES
from Testing.bench import user
from Testing.module.cases import SAMPLES, ballMeshes, settle
from Testing.support.ball_knee import BALLS


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Where the first test leaves its scene for the others: what they start from takes long."""
    return tmp_path_factory.mktemp("compare") / "reconstructed.mrb"


@pytest.fixture
def core(panel, slicer, saved):
    """The sample's CT reconstructed from radiographs simulated from it; its segmentation loaded."""
    core = panel.panel
    user.click(core.ui.compareSection)
    if saved.exists():
        slicer.util.loadScene(str(saved))
        slicer.app.processEvents()
    else:
        ct = slicer.util.loadVolume(str(SAMPLES / "SSRKD_CT.nrrd"))
        core.parameters.setNode("ct", "Volume", ct)
        core.parameters.ctSide, core.parameters.ctNoise, core.parameters.spacing = "R", False, 2.0
        core.refresh()
        user.click(core.ui.ctSection)
        slicer.app.processEvents()
        user.click(core.ui.simulateButton)
        settle(core)
        user.click(core.ui.reconstructButton)
        settle(core)
        slicer.util.loadSegmentation(str(SAMPLES / "SSRKD_CT.seg.nrrd"))
        slicer.app.processEvents()
        assert slicer.util.saveScene(str(saved))
    return core


def reference(slicer):
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[-1]


def compareNow(core, slicer, alignment="None"):
    user.choose(core.ui.referenceSelector, reference(slicer).GetName())
    user.choose(core.ui.alignCombo, alignment)
    slicer.app.processEvents()
    user.click(core.ui.compareButton)
    settle(core)
    return core.sections[4].comparison


def moved(slicer, degrees=25.0, shift=(20.0, -15.0, 10.0)):
    """The reference turned and moved by a hardened transform: another pose in another frame."""
    import vtk

    turn = vtk.vtkTransform()
    turn.Translate(*shift)
    turn.RotateWXYZ(degrees, 0.3, 0.5, 0.8)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(turn.GetMatrix())
    reference(slicer).SetAndObserveTransformNodeID(node.GetID())


def test_panel_compares_with_the_segmentation_of_the_ct(core, slicer, tmp_path, monkeypatch):
    from SSRKDSlicer.bones.report import viewPictures

    ui = core.ui
    user.choose(ui.referenceSelector, reference(slicer).GetName())
    slicer.app.processEvents()
    combos = [ui.matchingTable.cellWidget(row, 1).currentText for row in range(4)]
    assert [text.lower() for text in combos] == list(BONES)
    made = compareNow(core, slicer)
    assert [row["bone"] for row in made.rows] == [*BONES, "mean"]
    assert made.rows[-1]["assd_mm"] < 1.2
    assert made.rows[-1]["dsc"] > 0.9
    assert float(ui.compareTable.item(4, 1).text()) == round(made.rows[-1]["assd_mm"], 2)
    assert f"mean ASSD {made.rows[-1]['assd_mm']:.2f} mm" in ui.statusLabel.text
    # The table node holds the same, with the mean row.
    values = slicer.util.arrayFromTableColumn(made.table, "ASSD (mm)")
    np.testing.assert_allclose(values, [row["assd_mm"] for row in made.rows])
    assert made.chart.GetNumberOfPlotSeriesNodes() == 4
    # Models are coloured by signed distance, symmetric about zero, with one scale bar.
    for node in made.models.values():
        display = node.GetDisplayNode()
        assert display.GetScalarVisibility()
        assert display.GetScalarRange() == (-3.0, 3.0)
    distances = slicer.util.arrayFromModelPointData(made.models["femur"], "Distance to reference")
    evaluated = np.isfinite(distances)
    assert 0.3 < evaluated.mean() < 1.0  # shafts beyond 80 mm are not evaluated
    assert abs(np.abs(distances[evaluated]).mean() - made.rows[1]["assd_mm"]) < 0.3
    legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert sum(bool(legend.GetVisibility()) for legend in legends) == 1
    # Looks.
    user.type_text(ui.distanceRange, "2")
    assert made.models["tibia"].GetDisplayNode().GetScalarRange() == (-2.0, 2.0)
    user.click(ui.colourCheck)
    assert not made.models["tibia"].GetDisplayNode().GetScalarVisibility()
    user.click(ui.referenceCheck)
    assert not any(node.GetDisplayNode().GetVisibility() for node in made.references.values())
    user.click(ui.landmarksCheck)
    assert made.points.GetDisplayNode().GetVisibility()
    assert made.points.GetNumberOfControlPoints() > 8
    # Without a CT the slice views would show whatever they showed before.
    assert made.references["femur"].GetDisplayNode().GetViewNodeIDs() == ("vtkMRMLViewNode2",)
    assert len(viewPictures("")) == 2
    assert not ui.overlayButton.enabled and ui.overlayButton.toolTip == "Choose the CT first."
    user.choose(ui.compareCtSelector, "SSRKD_CT")
    slicer.app.processEvents()
    user.click(ui.overlayButton)
    assert made.references["femur"].GetDisplayNode().GetViewNodeIDs() == ()
    assert list(viewPictures("both")) == ["3D view: both"]  # not the one that was left
    # A report without names, and one with.
    for names in (False, True):
        path = tmp_path / f"report {names}.html"
        monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *a, p=path: str(p))
        if names:
            user.click(ui.reportNamesCheck)
        user.click(ui.reportButton)
        text = path.read_text("utf-8")
        assert ("SSRKD_CT" in text) == names
        assert f"{made.rows[1]['assd_mm']:.2f}" in text
        assert text.count("data:image/png;base64,") == 3
        assert "Lateral radiograph with the bones" in text
        assert "<svg" in text and "http-equiv" not in text and "<script" not in text
        assert "virtual-knee" in text
        assert "SDD (mm)" in text


def test_panel_alignment_is_a_transform_that_can_be_seen_edited_and_undone(core, slicer):
    plain = compareNow(core, slicer, "All bones together")
    before = [row["assd_mm"] for row in plain.rows]
    moved(slicer)
    made = compareNow(core, slicer, "All bones together")
    np.testing.assert_allclose([row["assd_mm"] for row in made.rows], before, atol=0.05)
    (transform,) = made.transforms
    assert f"residual {np.mean(list(made.residuals.values())):.2f} mm" in transform.GetName()
    from SSRKDSlicer.radiographs.outlines import worldMesh

    femur = worldMesh(made.references["femur"])
    assert abs(femur.bounds - worldMesh(made.models["femur"]).bounds)[0].max() < 6
    # Edited by the user: 5 mm away costs about as much.
    matrix = slicer.util.arrayFromTransformMatrix(transform)
    matrix[2, 3] += 5.0
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    edited = compareNow(core, slicer, "As it is now")
    assert edited.rows[-1]["assd_mm"] > before[-1] + 1.0
    assert edited.transforms == (transform,)
    user.click(core.ui.undoAlignmentButton)
    assert made.references["femur"].GetParentTransformNode() is None
    each = compareNow(core, slicer, "Each bone by itself")
    assert len(each.transforms) == 4
    assert each.rows[-1]["assd_mm"] <= before[-1] + 0.02


def test_panel_comparison_takes_what_the_user_picks(core, slicer):
    segmentation = reference(slicer).GetSegmentation()
    for segmentId in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segmentId)
        segment.RemoveTag(slicer.vtkSegment.GetTerminologyEntryTagName())
        segment.SetName({"Femur": "upper", "Tibia": "lower"}.get(segment.GetName(), "x"))
    made = compareNow(core, slicer)
    assert made is None
    assert "no bone of this knee" in core.ui.statusLabel.text
    for row, name in ((1, "upper"), (3, "lower")):
        user.choose(core.ui.matchingTable.cellWidget(row, 1), name)
    slicer.app.processEvents()
    made = compareNow(core, slicer)
    evaluated = {row["bone"]: row["assd_mm"] for row in made.rows}
    assert evaluated["femur"] < 1.2 and evaluated["tibia"] < 1.2
    assert evaluated["patella"] is None


def test_panel_wrong_references_are_said(core, slicer):
    ui = core.ui
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    user.choose(ui.referenceSelector, "empty")
    slicer.app.processEvents()
    user.click(ui.compareButton)
    settle(core)
    assert "no bone of this knee" in ui.statusLabel.text
    slicer.mrmlScene.RemoveNode(empty)
    import vtk

    mirror = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "mirror")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 0, -1)
    mirror.SetMatrixTransformToParent(matrix)
    reference(slicer).SetAndObserveTransformNodeID(mirror.GetID())
    compareNow(core, slicer, "All bones together")
    assert "left" in ui.statusLabel.text.lower() or "side" in ui.statusLabel.text.lower()
    assert "✗" in ui.statusLabel.text
    metres = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "metres")
    matrix.Identity()
    for k in range(3):
        matrix.SetElement(k, k, 0.001)
    metres.SetMatrixTransformToParent(matrix)
    reference(slicer).SetAndObserveTransformNodeID(metres.GetID())
    compareNow(core, slicer, "All bones together")
    assert "metres" in ui.statusLabel.text


def test_panel_models_in_the_scene_are_a_reference(core, slicer):
    from SSRKDLib.surfaces.label_maps import read_reference
    from SSRKDSlicer.bones.results import modelPolyData

    for bone, mesh in read_reference(SAMPLES / "SSRKD_CT.seg.nrrd").meshes.items():
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", f"CT_{bone}_right")
        node.SetAndObservePolyData(modelPolyData(mesh))
    user.choose(core.ui.referenceSelector, "Models in the scene")
    user.choose(core.ui.alignCombo, "None")
    slicer.app.processEvents()
    user.click(core.ui.compareButton)
    settle(core)
    made = core.sections[4].comparison
    assert made.rows[-1]["assd_mm"] < 1.2


@pytest.mark.parametrize("slices", [slice(None), slice(0, 141, 4)])  # thick ones, a short femur
def test_panel_reference_in_the_scene_is_that_of_its_file(module, slicer, tmp_path, slices):
    """Slicer crops voxels to the bones; only shafts, which the scan cuts, are open all the same."""
    from SSRKDLib.surfaces.label_maps import read_reference
    from SSRKDSlicer.bones.references import referenceParts

    image = sitk.ReadImage(str(SAMPLES / "SSRKD_CT.seg.nrrd"))
    part = image[:, :, slices]
    for key in image.GetMetaDataKeys():
        if key.startswith("Segment") and not key.endswith("_Extent"):
            part.SetMetaData(key, image.GetMetaData(key))
    path = str(tmp_path / "part.seg.nrrd")
    sitk.WriteImage(part, path)
    slicer.util.loadSegmentation(path)
    parts = {part.name.lower(): part.mesh() for part in referenceParts(reference(slicer))}
    for bone, mesh in read_reference(path).meshes.items():
        np.testing.assert_allclose(parts[bone].bounds, mesh.bounds, atol=1e-3)
        assert len(parts[bone].vertices) == len(mesh.vertices)


@pytest.mark.parametrize("kind", ["surface", "label map"])
def test_panel_reference_of_any_kind_lies_where_its_bone_is(module, slicer, kind):
    import vtk

    from SSRKDSlicer.bones.references import referenceParts
    from SSRKDSlicer.bones.results import modelPolyData

    ball = ballMeshes()["tibia"]
    if kind == "surface":
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surfaces")
        segment = slicer.vtkSegment()
        segment.SetName("tibia")
        segment.AddRepresentation("Closed surface", modelPolyData(ball))
        node.GetSegmentation().SetSourceRepresentationName("Closed surface")
        node.GetSegmentation().AddSegment(segment, "tibia")
    else:
        start, spacing = ball.bounds[0] - 5.0, np.array([0.6, 0.8, 1.0])
        shape = np.ceil((np.ptp(ball.bounds, axis=0) + 10.0) / spacing).astype(int)
        points = start + spacing * np.stack(np.indices(shape), axis=-1)
        inside = np.linalg.norm(points - ball.bounds.mean(0), axis=-1) < BALLS["tibia"][1]
        node = slicer.util.addVolumeFromArray(
            3 * inside.T.astype(np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode"
        )
        toRas = np.diag([*spacing * [-1, -1, 1], 1.0])
        toRas[:3, 3] = start * [-1, -1, 1]
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(toRas))
    (part,) = referenceParts(node)
    np.testing.assert_allclose(part.mesh().bounds, ball.bounds, atol=0.5)
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 7.0)
    shift.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(shift.GetID())
    np.testing.assert_allclose(part.mesh().bounds, ball.bounds - [7.0, 0, 0], atol=0.5)


def test_panel_comparison_ends_with_what_it_compared(core, slicer):
    """Another reconstruction: old numbers and colours must not stay on the new bones."""
    made = compareNow(core, slicer)
    assert core.ui.compareTable.rowCount == 5
    user.click(core.ui.reconstructButton)
    settle(core)
    slicer.app.processEvents()
    assert core.ui.compareTable.rowCount == 0
    assert not core.ui.reportButton.enabled
    for node in made.models.values():
        assert not node.GetDisplayNode().GetScalarVisibility()
    legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert not any(legend.GetVisibility() for legend in legends)
    again = compareNow(core, slicer)
    assert again.table is made.table  # its nodes are used again
    assert core.ui.compareTable.rowCount == 5


def test_panel_ct_moves_with_its_segmentation_unless_it_has_a_transform(core, slicer):
    ct = slicer.util.getNode("SSRKD_CT")
    core.parameters.setNode("compare", "Ct", ct)
    moved(slicer)
    made = compareNow(core, slicer, "All bones together")
    assert ct.GetParentTransformNode() is made.transforms[0]
    user.click(core.ui.undoAlignmentButton)
    assert ct.GetParentTransformNode() is None
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "the user's")
    ct.SetAndObserveTransformNodeID(own.GetID())
    compareNow(core, slicer, "All bones together")
    assert ct.GetParentTransformNode() is own
    assert "was left there" in core.ui.statusLabel.text

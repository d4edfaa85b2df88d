"""The panel's section Plan osteotomy: by rule, by slider, by dragging, undone, exported."""

from __future__ import annotations

import json

import numpy as np
import pytest
import qt
import vtk

from Testing.bench import user
from Testing.module.cases import SAMPLES, cancelAt, loadSampleFiles, sampleTruth, settle, waitUntil


@pytest.fixture(scope="module")
def truth():
    return sampleTruth()


@pytest.fixture
def core(panel, slicer, module, truth):
    """The sample's true bones where a reconstruction's would be, on its radiographs."""
    from SSRKDSlicer.bones.results import addModel
    from SSRKDSlicer.scene.folders import newFolder

    core = panel.panel
    core.storeCase(module.SSRKDLogic().place(*loadSampleFiles()))
    side = core.setup.rig.laterality if core.setup is not None else None
    folder = newFolder("Knee")
    for bone in ("femur", "fibula", "tibia"):
        node = addModel(bone, truth[bone], side or "L", {}, folder)
        core.parameters.setNode(bone, "Model", node)
    slicer.app.processEvents()
    for section in (core.ui.radiographsSection, core.ui.planSection):
        user.click(section)
        slicer.app.processEvents()
    return core


def shown(core):
    table = core.ui.planTable
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}


def number(core, name):
    return float(shown(core)[name].split()[0].rstrip("°"))


def planned(core, slicer):
    user.click(core.ui.planButton)
    settle(core)
    assert core.ui.planLabel.text == "", core.ui.planLabel.text
    return section(core)._nodes()


def section(core):
    from SSRKDSlicer.panel.plan_section import PlanSection

    (found,) = (one for one in core.sections if isinstance(one, PlanSection))
    return found


def test_slider_and_dragging_change_the_plan_and_undo_takes_it_back(core, slicer):
    ui = core.ui
    nodes = planned(core, slicer)
    before = number(core, "Opening, medial")
    wedge = slicer.util.arrayFromModelPoints(nodes.parts["wedge"]).copy()
    assert number(core, "Correction") == 8.0 and number(core, "Bone left at the hinge") == 10.0
    drawn = slicer.util.getNodesByClass("vtkMRMLModelNode")
    drawn = [node for node in drawn if node.GetNodeReferenceID("SSRKD.OutlineOf")]
    assert len(drawn) == 4 and all(node.GetPolyData().GetNumberOfLines() for node in drawn)
    user.type_text(ui.planAngle, "12")
    slicer.app.processEvents()
    assert ui.planAngleSlider.value == 120
    ratio = np.sin(np.radians(6.0)) / np.sin(np.radians(4.0))
    assert number(core, "Opening, medial") == pytest.approx(before * ratio, abs=0.15)
    assert not np.array_equal(wedge, slicer.util.arrayFromModelPoints(nodes.parts["wedge"]))
    # A user drags the hinge's front end: the hinge turns, the slope changes.
    nodes.hinge.InvokeEvent(slicer.vtkMRMLMarkupsNode.PointStartInteractionEvent)
    place = np.array(nodes.hinge.GetNthControlPointPositionWorld(0))
    nodes.hinge.SetNthControlPointPositionWorld(0, *(place + [12.0, 0.0, 0.0]))
    slicer.app.processEvents()
    change = float(shown(core)["Tibial slope, medial"].split("(")[1].rstrip("°)"))
    assert abs(change) > 1.0
    user.click(ui.planUndoButton)
    slicer.app.processEvents()
    assert nodes.hinge.GetNthControlPointPositionWorld(0) == pytest.approx(place, abs=1e-6)
    user.click(ui.planUndoButton)
    slicer.app.processEvents()
    assert ui.planAngle.value == 8.0 and number(core, "Opening, medial") == before
    restored = slicer.util.arrayFromModelPoints(nodes.parts["wedge"])
    np.testing.assert_allclose(restored, wedge, atol=1e-3)
    user.click(ui.planRedoButton)
    slicer.app.processEvents()
    assert ui.planAngle.value == 12.0
    ui.planAngleSlider.value = 65
    slicer.app.processEvents()
    assert (ui.planAngle.value, number(core, "Correction")) == (6.5, 6.5)
    pieces = section(core)._made[0]
    user.click(ui.planBiplanarCheck)
    slicer.app.processEvents()
    assert section(core)._made[0] is not pieces
    # Planned again, by rule: that can be undone as well.
    nodes.plane.SetOriginWorld(*(np.array(nodes.plane.GetOriginWorld()) - [0.0, 0.0, 3.0]))
    dragged = nodes.plane.GetOriginWorld()
    assert planned(core, slicer) == nodes and nodes.plane.GetOriginWorld() != dragged
    user.click(ui.planUndoButton)
    slicer.app.processEvents()
    assert nodes.plane.GetOriginWorld() == pytest.approx(dragged, abs=1e-6)


def test_fall_and_turn_lay_the_cut_out_anew(core, slicer):
    ui = core.ui
    nodes = planned(core, slicer)
    assert ui.planFall.text == "medial slope"
    slope = float(shown(core)["Tibial slope, medial"].split("°")[0])
    along = section(core)._made[0].cut
    user.type_text(ui.planFall, "0")
    slicer.app.processEvents()
    level = section(core)._made[0].cut
    turned = np.degrees(np.arccos(along.axis @ level.axis))
    assert turned == pytest.approx(abs(slope), abs=0.1)
    user.type_text(ui.planTurn, "12")
    slicer.app.processEvents()
    cut = section(core)._made[0].cut
    assert np.degrees(np.arccos(cut.axis @ level.axis)) == pytest.approx(12.0, abs=0.1)
    assert cut.normal == pytest.approx(level.normal, abs=1e-6)
    for _ in range(2):
        user.click(ui.planUndoButton)
        slicer.app.processEvents()
    assert ui.planFall.text == "medial slope" and ui.planTurn.value == 0.0
    assert nodes.plane.GetNormalWorld() == pytest.approx(along.normal * [-1, -1, 1], abs=1e-6)


def test_the_hinge_follows_a_dragged_plane(core, slicer):
    nodes = planned(core, slicer)
    origin = np.array(nodes.plane.GetOriginWorld())
    normal = np.array(nodes.plane.GetNormalWorld())
    nodes.plane.SetOriginWorld(*(origin - 5.0 * normal))
    slicer.app.processEvents()
    for index in range(2):
        place = np.array(nodes.hinge.GetNthControlPointPositionWorld(index))
        assert (place - origin) @ normal == pytest.approx(-5.0, abs=1e-6)
    nodes.plane.SetNormalWorld(1.0, 0.0, 0.05)
    slicer.app.processEvents()
    assert "steeper than 60 degrees" in core.ui.planLabel.text
    assert not shown(core) and not core.ui.planExportButton.enabled
    # Back, but the hinge beside the bone.
    nodes.plane.SetNormalWorld(*normal)
    for index in range(2):
        place = np.array(nodes.hinge.GetNthControlPointPositionWorld(index))
        nodes.hinge.SetNthControlPointPositionWorld(index, *(place - [60.0, 0.0, 0.0]))
    slicer.app.processEvents()
    assert "cut through" in core.ui.planLabel.text and not shown(core)


def test_a_plan_that_lost_a_node_is_replaced(core, slicer):
    lost = planned(core, slicer)
    slicer.mrmlScene.RemoveNode(lost.parts["wedge"])
    slicer.app.processEvents()
    again = planned(core, slicer)
    assert again.present() and again.plane.GetName() == "Cut plane"
    left = (lost.plane, lost.hinge, lost.parts["proximal"], lost.parts["distal"])
    assert not any(map(slicer.mrmlScene.IsNodePresent, left))


def test_what_cannot_be_planned_is_said_beside_the_plan(core, slicer):
    ui = core.ui
    user.type_text(ui.planAngle, "40")
    user.click(ui.planButton)
    settle(core)
    assert "A correction of 40 degrees would break the hinge" in ui.planLabel.text
    assert "Planned" not in ui.statusLabel.text and not shown(core)
    user.type_text(ui.planAngle, "10")
    slicer.app.processEvents()
    assert number(core, "Correction") == 10.0 and ui.planLabel.text == ""
    # Typed beyond a limit, a number is refused, and not cut down to its first digit.
    for spin, wrong in ((ui.planHinge, "45"), (ui.planFall, "45"), (ui.planTurn, "60")):
        before = spin.value
        user.type_text(spin, wrong)
        assert spin.value == float(wrong) and f"is {wrong} " in ui.statusLabel.text
        assert number(core, "Correction") == 10.0
        user.type_text(spin, f"{before:g}")
    slicer.mrmlScene.RemoveNode(core.case().models["fibula"])
    slicer.app.processEvents()
    assert not shown(core) and "Reconstruct first" in ui.planLabel.text


def test_a_plan_is_exported_with_a_report(core, slicer, tmp_path, monkeypatch):
    planned(core, slicer)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *args: str(tmp_path))
    slicer.app.processEvents()
    user.click(core.ui.planExportButton)
    out = tmp_path / "osteotomy"
    assert str(out) in core.ui.statusLabel.text.replace("\u200b", "")
    about = json.loads((out / "plan.json").read_text())
    assert about["height_mm"] == pytest.approx(number(core, "Opening, medial"), abs=0.05)
    assert "data:image/png" in (out / "plan.html").read_text()
    # Slicer reads the plane where it was drawn.
    nodes = section(core)._nodes()
    again = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode")
    again.CreateDefaultStorageNode().SetFileName("")
    storage = again.CreateDefaultStorageNode()
    storage.SetFileName(str(out / "cut_plane.mrk.json"))
    assert storage.ReadData(again)
    assert again.GetNormalWorld() == pytest.approx(nodes.plane.GetNormalWorld(), abs=1e-6)
    assert again.GetOriginWorld() == pytest.approx(nodes.plane.GetOriginWorld(), abs=1e-4)
    # Opened again in a Slicer that has just started, it can be undone, too.
    user.click(core.ui.planSection)  # folded, it looks for no landmarks
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.mrmlScene.SetUndoOff()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    slicer.app.processEvents()
    assert slicer.mrmlScene.GetUndoFlag() and section(core)._nodes().plane.GetUndoEnabled()


def test_closing_wedge_miniaci_and_what_is_missing(core, slicer):
    ui = core.ui
    user.click(ui.planMiniaciButton)
    assert "hip-knee-ankle angle is not known" in ui.statusLabel.text
    user.type_text(ui.planHka, "174")
    user.type_text(ui.planAngle, "3")
    user.click(ui.planMiniaciButton)  # the correction may be known before there is a plan
    settle(core)
    assert 6.0 < ui.planAngle.value < 13.0 and section(core)._nodes() is None
    user.type_text(ui.planAngle, "8")
    planned(core, slicer)
    user.choose(ui.planKindCombo, "Lateral closing wedge")
    slicer.app.processEvents()
    assert "Base of the wedge, lateral" in shown(core) and ui.planEntry.value == 20.0
    user.click(ui.planMiniaciButton)
    slicer.app.processEvents()
    assert 6.0 < ui.planAngle.value < 13.0
    assert "430 mm from knee to hip" in ui.logEdit.plainText
    assert number(core, "Correction") == pytest.approx(ui.planAngle.value, abs=0.05)
    # In a bent knee the construction does not hold; the plan stays.
    before, femur = shown(core), core.case().models["femur"]
    bend(femur, 30.0)
    user.click(ui.planMiniaciButton)
    settle(core)
    assert "holds for a straight leg" in ui.statusLabel.text
    assert shown(core) == before and core.case().models["femur"] is femur


def bend(node, degrees):
    """Turn a model about the axis from right to left, as a flexed knee's femur."""
    from vtkmodules.vtkCommonTransforms import vtkTransform
    from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter

    turn, turned = vtkTransform(), vtkTransformPolyDataFilter()
    turn.RotateX(degrees)
    turned.SetTransform(turn)
    turned.SetInputData(node.GetPolyData())
    turned.Update()
    node.SetAndObservePolyData(turned.GetOutput())


def test_the_console_plans_on_models_and_on_a_segmentation(core, slicer, module):
    logic = module.SSRKDLogic()
    found, nodes = logic.planOsteotomy(core.case().models, angle=7.0, tubercle=15.0)
    assert found["angle_deg"] == 7.0 and found["hinge_width_mm"] == pytest.approx(10.0)
    assert nodes.parts["distal"].GetPolyData().GetNumberOfPolys() > 100
    segmentation = slicer.util.loadSegmentation(str(SAMPLES / "SSRKD_CT.seg.nrrd"))
    other, _ = logic.planOsteotomy(segmentation, angle=7.0, kind="closing", inclination=9.0)
    assert other["kind"] == "closing" and 4.0 < other["height_mm"] < 12.0


def test_a_plan_is_a_job_that_can_be_cancelled(core, slicer, monkeypatch):
    from SSRKDSlicer.panel import run_section

    monkeypatch.setattr(run_section, "_DOUBLE_CLICK", 0.0)
    assert cancelAt(core, "landmarks", core.ui.planButton) == ["landmarks"]
    assert "cancelled. Nothing was changed." in core.ui.statusLabel.text
    assert section(core)._nodes() is None and not shown(core)
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsPlaneNode")
    assert core.ui.planButton.enabled


def test_a_plan_follows_bones_that_change(core, slicer, truth):
    nodes = planned(core, slicer)
    height = number(core, "Opening, medial")
    core.showStatus("What was said before.")
    shift = np.array([0.0, 0.0, 5.0])
    for node in core.case().models.values():
        polydata = vtk.vtkPolyData()
        polydata.DeepCopy(node.GetPolyData())
        node.SetAndObservePolyData(polydata)
        points = slicer.util.arrayFromModelPoints(node)
        points += shift
    core.ui.planSection.collapsed = True
    core.refreshSoon()
    slicer.app.processEvents()
    assert not shown(core) and core.job is None  # of other bones, and nobody looks
    core.ui.planSection.collapsed = False
    waitUntil(lambda: shown(core) or core.ui.planLabel.text, "numbers of the new bones")
    assert core.ui.statusLabel.text == "What was said before."
    basis = section(core)._bones.basis()
    tip = truth["fibula"].vertices[:, 2].max() + 5.0
    assert basis.landmarks.fibula_tip[2] == pytest.approx(tip, abs=1.0)
    # The plane stayed where it was, so the cut is further below the joint line.
    assert number(core, "Opening, medial") != height
    assert nodes.present()


def test_an_empty_scene_says_what_is_missing(panel, slicer):
    core, ui = panel.panel, panel.ui
    does = {button: button.toolTip for button in (ui.planButton, ui.planMiniaciButton)}
    assert all("Reconstruct first, or choose a segmentation" in tip for tip in does.values())
    for button in (ui.planUndoButton, ui.planRedoButton, ui.planExportButton):
        assert not button.enabled and button.toolTip == "Click Plan first."
    assert not any(button.enabled for button in does)
    segmentation = slicer.util.loadSegmentation(str(SAMPLES / "SSRKD_CT.seg.nrrd"))
    core.parameters.setNode("plan", "Bones", segmentation)
    slicer.app.processEvents()
    assert all(button.enabled for button in does)
    assert "by rule" in ui.planButton.toolTip and "Miniaci" in ui.planMiniaciButton.toolTip

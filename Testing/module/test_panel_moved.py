"""The panel with a pair between whose radiographs the bones moved: a worker that tells of one."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.reconstruction.choices import pose_sentence
from SSRKDLib.surfaces.mesh_files import read_mesh
from SSRKDLib.surfaces.ply import read_ply_property
from Testing.bench import user
from Testing.module import ball_worker
from Testing.module.ball_worker import SAID, lay
from Testing.module.cases import loadSampleFiles, settle
from Testing.support.ball_knee import BALLS


@pytest.fixture
def core(panel, slicer, monkeypatch):
    """A panel with the sample's radiographs; ``asked`` are the requests, ``how`` the answers."""
    core = panel.panel
    ball_worker.install(core)
    loadSampleFiles()
    slicer.app.processEvents()
    return core


def reconstruct(core):
    user.click(core.ui.reconstructButton)
    settle(core)
    return core.case().models


def middles(models):
    from SSRKDSlicer.radiographs.outlines import worldMesh

    return {bone: worldMesh(node).bounds.mean(0) for bone, node in models.items()}


def assertOutlines(core, slicer, named=None, views=None):
    """Each radiograph carries the outlines of the balls where they lay in it; ``named``: what the
    worker calls the user's radiographs; ``views``: where these lie, default: as the panel says."""
    from SSRKDSlicer.radiographs.outlines import outlinesOf
    from SSRKDSlicer.radiographs.placing import PLACED

    drawn = outlinesOf(core.case().models.values())
    assert len(drawn) == 8
    for node in drawn:
        view = node.GetAttribute(PLACED)
        bone = node.GetAttribute("SSRKD.Bone")
        points = slicer.util.arrayFromModelPoints(node) * [-1, -1, 1]
        detector = (views or core.setup.rig.views)[["frontal", "lateral"].index(view)]
        expected = detector.points_on_detector(
            detector.project(lay(bone, (named or {}).get(view, view))[None])[0]
        )
        low, high = points.min(0), points.max(0)
        np.testing.assert_allclose((low + high) / 2, expected, atol=1.5)


def test_panel_each_radiograph_has_the_bones_as_they_lay_in_it(core, slicer):
    models = reconstruct(core)
    assert core.asked[-1]["pose"] == "lateral"
    for bone, place in middles(models).items():
        np.testing.assert_allclose(place, lay(bone, "lateral"), atol=0.05)
    assertOutlines(core, slicer)
    assert SAID[0] in core.ui.statusLabel.text.splitlines()[0]
    assert core.ui.statusLabel.text.count(SAID[0]) == 1
    assert "⚠ Something else." in core.ui.statusLabel.text
    # A crop region is proposed around what was found, and can be dragged.
    user.click(core.ui.lateralCropButton)
    left, top, columns, rows = core.requireSetup().crops[1]
    view = core.setup.rig.views[1]
    margin = 20.0 / view.pixel_spacing[0]
    places = view.project(np.array([lay(bone, "lateral") for bone in models]))
    for low, count, least, most in zip((left, top), (columns, rows), places.min(0), places.max(0)):
        assert low < least - margin and most + margin < low + count
    assert columns < view.size[0]
    region = core.parameters.nodeOf("lateral", "Crop")
    region.SetSize(*(np.array(region.GetSize()) * [0.5, 0.5, 1.0]))
    assert core.requireSetup().crops[1][2] == pytest.approx(columns / 2, abs=1)


@pytest.mark.parametrize("crop", [None, (20, 30, 400, 420)])
def test_panel_radiographs_lie_as_the_worker_found_them(core, slicer, crop):
    from SSRKDSlicer.scene.frames import volumeIjkToLps

    core.how = {"mirrored": True}
    if crop is not None:
        start = np.array(crop[:2])
        ends = np.array([start, start + crop[2:]]) - 0.5
        core.radiographs._drawRegion(core.setup.radiographs[1], ends)
    assert core.requireSetup().crops == (None, crop)
    reconstruct(core)
    frontal, lateral = core.setup.rig.views
    assertOutlines(core, slicer, views=(frontal, lateral.reversed(True, False)))
    # Mirrored were the columns of the part that the worker saw.
    left, top, *size = crop or (0, 0, *lateral.size)
    seen = lateral.cropped(left, top, *size).reversed(True, False)
    toLps = volumeIjkToLps(core.case().placed[1])
    for column, row in ((0, 0), (500, 100)):
        expected = seen.points_on_detector(np.array([column - left, row - top]))
        np.testing.assert_allclose((toLps @ [column, row, 0, 1])[:3], expected, atol=1e-3)


def test_panel_pose_moves_the_bones_and_not_their_outlines(core, slicer, tmp_path):
    from SSRKDSlicer.bones.results import aboutModel, uncertaintyOf

    models = reconstruct(core)
    ui = core.ui
    assert ui.poseCombo.visible and ui.poseCombo.currentText == "Lateral"
    for view in ("Frontal", "Lateral", "Frontal"):
        user.choose(ui.poseCombo, view)
        slicer.app.processEvents()
        for bone, place in middles(core.case().models).items():
            np.testing.assert_allclose(place, lay(bone, view.lower()), atol=0.05)
        assert f"as the bones lay in the {view.lower()} view" in ui.statusLabel.text
        about = aboutModel(models["tibia"])
        assert about["pose"] == view.lower() and pose_sentence(view.lower()) in about["warnings"]
        assert len(about["warnings"]) == 3
    assertOutlines(core, slicer)
    assert core.case().models == models
    known = np.linspace(0.5, 2.0, models["tibia"].GetPolyData().GetNumberOfPoints())
    np.testing.assert_allclose(uncertaintyOf(models["tibia"]), known, rtol=1e-5)
    # Exported is what is shown; the next result comes in the pose that was chosen.
    user.choose(ui.exportFormatCombo, "PLY")
    user.type_text(ui.exportFolder, str(tmp_path))
    user.click(ui.exportButton)
    middle = read_mesh(tmp_path / "left_tibia.ply").bounds.mean(0)
    stored = read_ply_property(tmp_path / "left_tibia.ply", "uncertainty_mm")
    np.testing.assert_allclose(stored, known, rtol=1e-5)
    np.testing.assert_allclose(middle, lay("tibia", "frontal"), atol=0.05)
    reconstruct(core)
    assert core.asked[-1]["pose"] == "frontal"
    np.testing.assert_allclose(middles(models)["fibula"], lay("fibula", "frontal"), atol=0.05)


def scaleBars(slicer):
    """How many the 3D view draws."""
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    actors = [
        actor
        for renderer in view.renderWindow().GetRenderers()
        for actor in renderer.GetActors2D()
        if actor.IsA("vtkSlicerScalarBarActor")
    ]
    return sum(bool(actor.GetVisibility()) for actor in actors)


def test_panel_poses_and_colours_survive_saving_and_loading(core, slicer, tmp_path):
    reconstruct(core)
    user.choose(core.ui.poseCombo, "Frontal")
    user.click(core.ui.uncertaintyCheck)
    slicer.app.processEvents()
    assert scaleBars(slicer) == 1
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert not core.ui.poseCombo.visible
    slicer.util.loadScene(path)
    slicer.app.processEvents()
    assert core.ui.poseCombo.visible and core.ui.poseCombo.currentText == "Frontal"
    assert core.ui.uncertaintyCheck.checked and scaleBars(slicer) == 1
    user.choose(core.ui.poseCombo, "Lateral")
    slicer.app.processEvents()
    for bone, place in middles(core.case().models).items():
        np.testing.assert_allclose(place, lay(bone, "lateral"), atol=0.05)


def test_panel_a_pair_that_did_not_move_has_no_choice_of_pose(core, slicer):
    reconstruct(core)
    assert core.ui.alignCombo.currentText == "Each bone by itself"
    core.how = {"moved": False}
    models = reconstruct(core)
    assert not core.ui.poseCombo.visible and not core.ui.label_PoseresultsForm.visible
    assert core.ui.alignCombo.currentText == "None"
    assert SAID[0] not in core.ui.statusLabel.text
    for bone, place in middles(models).items():
        np.testing.assert_allclose(place, BALLS[bone][0], atol=0.05)


def test_panel_poses_follow_the_names_that_the_user_gave(core, slicer):
    """The network took the user's lateral radiograph for the frontal one."""
    core.how = {"order": ("lateral", "frontal")}
    models = reconstruct(core)
    # The user's lateral radiograph is the worker's frontal one.
    for bone, place in middles(models).items():
        np.testing.assert_allclose(place, lay(bone, "frontal"), atol=0.05)
    assert pose_sentence("lateral") in core.ui.statusLabel.text
    assertOutlines(core, slicer, {"lateral": "frontal", "frontal": "lateral"})


def test_panel_alignment_that_was_chosen_stays(core, slicer):
    user.click(core.ui.compareSection)
    reconstruct(core)
    assert core.ui.alignCombo.currentText == "Each bone by itself"  # bones moved
    user.choose(core.ui.alignCombo, "None")
    slicer.app.processEvents()
    reconstruct(core)
    assert core.ui.alignCombo.currentText == "None"


def test_panel_surface_is_chosen(core, slicer):
    user.click(core.ui.modelSection)
    slicer.app.processEvents()
    reconstruct(core)
    assert core.asked[-1]["surface"] is None  # what the weights give by default
    user.choose(core.ui.surfaceCombo, "Network's own (field)")
    slicer.app.processEvents()
    assert "Not run yet" in core.ui.estimateLabel.text
    reconstruct(core)
    assert core.asked[-1]["surface"] == "field"

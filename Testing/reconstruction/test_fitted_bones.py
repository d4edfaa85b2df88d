"""Fitted surfaces in the pipeline: moved pairs, own rigs, and what happens where the fit fails."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import InputError
from SSRKDLib.evaluation.metrics import assd, surface_distances
from SSRKDLib.geometry.known import Known
from SSRKDLib.geometry.rig_presets import four_views, orthogonal
from SSRKDLib.geometry.virtual_cameras import Framing
from SSRKDLib.radiographs.exposure import Exposure, best_pair
from SSRKDLib.radiographs.network_input import FramedRadiographs, network_input
from SSRKDLib.reconstruction.fitting.own_rig import (
    AskedBone,
    FieldTerm,
    common_field,
    seen_from_bone,
)
from SSRKDLib.reconstruction.fitting.residuals import Knee, NormalEquations
from SSRKDLib.reconstruction.further_views import all_views, of_slots
from SSRKDLib.reconstruction.radiographs import reconstruct
from SSRKDLib.reconstruction.result_folder import UNCERTAINTY, write_result
from SSRKDLib.simulation.population import load_population
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import read_mesh
from SSRKDLib.surfaces.ply import read_ply_property
from Testing.support.ball_knee import BallModel
from Testing.support.bundled import expose, model, plain_case
from Testing.support.fitted_knees import bent, knee, random_shape, turned_leg

LEG = turned_leg((2.0, -3.0, 2.0), (4.0, 3.0, -5.0))
FLEXION = 18.0


@pytest.fixture(scope="module")
def routine():
    """A virtual person's routine pair: bones as they lay in each view, and the result."""
    points = random_knee(np.random.default_rng(1014))
    faces = load_population().faces
    first = {bone: Mesh(points[bone], faces[bone]) for bone in BONES}
    poses = bent(FLEXION, LEG)
    second = {bone: mesh.transformed(poses[bone]) for bone, mesh in first.items()}
    rig = orthogonal()
    exposures = [expose(first, rig)[0], expose(second, rig)[1]]
    return (first, second), rig, exposures, reconstruct(exposures, rig, model())


def test_a_routine_pair_is_called_what_it_is(routine):
    _, _, _, result = routine
    motion = result.report["motion"]
    assert motion["moved"] and motion["ratio"] > 1.2
    assert result.surface == "fitted" and result.pose == "lateral"
    value, deviation = motion["flexion_degrees"]
    assert abs(value - FLEXION) < 6.0 and 0 < deviation < 6.0
    assert any("degrees more in the lateral view" in said for said in result.report["warnings"])
    assert any("lay in the lateral view" in said for said in result.report["warnings"])
    for bone in BONES:
        assert min(result.report["bones"][bone]["agreement"].values()) > 0.94, bone
        assert result.report["bones"][bone]["field_distance_mm"]["median"] < 2.0
    json.dumps(result.report, allow_nan=False)


def test_every_vertex_of_a_fitted_bone_has_an_uncertainty(routine, tmp_path):
    _, _, _, result = routine
    write_result(tmp_path, result)
    for bone, mesh in result.bones.items():
        expected = result.report["bones"][bone]["expected_error_mm"]
        within = result.within_mm[bone]
        assert within.shape == (len(mesh.vertices),)
        assert 0.2 < expected < 2.5 and within.min() > 0
        stored = read_ply_property(tmp_path / f"{bone}.ply", UNCERTAINTY)
        np.testing.assert_allclose(stored, within, rtol=1e-5)
        assert len(read_mesh(tmp_path / f"{bone}.ply").vertices) == len(within)


def test_bones_of_a_routine_pair_have_one_shape_and_two_poses(routine):
    (first, second), _, _, result = routine
    assert result.bones_in("lateral") is result.bones
    frontal = result.bones_in("frontal")
    for bone in BONES:
        matrix = np.array(result.report["poses"]["frontal"][bone])
        moved = result.bones[bone].transformed(matrix)
        np.testing.assert_allclose(moved.vertices, frontal[bone].vertices, atol=1e-9)
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-9)
        still = result.report["poses"]["lateral"][bone]
        np.testing.assert_allclose(still, np.eye(4), atol=1e-9)
    # Across the rays of its view, each pose is known: here along the leg and the film.
    for bones, true, across in ((frontal, first, [0, 2]), (result.bones, second, [1, 2])):
        for bone in ("femur", "patella"):
            box = np.array([[-80.0] * 3, [80.0] * 3])
            shift = (bones[bone].clipped(box).bounds - true[bone].clipped(box).bounds)[:, across]
            assert np.abs(shift).max() < 4.0, bone
    with pytest.raises(ValueError, match="none of"):
        result.bones_in("oblique")


def test_a_pair_of_one_moment_has_no_choice_of_pose(routine):
    (first, _), rig, exposures, _ = routine
    at_once = dataclasses.replace(rig, simultaneous=True)
    result = reconstruct([exposures[0], expose(first, rig)[1]], at_once, model())
    assert result.report["motion"] == {
        "moved": False, "ratio": None, "others_ratio": None, "field_ratio": None,
        "sentences": [],
    }  # fmt: skip
    assert result.pose is None and result.poses == {} == result.report["poses"]
    assert result.bones_in("frontal") is result.bones


def test_the_report_says_which_vertices_are_delivered(routine):
    _, _, _, result = routine
    said = result.report["correspondence"]
    assert (said["template"], said["version"]) == ("llp26", 1)
    for bone in BONES:
        entry = said["bones"][bone]
        kept = sum(last - first + 1 for first, last in entry["vertices"])
        assert kept + entry["cut_vertices"] == len(result.bones[bone].vertices)
        whole = len(load_population().vertices[bone][0])
        assert (kept == whole) == (bone == "patella")


def test_from_a_bone_the_second_camera_stands_where_it_would_have_seen_it():
    """A point of a bone lies in the moved camera's image, where the bone was first, as the point of
    the moved bone lies in the real one's."""
    rig = orthogonal()
    state = knee(random_shape(1), bent(3.0), bent(25.0, LEG))
    blank = np.zeros(rig.views[0].size[::-1], np.float32)
    pair = best_pair([Exposure(view, blank, np.ones(blank.shape, bool)) for view in rig.views])
    frame = turned_leg((4, 5, -6), (7, -8, 9))
    detail = network_input(pair, frame, 96, 2.3)
    radiographs = FramedRadiographs(pair, frame, detail, np.zeros((2, 4, 96, 96)))
    stand_in = SimpleNamespace(
        framing=Framing(near_pixels=96, near_pixel_mm=2.3),
        segment=lambda images: np.zeros((2, 4, 96, 96), np.float32),
    )
    frontal, lateral = (camera.index for camera in detail.cameras)
    for bone in BONES:
        seen = seen_from_bone(state, bone, radiographs, stand_in)
        own = state.model.bones[bone].mean[::50]
        where = [own @ m[:3, :3].T + m[:3, 3] for m in (frame @ p[bone] for p in state.poses)]
        for index, placed in ((frontal, where[0]), (lateral, where[1])):
            np.testing.assert_allclose(
                seen.pair[index].view.project(where[0]), pair[index].view.project(placed), atol=1e-6
            )
        np.testing.assert_allclose(seen.frame, frame @ state.poses[0][bone], atol=1e-12)


def test_a_bone_that_was_placed_where_no_field_is_asked_is_not_asked():
    poses = bent(3.0)
    poses["patella"] = turned_leg((0, 0, 0), (0, -300, 0))
    fit = SimpleNamespace(state=knee(random_shape(1), poses), seen=lambda bone: (True, True))
    term = common_field(fit, SimpleNamespace(query=lambda points: np.zeros((len(points), 4))))
    assert set(term.bones) == {"femur", "fibula", "tibia"}
    equations = NormalEquations(fit.state, 0)
    term.add_to(equations, Knee(fit.state))
    assert np.isfinite(equations.matrix).all()


def test_the_field_draws_a_surface_onto_its_zero():
    """Of a field that is a plane, all vertices but those that lie far from it are drawn to it."""
    state = knee(np.zeros(120), bent(0.0))
    height = state.points("patella", 0)[:, 2].min() + 1.0

    def query(points):
        return np.repeat((height - points[:, 2:3]).astype(np.float32), 4, axis=1)

    vertices = np.arange(0, 1154, 4)
    term = FieldTerm({"patella": AskedBone(query, {0: np.eye(4)}, vertices, 2000.0)})
    inside = height - state.points("patella", 0)[vertices, 2]
    np.testing.assert_allclose(term.distances(state)["patella"], inside, atol=1e-4)
    equations = NormalEquations(state, 0)
    term.add_to(equations, Knee(state))
    at = equations.motions + 6 * state.block(0, "patella")
    # Normals point up on one side and down on the other, but only the underside is near.
    assert equations.side[at + 5] != 0
    others = np.delete(equations.side, slice(at, at + 6))
    assert not others.any()


@pytest.fixture(scope="module")
def mirrored_fourth():
    """A person in four views of one moment, the last of which lies mirrored."""
    bones, _, exposures = plain_case()
    rig = dataclasses.replace(four_views(), simultaneous=True)
    third, fourth = expose(bones, dataclasses.replace(rig, views=rig.views[2:]))
    fourth = Exposure(fourth.view, fourth.line_integral[:, ::-1].copy(), fourth.valid)
    return bones, rig, [*exposures, third, fourth]


def test_bones_are_fitted_to_a_third_view_and_not_to_one_that_disagrees(mirrored_fourth):
    bones, rig, exposures = mirrored_fourth
    result = reconstruct(exposures, rig, model())
    assert result.views == {"frontal": 0, "lateral": 1, "third": 2} == result.report["views"]
    left_out = [said for said in result.report["warnings"] if "is left out" in said]
    assert len(left_out) == 1 and left_out[0].startswith("The oblique -45 radiograph")
    for bone in BONES:
        agreement = result.report["bones"][bone]["agreement"]
        assert set(agreement) == set(result.views) and min(agreement.values()) > 0.94, bone
    box = np.array([[-80.0] * 3, [80.0] * 3])
    distances = [assd(surface_distances(result.bones[b], bones[b], box, 3000)) for b in BONES]
    assert np.mean(distances) < 0.9
    # The networks read the pair.
    assert len(result.cameras) == 2 == len(result.masks)


def test_further_views_are_segmented_where_they_show_the_knee(mirrored_fourth):
    _, rig, exposures = mirrored_fourth
    blank = np.zeros((4, *exposures[0].valid.shape), np.float32)
    aside = rig.views[2].transformed(turned_leg((0, 0, 0), (0, 0, 900)))
    beyond = dataclasses.replace(rig, views=(*rig.views[:2], aside, *2 * rig.views[2:]))
    taken = [exposures[k] for k in (0, 1, 2, 2, 3, 2, 3)]
    detail = network_input(tuple(exposures[:2]), np.eye(4), 96, 2.3)
    framed = FramedRadiographs(tuple(exposures[:2]), np.eye(4), detail, np.ones((2, 4, 96, 96)))
    knee_found = SimpleNamespace(
        located=SimpleNamespace(radiographs=framed), rig=beyond, indices=(0, 1)
    )
    stand_in = SimpleNamespace(
        framing=Framing(near_pixels=96, near_pixel_mm=2.3),
        segment=lambda images: np.full((len(images), 4, 96, 96), 0.5, np.float32),
    )
    masks = [None, None, None, blank, None, None, None]
    seen = all_views(knee_found, taken, stand_in, masks)
    assert seen.indices == (0, 1, 3, 4)
    assert [note.split(" radiograph ")[1].split(":")[0] for note in seen.notes] == [
        "does not show the knee and is not used.", "is not used", "is not used",
    ]  # fmt: skip
    assert seen.framed.masks.mean((1, 2, 3)).tolist() == [1.0, 1.0, 0.0, 0.5]
    assert [mask is not None for mask in seen.framed.edited] == [False, False, True, False]
    pair = of_slots(seen.framed, (0, 1))
    assert pair.input.cameras == seen.framed.input.cameras[:2] and len(pair.pair) == 2
    np.testing.assert_array_equal(pair.input.images, detail.images)
    typed = [dataclasses.replace(view, known=Known(knee="typed")) for view in beyond.views]
    knee_found.rig = dataclasses.replace(beyond, views=tuple(typed))
    doubted = all_views(knee_found, taken, stand_in)
    assert doubted.indices == (0, 1) and "are calibrated" in doubted.notes[0]
    alone = all_views(knee_found, [], stand_in)
    assert alone.framed is framed and alone.notes == ()


class FittedBalls(BallModel):
    """Balls that are said to be a knee."""

    surface = "fitted"


def test_where_the_fit_agrees_less_the_field_is_delivered():
    rig = orthogonal()
    blank = np.ones(rig.views[0].size[::-1], np.float32)
    exposures = [Exposure(view, blank, np.ones(blank.shape, bool)) for view in rig.views]
    result = reconstruct(exposures, rig, FittedBalls(rig), spacing=4.0)
    assert result.surface == "field" == result.report["surface"]
    assert result.report["correspondence"] is None and result.report["motion"] is None
    assert any("fits the outlines" in said for said in result.report["warnings"])
    of_field = reconstruct(exposures, rig, FittedBalls(rig), spacing=4.0, surface="field")
    for bone in BONES:
        assert assd(surface_distances(result.bones[bone], of_field.bones[bone])) < 1e-6
    with pytest.raises(InputError, match="no bone's own outline"):
        reconstruct(exposures, rig, BallModel(rig), surface="fitted")
    with pytest.raises(InputError, match="no surface"):
        reconstruct(exposures, rig, BallModel(rig), surface="voxels")

"""One radiograph: what it tells is found, what it does not is the rig's and the population's, and
that is said."""

from dataclasses import replace

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import GeometryError, ImageError, InputError
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.geometry.known import Known
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.geometry.virtual_cameras import FRAME_POINTS, frame_cameras
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.finding import find_knee
from SSRKDLib.reconstruction.fitting.confidence import vertex_deviations
from SSRKDLib.reconstruction.fitting.fit import fit_knee
from SSRKDLib.reconstruction.fitting.rig_doubt import distance_doubt
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.one_view import mean_knee_field, middle_of_one, step_of_one
from SSRKDLib.reconstruction.radiographs import reconstruct
from SSRKDLib.reconstruction.sanity_checks import find_warnings
from Testing.support.ball_knee import BallModel
from Testing.support.bundled import model, plain_case
from Testing.support.fitted_knees import (
    bent,
    exact_views,
    knee,
    mean_distance,
    random_shape,
    turned_leg,
)

FRONTAL, LATERAL = orthogonal().views


def test_the_knee_is_looked_for_as_far_away_as_the_rig_says():
    rig = replace(orthogonal(centre=(0, 0, 0)), views=(FRONTAL,))
    assert rig.central_point() == pytest.approx([0, 0, 0], abs=1)
    lab = rig.transformed(turned_leg((10, 20, 30), (100, -50, 30)))
    assert lab.central_point() == pytest.approx([100, -50, 30], abs=1)
    shown = np.zeros(FRONTAL.size[::-1], bool)
    shown[:, 128:] = True  # half of the film, 64 pixels of 0.88 mm at the knee beside its middle
    middle = middle_of_one(Exposure(FRONTAL, np.zeros(shown.shape, np.float32), shown), rig)
    assert middle == pytest.approx([64 * 225 / 256, 0, 0], abs=1)
    away = replace(rig, frame="lab", patient_to_rig=turned_leg((0, 0, 0), (0, 2000, 0)))
    with pytest.raises(GeometryError, match="not between source and detector"):
        middle_of_one(Exposure(FRONTAL, np.zeros(shown.shape, np.float32), shown), away)


def test_marks_in_one_view_give_the_pose_but_for_the_distance():
    (camera,) = frame_cameras((LATERAL,), np.eye(4), 128, 3.0)
    assert camera.view.name == "lateral"
    true = turned_leg((4.0, -3.0, 5.0), (0.0, 12.0, -20.0))
    true[:3, 3] += 15.0 * camera.view.axis
    marks = camera.view.project(moved_points(true, FRAME_POINTS))
    expected = np.eye(4)
    expected[:3, 3] = 15.0 * camera.view.axis
    found, spread = step_of_one(camera.view, marks, expected)
    off = np.linalg.inv(true) @ found
    assert np.linalg.norm(off[:3, 3]) < 3.0 and np.trace(off[:3, :3]) > 2.995
    assert spread < 1.5


def test_the_mean_knee_has_its_bones_where_they_are():
    query = mean_knee_field().query
    for bone, height in (("femur", 70.0), ("tibia", -70.0)):
        points = knee_shape_model().bones[bone].mean
        values = query(points[np.abs(points[:, 2] - height) < 4].mean(0, keepdims=True))[0]
        assert values.argmax() == BONES.index(bone) and values.max() > 5
    assert (query(np.array([[200.0, 0.0, 0.0]])) == -12.0).all()


def test_a_distance_that_is_calibrated_is_no_knees_exactly():
    typed = replace(FRONTAL, known=Known("calibrated", "typed"))
    turned = turned_leg((0, 0, 90), (0, 10, 0))
    doubts = [distance_doubt(view, np.zeros(3), turned) for view in (FRONTAL, typed)]
    assert [doubt.depths.tolist() for doubt in doubts] == [[15.0], [20.0]]
    lies = moved_points(turned, doubts[0].centres)
    assert lies == pytest.approx(np.zeros((1, 3)), abs=1e-9)
    assert turned[:3, :3] @ doubts[0].axes[0] == pytest.approx([0, 1, 0], abs=1e-9)


@pytest.fixture(scope="module")
def still():
    """A stranger, the fits to the frontal view alone and to both, and what the first is told."""
    pose = bent(4.0, turned_leg((-2, 3, 4), (3, 0, -4)))
    true = knee(random_shape(5), pose)
    doubt = distance_doubt(FRONTAL, np.zeros(3), np.eye(4))
    seen = exact_views(replace(true, poses=(pose,), offsets=None), doubt=doubt)
    return true, fit_knee(seen), fit_knee(exact_views(true)), doubt


def test_one_view_is_fitted_and_less_is_known(still):
    true, fit, both, _ = still
    assert not fit.moved and fit.seen("femur") == (True,) and fit.cost < 0.35
    errors = [
        np.mean([mean_distance(one.state, true, bone, 0) for bone in BONES]) for one in (fit, both)
    ]
    assert errors[1] < errors[0] < 6.0
    for bone in BONES:
        little, more = (vertex_deviations(one)[bone].mean() for one in (fit, both))
        assert little > 1.1 * more, bone


def test_the_distance_that_is_told_decides_the_size(still):
    true, fit, _, doubt = still
    nearer = replace(doubt, centres=-60.0 * doubt.axes, depths=np.array([5.0]))
    masks = exact_views(replace(true, poses=true.poses[:1], offsets=None), doubt=nearer)
    widths = []
    for one in (fit, fit_knee(masks)):
        points = one.state.model.bones["femur"].shape(one.state.coefficients)
        widths.append(np.ptp(points[np.abs(points[:, 2]) < 40, 0]))
    assert widths[1] < 0.975 * widths[0]


def test_a_single_radiograph_gives_bones_and_says_what_they_are():
    bones, rig, exposures = plain_case()
    one = replace(rig, views=rig.views[:1])
    result = reconstruct(exposures[:1], one, model())
    assert set(result.bones) == set(BONES) and result.surface == "fitted"
    report = result.report
    assert result.views == report["views"] == {"frontal": 0} and report["pose"] is None
    assert result.bones_in("frontal") is result.bones
    said = " ".join(report["warnings"])
    assert "Only the frontal radiograph is given" in said and "nearer to the source" in said
    assert "looks like" not in said and "poorly" not in said
    for bone in BONES:
        entry = report["bones"][bone]
        assert entry["agreement"]["frontal"] > 0.93 and "lateral" not in entry["agreement"]
        assert entry["field_distance_mm"] is None
        assert entry["expected_error_mm"] > 0.6, bone
        # Along the rays the knee is known to centimetres only, across them well.
        ends = [
            np.percentile(mesh.vertices[np.abs(mesh.vertices[:, 2]) < 50, 0], [5, 95])
            for mesh in (result.bones[bone], bones[bone])
        ]
        assert ends[0] == pytest.approx(ends[1], abs=4.0), bone


@pytest.mark.parametrize("which, rows, word", [(1, 1, "lateral one"), (0, -1, "upside down")])
def test_a_radiograph_that_is_something_else_is_doubted(which, rows, word):
    """A lateral one that is given as frontal, and one that lies upside down."""
    _, rig, exposures = plain_case()
    image = exposures[which].line_integral[::rows]
    exposure = Exposure(FRONTAL, image, np.ones(image.shape, bool))
    one = replace(rig, views=(FRONTAL,))
    located = find_knee([exposure], one, model()).located
    assert any(word in said for said in find_warnings(
        (exposure,), one, model(), located, {}, dict.fromkeys(BONES, [1.0])
    ))  # fmt: skip


def test_one_radiograph_is_refused_where_nothing_can_be_made_of_it():
    rig = replace(orthogonal(), views=(FRONTAL,))
    blank = np.zeros(FRONTAL.size[::-1], np.float32)
    exposures = [Exposure(FRONTAL, blank, np.ones(blank.shape, bool))]
    with pytest.raises(InputError, match="reads two radiographs"):
        reconstruct(exposures, rig, BallModel(rig))
    with pytest.raises(InputError, match="reads two radiographs"):
        reconstruct(exposures, rig, model(), surface="field")
    with pytest.raises(GeometryError, match="how the leg lies"):
        reconstruct(exposures, replace(rig, frame="lab"), model())
    with pytest.raises(ImageError, match="No knee is found"):
        reconstruct(exposures, rig, model())

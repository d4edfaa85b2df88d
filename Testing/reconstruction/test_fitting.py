"""The fit to exact masks of knees whose shape and poses are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.reconstruction.fitting import fit as fitting
from SSRKDLib.reconstruction.fitting.confidence import confidences, vertex_deviations
from SSRKDLib.reconstruction.fitting.fit import fit_knee
from SSRKDLib.reconstruction.fitting.joints import flexion
from SSRKDLib.reconstruction.fitting.motion import motion_of
from SSRKDLib.reconstruction.fitting.residuals import Knee, NormalEquations, add_contacts
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.state import PIVOTS, FitState, moved_by
from SSRKDLib.reconstruction.fitting.template import cut_bone
from Testing.support.fitted_knees import (
    bent,
    exact_views,
    flexion_error,
    knee,
    mean_distance,
    random_shape,
    turned_leg,
)

LEG = turned_leg((3.0, -2.0, 2.0), (4.0, -3.0, 5.0))


@pytest.fixture(scope="module")
def still():
    """A stranger who did not move, and the fit."""
    true = knee(random_shape(5), bent(8.0, turned_leg((-2, 3, 4), (3, 2, -4))))
    seen = exact_views(true)
    return true, seen, fit_knee(seen)


@pytest.fixture(scope="module")
def moved():
    """A stranger who bent the knee by 20 degrees for the lateral view."""
    true = knee(random_shape(8), bent(2.0), bent(22.0, LEG))
    return true, fit_knee(exact_views(true))


def test_a_knee_that_did_not_move_has_one_pose(still):
    true, _, fit = still
    assert not fit.moved and fit.ratio < 1.04
    assert fit.cost < 0.35
    for bone in BONES:
        assert mean_distance(fit.state, true, bone, 0) < 1.0, bone
    assert flexion(fit.state, 0)[0] == pytest.approx(8.0, abs=2.5)


def test_a_slight_motion_is_found():
    turned = turned_leg((1.2, -1.0, 1.2), (1.0, -1.0, 2.5))
    assert fit_knee(exact_views(knee(random_shape(5), bent(2.0), bent(4.0, turned)))).moved


def test_one_bone_that_gains_by_itself_did_not_move(still):
    """It has a shape that the population lacks, or a wrong mask: a leg moves as a whole."""
    _, seen, _ = still
    masks, tibia = seen.masks.copy(), BONES.index("tibia")
    masks[1, tibia] = np.roll(masks[1, tibia], 2, axis=0)
    fit = fit_knee(replace(seen, masks=masks))
    assert not fit.moved and fit.ratio > 1.2 and fit.others_ratio < 1.05


def test_poses_of_their_own_are_tried_where_one_fits_badly(moved, monkeypatch):
    """Even where a few steps from the best single poses promise nothing."""
    true, found = moved
    monkeypatch.setattr(fitting, "_PROMISING", np.inf)
    fit = fit_knee(exact_views(true))
    assert fit.moved and fit.ratio == found.ratio


def test_motion_between_the_views_is_found(moved):
    true, fit = moved
    assert fit.moved and fit.ratio > 1.3
    found = motion_of(fit)
    assert found.flexion.value == pytest.approx(20.0, abs=4.0)
    assert found.flexion.deviation < 4.0
    assert found.likely
    sentences = found.sentences()
    assert sentences[0] == (
        f"The knee is bent {round(found.flexion.value)} degrees more in the lateral view."
    )
    assert "leg was turned" in sentences[1]
    report = found.report()
    assert set(report["bones"]) == set(BONES)
    assert report["flexion_degrees"] == found.flexion.rounded()


def test_the_lateral_view_tells_its_flexion(moved):
    true, fit = moved
    assert abs(flexion_error(fit.state, true, 1)) < 1.5


def test_a_third_view_makes_the_shape_better(still):
    true, _, pair = still
    fit = fit_knee(exact_views(replace(true, poses=true.poses[:1] * 3, offsets=None)))
    assert not fit.moved and fit.seen("femur") == (True, True, True)
    errors = [sum(mean_distance(one.state, true, bone, 0) for bone in BONES) for one in (fit, pair)]
    assert errors[0] < 0.9 * errors[1]


def test_a_third_view_has_a_pose_of_its_own(moved):
    true, _ = moved
    poses = (*true.poses, bent(40.0, turned_leg((1.0, 3.0, -2.0), (-2.0, 3.0, 4.0))))
    three = replace(true, poses=poses, offsets=None)
    fit = fit_knee(exact_views(three))
    assert fit.moved and fit.state.shared == (0, 1, 2)
    assert abs(flexion_error(fit.state, three, 2)) < 3.0
    assert motion_of(fit).flexion.value == pytest.approx(20.0, abs=4.0)


def test_a_third_view_of_the_knee_as_it_lay_in_the_lateral_tells_its_depth(moved):
    true, pair = moved
    three = replace(true, poses=(*true.poses, true.poses[1]), offsets=None)
    fit = fit_knee(exact_views(three))
    assert fit.state.shared == (0, 1, 1)
    for bone in ("femur", "tibia"):
        by_pair = mean_distance(pair.state, true, bone, 1)
        assert mean_distance(fit.state, three, bone, 1) < 0.5 * by_pair, bone


def test_what_was_exposed_at_one_moment_has_one_pose(moved):
    true, _ = moved
    fit = fit_knee(exact_views(true, simultaneous=True))
    assert not fit.moved and fit.ratio is None


def test_bones_in_contact_push_each_other_and_nothing_else():
    """Touching bones go together wherever all else draws them: along the rays, they have far to
    go."""
    state = FitState.mean(knee_shape_model())
    pressed = {bone: moved_by((0.0, 10.0 * (bone == "patella"), 0.0)) for bone in BONES}
    state = replace(state, poses=(pressed, pressed))
    equations = NormalEquations(state, components=0)
    add_contacts(equations, Knee(state))
    _, motions, offsets, _ = equations.solution()
    apart = motions[:, 3:][[BONES.index("femur"), BONES.index("patella")]]
    assert apart[0, 1] - apart[1, 1] > 1.0
    turn, shift = np.array([0.1, -0.2, 0.3]), np.array([1.0, 2.0, 3.0])
    places = [moved_points(pressed[bone], PIVOTS[bone]) for bone in BONES]
    together = np.array([[*turn, *(np.cross(turn, place) + shift)] for place in places])
    alone = together * [[bone == "femur"] for bone in BONES]
    held, free = (
        equations.matrix @ np.concatenate([motion.ravel(), offsets.ravel()])
        for motion in (alone, together)
    )
    assert np.abs(held).max() > 1.0 and np.abs(free).max() < 1e-6


def test_fitting_twice_gives_the_same(still):
    _, seen, fit = still
    np.testing.assert_array_equal(fit_knee(seen).state.coefficients, fit.state.coefficients)


def test_a_bone_that_one_view_shows_is_fitted_there(still):
    true, seen, _ = still
    masks = seen.masks.copy()
    masks[0, BONES.index("patella")] = 0
    fit = fit_knee(exact_views(true, masks=masks))
    assert fit.seen("patella") == (False, True) and fit.seen("femur") == (True, True)
    assert mean_distance(fit.state, true, "patella", 0) < 4.0


def test_masks_that_a_user_edited_count_more(still):
    """The two views say that the femur is of two sizes; it comes out nearer to the edited one."""
    true, seen, _ = still
    masks = seen.masks.copy()
    k = BONES.index("femur")
    masks[1, k] = ndimage.grey_dilation(masks[1, k], size=(5, 5))
    sizes = {}
    for edited in ((True, False), (False, True)):
        fit = fit_knee(exact_views(true, masks=masks, edited=edited, simultaneous=True))
        points = fit.state.points("femur", 0)
        sizes[edited] = np.ptp(points[np.abs(points[:, 2]) < 30, 1])
    assert sizes[False, True] > sizes[True, False] + 0.15


def test_the_fit_knows_left_knees_only(still):
    """Right ones come mirrored: the frame's task. A mirrored mask is fitted visibly worse."""
    true, _, straight = still
    mirrored = knee(
        true.coefficients, {bone: MIRROR @ pose for bone, pose in true.poses[0].items()}
    )
    fit = fit_knee(exact_views(mirrored, simultaneous=True))
    assert fit.cost > 2 * straight.cost


def test_vertices_that_no_outline_shows_are_less_certain(still):
    _, seen, fit = still
    alone = fit_knee(replace(seen, masks=seen.masks * np.array([1.0, 0.0])[:, None, None, None]))
    both, one = vertex_deviations(fit), vertex_deviations(alone)
    for bone, part in fit.state.model.bones.items():
        normals = part.normals(part.shape(fit.state.coefficients))
        of_people = np.sqrt((np.einsum("ni,nik->nk", normals, part.modes) ** 2).sum(axis=1))
        near = np.abs(part.mean[:, 2]) < 80
        assert (both[bone] <= of_people + 1e-3).all(), bone
        assert both[bone][near].mean() < 0.5 * of_people[near].mean(), bone
        assert both[bone][near].mean() < one[bone][near].mean(), bone


def test_what_disagrees_makes_a_bone_less_certain(still):
    _, _, fit = still
    part = fit.state.model.bones["tibia"]
    points = part.shape(fit.state.coefficients)
    cuts = {"tibia": cut_bone(part, points, 90.0 - np.abs(points[:, 2]))}

    def of(agreement, field_mm, fit=fit):
        return confidences(fit, cuts, {"tibia": agreement}, {"tibia": field_mm})["tibia"]

    good = of([0.98, 0.98], 0.3)
    assert 0.2 < good.expected_mm < 1.0
    assert good.within_mm.shape == (len(cuts["tibia"].mesh.vertices),)
    assert good.within_mm.mean() > good.expected_mm
    for worse in (
        of([0.98, 0.9], 0.3),
        of([0.98, 0.98], 2.0),
        of([0.98, None], None),
        of([0.98, 0.98], 0.3, replace(fit, cost=2 * fit.cost)),
    ):
        assert worse.expected_mm > 1.1 * good.expected_mm
        shares = worse.within_mm / good.within_mm
        assert shares == pytest.approx(worse.expected_mm / good.expected_mm)

"""The fit to exact masks of knees whose shape and poses are known."""

import numpy as np
import pytest
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.reconstruction.fitting.fit import fit_knee
from SSRKDLib.reconstruction.fitting.joints import flexion
from SSRKDLib.reconstruction.fitting.motion import motion_of
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
    assert not fit.moved and fit.ratio < 1.15
    assert fit.cost < 0.35
    for bone in BONES:
        assert mean_distance(fit.state, true, bone, 0) < 1.0, bone
    assert flexion(fit.state, 0)[0] == pytest.approx(8.0, abs=2.5)


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


def test_what_was_exposed_at_one_moment_has_one_pose(moved):
    true, _ = moved
    fit = fit_knee(exact_views(true, simultaneous=True))
    assert not fit.moved and fit.ratio is None


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

"""Distances and centring that are in doubt, of knees whose size and place are known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from SSRKDLib.geometry.known import CALIBRATED, Known
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.geometry.virtual_cameras import Camera
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import FramedRadiographs, NetworkInput
from SSRKDLib.reconstruction import doubted_rig
from SSRKDLib.reconstruction.finding import FoundKnee
from SSRKDLib.reconstruction.fitting.fit import fit_knee
from SSRKDLib.reconstruction.fitting.rig_doubt import rig_doubt
from SSRKDLib.reconstruction.fitting.state import moved_by
from SSRKDLib.reconstruction.localisation import FrameEstimate, Localisation
from Testing.support.fitted_knees import VIEWS, bent, exact_views, knee, random_shape, turned_leg

PAIR = VIEWS[:2]

TYPED = Known("typed", "typed", "typed", "typed")


def doubt_of(known, frame=None, corrections=None):
    views = tuple(replace(view, known=known) for view in PAIR)
    corrections = np.zeros((1, 3)) if corrections is None else corrections
    return rig_doubt(views, np.zeros(3), np.eye(4) if frame is None else frame, corrections)


def condylar_width(state):
    points = state.points("femur", 0)
    middle = state.poses[0]["femur"][2, 3]
    return np.ptp(points[np.abs(points[:, 2] - middle) < 40, 0])


def test_calibrated_views_leave_no_doubt():
    assert doubt_of(CALIBRATED) is None


def test_what_was_assumed_is_doubted_more_than_what_was_stated():
    assumed, stated = (
        doubt_of(Known(word, word, word, word)).depths for word in ("assumed", "stated")
    )
    assert (assumed > 3 * stated).all()


def test_the_jacobian_is_that_of_the_residuals():
    shape = random_shape(3)
    still = bent(4.0, turned_leg((2, -3, 1), (5, -8, 3)))
    second = {bone: moved_by(np.array([6.0, -20.0, 4.0])) @ pose for bone, pose in still.items()}
    state = replace(knee(shape, still), poses=(still, second), shifts=np.array([[6.0, -20.0, 4.0]]))
    # The rotation of a frame far from the rig's axes.
    doubt = doubt_of(TYPED, turned_leg((10, 20, -30), (40, -20, 10)), np.array([[3.0, 5.0, -9.0]]))
    rows = doubt.rows(state)
    small = 1e-4
    for k in range(6 * state.blocks + 3):
        change = np.zeros(6 * state.blocks + 3)
        change[k] = small
        stepped = state.stepped(
            np.zeros_like(shape), change[:-3].reshape(-1, 6), np.zeros((2, 4)),
            change[-3:].reshape(1, 3),
        )  # fmt: skip
        rates = (doubt.rows(stepped).residuals - rows.residuals) / small
        # How far apart films may be centred is taken for constant in a step.
        np.testing.assert_allclose(rates[:2], rows.jacobian[:2, k], atol=1e-4)


def test_a_mirrored_frame_sees_the_same_beams():
    mirrored = turned_leg((10, 20, -30), (40, -20, 10)) @ np.diag([-1.0, 1.0, 1.0, 1.0])
    here, there = doubt_of(TYPED), doubt_of(TYPED, mirrored)
    np.testing.assert_allclose(there.axes @ mirrored[:3, :3].T, here.axes, atol=1e-12)
    back = there.centres @ mirrored[:3, :3].T + mirrored[:3, 3]
    np.testing.assert_allclose(back, here.centres, atol=1e-9)


@pytest.fixture(scope="module")
def off():
    """Two films that were centred 67 mm apart, of which the rig says that they were not."""
    true = knee(random_shape(8), bent(4.0))
    apart = np.array([0.0, -60.0, -30.0])
    seen = exact_views(true)
    views = (PAIR[0], PAIR[1].transformed(moved_by(apart)))
    return true, apart, replace(seen, views=views)


@pytest.fixture(scope="module")
def doubted(off):
    return fit_knee(replace(off[2], doubt=doubt_of(TYPED), simultaneous=True))


def test_films_that_were_centred_differently_leave_the_size_right(off, doubted):
    true, apart, seen = off
    believed = fit_knee(replace(seen, simultaneous=True)).state
    wrong = abs(condylar_width(believed) / condylar_width(true) - 1)
    assert abs(condylar_width(doubted.state) / condylar_width(true) - 1) < 0.02 < wrong
    # Height is told by both views, the rest by distances and by how large knees are.
    shift = doubted.state.shifts[0]
    assert shift[2] == pytest.approx(apart[2], abs=1.0)
    np.testing.assert_allclose(shift, apart, atol=25)
    assert doubted.cost < 0.3


def test_a_rig_that_is_right_stays_as_it_is(off):
    true, _, seen = off
    doubted = fit_knee(replace(seen, views=PAIR, doubt=doubt_of(TYPED), simultaneous=True))
    assert np.linalg.norm(doubted.state.shifts[0]) < 3.0
    assert abs(condylar_width(doubted.state) / condylar_width(true) - 1) < 0.015


def test_the_lateral_view_is_moved_to_where_it_stood_and_the_knee_is_read_anew_there(
    off, doubted, monkeypatch
):
    _, apart, seen = off
    films = [replace(view, known=TYPED) for view in orthogonal().views]
    rig = replace(orthogonal(), views=(films[0], films[1].transformed(moved_by(apart))))
    read, fits = [], []

    def framed_in(pair, frame):
        # The masks are what they were; their cameras are moved as the views are.
        back = np.linalg.inv(frame)
        cameras = tuple(
            Camera(
                view.transformed(back @ moved_by(exposure.view.source - film.source)),
                exposure.view.transformed(back),
                k,
            )
            for k, (view, film, exposure) in enumerate(zip(PAIR, films, pair))
        )
        return FramedRadiographs(
            pair, frame, NetworkInput(seen.masks, seen.valid, cameras), seen.masks
        )

    def fit_bones(framed, rig, field, model, told, doubt):
        read.append(tuple(view.source for view in rig.views))
        views = tuple(camera.view for camera in framed.input.cameras)
        changed = replace(seen, views=views, doubt=doubt, simultaneous=True)
        fits.append(fit_knee(changed) if fits else doubted)
        return SimpleNamespace(fit=fits[-1])

    monkeypatch.setattr(doubted_rig, "fit_bones", fit_bones)
    monkeypatch.setattr(
        doubted_rig, "segmented_anew", lambda framed, pair, frame, model: framed_in(pair, frame)
    )
    pair = tuple(
        Exposure(view, np.zeros(view.size[::-1]), np.ones(view.size[::-1], bool))
        for view in rig.views
    )
    located = Localisation(FrameEstimate(np.eye(4), None), "L", None)
    found = doubted_rig.fit_in_doubt(
        FoundKnee(located, rig, (0, 1)), framed_in(pair, np.eye(4)), None,
        SimpleNamespace(read=lambda framed: None), lambda share: None,
    )  # fmt: skip

    # The second fit adds what is left of the first one's shift.
    moved = found.rig.shift
    np.testing.assert_allclose(moved, -sum(fit.state.shifts[0] for fit in fits))
    assert moved[2] == pytest.approx(-apart[2], abs=1.0)
    np.testing.assert_allclose(moved, -apart, atol=25)
    np.testing.assert_allclose(found.rig.rig.views[1].source, rig.views[1].source + moved)
    np.testing.assert_allclose(found.rig.rig.views[0].source, rig.views[0].source)
    assert len(read) == 2
    assert np.linalg.norm(read[1][1] - found.rig.rig.views[1].source) < 3.0
    first, *others = found.rig.sentences()
    assert first.startswith("The two radiographs were not centred on the same point")
    report = found.rig.report()
    assert report["lateral_moved_mm"] == pytest.approx(moved, abs=0.01)
    for view, told in report["source_to_knee_mm"].items():
        value, deviation = told["found"]
        assert abs(value - told["given"]) < 2 * max(deviation, 20), view

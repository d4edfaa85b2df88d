"""What is known of joints: values and Jacobians, against differences."""

import numpy as np
import pytest

from SSRKDLib.reconstruction.fitting.joints import flexion, joint_coordinates, prior_rows
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.state import FitState
from Testing.support.fitted_knees import bent, knee, turned_leg

FILMS = (np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]))
NOTHING = np.zeros(knee_shape_model().components)


def stepped(state: FitState, motion: np.ndarray) -> FitState:
    return state.stepped(NOTHING, motion.reshape(-1, 6), np.zeros_like(state.offsets))


def differences(function, state, step=1e-6):
    """Jacobian of ``function(state)`` by motions."""
    start = function(state)
    columns = []
    for k in range(6 * state.blocks):
        motion = np.zeros(6 * state.blocks)
        motion[k] = step
        columns.append((function(stepped(state, motion)) - start) / step)
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("poses", [1, 2, 3])
def test_jacobians_are_those_of_differences(poses):
    others = [bent(6.0), bent(2.0, turned_leg((-2, 3, 1), (4, 1, -2)))][: poses - 1]
    state = knee(NOTHING, bent(52.0, turned_leg((3, -2, 4), (2, -3, 5))), *others)
    rng = np.random.default_rng(1)
    state = stepped(
        state, rng.normal(size=6 * state.blocks) * np.tile([0.05] * 3 + [2.0] * 3, state.blocks)
    )
    for slot in state.slots:
        by_rule = joint_coordinates(state, slot)[1]
        by_steps = differences(lambda s, slot=slot: joint_coordinates(s, slot)[0], state)
        np.testing.assert_allclose(by_rule, by_steps, atol=1e-3)
    rows = prior_rows(state, None)
    by_steps = differences(lambda s: prior_rows(s, None).residuals, state)
    # Of the leg's rotation vector the second order is kept.
    np.testing.assert_allclose(rows.jacobian, by_steps, atol=0.02)


def test_films_draw_shafts_into_their_plane():
    tilted = knee(NOTHING, bent(0.0, turned_leg((5, 0, 0), (0, 0, 0))), bent(0.0))
    with_films, without = (len(prior_rows(tilted, films).residuals) for films in (FILMS, None))
    rows = prior_rows(tilted, FILMS)
    leans = rows.residuals[-4:]
    assert with_films == without + 4
    # Only the frontal film is left, by femur and tibia; the turn about x is undone.
    assert np.abs(leans[2:]).max() < 0.2 < np.abs(leans[:2]).min()
    slopes = rows.jacobian[-4:, [6 * tilted.block(0, b) for b in ("femur", "tibia")]]
    assert leans[0] * slopes[0, 0] > 0 and leans[1] * slopes[1, 1] > 0


def test_flexion_is_that_of_the_joint_wherever_the_leg_lies():
    for degrees in (-8.0, 0.0, 25.0, 90.0):
        state = knee(NOTHING, bent(degrees, turned_leg((20, -10, 35), (9, 9, 9))))
        assert flexion(state, 0)[0] == pytest.approx(degrees, abs=1e-9)


def test_a_bent_knee_costs_little_and_a_torn_one_much():
    def cost(*poses):
        return (prior_rows(knee(NOTHING, *poses), FILMS).residuals ** 2).sum()

    torn = bent(0.0)
    torn["tibia"] = torn["tibia"] @ turned_leg((0, 0, 0), (12, 0, 0))
    turned_inside = bent(0.0)
    turned_inside["patella"] = turned_inside["patella"] @ turned_leg((0, 30, 0), (0, 0, 0))
    still = cost(bent(0.0), bent(0.0))
    assert cost(bent(0.0), bent(25.0)) < still + 12
    assert cost(bent(0.0), torn) > still + 40
    assert cost(bent(0.0), turned_inside) > still + 40

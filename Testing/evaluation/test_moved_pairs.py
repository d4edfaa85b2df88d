"""Pairs between whose views the leg moved, and what is measured on them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation import moved_pairs
from SSRKDLib.evaluation.held_out_people import Person
from SSRKDLib.evaluation.moved_pairs import MEASURES, Pair, measure, summary, wrong_calls
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.reconstruction.radiographs import Reconstruction
from SSRKDLib.simulation.leg_motion import (
    flexed,
    leg_motion,
    relative_flexion,
    transepicondylar_axis,
)
from SSRKDLib.simulation.population import load_person


def shifted(*vector: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    return matrix


@pytest.fixture(scope="module")
def pair() -> Pair:
    person = Person("llp26", "llp26-2", load_person(2))
    motions = leg_motion(person.bones, 15.0, np.random.default_rng(1))
    return Pair(person, "flexion 15", motions)


@pytest.fixture(scope="module")
def row(pair) -> dict:
    """True shapes; in the frontal bent by 3 degrees too much, in the lateral 4 mm too far back,
    and without a patella."""
    lateral = {b: m.transformed(shifted(0, 4, 0)) for b, m in pair.bones(1).items()}
    del lateral["patella"]
    wrong = flexed(pair.bones(0), 3.0)
    to_frontal = {
        bone: wrong[bone] @ np.linalg.inv(pair.motions[bone]) @ shifted(0, -4, 0)
        for bone in lateral
    }
    still = dict.fromkeys(lateral, np.eye(4))
    motion = {"moved": True, "ratio": 2.0, "field_ratio": 1.3, "flexion_degrees": [9.5, 2.5]}
    report = {"motion": motion, "seconds": {"total": 1.5}}
    result = Reconstruction(
        lateral, np.eye(4), "L", np.zeros(0), (), report, "fitted", pose="lateral",
        poses={"frontal": to_frontal, "lateral": still}, views={"frontal": 0, "lateral": 1},
    )  # fmt: skip
    return measure(pair, result)


def test_shape_is_measured_apart_from_pose(row):
    for bone in ("femur", "fibula", "tibia"):
        values = row["bones"][bone]
        assert values["shape"] < 0.03 and values["hd"] < 0.3
        assert 0.8 < values["position lateral"] < 4.0
        # All bones moved together in the lateral, so the joint there is right.
        assert values["joint lateral"] < 0.05
    assert row["bones"]["femur"]["joint frontal"] < 0.05
    assert row["bones"]["tibia"]["joint frontal"] > 0.5
    assert row["bones"]["tibia"]["position frontal"] > 0.5


def test_flexion_errors_are_signed_and_per_view(row):
    expected = {"frontal": 3.0, "lateral": 0.0, "between": -3.0}
    assert row["flexion"] == pytest.approx(expected, abs=0.1)
    assert row["flexion deviation"] == summary([row])[0]["expected"] == 2.5


def test_a_bone_that_was_not_found_leaves_no_mean(row):
    assert set(row["bones"]) == set(BONES)
    assert row["bones"]["patella"] == dict.fromkeys(MEASURES)
    (line,) = summary([row])
    assert np.isnan(line["shape"]) and np.isnan(line["patella"])
    assert line["femur"] < 0.03
    assert line["called moved"] == line["pairs"] == 1


def test_virtual_knees_come_rigid_and_moved():
    pairs = list(moved_pairs.virtual_pairs(4, seed=5))
    assert [pair.motion for pair in pairs] == ["rigid", "moved slightly", "rigid", "moved"]
    assert pairs[0].motions is pairs[2].motions is None
    assert pairs[0].person.name == pairs[1].person.name != pairs[2].person.name
    small = pairs[1]
    axis, _ = transepicondylar_axis(small.person.bones)
    assert relative_flexion(small.motions, axis) == pytest.approx(2.0)
    turn = Rotation.from_matrix(small.motions["femur"][:3, :3]).magnitude()
    assert np.degrees(turn) == pytest.approx(2.0)


def test_every_second_two_virtual_knees_are_stressed_where_that_is_asked_for():
    plain, stressed = (list(moved_pairs.virtual_pairs(8, 5, told)) for told in (False, True))
    assert [pair.stress is not None for pair in stressed] == [False] * 4 + [True] * 4
    assert stressed[4].name == "virtual-5-2, photons 2000 rigid"
    rig = orthogonal(pixels=64)
    taken = [pair.exposures(rig, "mesh")[0].line_integral for pair in (plain[4], stressed[4])]
    assert (taken[0] != taken[1]).any()


def test_only_the_second_view_sees_the_leg_moved(pair):
    rig = orthogonal(pixels=64)
    still = Pair(pair.person, "rigid", None).exposures(rig, "mesh")
    moved = pair.exposures(rig, "mesh")
    np.testing.assert_array_equal(still[0].line_integral, moved[0].line_integral)
    assert (still[1].line_integral != moved[1].line_integral).any()
    assert [exposure.view.name for exposure in moved] == ["frontal", "lateral"]


def test_a_wrong_call_costs_what_the_same_knee_does_not_lose_when_called_rightly():
    def row_of(person, motion, called, shape):
        bones = {bone: {"shape": shape} for bone in BONES}
        pair = f"{person} {motion}"
        return {"pair": pair, "person": person, "motion": motion, "called": called, "bones": bones}

    rows = [
        row_of("a", "rigid", "rigid", 0.5),
        row_of("a", "moved slightly", "rigid", 0.7),
        row_of("b", "rigid", "moved", 0.6),
        row_of("b", "moved", "rigid", 0.9),
    ]
    wrong = wrong_calls(rows)
    assert [line["pair"] for line in wrong] == ["a moved slightly", "b rigid", "b moved"]
    assert wrong[0]["cost"] == pytest.approx(0.2)
    assert wrong[1]["cost"] is wrong[2]["cost"] is None

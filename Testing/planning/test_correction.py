"""How much to correct: Miniaci's construction on a box, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.errors import InputError
from SSRKDLib.planning.correction import Knee, LongLeg, miniaci, to_mpta
from SSRKDLib.planning.cut import Choices, standard_cut
from SSRKDLib.planning.osteotomy import hinge_motion
from SSRKDLib.planning.planner import Correction, knee_notes
from Testing.support.box_tibia import WIDTH, box_landmarks, box_tibia

MARKS = box_landmarks()
CUT = standard_cut(box_tibia(), MARKS, Choices())


def crossing(angle: float, hka: float, leg: LongLeg) -> float:
    """Percent of the width where the line from the hip to the turned ankle crosses the joint."""
    varus = np.radians(180.0 - hka)
    hip = leg.femur * np.array([-np.sin(varus), 0.0, np.cos(varus)])
    ankle = np.array([0.0, 0.0, -leg.tibia])
    if angle:
        motion = hinge_motion(MARKS, CUT, angle)
        ankle = motion[:3, :3] @ ankle + motion[:3, 3]
    share = hip[2] / (hip[2] - ankle[2])
    return 50.0 + 100.0 * (hip[0] + share * (ankle[0] - hip[0])) / WIDTH


@pytest.mark.parametrize(("hka", "target"), [(170.0, 62.5), (175.0, 50.0), (180.0, 62.5)])
def test_after_the_correction_the_line_crosses_at_the_target(hka, target):
    leg = LongLeg(hka=hka, femur=410.0, tibia=380.0)
    angle = miniaci(MARKS, CUT, leg, target)
    assert crossing(angle, hka, leg) == pytest.approx(target, abs=1e-6)
    before = crossing(0.0, hka, leg)
    same = miniaci(MARKS, CUT, leg._replace(hka=None, percent=before), target)
    assert same == pytest.approx(angle, abs=1e-6)


def test_assumed_lengths_change_little():
    angle = miniaci(MARKS, CUT, LongLeg(hka=172.0))
    for factor in (0.9, 1.1):
        leg = LongLeg(172.0, None, 430.0 * factor, 365.0 * factor)
        assert miniaci(MARKS, CUT, leg) == pytest.approx(angle, abs=0.6)


def test_a_bent_knee_and_numbers_of_no_leg_are_refused():
    with pytest.raises(InputError, match="bent by 27 degrees.*straight leg"):
        miniaci(MARKS, CUT, LongLeg(hka=172.0), flexion=27.0)
    assert miniaci(MARKS, CUT, LongLeg(hka=172.0), flexion=8.0) > 8.0
    for leg, target in (
        (LongLeg(hka=8.0), 62.5),
        (LongLeg(percent=4000.0), 62.5),
        (LongLeg(hka=172.0, femur=43.0), 62.5),
        (LongLeg(hka=172.0), 0.6),
    ):
        with pytest.raises(InputError, match="expected|no human leg"):
            miniaci(MARKS, CUT, leg, target)
    with pytest.raises(InputError, match="no varus to correct"):
        miniaci(MARKS, CUT, LongLeg(hka=187.0))


def test_a_wanted_tibial_angle_is_reached_or_refused():
    assert to_mpta(84.0, 90.5) == pytest.approx(6.5)
    level = Knee(None, None)
    assert Correction(mpta=94.0).degrees(MARKS, CUT, level) == pytest.approx(4.0)
    with pytest.raises(InputError, match="no varus"):
        to_mpta(91.0, 90.0)


def test_exactly_one_way_to_say_how_much():
    for ways in ({}, {"angle": 8.0, "mpta": 90.0}):
        with pytest.raises(InputError, match="Give one of"):
            Correction(**ways)


def test_a_joint_that_opens_is_pointed_out():
    assert knee_notes(Knee(None, None)) == []
    assert "in the bones" in knee_notes(Knee(0.5, 0.0))[0]
    assert "too much" in knee_notes(Knee(3.5, 0.0))[0]

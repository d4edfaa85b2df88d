"""Osteotomies of a box: heights, angles and surfaces in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SSRKDLib.core.errors import InputError
from SSRKDLib.planning.cut import Choices, Cut, drawn_cut, standard_cut
from SSRKDLib.planning.fragments import fragments
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.planning.osteotomy import plan_osteotomy
from SSRKDLib.surfaces.mesh import Mesh
from Testing.support.box_tibia import DEPTH, HEIGHT, WIDTH, box_landmarks, box_tibia

TIBIA, MARKS = box_tibia(), box_landmarks()


def planned(choices: Choices, angle: float = 8.0, marks: Landmarks = MARKS):
    return plan_osteotomy(TIBIA, marks, standard_cut(TIBIA, marks, choices), angle)


@pytest.mark.parametrize("angle", [1.0, 8.0, 15.0])
def test_a_level_opening_wedge_is_a_triangle(angle):
    plan = planned(Choices(), angle)
    depth = WIDTH - 10.0
    assert plan.depth == pytest.approx(depth)
    assert plan.hinge_width == pytest.approx(10.0)
    height = 2 * depth * np.sin(np.radians(angle) / 2)
    assert plan.height == pytest.approx(height)
    assert plan.height_posterior == plan.height_anterior == pytest.approx(height)
    assert plan.after.mpta - plan.before.mpta == pytest.approx(angle)
    assert plan.before.mpta == pytest.approx(90.0) and plan.after.joint_line == pytest.approx(angle)
    assert plan.slope_change == pytest.approx(0.0, abs=1e-9)


def test_a_closing_wedge_is_hinged_medially_and_corrects_as_much():
    plan = planned(Choices("closing", hinge=12.0), 8.0)
    assert plan.cut.hinge == pytest.approx([-WIDTH / 2 + 12.0, 0.0, -20.0])
    assert plan.height == pytest.approx(2 * (WIDTH - 12.0) * np.sin(np.radians(4.0)))
    assert plan.after.mpta - plan.before.mpta == pytest.approx(8.0)


def test_the_foot_moves_laterally_by_the_angle():
    plan = planned(Choices(), 8.0)
    foot = np.array([0.0, 0.0, -400.0])
    step = plan.motion[:3, :3] @ (foot - plan.cut.hinge)
    assert step + plan.cut.hinge == pytest.approx(plan.motion[:3, :3] @ foot + plan.motion[:3, 3])
    before = foot - plan.cut.hinge
    turned = np.degrees(np.arctan2(step[0], -step[2]) - np.arctan2(before[0], -before[2]))
    assert turned == pytest.approx(8.0) and step[1] == pytest.approx(0.0)


def test_a_cut_aims_at_the_tip_of_the_fibula_and_falls_back_as_chosen():
    tip = np.array([50.0, 15.0, -12.0])
    marks = box_landmarks(tuple(tip))
    cut = standard_cut(TIBIA, marks, Choices(inclination=7.0))
    # Through the tip, through the medial cortex 40 mm below the joint in the middle, falling by 7.
    for point in (tip, np.array([-WIDTH / 2, 0.0, -40.0])):
        assert cut.normal @ (point - cut.hinge) == pytest.approx(0.0, abs=1e-9)
    fall = np.array([0.0, np.cos(np.radians(7.0)), -np.sin(np.radians(7.0))])
    assert cut.normal @ fall == pytest.approx(0.0, abs=1e-12)
    assert cut.axis == pytest.approx(fall)


@pytest.mark.parametrize("turn", [-20.0, 10.0, 30.0])
def test_a_turned_hinge_changes_the_slope_by_rodrigues_formula(turn):
    plan = planned(Choices(turn=turn), 9.0)
    phi, theta = np.radians([turn, 9.0])
    # z' = z cos(theta) + (k x z) sin(theta) about k = (-sin, cos, 0), turned to lateral below.
    lean = -np.sin(theta) * np.array([np.cos(phi), np.sin(phi)])
    up = np.array([*lean, np.cos(theta)])
    across = np.array([1.0, 0.0, 0.0]) - lean[0] * up
    back = np.cross(up, across / np.linalg.norm(across))
    slope = -np.degrees(np.arctan2(up[1], back[1]))
    assert plan.slope_change == pytest.approx(slope)
    assert np.sign(plan.slope_change) == np.sign(turn)  # opens more in front
    assert plan.height_anterior - plan.height_posterior == pytest.approx(
        2 * np.sin(theta / 2) * DEPTH * np.sin(phi)
    )


def test_heights_behind_and_in_front_are_those_of_the_corners():
    plan = planned(Choices(turn=10.0), 9.0)
    _, back = plan.cut.frame(MARKS)[:2]
    for sign, height in ((1.0, plan.height_posterior), (-1.0, plan.height_anterior)):
        corner = np.array([-WIDTH / 2, sign * DEPTH / 2, -40.0])
        away = corner - plan.cut.hinge
        distance = np.linalg.norm(away - (away @ back) * back)
        assert height == pytest.approx(2 * distance * np.sin(np.radians(4.5)))


def test_parts_of_an_opening_wedge_are_closed_and_add_up():
    plan = planned(Choices(), 8.0)
    parts = fragments(TIBIA, MARKS, plan)
    assert all(part.is_closed for part in parts)
    assert parts.proximal.volume() == pytest.approx(WIDTH * DEPTH * 40.0)
    assert parts.distal.volume() == pytest.approx(WIDTH * DEPTH * (HEIGHT - 40.0))
    triangle = 0.5 * 70.0**2 * np.sin(np.radians(8.0))
    assert parts.wedge.volume() == pytest.approx(triangle * DEPTH)
    assert parts.proximal.bounds[0, 2] == pytest.approx(-40.0)


def test_parts_of_a_closing_wedge_meet_after_the_turn():
    plan = planned(Choices("closing"), 8.0)
    parts = fragments(TIBIA, MARKS, plan)
    assert all(part.is_closed for part in parts)
    wedge = 0.5 * 70.0**2 * np.tan(np.radians(8.0)) * DEPTH
    assert parts.wedge.volume() == pytest.approx(wedge)
    whole = WIDTH * DEPTH * HEIGHT
    # Behind the hinge both are cut in the first plane: nothing is lost there.
    assert sum(part.volume() for part in parts) == pytest.approx(whole)
    lateral = parts.distal.vertices[parts.distal.vertices[:, 0] > 20.0]
    assert lateral[:, 2].max() == pytest.approx(-20.0)


def test_a_tubercle_stays_on_the_shaft():
    plan = planned(Choices(), 8.0)
    whole, biplanar = (fragments(TIBIA, MARKS, plan, tubercle) for tubercle in (None, 15.0))
    # 15 mm deep at the cut, leaning forward by 20 degrees: a triangle up to the joint, cut off.
    lean = np.tan(np.radians(20.0))
    block = WIDTH * (15.0**2 / 2 / lean - max(15.0 / lean - 40.0, 0.0) ** 2 * lean / 2)
    assert whole.proximal.volume() - biplanar.proximal.volume() == pytest.approx(block)
    assert biplanar.distal.volume() - whole.distal.volume() == pytest.approx(block)
    assert biplanar.wedge.volume() == pytest.approx(whole.wedge.volume() * 35.0 / 50.0, rel=0.02)


def test_a_plan_does_not_depend_on_frame_or_side():
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec([0.4, -0.7, 1.1]).as_matrix()
    motion[:3, 3] = [100.0, -50.0, 900.0]
    choices = Choices(turn=10.0, inclination=5.0)
    straight = planned(choices)
    for flip, side in ((1.0, "L"), (-1.0, "R")):
        matrix = motion @ np.diag([flip, 1.0, 1.0, 1.0])
        turn = matrix[:3, :3]

        def there(points, matrix=matrix):
            return points @ matrix[:3, :3].T + matrix[:3, 3]

        marks = Landmarks(
            side, MARKS.axes @ turn.T, there(MARKS.shaft), there(MARKS.medial),
            there(MARKS.lateral), there(MARKS.sides), there(MARKS.fibula_tip),
        )  # fmt: skip
        tibia = TIBIA.transformed(matrix)
        moved = plan_osteotomy(tibia, marks, standard_cut(tibia, marks, choices), 8.0)
        assert moved.cut.hinge == pytest.approx(there(straight.cut.hinge))
        for name in ("height", "height_posterior", "height_anterior", "depth", "slope_change"):
            assert getattr(moved, name) == pytest.approx(getattr(straight, name)), name
        parts = fragments(tibia, marks, moved)
        assert parts.wedge.volume() > 0 and all(part.is_closed for part in parts)


def test_a_drawn_plane_and_hinge_are_taken_as_drawn():
    normal = np.array([0.2, 0.0, 1.0])
    hinge = np.array([[25.0, 30.0, 7.0], [25.0, -20.0, 7.0]])  # above the plane, back end first
    cut = drawn_cut(MARKS, "opening", np.array([0.0, 0.0, -40.0]), -normal, hinge)
    assert cut.normal == pytest.approx(normal / np.linalg.norm(normal))
    assert cut.axis == pytest.approx([0.0, 1.0, 0.0])
    assert cut.normal @ (cut.hinge - [0.0, 0.0, -40.0]) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(InputError, match="front to back"):
        drawn_cut(MARKS, "opening", np.zeros(3), normal, np.array([[0.0, 0, 0], [30.0, 0, 0]]))
    with pytest.raises(InputError, match="steeper"):
        drawn_cut(MARKS, "opening", np.zeros(3), np.array([1.0, 0.0, 0.1]), hinge)


def test_limits_are_warned_of_and_what_breaks_the_hinge_is_refused():
    assert planned(Choices(), 8.0).warnings == ()
    thin, turned, wide = (
        planned(Choices(hinge=6.0)), planned(Choices(turn=30.0)), planned(Choices(), 15.0)
    )  # fmt: skip
    assert [len(plan.warnings) for plan in (thin, wide)] == [1, 1]
    assert "6.0 mm of bone" in thin.warnings[0] and "gap of 18.3 mm" in wide.warnings[0]
    assert any("slope changes by +4.0" in warning for warning in turned.warnings)
    with pytest.raises(InputError, match="break the hinge"):
        planned(Choices(), 30.0)
    outside = Cut("opening", np.array([45.0, 0.0, -40.0]), np.eye(3)[1], np.eye(3)[2])
    with pytest.raises(InputError, match="outside the tibia"):
        plan_osteotomy(TIBIA, MARKS, outside, 8.0)


@pytest.mark.parametrize(
    "choices", [{"hinge": 0.0}, {"entry": 200.0}, {"kind": "dome"}, {"turn": 90.0}]
)
def test_choices_that_no_surgeon_makes_are_refused(choices):
    with pytest.raises(InputError):
        Choices(**choices)


def test_a_cut_below_the_end_of_the_bone_is_refused():
    short = Mesh(TIBIA.vertices * [1.0, 1.0, 0.25], TIBIA.faces)
    with pytest.raises(InputError, match="does not run through the tibia"):
        standard_cut(short, MARKS, Choices())

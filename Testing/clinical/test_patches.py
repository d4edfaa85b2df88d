"""What patches tell, of shapes that can be worked out by hand; and marks on the template."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SSRKDLib.clinical.frames import femur_frame, tibia_frame
from SSRKDLib.clinical.marks import marked, rings
from SSRKDLib.clinical.patches import axis, outermost, plane, section_centre
from SSRKDLib.clinical.sections import section
from SSRKDLib.clinical.tibia import plateaus, tibia_landmarks
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from Testing.support.ball_knee import ball

GRID = np.stack(np.meshgrid(np.linspace(-20, 20, 41), np.linspace(-15, 15, 31)), -1).reshape(-1, 2)


@pytest.fixture(scope="module")
def tibia() -> np.ndarray:
    return knee_shape_model().bones["tibia"].mean


def test_the_face_of_a_box_has_the_slope_it_was_tilted_by():
    face = np.column_stack([GRID, np.full(len(GRID), 12.0)])
    tilted = Rotation.from_euler("x", -7.0, degrees=True).apply(face) + [3.0, -4.0, 5.0]
    middle, rise_x, rise_y = plane(tilted, np.ones(len(face)))
    assert middle == pytest.approx(tilted.mean(axis=0))
    assert np.degrees(np.arctan([rise_x, rise_y])) == pytest.approx([0.0, -7.0])


def test_weights_count_as_area():
    halves = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 1.0], [10.0, 0.0, 1.0]])
    crowded = plane(np.vstack([halves, halves + [0, 5, 0]]), np.array([1.0, 0.5, 0.5] * 2))
    assert crowded[0] == pytest.approx([5.0, 2.5, 0.5])
    assert crowded[1] == pytest.approx(0.1)


@pytest.mark.parametrize("depth", [1.0, 2.5])
def test_the_top_of_a_ball_a_ridge_and_a_face_is_found(depth):
    up = np.array([0.0, 0.0, 1.0])
    sphere = ball((1.0, 2.0, 3.0), 20.0)
    areas = np.bincount(
        sphere.faces.ravel(), np.repeat(np.linalg.norm(sphere.area_vectors(), axis=1) / 3, 3)
    )
    assert outermost(sphere.vertices, areas, up, depth) == pytest.approx([1, 2, 23], abs=0.25)
    angle = np.radians(np.linspace(-60, 60, 241))
    along = np.repeat(np.linspace(-5, 5, 11), len(angle))
    ridge = np.column_stack(
        [along, np.tile(20 * np.sin(angle), 11), np.tile(20 * np.cos(angle), 11)]
    )
    assert outermost(ridge, np.ones(len(ridge)), up, depth) == pytest.approx([0, 0, 20], abs=0.25)
    face = np.column_stack([GRID, np.full(len(GRID), 12.0)])
    assert outermost(face, np.ones(len(face)), up, depth) == pytest.approx([0, 0, 12])


def test_an_axis_goes_through_the_centres_of_sections():
    corners = np.array([[0, 0], [8, 0], [8, 4], [0, 4]], float)
    ends = np.roll(corners, -1, axis=0)
    sections = []
    for height in (0.0, 10.0, 30.0):
        shift = [0.1 * height, -0.2 * height, height]
        outline = np.stack([corners, ends], axis=1)
        sections.append(np.dstack([outline, np.zeros((4, 2))]) + shift)
    up = np.array([0.0, 0.0, 1.0])
    centres = [section_centre(segments, up) for segments in sections]
    assert centres == pytest.approx(np.array([[4, 2, 0], [5, 0, 10], [7, -4, 30]]))
    first, last = axis(centres)
    assert first == pytest.approx([4, 2, 0])
    assert last == pytest.approx([7, -4, 30])


def test_rings_are_sections_of_the_mean_bone():
    for bone in ("femur", "tibia"):
        part = knee_shape_model().bones[bone]
        for ring in rings(bone):
            segments = ring.segments(part.mean)
            # Closed, with the inside on the left: what ends somewhere also begins there.
            assert segments[:, 0].sum(axis=0) == pytest.approx(segments[:, 1].sum(axis=0))
            area = np.cross(segments[:, 0], segments[:, 1]).sum(axis=0)[2] / 2
            assert 400 < area < 2500


def test_every_patch_lies_on_its_side_and_has_enough_vertices():
    for bone in ("femur", "tibia", "patella"):
        mean = knee_shape_model().bones[bone].mean
        for name, patch in marked(bone).items():
            assert len(patch.vertices) >= 25, name
            assert patch.marked_point(mean) == pytest.approx(patch.point)
            middle = patch.centre(mean)[0]
            assert {"medial": middle < 0, "lateral": middle > 0}.get(name.split("_")[0], True)


def test_a_tilted_plateau_changes_its_slope_by_the_tilt(tibia):
    frame = tibia_frame(tibia)
    before = plateaus(tibia, frame)
    turn = Rotation.from_rotvec(np.radians(-5.0) * frame.axes[0])
    patch = marked("tibia")["medial_plateau"]
    bent = tibia.copy()
    middle = patch.centre(tibia)
    bent[patch.vertices] = turn.apply(tibia[patch.vertices] - middle) + middle
    after = plateaus(bent, frame)
    assert after[0].slope - before[0].slope == pytest.approx(5.0, abs=0.2)
    assert after[1].slope == pytest.approx(before[1].slope, abs=0.2)
    for plateau in before:
        x, y, z = frame.axes @ (plateau.back - plateau.front)
        assert (x, np.degrees(np.arctan2(-z, y))) == pytest.approx((0.0, plateau.slope), abs=1e-6)


def test_frames_and_landmarks_move_with_the_bone(tibia):
    motion = Rotation.from_euler("xyz", [40.0, -70.0, 15.0], degrees=True)
    moved = motion.apply(tibia) + [5.0, 300.0, -20.0]
    frame, other = tibia_frame(tibia), tibia_frame(moved)
    assert other.axes == pytest.approx(motion.apply(frame.axes), abs=1e-5)
    landmarks, others = tibia_landmarks(tibia, frame), tibia_landmarks(moved, other)
    for name, point in landmarks.items():
        assert others[name] == pytest.approx(motion.apply(point) + [5.0, 300.0, -20.0], abs=1e-3)
    femur = femur_frame(knee_shape_model().bones["femur"].mean)
    assert femur.axes @ femur.axes.T == pytest.approx(np.eye(3), abs=1e-9)
    assert femur.axes[0, 0] > 0.9 and femur.axes[2, 2] > 0.9


def test_sections_of_solids_are_those_of_geometry():
    sphere = ball((3.0, -4.0, 10.0), 20.0)
    cut = section(sphere.vertices, sphere.faces, 18.0)
    assert cut.is_closed
    # Counter-clockwise about an area of the circle's size.
    area = (cut.start[:, 0] * cut.end[:, 1] - cut.start[:, 1] * cut.end[:, 0]).sum() / 2
    assert area == pytest.approx(np.pi * (20**2 - 8**2), rel=0.01)
    away = np.linalg.norm(cut.start - [3.0, -4.0], axis=1)
    assert away == pytest.approx(np.sqrt(20**2 - 8**2), rel=0.01)
    opened = sphere.clipped(np.array([[-99.0, -99.0, -99.0], [8.0, 99.0, 99.0]]))
    assert not section(opened.vertices, opened.faces, 18.0).is_closed
    assert not section(sphere.vertices, sphere.faces, 31.0).is_closed

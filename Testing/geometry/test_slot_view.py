"""Slot scanners: what closed forms say of boxes and balls, and the files that describe them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry import rig_presets
from SSRKDLib.geometry.virtual_cameras import camera_map, frame_cameras
from SSRKDLib.radiographs.rig_file import rig_from_dict, rig_to_dict
from Testing.support.projection_truth import rotation

SDD, SOD, PIXEL, MIDDLE = 1300.0, 987.0, 225 / 256, 127.5
RIG = rig_presets.slot()
BOX = np.array([[x, y, z] for x in (-31.0, 44) for y in (-52.0, 38) for z in (-97.0, 88)])


def turned(degrees: float = 20.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((1, 2, -3), degrees)
    matrix[:3, 3] = 21, -45, 80
    return matrix


def columns(across: np.ndarray, deep: np.ndarray) -> np.ndarray:
    """Of points so far from the middle and from the isocentre's plane, mm."""
    return MIDDLE + across / (PIXEL * SDD / SOD) * SDD / (SOD + deep)


def test_slot_box_is_where_the_closed_form_puts_it():
    """Columns spread with depth, rows do not."""
    frontal, lateral = RIG.views
    x, y, z = BOX.T
    rows = MIDDLE - z / PIXEL
    np.testing.assert_allclose(frontal.project(BOX), np.c_[columns(x, y), rows], atol=1e-9)
    np.testing.assert_allclose(lateral.project(BOX), np.c_[columns(y, -x), rows], atol=1e-9)
    moved = frontal.transformed(turned()).project(BOX @ turned()[:3, :3].T + turned()[:3, 3])
    np.testing.assert_allclose(moved, frontal.project(BOX), atol=1e-8)


def test_slot_ball_is_as_wide_as_its_tangents():
    """Each row shows a circle, which two rays from the focal spot's height touch."""
    view, centre, radius = RIG.views[0], np.array([12.0, -33.0, 61.0]), 30.0
    heights = np.linspace(-28.0, 28.0, 9)
    rings, far = np.sqrt(radius**2 - heights**2), np.hypot(centre[0], SOD + centre[1])
    turn = np.arctan2(centre[0], SOD + centre[1])
    for sign in (-1, 1):
        angles = turn + sign * np.arcsin(rings / far)
        to_touch = np.sqrt(far**2 - rings**2)
        touched = np.c_[to_touch * np.sin(angles), to_touch * np.cos(angles) - SOD]
        np.testing.assert_allclose(np.linalg.norm(touched - centre[:2], axis=1), rings)
        found = view.project(np.c_[touched, heights + centre[2]])
        expected = np.c_[columns(SOD * np.tan(angles), 0.0), MIDDLE - (heights + centre[2]) / PIXEL]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_slot_virtual_camera_shows_the_scanners_own_rays():
    """Also of a leg that leans in the scanner: a point is in the virtual image where the map from
    there to the radiograph says."""
    points = np.random.default_rng(5).uniform(-70, 70, (40, 3))
    for camera in frame_cameras(RIG.views, turned(12.0), 192, 1.15):
        places = camera_map(camera)
        inside = camera.view.inside(points, margin=2.0)
        found = camera.view.project(points)[inside]
        rows, columns = np.rint(found[:, ::-1]).astype(int).T
        linear = np.stack(np.gradient(places, axis=(1, 0)), -1)[rows, columns]
        there = places[rows, columns] + np.einsum("nij,nj->ni", linear, found - np.rint(found))
        np.testing.assert_allclose(there, camera.real.project(points[inside]), atol=2e-3)
        assert camera.view.slopes(np.zeros(3)) @ camera.view.row_direction == pytest.approx(
            [0, 1 / 1.15], abs=1e-9
        )


def test_slot_pixels_are_magnified_across_only():
    view = RIG.views[0]
    assert view.pixel_size(0.5) == pytest.approx((0.5 * view.pixel_spacing[0], PIXEL))
    assert view.cropped(5, 9, 60, 70).project(BOX) == pytest.approx(view.project(BOX) - [5, 9])
    assert RIG.central_point() == pytest.approx(np.zeros(3), abs=1e-9)
    assert RIG.source_to_object_distance(view) == pytest.approx(SOD)


def test_slot_rig_is_a_file_of_version_2_and_others_stay_version_1():
    data = json.loads(json.dumps(rig_to_dict(RIG)))
    assert data["version"] == 2 and data["simultaneous"] is True
    assert [view["type"] for view in data["views"]] == ["slot", "slot"]
    again = rig_from_dict(data)
    assert again.simultaneous and again.assumptions == ()
    for one, other in zip(again.views, RIG.views):
        np.testing.assert_array_equal(one.project(BOX), other.project(BOX))
    aside = replace(RIG.views[0], scan_direction=RIG.views[0].column_direction)
    again = rig_from_dict(
        json.loads(json.dumps(rig_to_dict(replace(RIG, views=(aside, aside)[:1] + RIG.views[1:]))))
    )
    np.testing.assert_array_equal(again.views[0].scan_direction, aside.scan_direction)
    plain = rig_to_dict(rig_presets.orthogonal())
    assert plain["version"] == 1 and "type" not in plain["views"][0]
    assert rig_from_dict({**plain, "version": 2}).views[0].project(BOX) == pytest.approx(
        rig_presets.orthogonal().views[0].project(BOX)
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"type": "fan"}, "has the type 'fan'"),
        ({"scan_direction": [0, 1, 0]}, "towards each other"),
        ({"scan_direction": [0, 0, 2]}, "not a unit vector"),
        ({"scan_direction": [0, 1]}, "three finite numbers"),
        ({"scan_direction": "down"}, "not a number"),
    ],
)
def test_slot_rig_is_refused_in_one_sentence(changed, words):
    data = json.loads(json.dumps(rig_to_dict(RIG)))
    data["views"][0].update(changed)
    with pytest.raises(GeometryError, match=words):
        rig_from_dict(data)

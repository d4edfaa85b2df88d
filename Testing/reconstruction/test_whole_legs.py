"""The knee in a slot scanner's images of a whole leg."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from SSRKDLib.geometry.rig_presets import orthogonal, slot
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.finding import find_knee
from SSRKDLib.reconstruction.whole_legs import knee_region, places_in_whole_legs, shows_whole_leg
from SSRKDLib.simulation import surface_phantom
from Testing.support.bundled import expose, model, person

#: Where the joint lies: beside and above the middle of images that are 1080 mm high.
JOINT = np.array([75.0, -20.0, 95.0])


def whole_leg_rig():
    """The slot scanner's images of 322 x 1080 mm; its pixels, 0.18 mm, ten times as large."""
    rig, pixel, size = slot(), 1.8, (179, 600)
    views = []
    for view in rig.views:
        across = pixel * view.pixel_spacing[0] / view.pixel_spacing[1]
        first = -(np.array(size) - 1) / 2 * [across, pixel]
        foot = view.source + view.source_to_detector_distance * view.axis
        origin = foot + first[0] * view.column_direction + first[1] * view.row_direction
        views.append(
            replace(view, detector_origin=origin, pixel_spacing=(across, pixel), size=size)
        )
    return replace(rig, views=tuple(views))


def cut(exposure, region):
    part = np.s_[region.top : region.top + region.rows, region.left : region.left + region.columns]
    return Exposure(
        exposure.view.cropped(*region), exposure.line_integral[part], exposure.valid[part]
    )


def test_the_knee_of_a_whole_leg_is_found_said_and_enough_by_itself(monkeypatch):
    monkeypatch.setattr(surface_phantom, "_LEG_REACH", 720.0)
    rig, bones = whole_leg_rig(), person(21, JOINT)
    exposures = expose(bones, rig, JOINT)
    frame = find_knee(exposures, rig, model()).located.frame
    np.testing.assert_allclose(frame[:3, 3], JOINT, atol=6.0)
    regions = [knee_region(view, frame) for view in rig.views]
    for view, region in zip(rig.views, regions):
        ends = np.array([region[:2], np.add(region[:2], region[2:])])
        for bone in ("patella", "femur", "tibia"):
            near = bones[bone].vertices[(np.abs(bones[bone].vertices - JOINT) < 70).all(1)]
            pixels = view.project(near)
            assert (ends[0] <= pixels.min(0)).all() and (pixels.max(0) <= ends[1]).all()
        assert region.rows < 0.3 * view.size[1]
    first, second = places_in_whole_legs(rig.views, frame)
    row = float(rig.views[0].project(frame[:3, 3])[1])
    assert "frontal" in first and f"row {row:.0f} of 600" in first
    assert "lateral" in second
    parts = [cut(exposure, region) for exposure, region in zip(exposures, regions)]
    alone = replace(rig, views=tuple(part.view for part in parts))
    again = find_knee(parts, alone, model()).located.frame
    np.testing.assert_allclose(again[:3, 3], frame[:3, 3], atol=2.0)
    assert places_in_whole_legs(alone.views, again) == []


def test_films_of_a_knee_are_no_whole_legs():
    views = orthogonal().views
    assert not any(map(shows_whole_leg, views))
    assert places_in_whole_legs(views, np.eye(4)) == []


@pytest.mark.parametrize("aside", [0.0, 130.0])
def test_a_region_stays_in_its_image_and_a_knee_beside_it_has_none(aside):
    frame = np.eye(4)
    frame[0, 3] = aside
    for view, inside in zip(orthogonal().views, (aside < 112, True)):
        region = knee_region(view, frame)
        assert (region is not None) == inside
        if inside:
            assert min(region) >= 0
            assert np.add(region[:2], region[2:]).max() <= 256

"""Outlines of projections, against the closed form of a ball's shadow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.surfaces.outlines import PITCH_MM, iso_curves, outline
from Testing.support.asymmetric_rig import asymmetric
from Testing.support.ball_knee import ball

CENTRE, RADIUS = np.array([12.0, -7.0, 21.0]), 30.0


def angles_from_centre(view, curve):
    """Angle at the source between each outline point and the ball's centre, radians."""
    rays = curve - view.source
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    towards = (CENTRE - view.source) / np.linalg.norm(CENTRE - view.source)
    return np.arccos(rays @ towards)


@pytest.mark.parametrize("rig", [orthogonal(), asymmetric()], ids=["orthogonal", "asymmetric"])
def test_outline_of_a_ball_is_its_tangent_cone(rig):
    for view in rig.views:
        (curve,) = outline(ball(tuple(CENTRE), RADIUS), view)
        distance = np.linalg.norm(CENTRE - view.source)
        expected = np.arcsin(RADIUS / distance)
        error = np.abs(angles_from_centre(view, curve) - expected) * distance
        assert error.max() < PITCH_MM
        np.testing.assert_allclose(curve[0], curve[-1])
        offset = (curve - view.detector_origin) @ view.normal
        assert np.abs(offset).max() < 1e-6  # on the detector


def test_outline_reaches_over_the_detectors_edge():
    view = orthogonal().views[0].cropped(0, 0, 140, 256)
    (curve,) = outline(ball(tuple(CENTRE), RADIUS), view)
    beyond = (curve - view.detector_origin) @ view.column_direction
    assert beyond.max() > 140 * view.pixel_spacing[0]


def test_outline_of_what_lies_behind_the_source_is_nothing():
    view = orthogonal().views[0]
    behind = replace(view, source=view.source + [0, 1000.0, 0])
    assert outline(ball(tuple(CENTRE), RADIUS), behind) == []


def test_iso_curves_in_pixels():
    row, column = np.mgrid[:50, :70]
    image = np.hypot(column - 30.0, row - 20.0)
    (curve,) = iso_curves(image, 10.0)
    np.testing.assert_allclose(np.hypot(curve[:, 0] - 30, curve[:, 1] - 20), 10, atol=0.1)
    assert iso_curves(image, -5.0) == []

"""One convention of angles: presets, plain numbers, prepared cases and DICOM agree."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.datasets.case_frame import case_views
from SSRKDLib.geometry.centred_views import (
    angles_from_positioner,
    centred_view,
    positioner_from_angles,
    seen_from_source,
    source_angles,
    source_direction,
    view_from_angles,
)
from SSRKDLib.geometry.detector_pose import LETTERS, seen_from_detector
from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances
from SSRKDLib.geometry.rig_presets import orthogonal

#: LPS directions of the source for (azimuth, elevation).
PLACES = {
    (0, 0): "A", (90, 0): "L", (180, 0): "P", (-90, 0): "R", (0, 90): "H", (35, -90): "F",
}  # fmt: skip

#: PS3.3 C.8.7.5.1.2: where the detector is for (primary, secondary).
DETECTORS = {(0, 0): "A", (90, 0): "L", (-90, 0): "R", (180, 0): "P", (0, 90): "H", (0, -90): "F"}

ANGLES = [(0.0, 0.0), (180.0, 0.0), (33.0, -12.0), (-100.0, 40.0), (90.0, 5.0)]


@pytest.mark.parametrize("angles", PLACES)
def test_azimuth_counts_from_the_front_to_the_left_and_elevation_to_the_head(angles):
    np.testing.assert_allclose(source_direction(*angles), LETTERS[PLACES[angles]], atol=1e-15)


@pytest.mark.parametrize("positioner", DETECTORS)
def test_positioner_angles_are_those_of_the_detector(positioner):
    source = source_direction(*angles_from_positioner(*positioner))
    np.testing.assert_allclose(-source, LETTERS[DETECTORS[positioner]], atol=1e-15)
    axis, column, row = seen_from_detector(*positioner)
    np.testing.assert_allclose(axis, source * -1, atol=1e-15)
    # Seen from the detector towards the source: columns, rows and the view's direction.
    np.testing.assert_allclose(np.cross(column, row), -axis, atol=1e-12)


@pytest.mark.parametrize("angles", ANGLES)
def test_angles_come_back(angles):
    assert source_angles(source_direction(*angles)) == pytest.approx(angles)
    assert positioner_from_angles(*angles_from_positioner(*angles)) == pytest.approx(angles)
    assert angles_from_positioner(*positioner_from_angles(*angles)) == pytest.approx(angles)


def test_presets_plain_numbers_and_cases_count_alike():
    lateral = orthogonal(sdd=1200.0, sod=900.0).views[1]
    plain = [PlainView(a, 1200.0, 900.0, (0.5, 0.5), (64, 64)) for a in (0.0, 90.0)]
    by_hand = rig_from_distances(plain).views[1]
    stored = case_views((0.0,), 900.0, 1200.0, 64, 0.5)[0]  # cases store azimuths less 90
    for view in (lateral, by_hand, stored):
        np.testing.assert_allclose(view.source, [900.0, 0.0, 0.0], atol=1e-9)
        np.testing.assert_allclose(view.column_direction, [0.0, 1.0, 0.0], atol=1e-12)


def test_a_view_from_angles_is_centred_squared_and_shifted():
    centre, sizes = np.array([10.0, -20.0, 30.0]), {"size": (100, 80), "spacing": (0.5, 0.7)}
    place = {"elevation": 25.0, "centre": centre, "shift": (6.0, -8.0)}
    view = view_from_angles("view", 40.0, 1100.0, 800.0, **sizes, **place)
    assert view.normal @ (view.source - centre) == pytest.approx(-800.0)
    assert view.source_to_detector_distance == pytest.approx(1100.0)
    # The image is moved by the shift, so what lies on the central ray moves the other way.
    np.testing.assert_allclose(view.project(centre), [49.5 - 12.0, 39.5 + 8.0 / 0.7])
    turned = view_from_angles("view", 40.0, 1100.0, 800.0, **sizes, **place, roll=90.0)
    np.testing.assert_allclose(turned.row_direction, view.column_direction, atol=1e-12)
    np.testing.assert_allclose(turned.column_direction, -view.row_direction, atol=1e-12)
    with_pixel = centred_view(
        "view", *seen_from_source(40.0, 25.0), sdd=1100.0, sod=800.0, size=(100, 80),
        pixel_spacing=(0.5, 0.7), centre_pixel=(37.5, 39.5 + 8.0 / 0.7), centre=centre,
    )  # fmt: skip
    np.testing.assert_allclose(with_pixel.detector_origin, view.detector_origin, atol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("spacing", [1e308, -0.2, float("nan")])
def test_a_pixel_spacing_of_no_detector_is_refused_before_it_is_calculated_with(spacing):
    plain = PlainView(angle=0, sdd=1100, sod=900, pixel_spacing=(spacing, spacing), size=(64, 64))
    with pytest.raises(GeometryError, match="a pixel spacing of .* between 0.01 and 10"):
        rig_from_distances([plain])


@pytest.mark.filterwarnings("error")
def test_a_central_ray_beyond_all_numbers_is_refused():
    details = {"sdd": 1100, "sod": 900, "pixel_spacing": (0.2, 0.2), "size": (64, 64)}
    with pytest.raises(GeometryError, match="detector_origin is not three finite numbers"):
        centred_view("a", *np.eye(3)[[1, 0, 2]], centre_pixel=(float("inf"), 3), **details)

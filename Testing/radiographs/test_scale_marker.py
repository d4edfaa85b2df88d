"""Scale from a ball or ruler: pictures whose size is known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from SSRKDLib.core.errors import ImageError
from SSRKDLib.radiographs.scale_marker import find_disc, spacing_from_length

ROWS, COLUMNS = 380, 480


def radiograph(seed: int = 0) -> np.ndarray:
    """Soft, uneven, noisy, with a straight edge across."""
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.standard_normal((ROWS, COLUMNS)), 25) * 40
    image += 0.2 * rng.standard_normal(image.shape)
    image[:, 200:] += 2.0
    return image


def disc(centre, diameter, aspect=1.0):
    row, column = np.mgrid[:ROWS, :COLUMNS]
    inside = np.hypot(column - centre[0], (row - centre[1]) * aspect) < diameter / 2
    return ndimage.gaussian_filter(inside.astype(float), 0.7)


@pytest.mark.parametrize(
    ("centre", "diameter", "aspect", "sign"),
    [
        ((120.3, 80.7), 56.4, 1.0, 1),
        ((300.0, 200.0), 30.2, 1.0, -1),
        ((250.5, 180.2), 120.8, 1.5, 1),
        ((60.0, 330.0), 18.0, 1.0, 1),
        ((201.0, 150.0), 60.0, 1.0, -1),  # on the edge
    ],
)
def test_ball_is_found_from_a_careless_click(centre, diameter, aspect, sign):
    image = radiograph() + sign * 4 * disc(centre, diameter, aspect)
    click = (centre[0] + 0.2 * diameter, centre[1] - 0.15 * diameter / aspect)
    found = find_disc(image, click, (0.2, 0.2 * aspect))
    assert found.diameter == pytest.approx(diameter, rel=0.02, abs=0.6)
    assert found.centre == pytest.approx(centre, abs=0.7)
    border = found.outline()
    around = np.hypot(border[:, 0] - centre[0], (border[:, 1] - centre[1]) * aspect)
    np.testing.assert_allclose(around, diameter / 2, atol=1.0)


def test_no_sphere_is_reported():
    with pytest.raises(ImageError, match="No sphere"):
        find_disc(radiograph(), (240, 150))
    with pytest.raises(ImageError, match="outside"):
        find_disc(radiograph(), (-5, 150))


def test_spacing_is_that_on_the_detector():
    # 25 mm beside the knee, magnified 1.25 times, cover 62.5 pixels: 31.25 mm on the detector.
    assert spacing_from_length((62.5, 0.0), 25.0, 1.25) == pytest.approx((0.5, 0.5))
    # 100 pixels across, 50 down with pixels twice as high: 100 x sqrt(2) column widths.
    found = spacing_from_length((100.0, 50.0), 100.0, 1.0, (0.3, 0.6))
    assert found == pytest.approx((1 / np.sqrt(2), 2 / np.sqrt(2)))


@pytest.mark.parametrize(("length", "size"), [((0.0, 0.5), 25.0), ((50, 0), 0.0), ((50, 0), -1)])
def test_impossible_scales_are_refused(length, size):
    with pytest.raises(ImageError, match="end to end"):
        spacing_from_length(length, size, 1.0)

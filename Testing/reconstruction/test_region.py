"""What a radiograph shows, as signed margins of points."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.region import shown_margin


def test_margins_fall_beyond_the_edge_as_they_rise_inside():
    """Straight ones: a shaft is cut at the edge however long its template's edges are."""
    view = orthogonal(pixels=256).views[0]
    rows, columns = 256, 256
    exposure = Exposure(view, np.zeros((rows, columns), np.float32), np.ones((rows, columns), bool))
    margin = shown_margin(exposure, np.eye(4), 32)
    # The image reaches as high as the rays through its upper edge at the joint's depth.
    (_, _, edge) = np.mean(
        [view.source + t * (view.points_on_detector(np.array([127.5, -0.5])) - view.source)
         for t in [view.source[1] / (view.source[1] - view.detector_origin[1])]], axis=0,
    )  # fmt: skip
    heights = np.array([-20.0, -10.0, 10.0, 20.0])
    points = np.column_stack([np.zeros((4, 2)), edge + heights])
    assert margin(points) == pytest.approx(-heights, abs=1.6)

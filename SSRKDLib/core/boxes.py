"""Boxes along the axes: ``[2, D]``, the lowest corner and the highest."""

from __future__ import annotations

import numpy as np


def bounding_box(points: np.ndarray) -> np.ndarray:
    """The smallest box ``[2, D]`` around points ``[N, D]``, N at least 1."""
    return np.stack([points.min(axis=0), points.max(axis=0)])


def box_corners(box: np.ndarray) -> np.ndarray:
    """The eight corners ``[8, 3]`` of a box ``[2, 3]``."""
    ends = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    return np.take_along_axis(np.asarray(box), ends, axis=0)

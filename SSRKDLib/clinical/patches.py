"""What patches of a surface tell: planes, axes, and where a direction's outermost part is.

All by weighted sums over many vertices, so that no single one decides. Points ``[P, 3]`` mm,
weights ``[P]`` the areas that they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Depths of the cap that an outermost part is found from, mm: for how far out it is, and for where,
#: which a shallow cap tells badly.
SHALLOW_MM, DEEP_MM = 1.0, 2.5


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector with length 1."""
    return vector / np.linalg.norm(vector)


def centre(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean (3,)."""
    return weights @ points / weights.sum()


def plane(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Least-squares plane ``z = height + rise_x * x + rise_y * y`` about the points' centre.

    Returns:
        The centre on the plane (3,), the rise along x and the rise along y, mm per mm.
    """
    middle = centre(points, weights)
    apart = points - middle
    root = np.sqrt(weights)[:, None]
    rises = np.linalg.lstsq(root * apart[:, :2], root[:, 0] * apart[:, 2], rcond=None)[0]
    return middle, float(rises[0]), float(rises[1])


def axis(centres: Sequence[np.ndarray]) -> np.ndarray:
    """Ends ``[2, 3]`` of the line with least squared distances to points in order."""
    points = np.array(centres)
    middle = points.mean(axis=0)
    direction = np.linalg.svd(points - middle, full_matrices=False)[2][0]
    along = (points - middle) @ direction
    return middle + np.outer([along[0], along[-1]], direction)


def section_centre(segments: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Centroid (3,) of the area that oriented segments ``[S, 2, 3]`` bound, seen along a unit
    direction."""
    middle = segments.mean(axis=(0, 1))
    start, end = np.moveaxis(segments - middle, 1, 0)
    # Green's formula: triangles between each segment and the middle; several outlines add up.
    areas = np.cross(start, end) @ direction
    return middle + (areas[:, None] * (start + end)).sum(axis=0) / (3.0 * areas.sum())


def outermost(
    points: np.ndarray, weights: np.ndarray, direction: np.ndarray, depth: float = SHALLOW_MM
) -> np.ndarray:
    """Where a plane at right angles to a unit direction touches the surface from outside, (3,).

    Vertices count by ``exp(height / depth)``. Heights above a cap's base are then spread as a gamma
    distribution, with shape 1 for a round cap, a half for a ridge and 0 for a flat face, so that
    mean plus variance over depth is the top of each.
    """
    height = points @ direction
    share = weights * np.exp((height - height.max()) / depth)
    place = centre(points, share)
    spread = share @ (height - place @ direction) ** 2 / share.sum()
    return place + spread / depth * direction

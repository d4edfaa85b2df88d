"""Plane sections, heights and outlines of a surface, in a frame of its own.

Everything here takes vertices that were already turned into the bone's frame: x to the lateral
side, y to the back, z up; lengths in the mesh's unit. Sections use Green's formula on oriented
segments, so no contour has to be traced and several contours add up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SSRKDLib.core.boxes import bounding_box

#: A section counts as closed where what is left open is below this share of its outline.
_OPEN_SHARE = 1e-3


class Section(NamedTuple):
    """Segments of a section: ``start`` and ``end``, [S, 2] each, (x, y), inside on the left."""

    start: np.ndarray
    end: np.ndarray

    @property
    def is_closed(self) -> bool:
        """Whether the segments bound an area: what enters a point also leaves it."""
        if not len(self.start):
            return False
        steps = self.end - self.start
        gap = np.linalg.norm(steps.sum(axis=0))
        return bool(gap <= _OPEN_SHARE * np.linalg.norm(steps, axis=1).sum())

    def moment(self) -> tuple[float, np.ndarray]:
        """Area, and centroid (2,) of the inside (NaN where there is no area)."""
        cross = self.start[:, 0] * self.end[:, 1] - self.start[:, 1] * self.end[:, 0]
        area = cross.sum() / 2.0
        if area <= 0:
            return 0.0, np.full(2, np.nan)
        return float(area), ((self.start + self.end) * cross[:, None]).sum(axis=0) / (6.0 * area)

    def half(self, x: float, side: int) -> Section:
        """The part with ``side * (x' - x) >= 0``, moved so that the dividing line is x' = 0.

        The missing segments along that line pass through its origin's axis and so add nothing
        to :meth:`moment`.
        """
        start, end = (points - [x, 0.0] for points in self)
        inside_start, inside_end = side * start[:, 0] >= 0, side * end[:, 0] >= 0
        crosses = inside_start != inside_end
        step = np.where(crosses, end[:, 0] - start[:, 0], 1.0)
        middle = start + (end - start) * (-start[:, 0] / step)[:, None]
        start = np.where((crosses & ~inside_start)[:, None], middle, start)
        end = np.where((crosses & ~inside_end)[:, None], middle, end)
        keep = inside_start | inside_end
        return Section(start[keep], end[keep])

    def span(self, x: float) -> tuple[float, float] | None:
        """Smallest and largest y at which the outline crosses the line at ``x``; None if never."""
        low, high = self.start[:, 0] - x, self.end[:, 0] - x
        crosses = (low < 0) != (high < 0)
        if not crosses.any():
            return None
        share = low[crosses] / (low[crosses] - high[crosses])
        y = self.start[crosses, 1] + share * (self.end[crosses, 1] - self.start[crosses, 1])
        return float(y.min()), float(y.max())


def section(vertices: np.ndarray, faces: np.ndarray, height: float) -> Section:
    """The section of a surface (``vertices`` [N, 3], ``faces`` [M, 3]) with z = ``height``."""
    above = vertices[:, 2] >= height
    count = above[faces].sum(axis=1)
    cut = faces[(count == 1) | (count == 2)]
    if not len(cut):
        return Section(np.empty((0, 2)), np.empty((0, 2)))
    # Turn each triangle so that its odd corner (alone above or below) comes first.
    alone = above[cut].sum(axis=1) == 1
    odd = np.argmax(above[cut] == alone[:, None], axis=1)
    a, b, c = (
        vertices[np.take_along_axis(cut, ((odd + k) % 3)[:, None], axis=1)[:, 0]] for k in range(3)
    )
    on_ab, on_ac = (
        a[:, :2] + (other - a)[:, :2] * ((height - a[:, 2]) / (other - a)[:, 2])[:, None]
        for other in (b, c)
    )
    # Corners run counter-clockwise seen from outside: with the odd corner above, the section
    # leaves the triangle through a-c when the inside is on its left.
    return Section(np.where(alone[:, None], on_ab, on_ac), np.where(alone[:, None], on_ac, on_ab))


def heights_above(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The largest z of a surface over each of ``points`` [N, 2]: [N], NaN where there is none.

    ``corners`` [M, 3, 3] are the triangles' corners.
    """
    reach = bounding_box(points)
    flat = corners[:, :, :2]
    near = (flat.max(axis=1) >= reach[0]).all(axis=1) & (flat.min(axis=1) <= reach[1]).all(axis=1)
    corners, flat = corners[near], flat[near]
    origin, u, v = flat[:, 0], flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    double = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    upright = np.abs(double) <= 1e-12
    double = np.where(upright, 1.0, double)
    offset = points[:, None, :] - origin[None]
    share_u = (offset[..., 0] * v[:, 1] - offset[..., 1] * v[:, 0]) / double
    share_v = (u[:, 0] * offset[..., 1] - u[:, 1] * offset[..., 0]) / double
    hit = (share_u >= 0) & (share_v >= 0) & (share_u + share_v <= 1) & ~upright
    z = corners[:, 0, 2] + share_u * (corners[:, 1, 2] - corners[:, 0, 2])
    z = z + share_v * (corners[:, 2, 2] - corners[:, 0, 2])
    best = np.where(hit, z, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(best), best, np.nan)


def fitted_line(points: np.ndarray) -> np.ndarray:
    """Unit direction [3] of the line with least squared distances to ``points`` [N, 3].

    It points the way the points run from first to last.
    """
    direction = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    return direction if direction @ (points[-1] - points[0]) >= 0 else -direction

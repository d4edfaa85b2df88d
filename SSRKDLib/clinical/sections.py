"""Plane sections of a surface, in a frame of its own.

Everything here takes vertices that were already turned into the bone's frame: x to the lateral
side, y to the back, z up; lengths in the mesh's unit. Sections use Green's formula on oriented
segments, so no contour has to be traced and several contours add up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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


def section(vertices: np.ndarray, faces: np.ndarray, height: float) -> Section:
    """The section of a surface (``vertices`` [N, 3], ``faces`` [M, 3]) with z = ``height``."""
    above = vertices[:, 2] >= height
    first, second, third = above[faces].T  # some times as fast as a sum along the short axis
    count = first.astype(np.int8) + second + third
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

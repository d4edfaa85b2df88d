"""Where things are on the template: patches marked once, on the mean bones of the shape model.

A patch is the template's vertices within a distance of a point of the mean bone, or, of a plateau,
within an ellipse; it has the same vertices in everybody. Coordinates are the mean knee's canonical
ones, mm: x lateral, y to the back, z up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from SSRKDLib.clinical import patches
from SSRKDLib.core.rigid import moved_points, similarity_fit
from SSRKDLib.reconstruction.fitting.shape_model import BoneModel, knee_shape_model


@dataclass(frozen=True, eq=False)
class Patch:
    """Vertices of a bone's template.

    Attributes:
        vertices: ``[P]`` their numbers.
        areas: ``[P]`` mm^2 of the mean bone that each stands for.
        mean: ``[P, 3]`` mm, the vertices of the mean bone.
        point: (3,) mm, the point of the mean bone about which they lie.
    """

    vertices: np.ndarray
    areas: np.ndarray
    mean: np.ndarray
    point: np.ndarray

    def centre(self, points: np.ndarray) -> np.ndarray:
        """Its middle (3,), by area, of a bone with its vertices at ``points``."""
        return patches.centre(points[self.vertices], self.areas)

    def marked_point(self, points: np.ndarray) -> np.ndarray:
        """The marked point (3,), carried by the similarity that carries the patch."""
        return moved_points(similarity_fit(self.mean, points[self.vertices]), self.point)

    def outermost(
        self, points: np.ndarray, direction: np.ndarray, depth: float = patches.SHALLOW_MM
    ) -> np.ndarray:
        """See :func:`SSRKDLib.clinical.patches.outermost`."""
        return patches.outermost(points[self.vertices], self.areas, direction, depth)

    def plane(self, points: np.ndarray) -> tuple[np.ndarray, float, float]:
        """See :func:`SSRKDLib.clinical.patches.plane`; z is the third coordinate of ``points``."""
        return patches.plane(points[self.vertices], self.areas)


#: By bone and patch: a point of the mean bone and the distance from it, mm.
_BALLS: dict[str, dict[str, tuple[tuple[float, float, float], float]]] = {
    "femur": {
        "medial_posterior": ((-27.6, 27.6, 30.2), 20.0),
        "lateral_posterior": ((23.5, 34.7, 24.8), 20.0),
        "medial_distal": ((-22.2, 7.9, 1.8), 20.0),
        "lateral_distal": ((25.7, 18.9, 2.2), 20.0),
        "medial_side": ((-38.4, -2.8, 35.7), 30.0),
        "lateral_side": ((39.9, 12.8, 23.2), 30.0),
    },
    "tibia": {
        "medial_side": ((-31.7, -8.0, -11.5), 25.0),
        "lateral_side": ((39.8, 17.1, -16.0), 25.0),
        "front_corner": ((7.2, -24.5, -9.4), 22.0),
    },
    "patella": {
        "articular_upper": ((16.6, -39.1, 57.4), 12.0),
        "articular_lower": ((10.8, -33.9, 27.3), 12.0),
    },
}

#: The plateaus: middle on the mean tibia, and half axes across and from front to back, mm.
_PLATEAUS = {
    "medial_plateau": ((-12.4, -5.1, -5.4), (14.0, 21.0)),
    "lateral_plateau": ((21.6, 11.0, -4.5), (13.0, 19.0)),
}

#: The mean tibia's axes, which the ellipses lie along: lateral, back, up.
_TIBIA_AXES = np.array([[0.917, 0.383, -0.054], [-0.377, 0.919, 0.130], [0.099, -0.099, 0.990]])

#: What is taken of a plateau faces up, as the cosine to the axis.
_FACING_UP = 0.6

#: Shafts: the mean bone's axis, from and to which height along it, mm, and how many sections.
_SHAFTS = {
    "femur": ((0.202, -0.227, 0.953), (47.0, 86.0)),
    "tibia": ((0.099, -0.099, 0.990), (-94.0, -55.0)),
}
_SECTIONS = 9


@cache
def marked(bone: str) -> dict[str, Patch]:
    """The patches of a bone, by name."""
    part = knee_shape_model().bones[bone]
    found = {}
    for name, (centre, radius) in _BALLS[bone].items():
        found[name] = _patch(part, np.linalg.norm(part.mean - centre, axis=1) < radius, centre)
    if bone == "tibia":
        up = part.normals(part.mean) @ _TIBIA_AXES[2] > _FACING_UP
        for name, (centre, half) in _PLATEAUS.items():
            local = (part.mean - centre) @ _TIBIA_AXES.T
            inside = ((local[:, :2] / half) ** 2).sum(1) < 1
            found[name] = _patch(part, inside & up & (np.abs(local[:, 2]) < 10), centre)
    return found


@dataclass(frozen=True, eq=False)
class Ring:
    """A section of a shaft: oriented segments between points of the template's edges.

    Attributes:
        edges: ``[S, 2, 2]`` per segment and end the two vertices of the edge that it lies on.
        shares: ``[S, 2]`` how far along the edge.
    """

    edges: np.ndarray
    shares: np.ndarray

    def segments(self, points: np.ndarray) -> np.ndarray:
        """``[S, 2, 3]`` starts and ends, of a bone with its vertices at ``points``."""
        first, second = points[self.edges[..., 0]], points[self.edges[..., 1]]
        return first + self.shares[..., None] * (second - first)


@cache
def rings(bone: str) -> tuple[Ring, ...]:
    """Sections of a bone's shaft, from below to above."""
    part = knee_shape_model().bones[bone]
    direction, span = _SHAFTS[bone]
    height = part.mean @ direction
    return tuple(_ring(part.faces, height - level) for level in np.linspace(*span, _SECTIONS))


def _ring(faces: np.ndarray, height: np.ndarray) -> Ring:
    above = height >= 0
    count = above[faces].sum(axis=1)
    cut = faces[(count == 1) | (count == 2)]
    # Each triangle is turned so that its odd corner (alone above or below) comes first; seen from
    # above, segments then run with the inside on their left.
    alone = above[cut].sum(axis=1) == 1
    odd = np.argmax(above[cut] == alone[:, None], axis=1)
    cut = np.take_along_axis(cut, (odd[:, None] + [0, 1, 2]) % 3, axis=1)
    ends = np.where(alone[:, None], [1, 2], [2, 1])
    edges = np.stack(
        [np.broadcast_to(cut[:, :1], ends.shape), np.take_along_axis(cut, ends, axis=1)], axis=-1
    )
    first, second = height[edges[..., 0]], height[edges[..., 1]]
    return Ring(edges, first / (first - second))


def _patch(part: BoneModel, chosen: np.ndarray, point: tuple[float, float, float]) -> Patch:
    a, b, c = (part.mean[part.faces[:, k]] for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6.0
    by_vertex = np.bincount(part.faces.ravel(), np.repeat(areas, 3), len(part.mean))
    return Patch(np.flatnonzero(chosen), by_vertex[chosen], part.mean[chosen], np.array(point))

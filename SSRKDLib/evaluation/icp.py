"""Iterated closest points between bones whose shafts may end elsewhere.

Both ways and point to plane (Chen and Medioni, Image and Vision Computing 10(3), 1992). What has
no counterpart is left out: points whose nearest place is at an open end, whose normals disagree,
or that lie far off compared with the rest (Tukey's biweight); flat caps across shafts are taken
off first. Poses are 4x4 rigid matrices, moving to fixed, mm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from SSRKDLib.core.rigid import moved_points
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.surfaces.caps import without_caps
from SSRKDLib.surfaces.distance import Nearest
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import sample_surface

#: Points per surface: kept, used to find the way, used to arrive.
_SAMPLES, _COARSE, _FINE = 4000, 150, 1200

#: Distances beyond this (mm) are all equally wrong when poses are ranked.
_CAP = 10.0

#: What is nearest to a place this close to an open edge (mm) may have no counterpart.
_RIM = 1.5


class Surface:
    """A bone made ready: samples in a fixed order, their normals, and what is nearest."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = without_caps(mesh)
        vectors = self.mesh.area_vectors()
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.area = float(length.sum())
        self._face_normals = vectors / np.maximum(length, 1e-12)
        self._nearest: Nearest | None = None
        points = sample_surface(self.mesh, _SAMPLES)
        points = points[np.random.default_rng(0).permutation(len(points))]
        rim = _along_rims(self.mesh)
        self._rim = cKDTree(rim) if len(rim) else None
        self._set_samples(points, self.closest(points)[1])

    def _set_samples(self, points: np.ndarray, normals: np.ndarray) -> None:
        self.points, self.normals = points, normals
        self.tree = cKDTree(points)
        self.at_rim = self.near_rim(points, 4.0)

    def mirrored(self) -> Surface:
        """The same bone of the other side (x turned round)."""
        flip = MIRROR.diagonal()[:3]
        other = object.__new__(Surface)
        other.mesh = self.mesh.transformed(MIRROR)
        other.area, other._face_normals = self.area, self._face_normals * flip
        other._nearest = None
        other._rim = None if self._rim is None else cKDTree(self._rim.data * flip)
        other._set_samples(self.points * flip, self.normals * flip)
        return other

    def near_rim(self, points: np.ndarray, reach: float) -> np.ndarray:
        """Which of ``points`` lie within ``reach`` mm of an open edge."""
        if self._rim is None:
            return np.zeros(len(points), dtype=bool)
        return np.isfinite(self._rim.query(points, distance_upper_bound=reach)[0])

    def closest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest places [N, 3] on the surface, exactly, and its normals at these."""
        if self._nearest is None:
            self._nearest = Nearest(self.mesh)
        places, faces = self._nearest.places(points)
        return places, self._face_normals[faces]

    def sampled(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest samples and their normals: quick."""
        index = self.tree.query(points)[1]
        return self.points[index], self.normals[index]


#: Bones by name that move as one rigid body.
RigidBody = dict[str, Surface]


def _along_rims(mesh: Mesh) -> np.ndarray:
    """Points [N, 3] at most 1 mm apart along the open edges."""
    loops = mesh.open_loops()
    if not loops:
        return np.empty((0, 3))
    start, end = np.moveaxis(mesh.vertices[np.concatenate(loops)], 1, 0)
    steps = int(np.ceil(np.linalg.norm(end - start, axis=1).max())) + 1
    share = np.linspace(0.0, 1.0, steps + 1)[:, None, None]
    return np.unique((start + share * (end - start)).reshape(-1, 3).round(3), axis=0)


def turned(turn: Rotation) -> np.ndarray:
    """A rotation about the origin as a 4x4 matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn.as_matrix()
    return matrix


def sampled_distance(moving: RigidBody, fixed: RigidBody, matrix: np.ndarray) -> float:
    """How far apart the bodies are, mm, whichever of each two bones is the shorter.

    The longer of two shafts has points without a counterpart whatever the pose; the shorter
    one has none in the right pose.
    """
    total = weight = 0.0
    back = np.linalg.inv(matrix)
    for bone, source in moving.items():
        target = fixed[bone]
        # What is farther than the bound is found at an infinite distance, in no time.
        one, other = (
            np.minimum(tree.query(points, distance_upper_bound=_CAP)[0], _CAP).mean()
            for tree, points in (
                (target.tree, moved_points(matrix, source.points[:_COARSE])),
                (source.tree, moved_points(back, target.points[:_COARSE])),
            )
        )
        share = min(source.area, target.area)
        total += share * min(one, other)
        weight += share
    return total / weight


def exact_distance(moving: RigidBody, fixed: RigidBody, matrix: np.ndarray) -> float:
    """As :func:`sampled_distance`, with exact distances."""
    total = weight = 0.0
    for bone, source in moving.items():
        moved, goal = _facing(source, fixed[bone], matrix, _COARSE)
        one = np.minimum(moved.distance, _CAP).mean()
        other = np.minimum(goal.distance, _CAP).mean()
        share = min(source.area, fixed[bone].area)
        total, weight = total + share * min(one, other), weight + share
    return total / weight


class _Facing(NamedTuple):
    """Distances [N] in mm of samples to the other surface, and whether the nearest place there is
    away from open ends."""

    distance: np.ndarray
    whole: np.ndarray


def _facing(
    source: Surface, target: Surface, matrix: np.ndarray, count: int
) -> tuple[_Facing, _Facing]:
    """The first ``count`` samples of either surface, seen from the other."""
    result = []
    for points, surface in (
        (moved_points(matrix, source.points[:count]), target),
        (moved_points(np.linalg.inv(matrix), target.points[:count]), source),
    ):
        place, _ = surface.closest(points)
        distance = np.linalg.norm(points - place, axis=1)
        result.append(_Facing(distance, ~surface.near_rim(place, _RIM)))
    return result[0], result[1]


def common_distance(source: Surface, target: Surface, matrix: np.ndarray) -> float:
    """Mean distance both ways, mm, of the samples that have a counterpart."""
    both = _facing(source, target, matrix, _FINE)
    means = [part.distance[part.whole].mean() for part in both if part.whole.any()]
    return float(np.mean(means)) if means else float("nan")


def approach(moving: RigidBody, fixed: RigidBody, matrix: np.ndarray, steps: int) -> np.ndarray:
    """Iterated closest points between samples."""
    for _ in range(steps):
        rows = []
        back = np.linalg.inv(matrix)
        for bone, source in moving.items():
            share = min(source.area, fixed[bone].area) / _COARSE
            taken = slice(_COARSE)
            rows += _both_ways(
                source, fixed[bone], matrix, back, (taken, taken), Surface.sampled, share, 0.3
            )
        matrix, moved_by = _step(matrix, rows, floor=3.0)
        if moved_by < 0.05:
            break
    return matrix


def refine(moving: RigidBody, fixed: RigidBody, matrix: np.ndarray) -> np.ndarray:
    """Iterated closest points on the exact surfaces, to convergence.

    Twice, since which points have a counterpart is seen better the second time; the points
    are taken in a fixed order, so that nearly equal starts end in the same pose.
    """
    for limit in (8, 20):
        back = np.linalg.inv(matrix)
        forth_of = {bone: _shared(source, fixed[bone], matrix) for bone, source in moving.items()}
        back_of = {bone: _shared(fixed[bone], source, back) for bone, source in moving.items()}
        for _ in range(limit):
            rows = []
            back = np.linalg.inv(matrix)
            for bone, source in moving.items():
                share = min(source.area, fixed[bone].area) / _FINE
                taken = (forth_of[bone], back_of[bone])
                rows += _both_ways(
                    source, fixed[bone], matrix, back, taken, Surface.closest, share, 0.6
                )
            matrix, moved_by = _step(matrix, rows, floor=0.3)
            if moved_by < 2e-3:
                break
    return matrix


def _both_ways(
    source: Surface,
    target: Surface,
    matrix: np.ndarray,
    back: np.ndarray,
    taken: tuple[slice | np.ndarray, slice | np.ndarray],
    nearest: Callable[[Surface, np.ndarray], tuple[np.ndarray, np.ndarray]],
    share: float,
    agreement: float,
) -> list[tuple[np.ndarray, ...]]:
    """Equations of one bone: samples of ``source`` on ``target``, and of ``target`` on ``source``.

    ``taken`` says which samples of either; ``nearest`` finds places and normals on a surface.
    """
    turn = matrix[:3, :3].T
    moved = moved_points(matrix, source.points[taken[0]])
    place, normal = nearest(target, moved)
    forth = _rows(moved, place, normal, source.normals[taken[0]] @ turn, share, agreement)
    goal = target.points[taken[1]]
    place, normal = nearest(source, moved_points(back, goal))
    place, own = moved_points(matrix, place), target.normals[taken[1]]
    return [forth, _rows(place, goal, normal @ turn, own, share, agreement)]


def _shared(source: Surface, target: Surface, matrix: np.ndarray) -> np.ndarray:
    """The first samples of ``source`` that have a counterpart on ``target``, as indices."""
    distance, index = target.tree.query(moved_points(matrix, source.points))
    return np.flatnonzero((distance < 15.0) & ~target.at_rim[index])[:_FINE]


def _rows(
    points: np.ndarray,
    goals: np.ndarray,
    normals: np.ndarray,
    own: np.ndarray,
    share: float,
    agreement: float,
) -> tuple[np.ndarray, ...]:
    """Pairs with a counterpart: points, goals, normals [N, 3] (fixed frame) and weights [N]."""
    good = (normals * own).sum(axis=1) > agreement
    return points[good], goals[good], normals[good], np.full(int(good.sum()), share)


def _step(
    matrix: np.ndarray, rows: list[tuple[np.ndarray, ...]], floor: float
) -> tuple[np.ndarray, float]:
    """One Gauss-Newton step: the new matrix, and how far it moved the points, mm.

    Pairs farther apart than 4.685 robust standard deviations (``floor`` mm at least) do not
    count. What the surfaces do not determine, such as a turn of a sphere, stays as it is.
    """
    points, goals, normals, weights = (np.concatenate(part) for part in zip(*rows))
    if len(points) < 12:
        return matrix, 0.0
    distance = np.linalg.norm(goals - points, axis=1)
    limit = max(4.685 * 1.4826 * float(np.median(distance)), floor)
    weights = weights * np.clip(1 - (distance / limit) ** 2, 0, None) ** 2
    centre = np.average(points, axis=0, weights=weights)
    arm = points - centre
    reach = float(np.sqrt(np.average((arm**2).sum(axis=1), weights=weights)))
    jacobian = np.concatenate([np.cross(arm, normals) / reach, normals], axis=1)
    gap = ((goals - points) * normals).sum(axis=1)
    normal_matrix = (jacobian * weights[:, None]).T @ jacobian
    normal_matrix += 1e-4 * np.trace(normal_matrix) / 6 * np.eye(6)
    change = np.linalg.solve(normal_matrix, (jacobian * weights[:, None]).T @ gap)
    delta = turned(Rotation.from_rotvec(change[:3] / reach))
    delta[:3, 3] = centre + change[3:] - delta[:3, :3] @ centre
    return delta @ matrix, float(np.linalg.norm(change))

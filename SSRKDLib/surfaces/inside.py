"""Which points lie inside a surface: exact, by counting how often a ray crosses it.

Where two triangles share an edge, both reach the same verdict on which side of it a ray passes
(the arithmetic is the same to the last bit), so no ray slips through or is counted twice. The
answer is that of the triangles, to rounding; nothing is voxelised or smoothed.
"""

from __future__ import annotations

import numpy as np

from SSRKDLib.surfaces.mesh import Mesh

#: Pairs of a point and a triangle that are looked at together: bounds the memory.
_PAIRS_AT_ONCE = 1 << 21


def inside_mesh(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Whether points ``[N, 3]`` lie inside a surface, bool ``[N]``.

    Args:
        mesh: triangles, any orientation; open ends are capped (see :meth:`Mesh.capped`). Where
            it passes through itself, what is enclosed twice counts as outside.
        points: in the mesh's coordinates.
    """
    mesh = mesh.capped()
    points = np.asarray(points, dtype=np.float64)
    result = np.zeros(len(points), dtype=bool)
    if not len(mesh.faces):
        return result
    low, high = mesh.bounds
    near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    # Rays along the shortest edge of the bounding box, across a shaft, cross fewest triangles.
    ray = int(np.argmin(high - low))
    order = [axis for axis in range(3) if axis != ray] + [ray]
    columns = _Columns(mesh.vertices[:, order], mesh.faces)
    result[near] = columns.crossings_above(points[near][:, order]) % 2 == 1
    return result


class _Columns:
    """Triangles sorted into square columns along the third coordinate."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        # Edges run from the lower to the higher vertex number, whichever triangle asks.
        self.corners = vertices[np.sort(faces, axis=1)]
        flat = self.corners[:, :, :2]
        low, high = flat.min(axis=1), flat.max(axis=1)
        self.origin = low.min(axis=0)
        extent = high.max(axis=0) - self.origin
        self.pitch = max(float(np.median((high - low).max(axis=1))), float(extent.max()) / 1000)
        self.shape = np.floor(extent / self.pitch).astype(np.int64) + 1
        first = self._cell(low)
        count = self._cell(high) - first + 1
        entries = count.prod(axis=1)
        face = np.repeat(np.arange(len(faces)), entries)
        within = np.arange(len(face)) - np.repeat(np.cumsum(entries) - entries, entries)
        across = first[face, 0] + within % count[face, 0]
        along = first[face, 1] + within // count[face, 0]
        key = along * self.shape[0] + across
        order = np.argsort(key, kind="stable")
        self.face = face[order]
        self.start = np.searchsorted(key[order], np.arange(self.shape.prod() + 1))

    def _cell(self, flat: np.ndarray) -> np.ndarray:
        cell = np.floor((flat - self.origin) / self.pitch).astype(np.int64)
        return np.clip(cell, 0, self.shape - 1)

    def crossings_above(self, points: np.ndarray) -> np.ndarray:
        """How many triangles lie above each point ``[N, 3]`` along the third coordinate."""
        cell = self._cell(points[:, :2])
        key = cell[:, 1] * self.shape[0] + cell[:, 0]
        count = self.start[key + 1] - self.start[key]
        total = np.cumsum(count)
        crossings = np.zeros(len(points), dtype=np.int64)
        begin = 0
        while begin < len(points):
            done = total[begin - 1] if begin else 0
            end = max(int(np.searchsorted(total, done + _PAIRS_AT_ONCE, side="right")), begin + 1)
            part = np.arange(begin, end)
            point = np.repeat(part, count[part])
            within = np.arange(len(point)) - np.repeat(
                total[part] - count[part] - done, count[part]
            )
            face = self.face[self.start[key[point]] + within]
            above = point[_below(points[point], self.corners[face])]
            crossings += np.bincount(above, minlength=len(points))
            begin = end
        return crossings


def _below(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether each point ``[P, 3]`` has its own triangle ``[P, 3, 3]`` above it."""
    u, v, w = points.T
    within = np.zeros(len(points), dtype=bool)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        ua, va = corners[:, a, 0], corners[:, a, 1]
        ub, vb = corners[:, b, 0], corners[:, b, 1]
        # Half open, so that a ray through a vertex meets exactly two edges of a triangle.
        spans = (va > v) != (vb > v)
        with np.errstate(divide="ignore", invalid="ignore"):
            within ^= spans & (u < ua + (v - va) * ((ub - ua) / (vb - va)))
    hit = np.flatnonzero(within)
    a, b, c = np.moveaxis(corners[hit], 1, 0)
    normal = np.cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = ((points[hit, :2] - a[:, :2]) * normal[:, :2]).sum(axis=1) / normal[:, 2]
    height = np.where(np.isfinite(rise), a[:, 2] - rise, a[:, 2])
    # In a triangle that stands almost upright the plane is ill-defined; its own height is not.
    height = np.clip(height, corners[hit, :, 2].min(axis=1), corners[hit, :, 2].max(axis=1))
    within[hit] = height > w[hit]
    return within

"""Overlap of label maps, and of surfaces by way of voxels."""

from __future__ import annotations

import numpy as np

from SSRKDLib.core.errors import MeshError
from SSRKDLib.evaluation.regions import Region, as_region
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.voxelise import voxelise


def dice_masks(a: np.ndarray, b: np.ndarray) -> float:
    """Dice similarity 0..1 of two bool volumes on one grid; NaN where both are empty.

    All voxels of a grid have one size, so none enters. Raises
    :class:`~SSRKDLib.core.errors.MeshError` for volumes of different shapes.
    """
    _same_grid(a, b)
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero(a & b)) / total if total else float("nan")


def dice_mesh_in_mask(
    mesh: Mesh,
    mask: np.ndarray,
    index_to_lps: np.ndarray,
    region: np.ndarray | Region | None = None,
) -> float:
    """Dice similarity 0..1 of a surface's inside and a label map, on the label map's own grid.

    Args:
        mesh: mm; open ends are capped.
        mask: bool ``[k, j, i]``.
        index_to_lps: ``[4, 4]``, takes (i, j, k, 1) to mm, voxels of any size and direction.
        region: only voxels whose centres lie in it count. What lies outside the volume never
            counts: nothing is known there.

    Returns:
        NaN where neither has a voxel in the region.
    """
    region = as_region(region)
    in_index = mesh.transformed(np.linalg.inv(index_to_lps))
    bounds = np.concatenate([in_index.bounds, _extent(mask)])
    low = np.maximum(np.floor(bounds.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(bounds.max(axis=0)) + 1, mask.shape[::-1]).astype(int)
    if not (high > low).all():
        return float("nan")
    window = tuple(slice(start, stop) for start, stop in zip(low[::-1], high[::-1]))
    # A hair off whole indices, where a surface from the same voxels has its vertices.
    inside = voxelise(in_index, low + np.array([1.3e-5, 1.7e-5, 2.3e-5]), 1.0, high - low)
    evaluated = _centres_in(region, low, high, index_to_lps)
    return dice_masks(inside & evaluated, mask[window] & evaluated)


def dice_meshes(
    a: Mesh, b: Mesh, region: np.ndarray | Region | None = None, spacing: float = 0.5
) -> float:
    """Dice similarity 0..1 of the insides, on a grid of ``spacing`` mm within ``region``.

    Open ends are capped first (keep the region short of them: a cap across an oblique
    cut is a guess). NaN where neither has an inside in the region.
    """
    region = as_region(region)
    box = np.stack([np.minimum(a.bounds[0], b.bounds[0]), np.maximum(a.bounds[1], b.bounds[1])])
    box = np.stack([np.maximum(box[0], region.box[0]), np.minimum(box[1], region.box[1])])
    size = np.maximum(np.ceil((box[1] - box[0]) / spacing), 0)
    if not np.isfinite(size).all() or not size.all():
        return float("nan")
    # Voxel centres half a voxel inside, and a hair off round coordinates, where vertices
    # tend to lie and the scan conversion would have to break ties.
    origin = box[0] + spacing * (0.5 + np.array([1.3e-3, 1.7e-3, 2.3e-3]))
    size = size.astype(int)
    inside_a, inside_b = voxelise(a, origin, spacing, size), voxelise(b, origin, spacing, size)
    if len(region.planes):
        to_mm = np.diag([spacing, spacing, spacing, 1.0])
        to_mm[:3, 3] = origin
        evaluated = _centres_in(region, np.zeros(3, dtype=int), size, to_mm)
        inside_a, inside_b = inside_a & evaluated, inside_b & evaluated
    return dice_masks(inside_a, inside_b)


def _centres_in(
    region: Region, low: np.ndarray, high: np.ndarray, index_to_mm: np.ndarray
) -> np.ndarray:
    """Which voxels from index ``low`` to ``high`` have their centres in ``region``, [k, j, i]."""
    # A plane seen from the indices is a plane: it leaves of each row what lies on one side of a
    # place, all of it or nothing.
    i, j, k = (np.arange(start, stop) for start, stop in zip(low, high))
    first, last = (np.full((len(k), len(j)), limit) for limit in (-np.inf, np.inf))
    for side in region.sides():
        gradient, offset = side[:3] @ index_to_mm[:3, :3], side[3] - side[:3] @ index_to_mm[:3, 3]
        needed = offset - gradient[2] * k[:, None] - gradient[1] * j
        if gradient[0] > 0:
            first = np.maximum(first, needed / gradient[0])
        elif gradient[0] < 0:
            last = np.minimum(last, needed / gradient[0])
        else:
            first[needed > 0] = np.inf
    return (i >= first[..., None]) & (i <= last[..., None])


def _extent(mask: np.ndarray) -> np.ndarray:
    """Lowest and highest index (i, j, k) of the voxels that are set, [2, 3]; [0, 3] if none."""
    ends = []
    for axis in (2, 1, 0):
        used = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        if not len(used):
            return np.empty((0, 3))
        ends.append([used[0], used[-1]])
    return np.array(ends).T


def _same_grid(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise MeshError(
            "Volumes of {a_shape} and {b_shape} voxels cannot be compared voxel by voxel.",
            "Bring both onto one grid.",
            a_shape=a.shape,
            b_shape=b.shape,
        )

"""A forward projector in torch: any view, any affine, differentiable, CPU and CUDA.

Method: P. M. Joseph, "An improved algorithm for reprojecting rays through pixel images", IEEE
Trans. Med. Imaging 1(3), 1982. Along each ray the volume is sampled once per slice of the ray's
own driving axis (the index axis along which the ray moves fastest), each sample interpolated
bilinearly within its slice and weighted by the ray's length from slice to slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.views import View

#: Samples taken at a time: bounds the memory of the sampling grid (two numbers a sample).
_SAMPLES_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class Volume:
    """Linear attenuation on a regular grid.

    Attributes:
        values: ``[k, j, i]`` floating-point tensor, 1/mm.
        index_to_world: 4x4, world ``(x, y, z, 1)`` = ``M @ (i, j, k, 1)``, LPS mm (or the rig's
            frame). Anisotropic, oblique, sheared and mirrored grids are allowed.
    """

    values: torch.Tensor
    index_to_world: np.ndarray

    def __post_init__(self) -> None:
        matrix = np.asarray(self.index_to_world, dtype=np.float64)
        if self.values.ndim != 3 or not self.values.is_floating_point():
            raise GeometryError(
                "The volume is not a 3-D array of real numbers.", "Give values as [k, j, i] floats."
            )
        usable = matrix.shape == (4, 4) and np.isfinite(matrix).all()
        if not usable or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise GeometryError(
                "The volume's index_to_world is not an invertible 4x4 matrix.",
                "Give the affine from (i, j, k) to millimetres.",
            )
        object.__setattr__(self, "index_to_world", matrix)

    @property
    def spacing(self) -> np.ndarray:
        """Voxel edges along i, j and k, ``(3,)`` mm."""
        return np.linalg.norm(self.index_to_world[:3, :3], axis=0)

    @property
    def centre(self) -> np.ndarray:
        """World point of the grid's middle, ``(3,)`` mm."""
        middle = (np.array(self.values.shape[::-1]) - 1) / 2
        return self.index_to_world[:3, :3] @ middle + self.index_to_world[:3, 3]


def project(volume: Volume, view: View) -> torch.Tensor:
    """Line integrals of the volume along the rays from the source to every pixel.

    The volume is zero beyond its voxels. At its rim, Joseph's method ramps: within a slice the
    value falls to zero over the voxel's width outside the outermost voxel centres, and along the
    driving axis the outermost slices count with the full distance between slices. So a volume
    covers its voxels' full extent on the whole, and a constant one keeps its mass. Only what lies
    between the source and the detector attenuates.

    Args:
        volume: ``[k, j, i]`` values in 1/mm, with their affine.
        view: source and detector in the volume's world frame.

    Returns:
        ``[rows, columns]`` tensor without unit, of the values' type and device; differentiable
        with respect to ``volume.values``.
    """
    columns, rows = view.size
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
    return _rays(volume, view, grid).reshape(rows, columns)


def _rays(volume: Volume, view: View, image_points: np.ndarray) -> torch.Tensor:
    """Line integrals ``[n]`` through image points ``[n, 2]`` (column, row)."""
    world_to_index = np.linalg.inv(volume.index_to_world)
    targets = view.points_on_detector(image_points)
    spots = view.focal_spots(targets)
    source = spots @ world_to_index[:3, :3].T + world_to_index[:3, 3]
    ray = (targets - spots) @ world_to_index[:3, :3].T
    length = np.linalg.norm(targets - spots, axis=1)
    driving = np.abs(ray).argmax(1)
    result = volume.values.new_zeros(len(image_points))
    for axis in range(3):
        chosen = np.flatnonzero(driving == axis)
        if len(chosen):
            sums = _along(volume.values, source[chosen], ray[chosen], axis)
            step = length[chosen] / np.abs(ray[chosen, axis])
            index = torch.from_numpy(chosen).to(result.device)
            result = result.index_put((index,), sums * _tensor(step, sums))
    return result


def _along(values: torch.Tensor, source: np.ndarray, ray: np.ndarray, axis: int) -> torch.Tensor:
    """Sums ``[n]`` of one bilinear sample per slice of the driving axis.

    ``source`` [n, 3] and ``ray`` [n, 3] (source to detector) are in index coordinates (i, j, k).
    """
    # A slice's own axes, as grid_sample names them: the faster one is its width.
    width_axis, height_axis = (other for other in (0, 1, 2) if other != axis)
    slices = values.movedim(2 - axis, 0)
    count, height, width = slices.shape
    size = np.array([width, height])
    slope = ray[:, [width_axis, height_axis]] / ray[:, axis : axis + 1]
    # Positions are kept relative to the middle slice in double precision, so that single
    # precision loses nothing to the source's distance.
    middle = (count - 1) / 2
    before = middle - source[:, axis]
    at_middle = source[:, [width_axis, height_axis]] + before[:, None] * slope
    base = _tensor((2 * at_middle + 1) / size - 1, values)
    per_slice = _tensor(2 * slope / size, values)
    fraction = _tensor(before / ray[:, axis], values)
    fraction_per_slice = _tensor(1 / ray[:, axis], values)
    total = values.new_zeros(len(ray))
    at_once = max(1, _SAMPLES_AT_ONCE // len(ray))
    for start in range(0, count, at_once):
        stop = min(count, start + at_once)
        offset = torch.arange(start, stop, device=values.device, dtype=values.dtype) - middle
        grid = base + offset[:, None, None] * per_slice
        along = fraction + offset[:, None] * fraction_per_slice
        # Slices across the memory's order are copied: sampling them where they lie is slower.
        chunk = slices[start:stop, None].contiguous()
        sampled = functional.grid_sample(chunk, grid[:, None], align_corners=False)[:, 0, 0]
        total = total + (sampled * ((along > 0) & (along < 1))).sum(0)
    return total


def _tensor(array: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(like)

"""The grid on which networks take a CT, for inference and training alike.

Values are clip((HU + 400) / 900, 0, 1) in bytes, each voxel the mean of eight samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from SSRKDLib.core.boxes import bounding_box, box_corners
from SSRKDLib.core.errors import ImageError
from SSRKDLib.ct.hounsfield import AIR_HU, windowed
from SSRKDLib.ct.reading import CtScan

#: Voxels by which the CT's last slices are repeated beyond its ends, so that a shaft goes on there
#: for the network and can be cut where the CT ends; farther out there is air.
BEYOND = 3

#: Longest and shortest edge of a CT that may show a knee, mm.
_EDGES_MM = (20.0, 3000.0)

#: What is held per voxel of the grid takes 9 bytes: 2.3 GB. Both legs at 1 mm fit.
LARGEST_GRID = 250_000_000

#: Voxels that are sampled at once, with eight samples of 4 bytes for each: 67 MB, and copies.
_AT_ONCE = 1 << 21


@dataclass(frozen=True, eq=False)
class CtGrid:
    """A regular grid over a CT.

    Attributes:
        scan: the CT.
        shape: voxels (k, j, i).
        index_to_lps: 4x4, takes (i, j, k, 1) of the grid to LPS mm.
    """

    scan: CtScan
    shape: tuple[int, int, int]
    index_to_lps: np.ndarray

    @classmethod
    def isotropic(cls, scan: CtScan, voxel: float) -> CtGrid:
        """Cubic voxels of ``voxel`` mm along the patient's axes, over all of the CT.

        Raises:
            ImageError: the CT has a size that no CT of a knee has, or is too large for the memory.
        """
        _check_size(scan)
        corners = box_corners([[0, 0, 0], np.array(scan.hounsfield.shape[::-1]) - 1])
        corners = corners @ scan.index_to_lps[:3, :3].T + scan.index_to_lps[:3, 3]
        low, high = bounding_box(corners)
        count = np.ceil((high - low) / voxel).astype(int) + 1 + 2 * BEYOND
        total = float(np.prod(count, dtype=np.float64))
        if total > LARGEST_GRID:
            size = " x ".join(f"{edge:.0f}" for edge in high - low)
            raise ImageError(
                "The CT is too large: {size} mm are {total:.0f} million voxels of {voxel:g} mm.",
                "Crop it to the knee, then try again.",
                size=size,
                total=total / 1000000.0,
                voxel=voxel,
            )
        affine = np.diag([voxel, voxel, voxel, 1.0])
        affine[:3, 3] = (low + high) / 2 - voxel * (count - 1) / 2
        return cls(scan, tuple(int(n) for n in count[::-1]), affine)

    @classmethod
    def stretched(cls, scan: CtScan, size: int) -> CtGrid:
        """``size`` voxels along each of the CT's own axes, whatever their lengths.

        The axes are brought into the order and direction that is nearest to the patient's; the
        outer faces of the CT become those of the grid, and :data:`BEYOND` voxels come around it.

        Raises:
            ImageError: the CT has a size that no CT of a knee has.
        """
        _check_size(scan)
        turn = _nearest_axes(scan.index_to_lps[:3, :3] / scan.spacing)
        shape = np.array(scan.hounsfield.shape[::-1])
        # From the grid to the CT's indices: turn, stretch, and the middles on each other.
        to_scan = np.eye(4)
        to_scan[:3, :3] = turn.T * (shape / size)[:, None]
        to_scan[:3, 3] = (shape - 1) / 2 - to_scan[:3, :3] @ np.full(3, (size - 1) / 2 + BEYOND)
        return cls(scan, (size + 2 * BEYOND,) * 3, scan.index_to_lps @ to_scan)

    @property
    def voxel(self) -> np.ndarray:
        """Edges of a voxel along i, j and k, ``(3,)`` mm."""
        return np.linalg.norm(self.index_to_lps[:3, :3], axis=0)

    def network_values(self, progress: Callable[[float], None] | None = None) -> np.ndarray:
        """The CT as networks take it: uint8 ``[k, j, i]``, 0 to 255 for -400 to 500 HU.

        Args:
            progress: called with the share that is done; what it raises ends the work.
        """
        values = np.empty(self.shape, np.uint8)
        for part in self.parts():
            if progress is not None:
                progress(part.planes.start / len(values))
            values[part.planes] = part.values
        return values

    def parts(self) -> Iterator[GridPart]:
        """The grid, a few planes at a time, from the first to the last."""
        depth, height, width = self.shape
        planes = max(1, _AT_ONCE // (height * width))
        for start in range(0, depth, planes):
            stop = min(start + planes, depth)
            yield GridPart(slice(start, stop), self, self._sampled(start, stop - start))

    def _sample_matrix(self, start: int) -> np.ndarray:
        """4x4, indices (i, j, k) of the CT from those of the samples of planes from ``start`` on:
        two along each edge of a voxel, a quarter of the edge from its middle."""
        fine = np.diag([0.5, 0.5, 0.5, 1.0])
        fine[:3, 3] = np.array([0, 0, start]) - 0.25
        return self._to_scan() @ fine

    def _sampled(self, start: int, count: int) -> np.ndarray:
        """Hounsfield units at the samples of ``count`` planes from ``start`` on."""
        from scipy import ndimage

        matrix = self._sample_matrix(start)
        # Along axes that become coarser the CT is smoothed first, so that nothing is skipped.
        sigma = np.maximum(np.abs(matrix[:3, :3]).max(axis=1) - 1, 0) / 2
        samples = tuple(2 * n for n in (count, *self.shape[1:]))
        values, first = self._cut_out(matrix, samples, np.ceil(4 * sigma) + 1)
        if sigma.any():
            values = ndimage.gaussian_filter(values, sigma[::-1], mode="nearest")
        # From (i, j, k) to the arrays' own order.
        return ndimage.affine_transform(
            values, matrix[2::-1, 2::-1], (matrix[:3, 3] - first)[::-1], samples,
            order=1, mode="nearest", output=np.float32,
        )  # fmt: skip

    def margin(self, points: np.ndarray) -> np.ndarray:
        """How far points ``[N, 3]`` (i, j, k of the grid) lie inside the CT's outermost voxels'
        middles, ``[N]`` voxels of the grid; negative outside. ``clip`` for ``surface.extract``."""
        to_scan = self._to_scan()
        where = points @ to_scan[:3, :3].T + to_scan[:3, 3]
        last = np.array(self.scan.hounsfield.shape[::-1]) - 1
        return (np.minimum(where, last - where) / _steps(to_scan)).min(axis=1)

    def _to_scan(self) -> np.ndarray:
        """4x4, indices (i, j, k) of the CT from those of the grid."""
        return np.linalg.inv(self.scan.index_to_lps) @ self.index_to_lps

    def _cut_out(
        self, matrix: np.ndarray, samples: tuple[int, int, int], around: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The part of the CT that samples need, float32, and its first voxel (i, j, k).

        Args:
            matrix: the CT's indices (i, j, k) of the samples'.
            samples: how many along k, j, i.
            around: further voxels of the CT along i, j, k.
        """
        shape = np.array(self.scan.hounsfield.shape[::-1])
        ends = box_corners([[0, 0, 0], np.array(samples[::-1]) - 1])
        low, high = bounding_box(ends @ matrix[:3, :3].T + matrix[:3, 3])
        low = np.clip(np.floor(low) - around, 0, shape - 1).astype(int)
        high = np.clip(np.ceil(high) + around, 0, shape - 1).astype(int)
        part = tuple(slice(a, b + 1) for a, b in zip(low[::-1], high[::-1]))
        return np.maximum(self.scan.hounsfield[part], np.float32(AIR_HU)), low

    def _beyond(
        self, matrix: np.ndarray, shape: tuple[int, int, int], reach: np.ndarray, first: int = 0
    ) -> np.ndarray:
        """Which points lie beyond the middles of the CT's outermost voxels by more than ``reach``.

        Args:
            matrix: the CT's indices (i, j, k) of the points'.
            shape: of the points, k, j, i.
            reach: voxels of the CT along i, j, k.
            first: index k of the first point.

        Returns:
            bool of ``shape``.
        """
        beyond = np.zeros(shape, bool)
        k, j, i = np.ogrid[first : first + shape[0], : shape[1], : shape[2]]
        for row, far, count in zip(matrix, reach, self.scan.hounsfield.shape[::-1]):
            where = row[0] * i + row[1] * j + row[2] * k + row[3]
            beyond |= (where < -far) | (where > count - 1 + far)
        return beyond


@dataclass(frozen=True, eq=False)
class GridPart:
    """Some planes of a grid. Each voxel is represented by eight samples.

    Attributes:
        planes: which, of the grid's k.
        grid: the whole.
        hounsfield: the samples, float32 ``[2 k, 2 j, 2 i]``; outside the CT the nearest voxel's.
    """

    planes: slice
    grid: CtGrid
    hounsfield: np.ndarray

    @cached_property
    def window(self) -> np.ndarray:
        """The samples as networks take them, 0 to 1: see :func:`~SSRKDLib.ct.hounsfield.windowed`;
        farther than :data:`BEYOND` voxels outside the CT there is air."""
        window = windowed(self.hounsfield)
        to_scan, shape = self.grid._to_scan(), tuple(n // 2 for n in window.shape)
        # Half a voxel more: the grid's ends are no whole number of voxels from the CT's.
        reach = (BEYOND + 0.5) * _steps(to_scan)
        air = self.grid._beyond(to_scan, shape, reach, self.planes.start)
        _by_voxel(window).transpose(0, 2, 4, 1, 3, 5)[air] = 0
        return window

    @property
    def values(self) -> np.ndarray:
        """The voxels as networks take them, uint8 ``[k, j, i]``."""
        return np.rint(255 * _by_voxel(self.window).mean(axis=(1, 3, 5))).astype(np.uint8)

    @property
    def outside(self) -> np.ndarray:
        """Which samples lie outside the CT's voxels, bool ``[2 k, 2 j, 2 i]``."""
        matrix = self.grid._sample_matrix(self.planes.start)
        return self.grid._beyond(matrix, self.hounsfield.shape, np.full(3, 0.5))


def _by_voxel(samples: np.ndarray) -> np.ndarray:
    """A view ``[k, 2, j, 2, i, 2]`` of samples ``[2 k, 2 j, 2 i]``."""
    return samples.reshape([n for size in samples.shape for n in (size // 2, 2)])


def _steps(to_scan: np.ndarray) -> np.ndarray:
    """Voxels of the CT along i, j, k that are one voxel of the grid."""
    return np.linalg.norm(to_scan[:3, :3], axis=1)


def _check_size(scan: CtScan) -> None:
    edges = scan.spacing * scan.hounsfield.shape[::-1]
    if not (
        np.isfinite(edges).all() and _EDGES_MM[0] <= edges.min() <= edges.max() <= _EDGES_MM[1]
    ):
        size = " x ".join(f"{edge:.3g}" for edge in edges)
        raise ImageError(
            "The CT measures {size} mm, which no CT of a knee does.",
            "Check its voxel spacing, which must be in millimetres.",
            size=size,
        )


def _nearest_axes(direction: np.ndarray) -> np.ndarray:
    """The signed permutation ``[3, 3]`` that is nearest to unit columns ``[3, 3]``."""
    best = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(abs(direction[row, column]) for column, row in enumerate(order)),
    )
    nearest = np.zeros((3, 3))
    for column, row in enumerate(best):
        nearest[row, column] = np.sign(direction[row, column]) or 1.0
    return nearest

"""Coarse-to-fine evaluation of the bones' field on a regular grid, all bones in one pass.

A field answers, for any point, one value per bone, positive inside. Surfaces fill a few per cent of
a grid, so the grid is walked from large cells to small ones and only cells that a surface may cross
are divided. What is never visited lies far from every surface; it is interpolated from the corners
of the cell that was not divided. (Octree refinement as in occupancy networks, Mescheder et al.,
CVPR 2019, with a bound on the distance in place of a guess where the values are distances.)

NumPy only: whoever calls brings the network as a function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

from SSRKDLib.models.interface import Query

#: Points per call of the query: bounds the memory of its intermediate results.
CHUNK = 32768

#: A cell whose corners have one sign is divided when one of them is closer to a surface than
#: ``SAFETY`` times half the cell's diagonal. With 1 no true distance field loses anything: every
#: point of a cell has a corner within half a diagonal. A network that is trained on the side of
#: the surface answers with less than the distance where it is unsure, which errs on the safe side
#: (0.75 lost no label on the held-out people either). Half the diagonal of an 8 mm cell, 6.9 mm,
#: stays below the cut-off of 12 mm.
SAFETY = 1.0

#: Value of nodes that ``inside`` kept from being visited; less than any distance or margin.
NOT_SEEN = -1000.0


class EmptyRegionError(ValueError):
    """Nothing of the grid lies in the region of interest."""


@dataclass(frozen=True)
class FieldGrid:
    """A field on a regular grid.

    Attributes:
        values: ``[bones, k, j, i]`` float32, positive inside: mm or logit margins, as the query.
        origin: position of node ``[0, 0, 0]``, ``(3,)`` mm (x, y, z); x grows with i, z with k.
        spacing: mm between nodes, the same along each axis.
        visited: points that were queried.
        total: nodes of the grid.
    """

    values: np.ndarray
    origin: np.ndarray
    spacing: float
    visited: int
    total: int


def labels(grid: FieldGrid) -> np.ndarray:
    """Label map ``[k, j, i]`` uint8: ``k + 1`` where bone k has the largest positive value."""
    best = grid.values.argmax(axis=0).astype(np.uint8)
    return np.where((grid.values > 0).any(axis=0), best + 1, 0).astype(np.uint8)


def evaluate(
    query: Query,
    low: np.ndarray,
    high: np.ndarray,
    spacing: float,
    factor: int = 8,
    band: str | None = None,
    progress: Callable[[float], None] | None = None,
    inside: Callable[[np.ndarray], np.ndarray] | None = None,
) -> FieldGrid:
    """Evaluate a field on the grid from ``low`` to ``high``.

    The limit of the method: with ``band=None`` a bone (or a piece of one) that is thinner than
    the first cells, ``factor * spacing`` mm, can fit between the points looked at and be missed;
    thicker ones are not. With ``band="metric"`` not even thin ones are, as long as the values are
    distances to within :data:`SAFETY`.

    Args:
        query: points ``[N, 3]`` float64 mm to values ``[N, bones]``, positive inside.
        low: corner of the grid, ``(3,)`` mm; the position of the first node.
        high: opposite corner, ``(3,)`` mm; the last node lies there or less than a spacing beyond.
        spacing: mm between nodes.
        factor: size of the first cells in spacings, a power of two.
        band: ``"metric"`` when values are signed distances in mm (they may be cut off at
            ``SAFETY`` times half the diagonal of the first cells or more), None when only their
            signs count (margins of a classifier). Then cells whose corners disagree are
            divided, and their neighbours, on every level; of the first cells the centres are
            looked at as well, or a rod 1.4 times as thick as they are could run between them.
        progress: told the share that is done, 0 to 1; what it raises (``Cancelled``) ends the
            evaluation.
        inside: points ``[N, 3]`` mm to bool ``[N]``, the region of interest (convex, and no
            thinner than the first cells). Cells farther from it than one of the first cells are
            never visited and get :data:`NOT_SEEN`. Near its border the values carry on, so
            that a surface can be cut there (``surface.extract``'s ``clip``) and stay open.

    Raises:
        EmptyRegionError: no node of the grid is ``inside``.
        ValueError: impossible box, spacing, factor or band.
    """
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if low.shape != (3,) or high.shape != (3,) or not (high > low).all() or not spacing > 0:
        raise ValueError("low and high must be opposite corners, and spacing must be positive")
    if factor < 1 or factor & (factor - 1) or band not in ("metric", None):
        raise ValueError("factor must be a power of two, and band 'metric' or None")
    nodes = np.ceil((high - low) / spacing - 1e-6).astype(int)[::-1] + 1
    cells = -(-(nodes - 1) // factor)
    walk = _Walk(query, low, spacing, factor, progress)

    allowed = np.ones(cells, bool)
    if inside is not None:
        seen = inside(walk.positions(np.argwhere(np.ones(cells + 1, bool)), factor))
        # From a node to the cells around it, and on to their neighbours.
        near = _nodes_of(_over_corners(np.logical_or, seen.reshape(cells + 1)))
        allowed = _over_corners(np.logical_or, near)
    known = _nodes_of(allowed)
    centres = None
    if band is None:
        centres = walk.fill(None, allowed, factor, shift=0.5)
    values = walk.fill(None, known, factor)
    step = factor
    while step > 1:
        chosen = _crossed(values, centres, step * spacing, band) & allowed
        centres = None
        step //= 2
        allowed = _twice(allowed)
        values, known = _refined(values), _spread(known)
        wanted = _nodes_of(_twice(chosen))
        values = walk.fill(values, wanted & ~known, step)
        known |= wanted
    k, j, i = nodes
    return FieldGrid(
        values=np.ascontiguousarray(values[:, :k, :j, :i]),
        origin=low,
        spacing=float(spacing),
        visited=walk.visited,
        total=int(nodes.prod()),
    )


class _Walk:
    """Queries in chunks, counted, with progress."""

    def __init__(
        self,
        query: Query,
        low: np.ndarray,
        spacing: float,
        factor: int,
        progress: Callable[[float], None] | None,
    ) -> None:
        self.query, self.low, self.spacing = query, low, spacing
        self.factor, self.progress = factor, progress
        self.visited, self.told = 0, 0.0

    def positions(self, indices: np.ndarray, step: int) -> np.ndarray:
        """Positions ``[N, 3]`` mm of nodes ``[N, 3]`` (k, j, i) of the level ``step``."""
        return self.low + indices[:, ::-1] * (step * self.spacing)

    def fill(
        self, values: np.ndarray | None, wanted: np.ndarray, step: int, shift: float = 0.0
    ) -> np.ndarray:
        """``values [bones, k, j, i]`` (made when None) with the field at the nodes ``wanted``, or
        at places shifted by a part of a cell, written into it."""
        places = np.flatnonzero(wanted)
        for start in range(0, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            indices = np.stack(np.unravel_index(chunk, wanted.shape), axis=1)
            answer = np.asarray(self.query(self.positions(indices + shift, step)), dtype=np.float32)
            if values is None:
                values = np.full((answer.shape[1], *wanted.shape), NOT_SEEN, np.float32)
            values.reshape(len(values), -1)[:, chunk] = answer.T
            self.visited += len(chunk)
            self._report(step, (start + len(chunk)) / len(places))
        if values is None:
            raise EmptyRegionError("the grid and the region of interest have no point in common")
        if not len(places):
            self._report(step, 1.0)
        return values

    def _report(self, step: int, share: float) -> None:
        """Surfaces have four times as many nodes on each finer level: so has the work."""
        if self.progress is not None:
            level = (self.factor // step) ** 2
            before = (level - 1) / 3
            share = (before + share * level) / ((4 * self.factor**2 - 1) / 3)
            self.told = max(self.told, share)
            self.progress(self.told)


def _crossed(
    values: np.ndarray, centres: np.ndarray | None, cell_mm: float, band: str | None
) -> np.ndarray:
    """Which cells ``[k, j, i]`` a surface may cross, from the values at their corners and, where
    these were looked at, their centres."""
    codes = _codes(values)
    some, every = (_over_corners(op, codes) for op in (np.bitwise_or, np.bitwise_and))
    if centres is not None:
        inner = _codes(centres)
        some, every = some | inner, every & inner
    crossed = some != every
    if band is None:
        return _over_corners(np.logical_or, _nodes_of(crossed))
    nearest = _over_corners(np.minimum, np.abs(values).min(axis=0))
    crossed |= nearest < SAFETY * cell_mm * np.sqrt(3) / 2
    # Where distances claim a point for two bones, the border between the bones is no zero.
    return crossed | (some & (some - (some > 0).astype(np.uint32)) > 0)


def _codes(values: np.ndarray) -> np.ndarray:
    """Which bones are positive, a bit for each."""
    codes = np.zeros(values.shape[1:], np.uint32)
    for bone, value in enumerate(values):
        codes |= (value > 0).astype(np.uint32) << np.uint32(bone)
    return codes


def _over_corners(combine: np.ufunc, nodes: np.ndarray) -> np.ndarray:
    """One value per cell from the values ``[k, j, i]`` at its eight corners."""
    for _ in range(3):
        # Three turns of the axes later they are back in order.
        nodes = np.moveaxis(combine(nodes[:-1], nodes[1:]), 0, 2)
    return nodes


def _nodes_of(cells: np.ndarray) -> np.ndarray:
    """Which nodes are corners of one of the ``cells`` (bool ``[k, j, i]``)."""
    for axis in range(3):
        shape = list(cells.shape)
        shape[axis] += 1
        nodes = np.zeros(shape, bool)
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        nodes[tuple(ahead)] = cells
        nodes[tuple(behind)] |= cells
        cells = nodes
    return cells


def _twice(cells: np.ndarray) -> np.ndarray:
    """Each cell as the eight that it is divided into."""
    return cells.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)


def _spread(nodes: np.ndarray) -> np.ndarray:
    """Nodes of a level, marked on the next finer one."""
    finer = np.zeros([2 * n - 1 for n in nodes.shape], bool)
    finer[::2, ::2, ::2] = nodes
    return finer


def _refined(values: np.ndarray) -> np.ndarray:
    """Values ``[bones, k, j, i]`` on the next finer level, between nodes linearly interpolated."""
    finer = np.empty((len(values), *(2 * n - 1 for n in values.shape[1:])), np.float32)
    for new, old in zip(finer, values):
        new[::2, ::2, ::2] = old
        new[1::2, ::2, ::2] = (old[:-1] + old[1:]) / 2
        new[:, 1::2, ::2] = (new[:, :-2:2, ::2] + new[:, 2::2, ::2]) / 2
        new[:, :, 1::2] = (new[:, :, :-2:2] + new[:, :, 2::2]) / 2
    return finer

"""Projected triangles on a pixel grid."""

from __future__ import annotations

import numpy as np

from SSRKDLib.geometry.views import View


def column_spans(
    image_points: np.ndarray, faces: np.ndarray, columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where projected triangles cross the pixel columns of an image.

    Args:
        image_points: ``[N, 2]`` (column, row) pixels.
        faces: ``[M, 3]``.
        columns: number of columns of the image.

    Returns:
        Face index, column, lower and upper row of the crossing (pixels, not rounded), one entry
        for each pair of a triangle and a column that it crosses. Shared edges give the same rows
        to both their triangles, to the last bit.
    """
    x = image_points[:, 0][faces]
    first = np.clip(np.ceil(x.min(1)), 0, columns).astype(np.int64)
    last = np.clip(np.ceil(x.max(1)), 0, columns).astype(np.int64)  # exclusive
    counts = np.maximum(last - first, 0)
    face = np.repeat(np.arange(len(faces)), counts)
    offset = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = first[face] + offset

    low = np.full(len(face), np.inf)
    high = np.full(len(face), -np.inf)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        # A canonical direction per edge makes the arithmetic identical for both its triangles.
        start = np.minimum(faces[:, a], faces[:, b])
        end = np.maximum(faces[:, a], faces[:, b])
        x0, y0 = image_points[start].T
        x1, y1 = image_points[end].T
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (y1 - y0) / (x1 - x0)
        row = y0[face] + (column - x0[face]) * slope[face]
        # Half open, so that a column through a vertex meets exactly two edges of a triangle.
        crosses = (np.minimum(x0, x1)[face] < column) & (column <= np.maximum(x0, x1)[face])
        low = np.where(crosses, np.minimum(low, row), low)
        high = np.where(crosses, np.maximum(high, row), high)
    crossed = low <= high
    return face[crossed], column[crossed], low[crossed], high[crossed]


def within_curves(starts: np.ndarray, ends: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Pixels whose centre lies within closed curves, bool ``[rows, columns]``.

    Args:
        starts, ends: ``[N, 2]`` (column, row) pixels of the curves' directed segments, in any
            order. A pixel lies within where the curves run round it, whichever way.
    """
    (x0, y0), (x1, y1) = starts.T, ends.T
    first = np.clip(np.ceil(np.minimum(x0, x1)), 0, columns).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(x0, x1)), 0, columns).astype(np.int64)  # exclusive
    counts = last - first
    segment = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(len(segment)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (y1 - y0) / (x1 - x0)
    row = y0[segment] + (column - x0[segment]) * slope[segment]
    row = np.clip(np.ceil(row), 0, rows).astype(np.int64)
    turns = np.bincount(
        column * (rows + 1) + row, np.where(x1 > x0, 1.0, -1.0)[segment], columns * (rows + 1)
    )
    return turns.reshape(columns, rows + 1)[:, :rows].cumsum(1).T != 0


def silhouette(vertices: np.ndarray, faces: np.ndarray, view: View) -> np.ndarray:
    """Pixels whose centre a surface covers, bool ``[rows, columns]``.

    Args:
        vertices: ``[N, 3]`` mm, in the view's coordinates.
        faces: ``[M, 3]``; the surface may be open.
        view: the view.
    """
    columns, rows = view.size
    image_points = view.project(vertices)
    faces = faces[np.isfinite(image_points[:, 0])[faces].all(1)]
    _, column, low, high = column_spans(np.nan_to_num(image_points), faces, columns)
    first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(high), 0, rows).astype(np.int64)
    size = (rows + 1) * columns
    covered = np.bincount(first * columns + column, minlength=size) - np.bincount(
        last * columns + column, minlength=size
    )
    return covered.reshape(rows + 1, columns)[:rows].cumsum(0) > 0

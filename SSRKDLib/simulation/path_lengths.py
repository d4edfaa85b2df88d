"""Path lengths of X-rays through closed triangle meshes, by rasterisation.

For a closed surface the path length along a ray is the signed sum of the depths at which the ray
crosses it: exits count positive, entries negative. Each projected triangle is filled column by
column; within a column its depth is affine in the row, so one triangle needs two entries in a
difference array instead of one per pixel. Cost grows with triangles, hardly with pixels.

Depth is interpolated affinely inside a projected triangle. The exact depth is a ratio of affine
functions; for triangles of a few millimetres at a metre from the source they differ by less than
0.01 mm, and the interpolant is continuous across edges, so no ray leaks.
"""

from __future__ import annotations

import numpy as np

from SSRKDLib.geometry.rasterise import column_spans
from SSRKDLib.geometry.views import View

#: Projected triangles of less than half this area, square pixels, are grazed by the rays.
_GRAZED_PIXELS = 1e-6


def path_lengths(surfaces: list[tuple[np.ndarray, np.ndarray]], view: View) -> np.ndarray:
    """Length of each pixel's ray inside each of several closed meshes.

    Args:
        surfaces: ``(vertices [N, 3] mm, faces [M, 3])``, in front of the source, outward (inward
            faces give negative lengths).
        view: the view.

    Returns:
        ``[surfaces, rows, columns]`` float32, mm.
    """
    columns, rows = view.size
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
    ends = view.points_on_detector(grid)
    to_detector = np.linalg.norm(ends - view.focal_spots(ends), axis=-1)
    return np.stack(
        [(to_detector * _depth_inside(*surface, view)).astype(np.float32) for surface in surfaces]
    )


def _depth_inside(vertices: np.ndarray, faces: np.ndarray, view: View) -> np.ndarray:
    """As :func:`path_lengths` for one mesh, as a fraction of the ray from source to detector."""
    columns, rows = view.size
    depth, image_points = view.depths(vertices), view.project(vertices)

    corner_rows = image_points[:, 1][faces]
    faces = faces[(corner_rows.max(1) > -1) & (corner_rows.min(1) < rows)]
    face, column, low, high = column_spans(image_points, faces, columns)

    a, b, c = (image_points[faces[:, k]] for k in range(3))
    da, db, dc = (depth[faces[:, k]] for k in range(3))
    u, v = b - a, c - a
    doubled_area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        along_column = ((db - da) * v[:, 1] - (dc - da) * u[:, 1]) / doubled_area
        along_row = ((dc - da) * u[:, 0] - (db - da) * v[:, 0]) / doubled_area
    # A face that the rays graze, as a level one in a slot scanner, has a depth and no slopes.
    grazed = np.abs(doubled_area) < _GRAZED_PIXELS
    along_column, along_row = (np.where(grazed, 0, one) for one in (along_column, along_row))
    # Exit faces (turned away from the source) add their depth, entry faces subtract it. Which
    # winding is which depends on whether the image is mirrored.
    sign = np.sign(doubled_area) * np.sign(np.linalg.det(view.ray_matrix))
    constant = da - along_column * a[:, 0] - along_row * a[:, 1]
    constant = np.where(grazed, (da + db + dc) / 3, constant)

    first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(high), 0, rows).astype(np.int64)
    covered = (last > first) & (doubled_area[face] != 0)
    face, column, first, last = face[covered], column[covered], first[covered], last[covered]
    level = sign[face] * (constant[face] + along_column[face] * column)
    tilt = sign[face] * along_row[face]
    size = (rows + 1) * columns
    start, stop = first * columns + column, last * columns + column
    index = np.concatenate([start, stop])

    def filled(amount: np.ndarray) -> np.ndarray:
        steps = np.bincount(index, np.concatenate([amount, -amount]), minlength=size)
        return steps.reshape(rows + 1, columns)[:rows].cumsum(0)

    return filled(level) + filled(tilt) * np.arange(rows)[:, None]

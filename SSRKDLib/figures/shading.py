"""Surfaces as pictures without OpenGL: a z-buffer in NumPy.

Parallel projection along one axis of the given coordinates, so that lengths in the picture are
lengths in millimetres. Smooth normals, Lambert's law with two lamps, and depth cues at the rims of
near surfaces (unsharp masking of the depth buffer: Luft et al., SIGGRAPH 2006).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from SSRKDLib.geometry.rasterise import column_spans
from SSRKDLib.surfaces.mesh import Mesh

#: Directions to the lamps in the picture's frame (right, up, towards the viewer), and strengths.
_LAMPS = (((-0.45, 0.65, 0.9), 0.72), ((0.9, 0.1, 0.5), 0.22))
_AMBIENT = 0.24
_GLOSS, _GLOSS_POWER = 0.12, 24


def shade(
    meshes: Sequence[tuple[Mesh, tuple[float, float, float]]],
    right: np.ndarray,
    up: np.ndarray,
    extent: tuple[float, float, float, float],
    pixels_per_mm: float,
    oversample: int = 2,
) -> np.ndarray:
    """A picture of surfaces seen along a direction.

    Args:
        meshes: surfaces (mm) and their colours (sRGB, 0..1).
        right, up: unit vectors ``(3,)`` of the picture's axes in the meshes' frame; the viewer
            looks along ``up x right``.
        extent: left, right, bottom and top of the picture along these axes, mm.
        pixels_per_mm: resolution.
        oversample: samples per pixel edge.

    Returns:
        float32 ``[rows, columns, 4]``, sRGB and opacity (0..1), row 0 at the top.
    """
    axes = np.stack([right, up, np.cross(right, up)])
    scale = pixels_per_mm * oversample
    columns = int(round((extent[1] - extent[0]) * pixels_per_mm)) * oversample
    rows = int(round((extent[3] - extent[2]) * pixels_per_mm)) * oversample
    depth = np.full(rows * columns, -np.inf, dtype=np.float32)
    normal = np.zeros((rows * columns, 3), dtype=np.float32)
    colour = np.zeros((rows * columns, 3), dtype=np.float32)
    for mesh, paint in meshes:
        points = mesh.vertices @ axes.T
        image_points = np.stack(
            [(points[:, 0] - extent[0]) * scale - 0.5, (extent[3] - points[:, 1]) * scale - 0.5], 1
        )
        pixel, near, facing = _nearest(
            image_points, points[:, 2], mesh.vertex_normals() @ axes.T, mesh.faces, (rows, columns)
        )
        in_front = near > depth[pixel]
        pixel = pixel[in_front]
        depth[pixel], normal[pixel] = near[in_front], facing[in_front]
        colour[pixel] = paint
    covered = np.isfinite(depth)
    light = _light(normal, covered)
    light *= _rims(depth.reshape(rows, columns), scale).reshape(-1, 1)
    # Light adds up in linear intensity, not in sRGB.
    linear = colour**2.2 * light[:, :1] + light[:, 1:]
    picture = np.concatenate([linear, covered[:, None].astype(np.float32)], axis=1)
    picture[:, :3] *= picture[:, 3:]
    picture = picture.reshape(
        rows // oversample, oversample, columns // oversample, oversample, 4
    ).mean((1, 3))
    opacity = np.maximum(picture[..., 3:], 1e-6)
    picture[..., :3] = np.clip(picture[..., :3] / opacity, 0, 1) ** (1 / 2.2)
    return picture.astype(np.float32)


def _nearest(
    image_points: np.ndarray,
    height: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    shape: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part of one surface that is nearest to the viewer.

    Returns:
        Index of each covered pixel, its height towards the viewer (mm) and its normal.
    """
    rows, columns = shape
    face, column, low, high = column_spans(image_points, faces, columns)
    first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(high), 0, rows).astype(np.int64)
    counts = np.maximum(last - first, 0)
    face, column = np.repeat(face, counts), np.repeat(column, counts)
    row = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    row += np.repeat(first, counts)

    a, b, c = (image_points[faces[:, k]] for k in range(3))
    u, v = b - a, c - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    area = np.where(area == 0, np.inf, area)
    x, y = column - a[face, 0], row - a[face, 1]
    beta = (x * v[face, 1] - y * v[face, 0]) / area[face]
    gamma = (y * u[face, 0] - x * u[face, 1]) / area[face]
    weights = np.stack([1 - beta - gamma, beta, gamma], axis=1)
    fragment = (height[faces[face]] * weights).sum(1)

    pixel = row * columns + column
    order = np.lexsort((-fragment, pixel))
    sorted_pixel = pixel[order]
    chosen = order[np.diff(sorted_pixel, prepend=-1) != 0]
    facing = np.einsum("nk,nkd->nd", weights[chosen], normals[faces[face[chosen]]])
    return pixel[chosen], fragment[chosen].astype(np.float32), facing.astype(np.float32)


def _light(normal: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Diffuse and glossy light of every pixel, ``[N, 2]``."""
    light = np.zeros((len(normal), 2), dtype=np.float32)
    n = normal[covered]
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)
    # What shows of an open shaft's inner wall looks away: it is lit as if it were the outside,
    # and less.
    inner = n[:, 2] < 0
    n = np.where(inner[:, None], -n, n)
    diffuse = np.full(len(n), _AMBIENT)
    for direction, strength in _LAMPS:
        lamp = np.array(direction) / np.linalg.norm(direction)
        diffuse += strength * np.clip(n @ lamp, 0, None)
    diffuse[inner] *= 0.45
    half = np.array(_LAMPS[0][0]) / np.linalg.norm(_LAMPS[0][0]) + [0.0, 0.0, 1.0]
    half /= np.linalg.norm(half)
    gloss = np.where(inner, 0, _GLOSS * np.clip(n @ half, 0, None) ** _GLOSS_POWER)
    light[covered] = np.stack([diffuse, gloss], axis=1)
    return light


def _rims(depth: np.ndarray, pixels_per_mm: float) -> np.ndarray:
    """Factor that darkens what lies closely behind a nearer surface, ``[rows, columns]``."""
    covered = np.isfinite(depth)
    if not covered.any():
        return np.ones(depth.shape, dtype=np.float32)
    # The background counts as far behind, so that it casts nothing.
    known = np.where(covered, depth, depth[covered].min()).astype(np.float32)
    surround = ndimage.gaussian_filter(known, 3.0 * pixels_per_mm)
    behind = np.clip(surround - known, 0, 12.0)
    return (1 - 0.045 * behind).astype(np.float32)

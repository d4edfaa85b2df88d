"""Points on a surface, spread evenly, the same ones every time."""

from __future__ import annotations

import numpy as np

from SSRKDLib.core.errors import MeshError
from SSRKDLib.surfaces.mesh import Mesh


def sample_surface(mesh: Mesh, count: int, seed: int = 0) -> np.ndarray:
    """``count`` points [count, 3] (mm, the mesh's frame), equally likely per area.

    Stratified: each point has its own ``1 / count`` share of the area, so that means
    over the points vary less than with independent ones. Raises
    :class:`~SSRKDLib.core.errors.MeshError` for a mesh without area.
    """
    rng = np.random.default_rng(seed)
    return _points(mesh, (np.arange(count) + rng.random(count)) / count, rng)


def sample_surface_even(mesh: Mesh, count: int, seed: int = 0) -> np.ndarray:
    """At most ``count`` points [n, 3] that keep a distance from each other.

    The paper's protocol (trimesh's ``sample_surface_even``): three times as many
    independent points, of which every pair closer than ``sqrt(area / (3 count))`` loses
    the one with more such neighbours; the first ``count`` of the rest.
    """
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    points = _points(mesh, rng.random(3 * count), rng)
    radius = np.sqrt(mesh.area() / (3 * count))
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    crowding = np.bincount(pairs.ravel(), minlength=len(points))
    second = crowding[pairs[:, 1]] > crowding[pairs[:, 0]]
    keep = np.ones(len(points), dtype=bool)
    keep[np.where(second, pairs[:, 1], pairs[:, 0])] = False
    return points[keep][:count]


def sample_with_normals(
    mesh: Mesh, density: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Independent points, ``density`` per mm^2, and unit normals there, ``[N, 3]`` each.

    Their number is random too. Normals are interpolated between the vertices: the faces are facets
    of a smooth surface.
    """
    areas = np.linalg.norm(mesh.area_vectors(), axis=1)
    face = np.repeat(np.arange(len(areas)), rng.poisson(areas * density))
    weights = rng.dirichlet((1.0, 1.0, 1.0), len(face))
    corners = mesh.faces[face]
    points = np.einsum("nk,nkd->nd", weights, mesh.vertices[corners])
    normals = np.einsum("nk,nkd->nd", weights, mesh.vertex_normals()[corners])
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def surface_elements(mesh: Mesh, edge: float, most: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """The surface as small triangles of almost equal size: for integrals over the area.

    Every face is divided into equal triangles with sides of at most ``edge`` mm (a side into
    ``most`` parts at the most, however long). How the surface is divided into faces, and the
    order of faces and corners, hardly matter, and nothing is random.

    Returns:
        The triangles' centroids ``[N, 3]`` mm and their areas ``[N]`` mm^2.
    """
    corners = mesh.corners()
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    parts = np.clip(np.ceil(sides.max(axis=1) / edge), 1, most).astype(np.int64)
    areas = np.linalg.norm(mesh.area_vectors(), axis=1)
    centroids = [np.empty((0, 3))]
    shares = [np.empty(0)]
    for n in np.unique(parts):
        step = np.indices((n, n)).reshape(2, -1)
        upright, inverted = step[:, step.sum(0) < n], step[:, step.sum(0) < n - 1]
        u, v = np.concatenate([upright + 1 / 3, inverted + 2 / 3], axis=1) / n
        weights = np.stack([1 - u - v, u, v], axis=1)
        chosen = parts == n
        centroids.append((weights @ corners[chosen]).reshape(-1, 3))
        shares.append(np.repeat(areas[chosen] / n**2, n**2))
    return np.concatenate(centroids), np.concatenate(shares)


def _points(mesh: Mesh, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points at the given shares (0..1) of the cumulated area, random within the face."""
    cumulated = np.cumsum(np.linalg.norm(mesh.area_vectors(), axis=1))
    if not len(cumulated) or cumulated[-1] <= 0:
        raise MeshError("The surface has no area.", "Give a surface with triangles.")
    face = np.searchsorted(cumulated, shares * cumulated[-1], side="right")
    face = np.minimum(face, len(cumulated) - 1)
    u, v = rng.random((2, len(face), 1))
    outside = u + v > 1
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    a, b, c = np.moveaxis(mesh.corners()[face], 1, 0)
    return a + u * (b - a) + v * (c - a)

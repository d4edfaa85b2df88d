"""Landmarks of the distal femur: condyles and epicondyles."""

from __future__ import annotations

import numpy as np

from SSRKDLib.clinical.frames import CONDYLES, Frame
from SSRKDLib.surfaces.mesh import Mesh

#: How deep a cap at the side of the bone an epicondyle is the centre of, in widths.
_CAP = 0.03


def femur_landmarks(femur: Mesh, frame: Frame) -> dict[str, np.ndarray]:
    """Points (3,) on the surface, mm, in the mesh's frame.

    ``medial_side``, ``lateral_side``: farthest out along the frame's x.
    ``medial_distal``, ``lateral_distal``: where the condyles' common tangent from below touches.
    ``medial_posterior``, ``lateral_posterior``: where that from behind touches.
    ``medial_epicondyle``, ``lateral_epicondyle``: centre of the outermost cap on either side.
    """
    local = frame.local(femur)
    near = local[:, 2] <= frame.level + CONDYLES * frame.width
    x = local[:, 0]
    middle = (x[near].min() + x[near].max()) / 2.0
    found = {}
    for name, side in (("medial", -1), ("lateral", 1)):
        half = near & (side * (x - middle) > 0)
        found[f"{name}_side"] = _farthest(femur, half, side * x)
        found[f"{name}_posterior"] = _farthest(femur, half, local[:, 1])
        found[f"{name}_epicondyle"] = _cap_centre(femur, frame, local, half, side)
    for name, point in zip(("medial", "lateral"), _distal_tangent(local[near], middle)):
        found[f"{name}_distal"] = frame.world(point)[0]
    return found


def _farthest(mesh: Mesh, among: np.ndarray, value: np.ndarray) -> np.ndarray:
    return mesh.vertices[np.argmax(np.where(among, value, -np.inf))]


def _distal_tangent(points: np.ndarray, middle: float) -> tuple[np.ndarray, np.ndarray]:
    """Medial and lateral point of the edge of the hull, seen from the front, below ``middle``."""
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points[:, [0, 2]]).vertices]  # counter-clockwise in (x, z)
    following = np.roll(corners, -1, axis=0)
    # Along the underside, and only there, a counter-clockwise hull runs towards +x.
    below = (corners[:, 0] <= middle) & (following[:, 0] > middle)
    edge = int(np.argmax(below))
    return corners[edge], following[edge]


def _cap_centre(
    femur: Mesh, frame: Frame, local: np.ndarray, half: np.ndarray, side: int
) -> np.ndarray:
    """Mean of the surface within :data:`_CAP` of the outermost point, weighted by how far out."""
    out = side * local[:, 0]
    floor = out[half].max() - _CAP * frame.width
    inside = half[femur.faces].all(axis=1)
    depth = np.clip(out[femur.faces].mean(axis=1) - floor, 0.0, None) * inside
    weight = depth * np.linalg.norm(femur.area_vectors(), axis=1)
    if not weight.sum():  # a coarse mesh: no triangle lies in the cap
        return femur.vertices[np.argmax(np.where(half, out, -np.inf))]
    return (femur.corners().mean(axis=1) * weight[:, None]).sum(axis=0) / weight.sum()

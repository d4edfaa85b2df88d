"""Signed distances from points to bones: what the student learns to predict."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.boxes import bounding_box
from SSRKDLib.simulation.random_shape import Bones
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import sample_with_normals

#: Distances are cut off here, mm: farther away only the side matters.
CUT_OFF_MM = 12.0


def sampled_distances(
    points: np.ndarray, samples: tuple[np.ndarray, np.ndarray], spacing: float
) -> np.ndarray:
    """Distance from points ``[N, 3]`` to a densely sampled surface, mm, positive inside, ``[N]``.

    Within a few sample spacings of the surface it is the distance to the tangent plane of the
    nearest sample, farther out the distance to the sample itself. Cut off at
    :data:`CUT_OFF_MM`; what lies beyond is taken for outside (no bone is so thick inside that
    this could be wrong where it matters: such points are given by :func:`deep_inside`).
    """
    surface, normals = samples
    distance, nearest = cKDTree(surface).query(points, distance_upper_bound=CUT_OFF_MM)
    signed = np.full(len(points), -CUT_OFF_MM)
    near = np.isfinite(distance)
    above = ((points[near] - surface[nearest[near]]) * normals[nearest[near]]).sum(1)
    share = np.clip((distance[near] - spacing) / (2 * spacing), 0, 1)
    signed[near] = -np.sign(above) * (share * distance[near] + (1 - share) * np.abs(above))
    return signed


def deep_inside(
    points: np.ndarray, samples: tuple[np.ndarray, np.ndarray], undecided: np.ndarray
) -> np.ndarray:
    """Which of the ``undecided`` points (bool ``[N]``, all farther than the cut-off from the
    surface) lie inside: those whose nearest sample faces away from them."""
    inside = np.zeros(len(points), bool)
    if undecided.any():
        surface, normals = samples
        _, nearest = cKDTree(surface[::8]).query(points[undecided])
        away = points[undecided] - surface[::8][nearest]
        inside[undecided] = (away * normals[::8][nearest]).sum(1) < 0
    return inside


def field_samples(
    bones: Bones,
    faces: dict[str, np.ndarray],
    rng: np.random.Generator,
    per_bone: int,
    anywhere: int,
    reach: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Points to learn the field at, and the distance to each bone there.

    Args:
        bones: ``[N, 3]`` mm per bone, in the canonical frame.
        faces: triangles per bone.
        per_bone: points near each bone's surface (three quarters within about 3 mm, one quarter
            within about 10).
        anywhere: points uniform in the box.
        reach: half edge of the box about the origin, mm.

    Returns:
        ``[P, 3]`` float16 mm and ``[P, 4]`` float16 mm, positive inside, cut off.
    """
    density, spacing = 0.6, 1.3
    clouds = {}
    for bone in BONES:
        surface, normals = sample_with_normals(Mesh(bones[bone], faces[bone]), density, rng)
        near = (np.abs(surface) < reach + CUT_OFF_MM).all(1)
        clouds[bone] = surface[near], normals[near]
    points = [rng.uniform(-reach, reach, (anywhere, 3))]
    for bone in BONES:
        surface = clouds[bone][0]
        surface = surface[(np.abs(surface) < reach).all(1)]
        chosen = surface[rng.integers(0, len(surface), per_bone)]
        width = np.where(rng.random(per_bone) < 0.75, 1.5, 5.0)
        points.append(chosen + rng.normal(0, 1, (per_bone, 3)) * width[:, None])
    points = np.clip(np.concatenate(points), -reach, reach).astype(np.float16)
    exact = points.astype(np.float64)

    distances = np.empty((len(points), len(BONES)), np.float16)
    for k, bone in enumerate(BONES):
        signed = sampled_distances(exact, clouds[bone], spacing)
        low, high = bounding_box(clouds[bone][0])
        far = (signed == -CUT_OFF_MM) & ((exact > low) & (exact < high)).all(1)
        signed[deep_inside(exact, clouds[bone], far)] = CUT_OFF_MM
        distances[:, k] = signed
    return points, distances

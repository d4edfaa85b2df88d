"""The knee's own places: the centre of the joint and the leg's frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError
from SSRKDLib.surfaces.mesh import Mesh


@dataclass(frozen=True)
class LegFrame:
    """Where a knee lies, derived from its bones.

    Attributes:
        to_world: 4x4 rigid, world mm of leg mm: origin between femur and tibia, +z from the shank
            to the thigh (the mean of both shafts), -y towards the patella, +x to complete a
            right-handed frame (the patient's left where the bones are upright LPS).
        axes: unit vectors in the leg frame along which femur, tibia and fibula leave the joint.
    """

    to_world: np.ndarray
    axes: dict[str, np.ndarray]


def as_arrays(meshes: Mapping[str, object]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Vertices ``[n, 3]`` float64 and faces ``[m, 3]`` int64 of each bone.

    Args:
        meshes: per bone, a (vertices, faces) pair or an object with those attributes.

    Raises:
        MeshError: a bone is missing, or its surface is not triangles of finite points.
    """
    arrays = {}
    for bone in BONES:
        if bone not in meshes:
            raise MeshError(f"There is no surface of the {bone}.", "Give all four bones.")
        mesh = meshes[bone]
        pair = (mesh.vertices, mesh.faces) if hasattr(mesh, "vertices") else mesh
        vertices = np.asarray(pair[0], dtype=np.float64)
        faces = np.asarray(pair[1], dtype=np.int64)
        good = vertices.ndim == faces.ndim == 2 and vertices.shape[1] == faces.shape[1] == 3
        if not good or len(faces) < 4 or not np.isfinite(vertices).all():
            raise MeshError(
                f"The {bone} is not a surface of triangles with finite points.",
                "Export it again as a triangle mesh.",
            )
        arrays[bone] = _merged(vertices, faces)
    return arrays


def _merged(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same surface with points that coincide (to 1 micrometre) made one."""
    _, first, inverse = np.unique(
        np.round(vertices, 3), axis=0, return_index=True, return_inverse=True
    )
    faces = inverse.reshape(-1)[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2])
    return vertices[first], faces[whole & (faces[:, 0] != faces[:, 2])]


def leg_frame(arrays: dict[str, tuple[np.ndarray, np.ndarray]]) -> LegFrame:
    """The leg's own frame from the four bones (see :class:`LegFrame`).

    Raises:
        MeshError: the bones do not make a knee (shafts folded onto each other, for instance).
    """
    femur, tibia = arrays["femur"][0], arrays["tibia"][0]
    distance, nearest = cKDTree(tibia).query(femur)
    close = distance < distance.min() + 6.0
    joint = (femur[close].mean(0) + tibia[nearest[close]].mean(0)) / 2
    axes = {bone: _shaft_direction(arrays[bone][0], joint) for bone in ("femur", "tibia")}
    z = axes["femur"] - axes["tibia"]
    forward = arrays["patella"][0].mean(0) - joint
    y = -(forward - (forward @ z) * z / max(z @ z, 1e-9))
    if np.linalg.norm(z) < 0.5 or np.linalg.norm(y) < 5.0:
        raise MeshError(
            "The four surfaces do not lie as the bones of a knee.",
            "Check that they share one frame and that each has the right name.",
        )
    z, y = z / np.linalg.norm(z), y / np.linalg.norm(y)
    to_world = np.eye(4)
    to_world[:3, :3] = np.stack([np.cross(y, z), y, z], axis=1)
    to_world[:3, 3] = joint
    axes["fibula"] = axes["tibia"]
    return LegFrame(to_world, {bone: to_world[:3, :3].T @ axis for bone, axis in axes.items()})


def _shaft_direction(vertices: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """Unit vector along which a long bone leaves the joint, from its middle part."""
    away = np.linalg.norm(vertices - joint, axis=1)
    reach = min(away.max(), 140.0)
    near = vertices[(away > 0.45 * reach) & (away < 0.6 * reach)]
    far = vertices[(away > 0.75 * reach) & (away < 0.95 * reach)]
    if not (len(near) and len(far)):
        raise MeshError("A long bone has no shaft.", "Give at least 60 mm of each bone.")
    direction = far.mean(0) - near.mean(0)
    return direction / np.linalg.norm(direction)


def joint_centre(meshes: dict[str, Mesh]) -> np.ndarray | None:
    """Where femur and tibia come closest to each other, [3] mm; None without both.

    The mean of the vertices on either side whose distance to the other bone is within
    6 mm of the smallest, which takes in both condyles.
    """
    if not all(bone in meshes and len(meshes[bone].faces) for bone in ("femur", "tibia")):
        return None
    from scipy.spatial import cKDTree

    femur, tibia = meshes["femur"].vertices, meshes["tibia"].vertices
    sides = []
    for points, other in ((femur, tibia), (tibia, femur)):
        distance, _ = cKDTree(other).query(points)
        sides.append(points[distance <= distance.min() + 6.0].mean(axis=0))
    return np.mean(sides, axis=0)

"""The knee's own places: the centre of the joint and the leg's frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import surface_elements

#: Name of the definition that :func:`joint_centre` computes, for the records of what was placed or
#: measured by it. Records without a name are of the time before: the mean of the vertices within
#: 6 mm of the smallest distance between the bones.
JOINT_CENTRE = "area-weighted-1"

#: Over this distance, mm, to the other bone the weight of a place on a bone falls by e.
_DECAY = 5.0

#: Sides of the triangles that surfaces are divided into, mm; how much farther than the smallest
#: distance a place may be from the other bone to count, mm (its weight there is e^-8 of the
#: largest).
_ELEMENT, _REACH = 2.5, 8 * _DECAY


def joint_centre(bones: Mapping[str, Mesh]) -> np.ndarray:
    """The centre of the knee joint, ``(3,)`` mm: midway between the facing parts of two bones.

    On the femur and on the tibia the mean over the surface, by area, weighted by
    ``exp(-d / 5 mm)``, ``d`` being the distance to the other bone; then the mean of both. It
    depends on the surfaces, not on how they are divided into triangles, and not on where shafts
    end. The same input gives the same bits whatever the number of threads.

    Args:
        bones: surfaces in one frame, mm; of the four bones only ``femur`` and ``tibia`` count.

    Raises:
        MeshError: one of the two is missing or has no area.
    """
    for bone in ("femur", "tibia"):
        if bone not in bones or not bones[bone].area() > 0:
            raise MeshError(
                "The joint's centre needs a surface of the {bone}.",
                "Add it, or replace it.",
                bone=bone,
            )
    femur, tibia = (surface_elements(bones[bone], _ELEMENT) for bone in ("femur", "tibia"))
    means = []
    for (points, areas), (other, _) in ((femur, tibia), (tibia, femur)):
        tree = cKDTree(other, leafsize=32, balanced_tree=False)  # half as long
        # Most of a shaft is far away: bounds, the first from a few points, save its look-ups.
        # (A bound of 0, where the bones touch, would find nothing.)
        bound = tree.query(points[::100])[0].min() + 1e-3
        smallest = tree.query(points, distance_upper_bound=bound)[0].min()
        distance = tree.query(points, distance_upper_bound=smallest + _REACH)[0]
        weights = areas * np.exp((smallest - distance) / _DECAY)
        means.append((weights[:, None] * points).sum(axis=0) / weights.sum())
    return (means[0] + means[1]) / 2


@dataclass(frozen=True)
class LegFrame:
    """Where a knee lies, derived from its bones.

    Attributes:
        to_world: 4x4 rigid, world mm of leg mm: origin at :func:`joint_centre`, +z from the shank
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
            raise MeshError("There is no surface of the {bone}.", "Give all four bones.", bone=bone)
        mesh = meshes[bone]
        pair = (mesh.vertices, mesh.faces) if hasattr(mesh, "vertices") else mesh
        vertices = np.asarray(pair[0], dtype=np.float64)
        faces = np.asarray(pair[1], dtype=np.int64)
        good = vertices.ndim == faces.ndim == 2 and vertices.shape[1] == faces.shape[1] == 3
        if not good or len(faces) < 4 or not np.isfinite(vertices).all():
            raise MeshError(
                "The {bone} is not a surface of triangles with finite points.",
                "Export it again as a triangle mesh.",
                bone=bone,
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
    joint = joint_centre({bone: Mesh(*arrays[bone]) for bone in ("femur", "tibia")})
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

"""Rigid alignment of one set of bones to another whose shafts may end elsewhere.

Bones are matched by name, so a point of one femur is only ever compared with the other femur.
Iterated closest points (:mod:`SSRKDLib.evaluation.icp`) start from several poses: as given, and
from the principal axes of all bones together, or of one. Nothing is random: equal input gives
equal output.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.messages import Message
from SSRKDLib.evaluation.icp import (
    RigidBody,
    Surface,
    approach,
    common_distance,
    exact_distance,
    refine,
    sampled_distance,
    turned,
)
from SSRKDLib.surfaces.checks import check_surfaces
from SSRKDLib.surfaces.mesh import Mesh

#: How a reference is moved: not at all, all bones as one body, every bone by itself.
MODES: tuple[str, ...] = ("none", "all", "bone")

#: A mirrored set that fits this much better, and a fit this bad (mm), mean the other side.
_MIRROR_GAIN, _MIRROR_FLOOR = 0.6, 0.8

#: Above this distance (mm) bones that were not to be moved are tried as the other side.
_SUSPECT = 2.0

#: Above this residual (mm) a fit is reported.
_POOR_FIT = 4.0

#: From RAS to LPS, or back.
_HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])
_TURNED = (
    "The {0} meets the {1} only after a turn by 180 degrees about z: one of them is in RAS, the "
    "other in LPS. Export it in LPS, or align all bones."
)


class Alignment(NamedTuple):
    """How to move one set of bones onto another.

    ``matrices``: for every bone of the moving set, 4x4 rigid, moving to fixed, mm.
    ``residual_mm``: for every bone that both have, the mean point-to-surface distance, both
    ways, where both exist. ``notes``: warnings.
    """

    matrices: dict[str, np.ndarray]
    residual_mm: dict[str, float]
    notes: tuple[str, ...]

    def move(self, bones: dict[str, Mesh]) -> dict[str, Mesh]:
        """The moving set where the fixed one is."""
        return {bone: mesh.transformed(self.matrices[bone]) for bone, mesh in bones.items()}


def align(
    moving: dict[str, Mesh],
    fixed: dict[str, Mesh],
    mode: str = "all",
    names: tuple[str, str] = ("reference", "reconstruction"),
) -> Alignment:
    """Find the rigid motion of ``moving`` that lays it on ``fixed``.

    Args:
        moving: bones in any frame, mm.
        fixed: bones in the frame that the result is wanted in, mm.
        mode: one of :data:`MODES`. With ``"none"`` the matrices are the identity.
        names: what to call the two sets in sentences.

    Raises:
        MeshError: no bone is in both, a surface is empty or of a size outside the range of human
            knees (units), or the sets are of opposite sides: mirrored, ``moving`` fits clearly
            better.
    """
    if mode not in MODES:
        raise MeshError(
            "'{mode}' is not an alignment.",
            "Use one of {modes}.",
            mode=mode,
            modes=", ".join(MODES),
        )
    notes = [*check_surfaces(moving, names[0]), *check_surfaces(fixed, names[1])]
    common = [bone for bone in BONES if bone in moving and bone in fixed]
    if not common:
        raise MeshError(
            "No bone is in both the {name} and the {other_name}.",
            "Check how the bones are matched.",
            name=names[0],
            other_name=names[1],
        )
    sources = {bone: Surface(moving[bone]) for bone in common}
    targets = {bone: Surface(fixed[bone]) for bone in common}
    matrices = {bone: np.eye(4) for bone in moving}
    if mode == "none":
        apart = exact_distance(sources, targets, np.eye(4))
        if apart > _SUSPECT:
            if exact_distance(sources, targets, _HALF_TURN) < _MIRROR_GAIN * apart:
                notes.append(_TURNED.format(*names))
            _refuse_other_side([(sources, targets, _best(sources, targets))], names)
    else:
        whole = _best(sources, targets)
        if mode == "all":
            _refuse_other_side([(sources, targets, whole)], names)
            matrices = dict.fromkeys(moving, refine(sources, targets, whole))
        else:
            matrices = {
                **dict.fromkeys(moving, whole),
                **_each(sources, targets, whole, names),
            }
            notes += [
                Message(
                    "The {bone} is not in the {other_name}: moved as all bones together.",
                    bone=bone,
                    other_name=names[1],
                )
                for bone in moving
                if bone not in common
            ]
    residual = {
        bone: common_distance(sources[bone], targets[bone], matrices[bone]) for bone in common
    }
    remedy = "in one frame" if mode == "none" else "the same knee"
    notes += [
        Message(
            "The {bone} is {value:.1f} mm away from its counterpart: check that both are {remedy}.",
            bone=bone,
            value=value,
            remedy=remedy,
        )
        for bone, value in residual.items()
        if value > _POOR_FIT
    ]
    return Alignment(matrices, residual, tuple(notes))


# --- where to start ------------------------------------------------------------------


def _best(moving: RigidBody, fixed: RigidBody, near: np.ndarray | None = None) -> np.ndarray:
    """The best pose, roughly, that iterated closest points reach from any of the starts.

    With ``near`` it starts there too, and does not turn more than 90 degrees away from it: a
    patella fits its counterpart nearly as well upside down, but never lies so in its knee.
    """
    poses = [np.eye(4), *_starts(moving, fixed)]
    if near is not None:
        poses = [near, *(pose for pose in poses if _turn_between(pose, near) < 90.0)]
    poses = sorted(poses, key=lambda pose: sampled_distance(moving, fixed, pose))[:10]
    poses = [approach(moving, fixed, pose, 12) for pose in poses]
    poses = sorted(poses, key=lambda pose: sampled_distance(moving, fixed, pose))[:3]
    poses = [approach(moving, fixed, pose, 40) for pose in poses]
    return min(poses, key=lambda pose: exact_distance(moving, fixed, pose))


def _turn_between(one: np.ndarray, other: np.ndarray) -> float:
    """Degrees between the rotations of two poses."""
    cosine = (np.trace(one[:3, :3].T @ other[:3, :3]) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _starts(moving: RigidBody, fixed: RigidBody) -> list[np.ndarray]:
    """Longest axis on longest axis, both ways, turned in steps of 45 degrees.

    Along it, the two bodies share their middle, their lower or their upper end.
    """
    frames, ends = [], []
    for body in (moving, fixed):
        points = np.concatenate([surface.points for surface in body.values()])
        middle = points.mean(axis=0)
        axes = np.linalg.svd(points - middle, full_matrices=False)[2][::-1].T
        axes[:, 0] *= np.sign(np.linalg.det(axes))
        frame = np.eye(4)
        frame[:3, :3], frame[:3, 3] = axes, middle
        frames.append(frame)
        ends.append(np.percentile((points - middle) @ axes[:, 2], [0, 100]))
    starts = []
    for flip in (0, 180):
        low, high = ends[0] if flip == 0 else -ends[0][::-1]
        for turn in range(0, 360, 45):
            inner = turned(Rotation.from_euler("xz", [flip, turn], True))
            for along in (0.0, ends[1][0] - low, ends[1][1] - high):
                inner[2, 3] = along
                starts.append(frames[1] @ inner @ np.linalg.inv(frames[0]))
    return starts


# --- bone by bone, and which side ----------------------------------------------------


def _each(
    moving: RigidBody, fixed: RigidBody, whole: np.ndarray, names: tuple[str, str]
) -> dict[str, np.ndarray]:
    """Every bone's own matrix, starting from where all together fit best."""
    # The fibula lies on the outer side of the tibia whatever the knee's bend: as one body the
    # two tell left from right best.
    groups = [[bone for bone in moving if bone in ("tibia", "fibula")]]
    groups += [[bone] for bone in moving if bone not in groups[0]]
    parts = [
        tuple({bone: body[bone] for bone in group} for body in (moving, fixed))
        for group in groups
        if group
    ]
    _refuse_other_side([(*part, _best(*part, whole)) for part in parts], names)
    matrices = {}
    for bone in moving:
        source, target = {bone: moving[bone]}, {bone: fixed[bone]}
        matrices[bone] = refine(source, target, _best(source, target, whole))
    return matrices


def _refuse_other_side(
    parts: list[tuple[RigidBody, RigidBody, np.ndarray]], names: tuple[str, str]
) -> None:
    """Raise where bodies in their best pose fit badly, and mirrored clearly better."""
    areas = [sum(surface.area for surface in moving.values()) for moving, _, _ in parts]
    as_is = np.average([exact_distance(*part) for part in parts], weights=areas)
    if as_is <= _MIRROR_FLOOR:
        return
    mirrored = []
    for moving, fixed, _ in parts:
        other = {bone: surface.mirrored() for bone, surface in moving.items()}
        mirrored.append(exact_distance(other, fixed, _best(other, fixed)))
    other_side = float(np.average(mirrored, weights=areas))
    if other_side < _MIRROR_GAIN * as_is:
        raise MeshError(
            "The {name} is of the other side than the {other_name}: mirrored, left for "
            "right, it fits to {other_side:.1f} mm, as it is only to {as_is:.1f} mm.",
            "Choose the {name} of the same knee.",
            name=names[0],
            other_name=names[1],
            other_side=other_side,
            as_is=as_is,
        )

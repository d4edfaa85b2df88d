"""What joints and legs do: residuals of poses, in standard deviations, and their Jacobians.

A pose changes by a turn about the bone's pivot (world axes, radians) and a shift (mm), as in
:meth:`SSRKDLib.reconstruction.fitting.state.FitState.stepped`. Flexion is free between what knees
can do, the other degrees of freedom are tight and go with it as knees do (Iwaki et al., J Bone
Joint Surg Br 82(8), 2000); the patella rides on a circle about the flexion axis, the fibula stays
with the tibia. Between two views everything but flexion changes the less, the less flexion did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.rigid import moved_points
from SSRKDLib.reconstruction.fitting.state import PIVOTS, FitState, Poses
from SSRKDLib.simulation.random_shape import FLEXION_CENTRE

#: Flexion that knees can do, degrees.
FLEXION_RANGE = (-10.0, 130.0)

#: Degrees that the tibia turns inwards and the patella flexes, per degree of flexion.
_SCREW_HOME, _PATELLA_SHARE = -0.15, 0.6

#: Each joint: its name, the bone that it is measured against, and the point whose shift counts.
_JOINTS = (
    ("tibia", "femur", FLEXION_CENTRE),
    ("patella", "femur", PIVOTS["patella"]),
    ("fibula", "tibia", PIVOTS["fibula"]),
)
_TIBIA, _PATELLA, _FIBULA = range(3)

#: Standard deviations of a leg's motion between exposures: about its own axes x, y, z, degrees,
#: and of its shift, mm.
_LEG_TURN, _LEG_SHIFT = (6.0, 3.0, 4.0), 8.0

#: Legs are laid along the film: degrees that a shaft leaves it by; one that leaves it by more than
#: the second was not laid along it, so that the film tells ever less.
_FILM, _FILM_LEFT = 4.0, 10.0


@dataclass(frozen=True)
class Rows:
    """Residuals ``[R]`` and their Jacobian ``[R, 6 * blocks]``."""

    residuals: np.ndarray
    jacobian: np.ndarray


def relative_pose(
    poses: Poses, parent: str, child: str, point: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How a bone lies against another one.

    Args:
        poses: model to world.
        parent, child: bones.
        point: ``(3,)`` mm, whose shift is measured, the model's canonical coordinates.

    Returns:
        ``[6]``: angles about the parent's axes x, y, z (degrees, in that order) and the point's
        shift (mm, the parent's axes), and the Jacobians ``[6, 6]`` by motions of parent and child.
    """
    first, second = poses[parent], poses[child]
    axes = first[:3, :3].T
    rotation = axes @ second[:3, :3]
    x, y, z = angles = _euler_angles(rotation)
    place = moved_points(second, point)
    shift = axes @ (place - first[:3, 3]) - point
    # Turns of the child from the left are rates of the angles about these axes.
    of_x = [np.cos(y) * np.cos(z), np.cos(y) * np.sin(z), -np.sin(y)]
    of_y = [-np.sin(z), np.cos(z), 0.0]
    rates = np.linalg.inv(np.array([of_x, of_y, [0.0, 0.0, 1.0]]).T)
    turned = np.rad2deg(rates @ axes)
    of_parent, of_child = np.zeros((6, 6)), np.zeros((6, 6))
    of_child[:3, :3], of_parent[:3, :3] = turned, -turned
    of_child[3:, 3:], of_parent[3:, 3:] = axes, -axes
    of_child[3:, :3] = -axes @ cross_matrix(place - moved_points(second, PIVOTS[child]))
    of_parent[3:, :3] = axes @ cross_matrix(place - moved_points(first, PIVOTS[parent]))
    return np.concatenate([np.rad2deg(angles), shift]), of_parent, of_child


def _euler_angles(rotation: np.ndarray) -> np.ndarray:
    """``[x, y, z]``, radians, of turns about fixed axes in that order."""
    across = np.hypot(rotation[0, 0], rotation[1, 0])
    x = np.arctan2(rotation[2, 1], rotation[2, 2])
    z = np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.array([x, np.arctan2(-rotation[2, 0], across), z])


def cross_matrix(vector: np.ndarray) -> np.ndarray:
    """``M`` (3x3) with ``M @ x = vector x x``."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def joint_coordinates(state: FitState, slot: int) -> tuple[np.ndarray, np.ndarray]:
    """``[3, 6]`` of tibia, patella and fibula in one view, and the Jacobian ``[3, 6, 6 blocks]``.

    As :func:`relative_pose`; of the patella's shift, y and z are replaced by how far it lies from
    its circle about the flexion axis (mm), and how far round that it is (degrees).
    """
    values = np.empty((len(_JOINTS), 6))
    jacobian = np.zeros((len(_JOINTS), 6, 6 * state.blocks))
    for k, (child, parent, point) in enumerate(_JOINTS):
        values[k], of_parent, of_child = relative_pose(state.poses[slot], parent, child, point)
        for bone, part in ((parent, of_parent), (child, of_child)):
            at = 6 * state.block(slot, bone)
            jacobian[k, :, at : at + 6] += part
    base = (PIVOTS["patella"] - FLEXION_CENTRE)[1:]
    y, z = base + values[_PATELLA, 4:]
    radius = np.hypot(y, z)
    by_y, by_z = jacobian[_PATELLA, 4].copy(), jacobian[_PATELLA, 5].copy()
    round_it = np.arctan2(base[0] * z - base[1] * y, base[0] * y + base[1] * z)
    values[_PATELLA, 4:] = radius - np.hypot(*base), np.rad2deg(round_it)
    jacobian[_PATELLA, 4] = (y * by_y + z * by_z) / radius
    jacobian[_PATELLA, 5] = np.rad2deg(y * by_z - z * by_y) / radius**2
    return values, jacobian


def flexion(state: FitState, slot: int) -> tuple[float, np.ndarray]:
    """Flexion in a view, degrees, against the mean knee; and its Jacobian ``[6 blocks]``."""
    values, jacobian = joint_coordinates(state, slot)
    return float(values[_TIBIA, 0]), jacobian[_TIBIA, 0]


def prior_rows(
    state: FitState,
    film_normals: tuple[np.ndarray, ...] | None,
    centred_mm: Callable[[float], float] | None = None,
) -> Rows:
    """Residuals of all that is known of poses beforehand.

    Args:
        state: whose poses.
        film_normals: per view the unit normal of the film that the leg was laid along, world; None
            where nobody knows that it was.
        centred_mm: of how far apart two films are centred, given how far apart the leg lies in
            them, the standard deviation, mm; None where the rig says exactly where each stood.
    """
    joints = {slot: joint_coordinates(state, slot) for slot in state.own_slots}
    residuals, rows = [], []

    def add(value: np.ndarray, derivative: np.ndarray, deviation) -> None:
        deviation = np.broadcast_to(np.asarray(deviation, float), np.shape(value))
        residuals.append(np.ravel(value / deviation))
        rows.append(np.reshape(derivative / deviation[..., None], (-1, 6 * state.blocks)))

    for (tibia, patella, fibula), (d_tibia, d_patella, d_fibula) in joints.values():
        for limit, side in zip(FLEXION_RANGE, (-1.0, 1.0)):
            if side * (tibia[0] - limit) > 0:
                add(tibia[:1] - limit, d_tibia[:1], 2.0)
        bent, d_bent = tibia[0], d_tibia[0]
        add(tibia[1:2], d_tibia[1:2], 3.5)
        add(tibia[2:3] - _SCREW_HOME * bent, d_tibia[2:3] - _SCREW_HOME * d_bent, 6.0)
        add(tibia[3:], d_tibia[3:], (3.0, 4.0, 5.0))
        follow = _PATELLA_SHARE * np.array([1.0, 0, 0, 0, 0, 1.0])
        add(
            patella - follow * bent, d_patella - follow[:, None] * d_bent,
            (9.0, 5.0, 6.0, 4.0, 4.0, 9.0),
        )  # fmt: skip
        add(fibula, d_fibula, 4.0)
    for slot in state.own_slots[1:]:
        _add_changes(joints[0], joints[slot], add)
        _add_leg_motion(state, slot, centred_mm, add)
    # Of views in which nothing moved, the others tell how a bone leans in one.
    if film_normals is not None and not (state.one_pose and len(state.poses) > 1):
        _add_films(state, film_normals, add)
    return Rows(np.concatenate(residuals), np.concatenate(rows))


def _add_changes(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], add
) -> None:
    """What joints do between two views; those that flex more may also do more of all else."""
    (first, d_first), (second, d_second) = before, after
    change, d_change = second - first, d_second - d_first
    bent, d_bent = change[_TIBIA, 0], d_change[_TIBIA, 0]
    loose = 0.4 + min(abs(bent), 40.0) / 20
    add(change[_TIBIA, :1], d_change[_TIBIA, :1], 25.0)
    follow = np.array([0.0, _SCREW_HOME, 0.0, 0.0, 0.0])
    add(
        change[_TIBIA, 1:] - follow * bent, d_change[_TIBIA, 1:] - follow[:, None] * d_bent,
        loose * np.array([2.0, 3.0, 1.5, 2.5, 2.0]),
    )  # fmt: skip
    follow = _PATELLA_SHARE * np.array([1.0, 0, 0, 0, 0, 1.0])
    add(
        change[_PATELLA] - follow * bent, d_change[_PATELLA] - follow[:, None] * d_bent,
        loose * np.array([5.0, 3.0, 3.0, 2.0, 2.0, 5.0]),
    )  # fmt: skip
    add(change[_FIBULA], d_change[_FIBULA], 0.5)


def _add_leg_motion(
    state: FitState, slot: int, centred_mm: Callable[[float], float] | None, add
) -> None:
    """What the whole leg does between the first view and another, seen at the femur."""
    first, second = (state.poses[k]["femur"] for k in (0, slot))
    blocks = [6 * state.block(k, "femur") for k in (0, slot)]
    turn = second[:3, :3] @ first[:3, :3].T
    angle = Rotation.from_matrix(turn).as_rotvec()
    # The inverse left Jacobian of rotations, to second order: legs turn by a few degrees.
    half = cross_matrix(angle)
    rate = np.eye(3) - half / 2 + half @ half / 12
    axes = first[:3, :3].T
    derivative = np.zeros((6, 6 * state.blocks))
    derivative[:3, blocks[0] : blocks[0] + 3] = np.rad2deg(axes @ (half - rate @ turn))
    derivative[:3, blocks[1] : blocks[1] + 3] = np.rad2deg(axes @ rate)
    derivative[3:, blocks[0] + 3 : blocks[0] + 6] = -np.eye(3)
    derivative[3:, blocks[1] + 3 : blocks[1] + 6] = np.eye(3)
    shift = moved_points(second, PIVOTS["femur"]) - moved_points(first, PIVOTS["femur"])
    value = np.concatenate([np.rad2deg(axes @ angle), shift])
    apart = 0.0 if centred_mm is None else centred_mm(float(np.linalg.norm(shift)))
    add(value, derivative, (*_LEG_TURN, *3 * (np.hypot(_LEG_SHIFT, apart),)))


def _add_films(state: FitState, film_normals: tuple[np.ndarray, ...], add) -> None:
    for slot in state.slots:
        for bone in ("femur", "tibia"):
            shaft, normal = state.poses[slot][bone][:3, 2], film_normals[slot]
            lean = np.clip(shaft @ normal, -0.999, 0.999)
            at = 6 * state.block(slot, bone)
            derivative = np.zeros((1, 6 * state.blocks))
            derivative[0, at : at + 3] = np.cross(shaft, normal) / np.sqrt(1 - lean**2)
            degrees = np.rad2deg(np.arcsin([lean]))
            add(degrees, np.rad2deg(derivative), _FILM * (1 + (degrees / _FILM_LEFT) ** 2))

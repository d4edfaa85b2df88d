"""How a leg moves between two exposures: the knee bends, and the whole leg is turned and shifted.

A routine pair of radiographs is taken one after the other, the frontal with the knee extended, the
lateral with it bent. The world is the first exposure's; motions are rigid 4x4 matrices (mm) that
carry each bone from where it lay in the first exposure to where it lies in the second.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.rigid import turn_about
from SSRKDLib.simulation.random_shape import cleared
from SSRKDLib.surfaces.mesh import Mesh

#: The tibia rolls back by this much as the knee bends, mm per degree.
_ROLL_BACK = 0.04

#: The patella turns by this share of the flexion (0.5 to 0.7: Amis et al., J Orthop Res 24(12),
#: 2006).
_PATELLA_SHARE = 0.5

#: The epicondyles lie within this height of the femur's lower end, mm; each is the middle of this
#: share of the vertices there, the outermost ones.
_CONDYLES, _EPICONDYLE_SHARE = 35.0, 0.02

#: Bones that come nearer to the femur than this are pushed off, mm (nearer ones stay as near).
_CLEARANCE = 1.0

#: What a command or an evaluation asks for where nothing else is said: the leg turned by these
#: degrees, shifted by these mm.
USUAL_TURN, USUAL_SHIFT = 5.0, 10.0

#: Flexion that a knee can be given, degrees.
FLEXIONS = (-10.0, 90.0)

Motions = dict[str, np.ndarray]


def leg_motion(
    bones: Mapping[str, Mesh],
    flexion: float,
    rng: np.random.Generator,
    turn: float = USUAL_TURN,
    shift: float = USUAL_SHIFT,
) -> Motions:
    """The motion of each bone: bent by ``flexion``, then turned and shifted with the whole leg.

    The axis of the turn, through the middle between the epicondyles, and the direction of the
    shift are random.

    Args:
        bones: four surfaces of either side, LPS mm, upright; shafts may be cut.
        flexion: how much more the knee is bent, degrees.
        rng: the randomness; two directions are drawn.
        turn, shift: of the whole leg, degrees and mm.

    Returns:
        Per bone a rigid 4x4.

    Raises:
        InputError: the flexion is not in :data:`FLEXIONS`.
    """
    axis, centre = transepicondylar_axis(bones)
    about, along = rng.normal(size=(2, 3))
    whole = _about(about, turn, centre, shift * along / np.linalg.norm(along))
    return {bone: whole @ motion for bone, motion in flexed(bones, flexion).items()}


def flexed(bones: Mapping[str, Mesh], degrees: float) -> Motions:
    """The motion of each bone of a knee that is bent by ``degrees`` more; the femur stays.

    Tibia and fibula turn about the transepicondylar axis and roll back, the patella goes half the
    way. Where they would touch the femur they are pushed off it.

    Args, Raises: see :func:`leg_motion`.
    """
    check_flexion(degrees)
    axis, centre = transepicondylar_axis(bones)
    forwards = np.array([0.0, -_ROLL_BACK * degrees, 0.0])
    shin = _about(axis, degrees, centre, forwards)
    patella = _about(axis, _PATELLA_SHARE * degrees, centre)
    if degrees:
        shin = _pushed_off(bones["femur"], bones["tibia"], shin)
        patella = _pushed_off(bones["femur"], bones["patella"], patella)
    motions = {"patella": patella, "femur": np.eye(4), "fibula": shin, "tibia": shin}
    return {bone: motions[bone] for bone in BONES}


def check_flexion(degrees: float) -> None:
    """Raise :class:`~SSRKDLib.core.errors.InputError` where a knee cannot be bent by so much."""
    if not FLEXIONS[0] <= degrees <= FLEXIONS[1]:
        raise InputError(
            "A knee can be bent by {first_flexion:g} to {second_flexion:g} degrees more "
            "(got {degrees:g}).",
            first_flexion=FLEXIONS[0],
            second_flexion=FLEXIONS[1],
            degrees=degrees,
        )


def transepicondylar_axis(bones: Mapping[str, Mesh]) -> tuple[np.ndarray, np.ndarray]:
    """The axis about which the tibia flexes: unit vector towards the patient's left, and the
    middle between the epicondyles, ``(3,)`` mm each. A positive turn bends the knee.

    Args: see :func:`leg_motion`; only the femur is looked at.
    """
    femur = bones["femur"].vertices
    condyles = femur[femur[:, 2] < np.percentile(femur[:, 2], 0.5) + _CONDYLES]
    condyles = condyles[condyles[:, 0].argsort()]
    count = max(1, round(_EPICONDYLE_SHARE * len(condyles)))
    right, left = condyles[:count].mean(axis=0), condyles[-count:].mean(axis=0)
    return (left - right) / np.linalg.norm(left - right), (left + right) / 2


def moved_bones(bones: Mapping[str, Mesh], motions: Motions) -> dict[str, Mesh]:
    """The bones where they lie in the second exposure."""
    return {bone: mesh.transformed(motions[bone]) for bone, mesh in bones.items()}


def relative_flexion(motions: Motions, axis: np.ndarray) -> float:
    """Degrees by which motions bend the knee more, about the axis as it lay before them."""
    relative = np.linalg.inv(motions["femur"]) @ motions["tibia"]
    return float(np.degrees(Rotation.from_matrix(relative[:3, :3]).as_rotvec() @ axis))


def _about(
    axis: np.ndarray, degrees: float, centre: np.ndarray, shift: np.ndarray | float = 0.0
) -> np.ndarray:
    """A turn about an axis through a point, then a shift, 4x4."""
    unit = np.asarray(axis) / np.linalg.norm(axis)
    return turn_about(Rotation.from_rotvec(np.radians(degrees) * unit).as_matrix(), centre, shift)


def _pushed_off(femur: Mesh, bone: Mesh, motion: np.ndarray) -> np.ndarray:
    """The motion with a shift that keeps the bone clear of the femur."""
    before = cKDTree(femur.vertices).query(bone.vertices, distance_upper_bound=10.0)[0].min()
    points = bone.transformed(motion).vertices
    clear = cleared(points, femur.vertices, femur.faces, min(_CLEARANCE, before), None)
    shifted = np.eye(4)
    shifted[:3, 3] = clear[0] - points[0]
    return shifted @ motion

"""How much to correct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from SSRKDLib.clinical.coverage import Unmeasurable, need_joint
from SSRKDLib.clinical.frames import femur_frame
from SSRKDLib.clinical.measures import measure
from SSRKDLib.core.errors import InputError
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.planning.cut import Cut
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.reconstruction.fitting.surface_fit import fit_surfaces
from SSRKDLib.surfaces.mesh import Mesh

#: Where the weight-bearing line is to cross the tibia's plateaus, percent of their width from the
#: medial side (Dugdale et al., Clin Orthop Relat Res 274, 1992, 248-264; Fujisawa et al., Orthop
#: Clin North Am 10, 1979, 585-608).
TARGET_PERCENT = 62.5

#: From the knee's centre to the hip's and to the ankle's, mm, where nobody gives them. Ten percent
#: more or less change the correction by about half a degree (a test).
FEMUR_MM, TIBIA_MM = 430.0, 365.0

#: Past this angle of the bones' long axes, seen from the side, degrees, a knee counts as bent: in a
#: straight one these axes, of the parts near the joint, stand up to 12 degrees apart.
MOST_FLEXION = 20.0


class LongLeg(NamedTuple):
    """What a standing long-leg radiograph says.

    ``hka``: hip-knee-ankle angle, degrees on the medial side: 180 straight, below it varus.
    ``percent``: where the weight-bearing line crosses the plateaus, from the medial side (below 0
    it passes medially of the knee). One of the two is None. ``femur``, ``tibia``: lengths from the
    knee's centre to those of hip and ankle, mm.
    """

    hka: float | None = None
    percent: float | None = None
    femur: float = FEMUR_MM
    tibia: float = TIBIA_MM


class Knee(NamedTuple):
    """What the bones tell beside the tibia's own angles, degrees; None where they do not show it.

    ``convergence``: of the joint line, positive where it opens laterally; ``flexion``: between
    femur and tibia.
    """

    convergence: float | None
    flexion: float | None


def knee_angles(bones: Mapping[str, Mesh], landmarks: Landmarks) -> Knee:
    """What femur and tibia tell together (see :mod:`SSRKDLib.clinical`)."""
    if "femur" not in bones or not bones["femur"].area() > 0:
        return Knee(None, None)
    found = {one.name: one.value for one in measure(bones, landmarks.laterality)}
    femur, axes = bones["femur"], landmarks.axes
    if landmarks.laterality == "R":
        femur, axes = femur.transformed(MIRROR), axes * MIRROR.diagonal()[:3]
    fit = fit_surfaces({"femur": femur}).get("femur")
    try:
        need_joint("femur", fit)
    except Unmeasurable:
        return Knee(found["joint_line_convergence"], None)
    _, y, z = femur_frame(fit.points).axes @ axes[2]
    return Knee(found["joint_line_convergence"], float(np.degrees(np.arctan2(y, z))))


def to_mpta(mpta: float, wanted: float) -> float:
    """Correction, degrees, that gives a wanted medial proximal tibial angle.

    Raises:
        InputError: the angle is as wanted, or beyond.
    """
    if wanted <= mpta:
        raise InputError(
            "The medial proximal tibial angle is {mpta:.1f} degrees already, {wanted:g} "
            "are wanted: there is no varus to correct.",
            "Give the correction by --angle.",
            mpta=mpta,
            wanted=wanted,
        )
    return wanted - mpta


def miniaci(
    landmarks: Landmarks,
    cut: Cut,
    leg: LongLeg,
    target: float = TARGET_PERCENT,
    flexion: float | None = None,
) -> float:
    """Correction, degrees, that lets the weight-bearing line cross the plateaus at a target.

    Miniaci's construction (Miniaci, Ballmer, Ballmer and Jakob, Clin Orthop Relat Res 246, 1989,
    250-259), in the tibia's frontal plane: the new weight-bearing line runs from the hip's centre
    through the target; the ankle's new centre is where it meets the circle about the hinge through
    the old one; the correction is the angle between both, at the hinge. The tibia's mechanical axis
    is taken to be parallel to its proximal anatomical one and to run through the plateaus' middle.

    Args:
        landmarks, cut: of the tibia.
        leg: of the long-leg radiograph.
        target: percent of the plateaus' width from the medial side.
        flexion: of the knee in the models, degrees, or None where it is unknown.

    Raises:
        InputError: the knee is flexed, the numbers are no human leg's, or there is no varus to
            correct.
    """
    if flexion is not None and abs(flexion) > MOST_FLEXION:
        raise InputError(
            "The knee is bent by {flexion:.0f} degrees in these models; Miniaci's "
            "construction holds for a straight leg, up to {most_flexion:g} degrees.",
            "Use models as in the frontal radiograph (reconstruct --pose frontal), or "
            "give the correction by --angle.",
            flexion=abs(flexion),
            most_flexion=MOST_FLEXION,
        )
    _check_leg(leg, target)
    medial, lateral = landmarks.sides @ landmarks.axes.T
    centre = (medial + lateral) / 2.0
    width = lateral[0] - medial[0]
    ankle = np.array([0.0, -leg.tibia])
    varus = 180.0 - leg.hka if leg.hka is not None else _varus_of(leg, width)
    hip = _hip(varus, leg.femur)
    goal = np.array([(target / 100.0 - 0.5) * width, 0.0])
    hinge = (landmarks.axes @ cut.hinge - centre)[[0, 2]]
    way = (goal - hip) / np.linalg.norm(goal - hip)
    # Where the line hip + t * way meets the circle about the hinge; the lower of both points.
    along, radius = (hip - hinge) @ way, np.linalg.norm(ankle - hinge)
    t = -along + np.sqrt(along**2 - ((hip - hinge) @ (hip - hinge) - radius**2))
    old, new = ankle - hinge, hip + t * way - hinge
    angle = float(np.degrees(np.arctan2(old[0] * new[1] - old[1] * new[0], old @ new)))
    if angle <= 0.0:
        raise InputError(
            "The weight-bearing line crosses the knee at {percent:.0f} percent already, "
            "{target:g} are wanted: there is no varus to correct.",
            "Check the hip-knee-ankle angle (below 180 degrees is varus) or the target.",
            percent=_percent(varus, leg, width),
            target=target,
        )
    return angle


def _hip(varus: float, femur: float) -> np.ndarray:
    """The hip's centre in the tibia's frontal plane (lateral, up), knee at 0, ankle straight
    below."""
    return femur * np.array([-np.sin(np.radians(varus)), np.cos(np.radians(varus))])


def _percent(varus: float, leg: LongLeg, width: float) -> float:
    """Where the line from hip to ankle crosses the plateaus' level."""
    hip = _hip(varus, leg.femur)
    across = hip[0] * leg.tibia / (hip[1] + leg.tibia)
    return float(50.0 + 100.0 * across / width)


def _varus_of(leg: LongLeg, width: float) -> float:
    """The varus, degrees, in which the weight-bearing line crosses where it was measured."""
    try:
        return float(brentq(lambda varus: _percent(varus, leg, width) - leg.percent, -40.0, 40.0))
    except ValueError:
        raise InputError(
            "The weight-bearing line at {percent:g} percent is no human leg's.",
            "Give where it crosses the plateaus, in percent of their width from the medial side.",
            percent=leg.percent,
        ) from None


def _check_leg(leg: LongLeg, target: float) -> None:
    if leg.hka is not None and not 150.0 <= leg.hka <= 210.0:
        raise InputError(
            "The hip-knee-ankle angle is {hka:g} degrees; 150 to 210 are expected, 180 "
            "being straight and less varus.",
            "Give it as measured on the medial side.",
            hka=leg.hka,
        )
    for bone, length in (("femur", leg.femur), ("tibia", leg.tibia)):
        if not 200.0 <= length <= 700.0:
            raise InputError(
                "The {bone}'s length is {length:g} mm; 200 to 700 are expected.",
                "Give the distance from the knee's centre in millimetres.",
                bone=bone,
                length=length,
            )
    if not 30.0 <= target <= 80.0:
        raise InputError(
            "The target is {target:g} percent; 30 to 80 of the plateaus' width are expected.",
            "Give it from the medial side.",
            target=target,
        )

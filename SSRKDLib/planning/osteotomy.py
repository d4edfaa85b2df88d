"""High tibial osteotomy: what turning the tibia about a hinge does, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.rigid import turn_about
from SSRKDLib.planning.cut import Cut, outline_of
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.surfaces.mesh import Mesh

#: Corrections that can be planned, degrees. Past the upper one no hinge of bone holds.
ANGLES = (0.5, 25.0)

#: Where a warning is given: bone left at the hinge (about 10 mm are asked for: Lobenhoffer and
#: Agneskirchner 2003), change of a plateau's slope (Noyes et al. 2005 aim to leave it as it is),
#: and opening at the cortex, past which one hinge of bone is likely to break.
LEAST_HINGE_MM, MOST_SLOPE_CHANGE, MOST_GAP_MM = 8.0, 2.0, 15.0


@dataclass(frozen=True)
class Angles:
    """Alignment of one tibia, degrees.

    Attributes:
        mpta: medial proximal tibial angle against the proximal anatomical axis (Paley, Principles
            of Deformity Correction, Springer 2002, chapter 1).
        slope_medial, slope_lateral: posterior tibial slope of each plateau; falling to the back is
            positive.
        joint_line: fall of the joint line to the lateral side, against the perpendicular of the
            axis, in the frontal plane: ``mpta`` less 90.
    """

    mpta: float
    slope_medial: float
    slope_lateral: float
    joint_line: float


@dataclass(frozen=True)
class Plan:
    """An osteotomy and what it changes.

    Attributes:
        cut: where.
        angle: of the correction, degrees, into valgus.
        motion: 4x4 rigid, mm, bones' frame: moves everything below the cut. What is above it, with
            the joint, stays.
        height, height_posterior, height_anterior: distance of both cut surfaces at the cortex, mm:
            opened, or of the base of the wedge that is taken out. At the side where the cut enters,
            and at the corners behind and in front of it, 45 degrees between side and back or front.
            Where the cortex is d from the hinge axis it is 2 d sin(angle / 2) (Noyes et al., Am J
            Sports Med 33, 2005, 378-387, on gaps in front and behind, and slope).
        depth: from the cortex to the hinge, the most anywhere, mm.
        hinge_width: bone left behind the hinge, the most anywhere, mm.
        before, after: the tibia's alignment.
        warnings: sentences.
    """

    cut: Cut
    angle: float
    motion: np.ndarray
    height: float
    height_posterior: float
    height_anterior: float
    depth: float
    hinge_width: float
    before: Angles
    after: Angles
    warnings: tuple[str, ...]

    @property
    def slope_change(self) -> float:
        """Of the medial plateau, degrees."""
        return self.after.slope_medial - self.before.slope_medial

    def as_dict(self) -> dict:
        """Plain numbers, lists and texts, for JSON."""
        cut = self.cut
        return {
            "kind": cut.kind,
            "angle_deg": self.angle,
            "height_mm": self.height,
            "height_posterior_mm": self.height_posterior,
            "height_anterior_mm": self.height_anterior,
            "depth_mm": self.depth,
            "hinge_width_mm": self.hinge_width,
            "before_deg": asdict(self.before),
            "after_deg": asdict(self.after),
            "slope_change_deg": self.slope_change,
            "plane": {"origin": cut.hinge.tolist(), "normal": cut.normal.tolist()},
            "hinge": {"point": cut.hinge.tolist(), "direction": cut.axis.tolist()},
            "distal_motion": self.motion.tolist(),
            "warnings": list(self.warnings),
        }


def plan_osteotomy(tibia: Mesh, landmarks: Landmarks, cut: Cut, angle: float) -> Plan:
    """Turn the part of a tibia below a cut about its hinge, into valgus.

    Args:
        tibia: its surface, mm.
        landmarks: of it.
        cut: where it is cut and hinged.
        angle: degrees, one of :data:`ANGLES`' range.

    Raises:
        InputError: the angle is outside that range, the hinge lies outside the bone, or the cut
            does not run through it.
    """
    if not ANGLES[0] <= angle <= ANGLES[1]:
        too_large = angle > ANGLES[1]
        raise InputError(
            "A correction of {angle:g} degrees "
            + ("would break the hinge" if too_large else "is none")
            + ": {least:g} to {most:g} degrees are expected.",
            "Choose a smaller angle, or plan two osteotomies." if too_large else "",
            angle=angle,
            least=ANGLES[0],
            most=ANGLES[1],
        )
    outline = outline_of(tibia, cut, landmarks)
    width, depth = -float(outline[:, 0].min()), float(outline[:, 0].max())
    if width <= 0.0 or depth <= 0.0:
        raise InputError(
            "The hinge lies outside the tibia: the bone would be cut through.",
            "Move the hinge into the bone.",
        )
    motion = hinge_motion(landmarks, cut, angle)
    chord = 2.0 * float(np.sin(np.radians(angle) / 2.0))
    side, behind, before = (
        chord * abs(float(outline[np.argmax(outline @ direction), 0]))
        for direction in ([1.0, 0.0], [1.0, 1.0], [1.0, -1.0])
    )
    angles = alignment(landmarks, np.eye(3)), alignment(landmarks, motion[:3, :3])
    return Plan(
        cut, float(angle), motion, side, behind, before, depth, width, *angles,
        _warnings(cut, width, side, *angles),
    )  # fmt: skip


def hinge_motion(landmarks: Landmarks, cut: Cut, angle: float) -> np.ndarray:
    """4x4: the turn about the hinge by ``angle`` degrees that moves the foot laterally."""
    turn = Rotation.from_rotvec(np.radians(angle) * cut.axis).as_matrix()
    if (turn @ -landmarks.axes[2]) @ landmarks.axes[0] < 0:
        turn = turn.T
    return turn_about(turn, cut.hinge, np.zeros(3))


def alignment(landmarks: Landmarks, turn: np.ndarray) -> Angles:
    """The tibia's angles after its shaft was turned by a rotation (3x3) below the plateaus."""
    z = turn @ landmarks.axes[2]
    x = landmarks.axes[0] - (landmarks.axes[0] @ z) * z
    x /= np.linalg.norm(x)
    # To the back whichever hand the frame is: the shaft's turn is far from 90 degrees.
    y = np.cross(z, x)
    y *= np.sign(y @ landmarks.axes[1])
    line = landmarks.lateral[0] - landmarks.medial[0]
    mpta = 90.0 - float(np.degrees(np.arctan2(line @ z, line @ x)))
    medial, lateral = (
        -float(np.degrees(np.arctan2((plateau[2] - plateau[1]) @ z, (plateau[2] - plateau[1]) @ y)))
        for plateau in (landmarks.medial, landmarks.lateral)
    )
    return Angles(mpta, medial, lateral, mpta - 90.0)


def _warnings(
    cut: Cut, width: float, height: float, before: Angles, after: Angles
) -> tuple[str, ...]:
    warnings = []
    if width < LEAST_HINGE_MM:
        warnings.append(
            Message(
                "Only {width:.1f} mm of bone are left at the hinge; below {least_hinge_mm:g} "
                "mm it is likely to break.",
                width=width,
                least_hinge_mm=LEAST_HINGE_MM,
            )
        )
    if cut.kind == "opening" and height > MOST_GAP_MM:
        warnings.append(
            Message(
                "The gap of {height:.1f} mm is wider than {most_gap_mm:g} mm: the hinge may "
                "break, and the gap may have to be filled.",
                height=height,
                most_gap_mm=MOST_GAP_MM,
            )
        )
    for name in ("medial", "lateral"):
        change = getattr(after, f"slope_{name}") - getattr(before, f"slope_{name}")
        if abs(change) > MOST_SLOPE_CHANGE:
            warnings.append(
                Message(
                    "The {name} tibial slope changes by {change:+.1f} degrees, more than "
                    "{most_slope_change:g}: turn the hinge.",
                    name=name,
                    change=change,
                    most_slope_change=MOST_SLOPE_CHANGE,
                )
            )
    return tuple(warnings)

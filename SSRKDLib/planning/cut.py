"""Where a high tibial osteotomy is cut and hinged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SSRKDLib.core.errors import InputError
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.surfaces.mesh import Mesh

#: Medial opening and lateral closing wedge.
KINDS: tuple[str, ...] = ("opening", "closing")

#: How far below the joint line of its side the cut enters, mm, by kind.
ENTRY = {"opening": 40.0, "closing": 20.0}

#: How much bone is left between the hinge and the cortex behind it, mm.
HINGE = 10.0

#: Thickness of the tubercle's fragment in a biplanar osteotomy, mm, and the angle between both
#: cuts, degrees.
TUBERCLE, TUBERCLE_ANGLE = 15.0, 110.0

_RANGES = {"entry": (10.0, 70.0), "hinge": (1.0, 40.0), "inclination": (-15.0, 30.0),
           "turn": (-45.0, 45.0)}  # fmt: skip


@dataclass(frozen=True)
class Choices:
    """How an osteotomy is laid out by rule.

    Attributes:
        kind: one of :data:`KINDS`.
        entry: mm below the joint line; None: as :data:`ENTRY` says.
        hinge: mm of bone left between hinge and cortex.
        inclination: fall of the cut to the back, degrees; None: parallel to the medial slope.
        turn: of the hinge in the cut plane, degrees, from straight front to back; positive moves
            its posterior end to the medial side.
    """

    kind: str = "opening"
    entry: float | None = None
    hinge: float = HINGE
    inclination: float | None = None
    turn: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                "'{kind}' is no kind of osteotomy.", "Use opening or closing.", kind=self.kind
            )
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                unit = "mm" if name in ("entry", "hinge") else "degrees"
                raise InputError(
                    "The osteotomy's {name} is {value:g} {unit}; {low:g} to {high:g} is expected.",
                    "Choose another {name}.",
                    name=name,
                    value=value,
                    unit=unit,
                    low=low,
                    high=high,
                )


@dataclass(frozen=True)
class Cut:
    """A cut plane and the hinge in it, mm, in the bones' frame.

    Attributes:
        kind: one of :data:`KINDS`.
        hinge: (3,) a point of the hinge axis, at the middle of the bone from front to back.
        axis: (3,) unit, along the hinge, to the back.
        normal: (3,) unit, of the plane, towards the joint.
    """

    kind: str
    hinge: np.ndarray
    axis: np.ndarray
    normal: np.ndarray

    def frame(self, landmarks: Landmarks) -> np.ndarray:
        """``[3, 3]`` unit rows: in the plane away from the hinge to where the cut enters, along the
        hinge to the back, normal."""
        away = np.cross(self.axis, self.normal)
        side = -1.0 if self.kind == "opening" else 1.0
        return np.array([away * np.sign(side * (away @ landmarks.axes[0])), self.axis, self.normal])


def standard_cut(tibia: Mesh, landmarks: Landmarks, choices: Choices) -> Cut:
    """The cut that the rules give.

    The plane falls to the back as chosen or as the medial plateau does. Seen along that fall, so
    that front and back of the bone coincide, it starts at the cortex, :data:`ENTRY` below the
    plateau of its side. An opening wedge's cut runs from the medial side to the tip of the fibula
    and is hinged laterally (Lobenhoffer and Agneskirchner, Knee Surg Sports Traumatol Arthrosc 11,
    2003, 132-138; Staubli et al., Injury 34 Suppl 2, 2003, B55-62). A closing wedge's first cut
    starts laterally, runs parallel to the joint line and is hinged medially (Coventry, J Bone Joint
    Surg Am 67, 1985, 1136-1140). The hinge runs straight from front to back, unless it is turned,
    ``choices.hinge`` short of the far cortex.

    Raises:
        InputError: the plane does not cross the tibia where it should.
    """
    opening = choices.kind == "opening"
    fall = np.radians(landmarks.slope if choices.inclination is None else choices.inclination)
    entry = ENTRY[choices.kind] if choices.entry is None else choices.entry
    local = tibia.vertices @ landmarks.axes.T
    medial, lateral = landmarks.medial @ landmarks.axes.T, landmarks.lateral @ landmarks.axes.T
    tip = landmarks.axes @ landmarks.fibula_tip
    middle = float(np.mean([medial[1:, 1], lateral[1:, 1]]))

    def level(points: np.ndarray) -> np.ndarray:
        """Height of points, moved along the fall to the middle of the bone."""
        return points[..., 2] + (points[..., 1] - middle) * np.tan(fall)

    start = level(medial[0] if opening else lateral[0]) - entry
    outline = _crossings(np.c_[local[:, :2], level(local)], tibia.faces, start)
    side = outline[:, 0].min() if opening else outline[:, 0].max()
    if opening:
        run, rise = tip[0] - side, level(tip) - start
    else:
        run, rise = lateral[0, 0] - medial[0, 0], level(lateral[0]) - level(medial[0])
    if run < 10.0 or abs(rise) > run:
        raise InputError(
            "The cut would be steeper than 45 degrees.", "Choose another entry below the joint."
        )
    across = np.array([1.0, 0.0, rise / run])  # level is linear: at the bone's middle it is z
    back = np.array([0.0, np.cos(fall), -np.sin(fall)])
    normal = np.cross(across, back)
    normal *= np.sign(normal[2]) / np.linalg.norm(normal)
    # In the plane: out to the side at right angles to the way back.
    aside = np.cross(back, normal) * (1.0 if np.cross(back, normal)[0] > 0 else -1.0)
    turn = np.radians(choices.turn)
    axis = np.cos(turn) * back - np.sin(turn) * aside
    beyond = np.cross(axis, normal)
    beyond *= np.sign(beyond[0]) * (1.0 if opening else -1.0)
    point = np.array([side, middle, start])
    edge = _crossings(local @ np.array([beyond, axis, normal]).T, tibia.faces, normal @ point)
    reach = edge[:, 0].max() - choices.hinge
    hinge = reach * beyond + np.mean([edge[:, 1].min(), edge[:, 1].max()]) * axis
    hinge = hinge + (normal @ point) * normal
    if reach - edge[:, 0].min() < 10.0:
        raise InputError("The hinge leaves less than 10 mm to cut.", "Choose a thinner hinge.")
    return Cut(choices.kind, *(vector @ landmarks.axes for vector in (hinge, axis, normal)))


def drawn_cut(
    landmarks: Landmarks, kind: str, origin: np.ndarray, normal: np.ndarray, hinge: np.ndarray
) -> Cut:
    """The cut that a user drew.

    Args:
        landmarks: of the tibia.
        kind: one of :data:`KINDS`.
        origin, normal: (3,) of the plane; the normal's length and sign do not matter.
        hinge: ``[2, 3]`` ends of the hinge; they are moved into the plane along its normal.

    Raises:
        InputError: plane or hinge are nothing that can be cut.
    """
    length = np.linalg.norm(normal)
    normal = normal / length if length else landmarks.axes[2]
    normal = normal * (1.0 if normal @ landmarks.axes[2] > 0 else -1.0)
    ends = hinge - ((hinge - origin) @ normal)[:, None] * normal
    step = ends[1] - ends[0]
    if np.linalg.norm(step) < 1.0 or abs(step @ landmarks.axes[1]) < 0.5 * np.linalg.norm(step):
        raise InputError(
            "The hinge does not run from front to back.", "Drag its ends, or click Plan again."
        )
    if normal @ landmarks.axes[2] < 0.5:
        raise InputError(
            "The cut plane is steeper than 60 degrees against the tibia's axis.",
            "Turn it back, or click Plan again.",
        )
    axis = step * np.sign(step @ landmarks.axes[1]) / np.linalg.norm(step)
    return Cut(kind, ends.mean(axis=0), axis, normal)


def outline_of(tibia: Mesh, cut: Cut, landmarks: Landmarks) -> np.ndarray:
    """Points ``[N, 2]`` where the cut leaves the tibia: distance from the hinge towards the entry,
    and place along the hinge, mm.

    Raises:
        InputError: the plane misses the bone, or leaves it where the surface is open or below the
            part that is there.
    """
    local = (tibia.vertices - cut.hinge) @ cut.frame(landmarks).T
    return _crossings(local, tibia.faces, 0.0)


def _crossings(local: np.ndarray, faces: np.ndarray, height: float) -> np.ndarray:
    from SSRKDLib.clinical.sections import section

    found = section(local, faces, height)
    if not found.is_closed:
        raise InputError(
            "The cut does not run through the tibia: the surface ends above it, or the plane "
            "passes beside it.",
            "Choose a place nearer to the joint, or give a longer tibia.",
        )
    return found.start

"""What of a tibia an osteotomy is planned by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from SSRKDLib.clinical.frames import TibiaFrame, Unmeasurable, tibia_frame
from SSRKDLib.clinical.tibia import Plateau, plateaus
from SSRKDLib.core.errors import InputError
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.surfaces.mesh import Mesh


@dataclass(frozen=True)
class Landmarks:
    """Places and directions of one tibia, in the bones' frame, mm.

    Attributes:
        laterality: "L" or "R".
        axes: ``[3, 3]`` unit rows: lateral, posterior, up along the proximal anatomical axis (a
            left-handed frame for a right knee).
        shaft: ``[2, 3]`` lower and upper end of the visible shaft's axis.
        medial, lateral: ``[3, 3]`` each: centre, front and back of the plateau's joint line.
        sides: ``[2, 3]`` medial and lateral end of the plateaus, level with their centres.
        fibula_tip: (3,) the fibula's most proximal point.
    """

    laterality: str
    axes: np.ndarray
    shaft: np.ndarray
    medial: np.ndarray
    lateral: np.ndarray
    sides: np.ndarray
    fibula_tip: np.ndarray

    @property
    def slope(self) -> float:
        """Medial posterior tibial slope, degrees; falling to the back is positive."""
        _, y, z = self.axes @ (self.medial[2] - self.medial[1])
        return -float(np.degrees(np.arctan2(z, y)))


def find_landmarks(bones: Mapping[str, Mesh], laterality: str) -> Landmarks:
    """The landmarks of a tibia with its fibula, in any pose and frame.

    Args:
        bones: surfaces by name, one frame, mm; only ``tibia`` and ``fibula`` count.
        laterality: "L" or "R".

    Raises:
        InputError: there is no tibia or no fibula, the tibia is cut too short, its plateaus cannot
            be identified, or the bones are of the other side.
    """
    if laterality not in ("L", "R"):
        raise InputError(
            "An osteotomy needs to know whether the knee is a left or a right one.",
            "Give the side (--side L or R).",
        )
    for bone in ("tibia", "fibula"):
        if bone not in bones or not bones[bone].area() > 0:
            raise InputError(
                f"There is no {bone}: an osteotomy is planned on the tibia, with its cut towards "
                "the tip of the fibula.",
                f"Give a surface of the {bone} too.",
            )
    if laterality == "R":
        bones = {bone: bones[bone].transformed(MIRROR) for bone in ("tibia", "fibula")}
    try:
        found = _of_left(bones["tibia"], bones["fibula"], laterality)
    except Unmeasurable as reason:
        raise InputError(
            f"No osteotomy can be planned on this tibia: {str(reason)[:1].lower()}"
            f"{str(reason)[1:].rstrip('.')}.",
            "Give a tibia with whole plateaus and at least 80 mm of shaft below them.",
        ) from reason
    return found if laterality == "L" else _mirrored(found)


def _of_left(tibia: Mesh, fibula: Mesh, laterality: str) -> Landmarks:
    up = _towards_plateaus(tibia, fibula)
    aside = fibula.vertices.mean(axis=0) - tibia.vertices.mean(axis=0)
    frame = tibia_frame(tibia, up, aside - (aside @ up) * up)
    if frame.shaft is None:
        raise Unmeasurable("It is cut too short to see the axis of its shaft.")
    tip = fibula.vertices[np.argmax(fibula.vertices @ frame.axes[2])]
    _refuse_other_side(fibula, frame, tip, laterality)
    medial, lateral = plateaus(tibia, frame)
    return Landmarks(
        "L", frame.axes, frame.shaft, _points(medial), _points(lateral),
        _sides(frame, medial, lateral), tip,
    )  # fmt: skip


def _points(plateau: Plateau) -> np.ndarray:
    return np.array([plateau.centre, plateau.front, plateau.back])


def _sides(frame: TibiaFrame, medial: Plateau, lateral: Plateau) -> np.ndarray:
    """The plateaus' middles are at a quarter of the width from either side."""
    step = (lateral.centre - medial.centre) / 2
    return np.array([medial.centre - step, lateral.centre + step])


def _towards_plateaus(tibia: Mesh, fibula: Mesh) -> np.ndarray:
    """Unit direction of the leg: the fibula's longest axis (a short piece of tibia is as wide as
    long), to the end at which the tibia is wider."""
    weights = np.linalg.norm(fibula.area_vectors(), axis=1)
    axis = np.linalg.eigh(np.cov(fibula.corners().mean(axis=1).T, aweights=weights))[1][:, 2]
    middles, areas = tibia.corners().mean(axis=1), np.linalg.norm(tibia.area_vectors(), axis=1)
    along = middles @ axis
    aside = middles - np.average(middles, axis=0, weights=areas)
    away = np.linalg.norm(aside - (aside @ axis)[:, None] * axis, axis=1)
    third = np.ptp(along) / 3.0
    low, high = along < along.min() + third, along > along.max() - third
    wider = np.average(away[high], weights=areas[high]) > np.average(away[low], weights=areas[low])
    return axis if wider else -axis


def _refuse_other_side(fibula: Mesh, frame: TibiaFrame, tip: np.ndarray, laterality: str) -> None:
    """The fibula's head lies behind the middle of the tibia; in front, right is taken for left."""
    middle = np.mean([rims for _, rims in frame.spans])
    head = fibula.vertices[(tip - fibula.vertices) @ frame.axes[2] < 0.3 * frame.width]
    if (head @ frame.axes[1]).mean() < middle:
        said, other = ("left", "right") if laterality == "L" else ("right", "left")
        raise InputError(
            f"These are said to be the bones of a {said} knee, and look like those of a {other} "
            "one: the fibula would lie in front of the tibia's middle.",
            "Correct the side, or export the bones again without mirroring them.",
        )


def _mirrored(found: Landmarks) -> Landmarks:
    flip = MIRROR.diagonal()[:3]
    return Landmarks(
        "R",
        *(
            getattr(found, name) * flip
            for name in ("axes", "shaft", "medial", "lateral", "sides", "fibula_tip")
        ),
    )

"""What of a tibia an osteotomy is planned by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from SSRKDLib.clinical.coverage import Unmeasurable, need_joint, need_shaft
from SSRKDLib.clinical.frames import Frame, tibia_frame
from SSRKDLib.clinical.tibia import Plateau, plateaus, tibia_landmarks
from SSRKDLib.core.errors import InputError
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.reconstruction.fitting.surface_fit import fit_surfaces
from SSRKDLib.surfaces.mesh import Mesh

#: Length of the fibula's head, mm.
_HEAD_MM = 20.0


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

    def as_dict(self) -> dict:
        """For JSON; :meth:`from_dict` reads it."""
        return {name: np.asarray(value).tolist() for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping) -> Landmarks:
        """What :meth:`as_dict` wrote."""
        laterality = values["laterality"]
        arrays = {name: np.array(value) for name, value in values.items() if name != "laterality"}
        return cls(laterality, **arrays)


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
                "There is no {bone}: an osteotomy is planned on the tibia, with its cut "
                "towards the tip of the fibula.",
                "Give a surface of the {bone} too.",
                bone=bone,
            )
    own, mirrored = (
        {bone: bones[bone].transformed(matrix) for bone in ("tibia", "fibula")}
        for matrix in ((np.eye(4), MIRROR) if laterality == "L" else (MIRROR, np.eye(4)))
    )
    try:
        found = _of_left(own["tibia"], own["fibula"])
    except Unmeasurable as reason:
        raise _refusal(reason, mirrored, laterality) from reason
    return found if laterality == "L" else _mirrored(found)


def _refusal(reason: Unmeasurable, mirrored: Mapping[str, Mesh], laterality: str) -> InputError:
    """Why there are no landmarks; that the bones are of the other side, where they are."""
    try:
        _of_left(mirrored["tibia"], mirrored["fibula"])
    except Unmeasurable:
        text = str(reason)
        return InputError(
            "No osteotomy can be planned on this tibia: {first}{rest}.",
            "Give a tibia with whole plateaus and at least 80 mm of shaft below them.",
            first=text[:1].lower(),
            rest=text[1:].rstrip("."),
        )
    said, other = ("left", "right") if laterality == "L" else ("right", "left")
    return InputError(
        "These are said to be the bones of a {said} knee, and look like those of a {other} one.",
        "Correct the side, or export the bones again without mirroring them.",
        said=said,
        other=other,
    )


def _of_left(tibia: Mesh, fibula: Mesh) -> Landmarks:
    fit = fit_surfaces({"tibia": tibia, "fibula": fibula}).get("tibia")
    need_joint("tibia", fit)
    frame = tibia_frame(fit.points)
    medial, lateral = plateaus(fit.points, frame)
    tip = fibula.vertices[np.argmax(fibula.vertices @ frame.axes[2])]
    head = fibula.vertices[(tip - fibula.vertices) @ frame.axes[2] < _HEAD_MM]
    aside, behind, _ = frame.axes @ (head - (medial.centre + lateral.centre) / 2.0).mean(axis=0)
    if aside < 0.0 or behind < 0.0:
        raise Unmeasurable("The fibula does not lie behind it on its outer side.")
    need_shaft("tibia", fit)
    return Landmarks(
        "L", frame.axes, frame.shaft, _points(medial), _points(lateral),
        _sides(fit.points, frame, medial, lateral), tip,
    )  # fmt: skip


def _points(plateau: Plateau) -> np.ndarray:
    return np.array([plateau.centre, plateau.front, plateau.back])


def _sides(tibia: np.ndarray, frame: Frame, medial: Plateau, lateral: Plateau) -> np.ndarray:
    """How far the tibia reaches on either side, on the line through the plateaus' middles."""
    found = tibia_landmarks(tibia, frame)
    line = lateral.centre - medial.centre
    return np.array(
        [
            medial.centre + (frame.axes[0] @ (end - medial.centre)) / (frame.axes[0] @ line) * line
            for end in (found["medial_side"], found["lateral_side"])
        ]
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

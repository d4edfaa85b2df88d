"""The tibial plateaus: where they are, how they slope, their front corner."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SSRKDLib.clinical.frames import Frame
from SSRKDLib.clinical.marks import Patch, marked
from SSRKDLib.clinical.patches import unit


class Plateau(NamedTuple):
    """One plateau: points (3,) in the frame of the tibia's points, mm.

    ``slope``: fall to the back, degrees, from the plane perpendicular to the frame's z.
    ``centre``, ``front``, ``back``: on the fitted plane, in the middle and where the patch ends in
    front and behind.
    """

    slope: float
    centre: np.ndarray
    front: np.ndarray
    back: np.ndarray


def plateaus(tibia: np.ndarray, frame: Frame) -> tuple[Plateau, Plateau]:
    """The medial and the lateral plateau: planes fitted to their articular surfaces.

    Args:
        tibia: ``[N, 3]`` the template's vertices, mm.
        frame: of :func:`SSRKDLib.clinical.frames.tibia_frame`.
    """
    patches, local = marked("tibia"), frame.local(tibia)
    medial, lateral = (_plateau(patches[f"{side}_plateau"], local, frame) for side in _SIDES)
    return medial, lateral


def tibia_landmarks(tibia: np.ndarray, frame: Frame) -> dict[str, np.ndarray]:
    """Points (3,) on the surface, mm, in the frame of the points.

    ``medial_side``, ``lateral_side``: farthest out along the frame's x, near the plateaus.
    ``front_corner``: the anterosuperior angle of the plateaus as a lateral radiograph shows it, the
    farthest point to the front and up, both counted alike.

    Args:
        tibia, frame: as for :func:`plateaus`.
    """
    patches, (x, y, z) = marked("tibia"), frame.axes
    directions = {"medial_side": -x, "lateral_side": x, "front_corner": unit(z - y)}
    return {name: patches[name].outermost(tibia, along) for name, along in directions.items()}


_SIDES = ("medial", "lateral")


def _plateau(patch: Patch, local: np.ndarray, frame: Frame) -> Plateau:
    middle, _, rise = patch.plane(local)
    reach = local[patch.vertices, 1] - middle[1]
    ends = (middle + [0.0, step, rise * step] for step in (0.0, reach.min(), reach.max()))
    return Plateau(float(-np.degrees(np.arctan(rise))), *frame.world(*ends))

"""The tibial plateaus: where they are, how they slope, their front corner."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SSRKDLib.clinical.frames import TibiaFrame, Unmeasurable
from SSRKDLib.clinical.sections import heights_above
from SSRKDLib.surfaces.mesh import Mesh

#: The line is fitted to the middle of a plateau: this share of its depth is left out at each rim,
#: where the surface turns down.
_TRIM = 0.2

#: Half the breadth of the strip that a profile is the mean of, in widths of the tibia.
_STRIP = 0.06

_ACROSS, _ALONG = 5, 41


class Plateau(NamedTuple):
    """One plateau: points (3,) in the mesh's frame, mm.

    ``slope``: fall to the back, degrees, from the plane perpendicular to the frame's z.
    ``centre``, ``front``, ``back``: on the fitted line, in the middle and at both rims.
    """

    slope: float
    centre: np.ndarray
    front: np.ndarray
    back: np.ndarray


def plateaus(tibia: Mesh, frame: TibiaFrame) -> tuple[Plateau, Plateau]:
    """The medial and the lateral plateau.

    Each is a profile from front to back, at a quarter of the tibia's width from its side, with a
    line fitted to its middle. The rims are where a cut parallel to the plane of both plateaus, just
    below it, leaves the bone: a single plateau's surface does not say where it ends, for the
    lateral one is as round as a ball.

    Raises:
        Unmeasurable: there is no surface where a plateau should be.
    """
    local = frame.local(tibia)
    corners = local[tibia.faces]
    corners = corners[corners[:, :, 2].max(axis=1) > frame.level - 0.5 * frame.width]
    medial, lateral = (_plateau(corners, x, span, frame) for x, span in frame.spans)
    return medial, lateral


def tibia_landmarks(tibia: Mesh, frame: TibiaFrame) -> dict[str, np.ndarray]:
    """Points (3,) on the surface, mm, in the mesh's frame.

    ``medial_side``, ``lateral_side``: farthest out along the frame's x, within half a width of the
    plateaus. ``front_corner``: the anterosuperior angle of the plateaus as a lateral radiograph
    shows it, the farthest point to the front and up, both counted alike.
    """
    local = frame.local(tibia)
    near = local[:, 2] >= frame.level - 0.5 * frame.width
    values = {
        "medial_side": -local[:, 0],
        "lateral_side": local[:, 0],
        "front_corner": local[:, 2] - local[:, 1],
    }
    return {
        name: tibia.vertices[np.argmax(np.where(near, value, -np.inf))]
        for name, value in values.items()
    }


def _plateau(
    corners: np.ndarray, x: float, rims: tuple[float, float], frame: TibiaFrame
) -> Plateau:
    middle, reach = np.mean(rims), np.ptp(rims) * (0.5 - _TRIM)
    y = np.linspace(middle - reach, middle + reach, _ALONG)
    across = x + frame.width * np.linspace(-_STRIP, _STRIP, _ACROSS)
    points = np.stack(np.meshgrid(across, y), axis=-1).reshape(-1, 2)
    z = heights_above(points, corners).reshape(_ALONG, _ACROSS).mean(axis=1)
    if np.isnan(z).any():
        raise Unmeasurable("The tibia's plateaus have holes.")
    gradient, height = np.polyfit(y - middle, z, 1)
    centre, front, back = frame.world(
        *([x, place, height + gradient * (place - middle)] for place in (middle, *rims))
    )
    return Plateau(float(-np.degrees(np.arctan(gradient))), centre, front, back)

"""The tibial plateaus: where they are, how they slope, their front corner."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SSRKDLib.clinical.frames import (
    Frame,
    Unmeasurable,
    plateau_outline,
    plateau_spans,
)
from SSRKDLib.clinical.sections import heights_above
from SSRKDLib.meshes import Mesh

#: A plateau ends in front and behind where its surface has fallen this far (in widths of the
#: tibia) below the line fitted to it.
_RIM_DROP = 0.04

#: The line is fitted to the middle of the plateau: this share of its depth is left out at each rim.
_TRIM = 0.2

#: Half the breadth of the strip that a profile is the mean of, in widths.
_STRIP = 0.06

_ACROSS, _ALONG, _STEPS = 5, 81, 20


class Plateau(NamedTuple):
    """One plateau: points (3,) in the mesh's frame, mm.

    ``slope``: fall to the back, degrees, from the plane perpendicular to the frame's z.
    ``centre``, ``front``, ``back``: on the fitted line, in the middle and at both rims.
    """

    slope: float
    centre: np.ndarray
    front: np.ndarray
    back: np.ndarray


def plateaus(tibia: Mesh, frame: Frame) -> tuple[Plateau, Plateau]:
    """The medial and the lateral plateau.

    Each is a profile from front to back, at a quarter of the tibia's width from its side. A line is
    fitted to the profile's middle; the middle depends on where the line says that the rims are, so
    both are repeated until they stay.

    Raises:
        Unmeasurable: there is no surface where a plateau should be.
    """
    local = frame.local(tibia)
    corners = local[tibia.faces]
    corners = corners[corners[:, :, 2].max(axis=1) > frame.level - 0.5 * frame.width]
    outline = plateau_outline(local, tibia.faces, frame.level, frame.width)
    medial, lateral = (_plateau(corners, x, span, frame) for x, span in plateau_spans(outline))
    return medial, lateral


def tibia_landmarks(tibia: Mesh, frame: Frame) -> dict[str, np.ndarray]:
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


def _plateau(corners: np.ndarray, x: float, span: tuple[float, float], frame: Frame) -> Plateau:
    y = np.linspace(*span, _ALONG)
    z = _profile(corners, x, y, frame.width)
    front, back = span[0] + 0.25 * np.ptp(span), span[1] - 0.25 * np.ptp(span)
    for _ in range(_STEPS):
        middle, reach = (front + back) / 2.0, (back - front) * (0.5 - _TRIM)
        places = np.linspace(middle - reach, middle + reach, _ALONG)
        gradient, height = np.polyfit(places - middle, np.interp(places, y, z), 1)
        spare = z - (height + gradient * (y - middle)) + _RIM_DROP * frame.width
        before = front, back
        front, back = _interval(y, spare, middle)
        if max(abs(front - before[0]), abs(back - before[1])) < 1e-6 * frame.width:
            break
    # A point of the line at y; the line is straight, so its middle is the plateau's height.
    centre, ahead, behind = frame.world(
        *([x, place, height + gradient * (place - middle)] for place in (middle, front, back))
    )
    return Plateau(float(-np.degrees(np.arctan(gradient))), centre, ahead, behind)


def _profile(corners: np.ndarray, x: float, y: np.ndarray, width: float) -> np.ndarray:
    """Heights at ``y``, the mean over a strip around ``x``; far below where there is no surface."""
    across = x + width * np.linspace(-_STRIP, _STRIP, _ACROSS)
    points = np.stack(np.meshgrid(across, y), axis=-1).reshape(-1, 2)
    z = heights_above(points, corners).reshape(len(y), _ACROSS).mean(axis=1)
    if np.isnan(z[len(y) // 4 : -len(y) // 4]).any():
        raise Unmeasurable("The tibia's plateaus have holes.")
    return np.where(np.isnan(z), np.nanmin(z) - width, z)


def _interval(y: np.ndarray, spare: np.ndarray, middle: float) -> tuple[float, float]:
    """The run of ``spare > 0`` around ``middle``, its ends interpolated."""
    start = int(np.clip(np.searchsorted(y, middle), 1, len(y) - 1))
    low = start
    while low > 0 and spare[low - 1] > 0:
        low -= 1
    high = start - 1
    while high < len(y) - 1 and spare[high + 1] > 0:
        high += 1
    front = y[0] if low == 0 else np.interp(0.0, spare[[low - 1, low]], y[[low - 1, low]])
    back = y[-1] if high == len(y) - 1 else np.interp(
        0.0, spare[[high + 1, high]], y[[high + 1, high]]
    )  # fmt: skip
    if back - front < 0.05 * np.ptp(y):
        raise Unmeasurable("The tibia's plateaus cannot be told from its rims.")
    return float(front), float(back)

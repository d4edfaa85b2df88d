"""A rig from plain numbers: distances and an angle per view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.centred_views import view_from_angles
from SSRKDLib.geometry.detector_pose import check_distances
from SSRKDLib.geometry.known import Known
from SSRKDLib.geometry.views import Rig


@dataclass(frozen=True)
class PlainView:
    """One view in plain numbers.

    Attributes:
        angle: azimuth of the source, degrees; 0: in front of the patient (AP), 90: at the
            patient's left, -90: at the right, 180: behind (PA).
        sdd: source to detector, mm.
        sod: source to the knee (the point that all central rays pass through, in the middle of the
            images), mm.
        pixel_spacing: mm on the detector, (between columns, between rows).
        size: (columns, rows).
        name: label; default "view 1", "view 2", ...
        known: where the numbers came from; an image is taken to be seen from the tube, head up.
    """

    angle: float
    sdd: float
    sod: float
    pixel_spacing: tuple[float, float]
    size: tuple[int, int]
    name: str | None = None
    known: Known = Known("typed", "typed", "typed", "assumed")


def rig_from_distances(views: Sequence[PlainView], laterality: str | None = None) -> Rig:
    """A rig in LPS with the iso-centre at the origin.

    Images are taken to be stored as seen from the tube, head up: in an AP view the patient's left
    is on the right.

    Args:
        views: two or more.
        laterality: "L", "R" or None.

    Raises:
        GeometryError: an impossible number, or views from nearly the same side.
    """
    made = []
    for index, plain in enumerate(views):
        name = plain.name or f"view {index + 1}"
        if not math.isfinite(plain.angle):
            raise GeometryError("View '{name}' has no angle.", "Give it in degrees.", name=name)
        check_distances(name, plain.sdd, plain.sod)
        made.append(
            view_from_angles(
                name,
                plain.angle,
                plain.sdd,
                plain.sod,
                plain.size,
                plain.pixel_spacing,
                known=plain.known,
            )
        )
    return Rig(views=tuple(made), laterality=laterality)

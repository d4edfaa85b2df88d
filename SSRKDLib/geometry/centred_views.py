"""Where a source stands, as two angles, and views whose central ray passes through a point.

The one convention of angles, in LPS (+x patient left, +y posterior, +z superior): the **azimuth**
of the source is 0 degrees in front of the patient and 90 at the patient's left; its **elevation**
is positive towards the head (drawn in ``Docs/rig.md``). DICOM's positioner angles are those of the
detector, on the other side (:func:`positioner_from_angles`); prepared cases store azimuths less 90
(:func:`SSRKDLib.datasets.case_frame.azimuth`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from SSRKDLib.geometry.known import CALIBRATED, Known
from SSRKDLib.geometry.slot_view import SlotView
from SSRKDLib.geometry.views import View, check_spacing


def source_direction(azimuth: float, elevation: float = 0.0) -> np.ndarray:
    """Unit vector ``(3,)`` from the patient towards the source; angles in degrees."""
    turn, lift = math.radians(azimuth), math.radians(elevation)
    level = np.array([math.sin(turn), -math.cos(turn), 0.0])
    return math.cos(lift) * level + math.sin(lift) * np.array([0.0, 0.0, 1.0])


def source_angles(direction: np.ndarray) -> tuple[float, float]:
    """Azimuth (-180 to 180) and elevation, degrees, of a vector ``(3,)`` towards the source."""
    x, y, z = (float(part) for part in direction)
    return math.degrees(math.atan2(x, -y)), math.degrees(math.atan2(z, math.hypot(x, y)))


def angles_from_positioner(primary: float, secondary: float) -> tuple[float, float]:
    """Azimuth and elevation of the source, degrees, from DICOM's positioner angles, degrees.

    PS3.3 C.8.7.5.1.2: the angles are the detector's, opposite to the source. With both zero the
    detector is in front of the chest; +90 of the primary one bring it to the patient's left (LAO),
    +90 of the secondary one to the head (cranial).
    """
    return primary - 180.0 if primary > 0 else primary + 180.0, -secondary


def positioner_from_angles(azimuth: float, elevation: float) -> tuple[float, float]:
    """DICOM's primary and secondary positioner angle from azimuth and elevation of the source,
    all in degrees: the inverse of :func:`angles_from_positioner`."""
    return azimuth - 180.0 if azimuth > 0 else azimuth + 180.0, -elevation


def seen_from_source(
    azimuth: float, elevation: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axis (source to detector), column and row direction, unit vectors ``(3,)``, of an image seen
    from the source, head up."""
    turn = math.radians(azimuth)
    column = np.array([math.cos(turn), math.sin(turn), 0.0])
    towards = source_direction(azimuth, elevation)
    row = np.cross(column, towards)
    row *= -np.sign(row[2])
    return -towards, column, row


def centred_view(
    name: str,
    axis: np.ndarray,
    column_direction: np.ndarray,
    row_direction: np.ndarray,
    *,
    sdd: float,
    sod: float,
    pixel_spacing: tuple[float, float],
    size: tuple[int, int],
    centre: Sequence[float] = (0.0, 0.0, 0.0),
    centre_pixel: tuple[float, float] | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
    known: Known = CALIBRATED,
) -> View:
    """A view whose central ray passes through ``centre`` and meets the detector squarely.

    Args:
        name: label.
        axis: unit vector from the source to the detector.
        column_direction, row_direction: unit vectors, perpendicular to ``axis``.
        sdd: source to detector, mm.
        sod: source to ``centre``, mm.
        pixel_spacing: mm on the detector, (between columns, between rows).
        size: (columns, rows).
        centre: mm.
        centre_pixel: (column, row) where the central ray meets the detector; default: the middle.
        shift: mm on the detector by which the image is moved along (columns, rows) from there.
        known: where these numbers came from.

    Raises:
        GeometryError: what View refuses.
    """
    if centre_pixel is None:
        centre_pixel = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    check_spacing(name, pixel_spacing)
    source = np.asarray(centre, dtype=np.float64) - sod * axis
    foot = source + sdd * axis + shift[0] * column_direction + shift[1] * row_direction
    with np.errstate(invalid="ignore"):  # View refuses what is beyond all numbers
        foot = foot - centre_pixel[0] * pixel_spacing[0] * column_direction
        foot = foot - centre_pixel[1] * pixel_spacing[1] * row_direction
    return View(
        name=name,
        source=source,
        detector_origin=foot,
        column_direction=column_direction,
        row_direction=row_direction,
        pixel_spacing=tuple(pixel_spacing),
        size=tuple(size),
        known=known,
    )


def view_from_angles(
    name: str,
    azimuth: float,
    sdd: float,
    sod: float,
    size: tuple[int, int],
    spacing: tuple[float, float],
    *,
    elevation: float = 0.0,
    roll: float = 0.0,
    **details,
) -> View:
    """The :func:`centred_view` from an azimuth and an elevation, as seen from the source.

    Args:
        name: label.
        azimuth, elevation: of the source, degrees.
        sdd: source to detector, mm.
        sod: source to the centre, mm.
        size: (columns, rows).
        spacing: mm on the detector, (between columns, between rows).
        roll: degrees by which the image is turned about the central ray, rows towards columns.
        details: ``centre``, ``shift`` and what else :func:`centred_view` takes.
    """
    axis, column, row = seen_from_source(azimuth, elevation)
    if roll:
        turn = math.radians(roll)
        row = math.cos(turn) * row + math.sin(turn) * column
        column = np.cross(row, axis)
    return centred_view(
        name, axis, column, row, sdd=sdd, sod=sod, pixel_spacing=spacing, size=size, **details
    )


def centred_slot_view(*given, scan_direction: np.ndarray | None = None, **details) -> SlotView:
    """The :func:`centred_view` of a slot scanner: its level rays meet the line through the centre.

    Args:
        given, details: as for :func:`centred_view`, ``sdd`` and ``sod`` from the focal spot's line,
            ``pixel_spacing`` along the travel the patient's own.
        scan_direction: see :class:`SlotView`.
    """
    plain = centred_view(*given, **details)
    same = {entry.name: getattr(plain, entry.name) for entry in fields(plain)}
    return SlotView(**same, scan_direction=scan_direction)

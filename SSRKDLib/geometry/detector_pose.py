"""A view from its central ray, and how images of a patient are laid out on a detector.

World frame LPS, mm: +x patient left, +y posterior, +z superior.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.views import View

UP = np.array([0.0, 0.0, 1.0])

#: Patient directions of the letters of DICOM's patient orientation (PS3.3 C.7.6.1.1.1).
LETTERS = {
    "L": np.array([1.0, 0.0, 0.0]),
    "R": np.array([-1.0, 0.0, 0.0]),
    "P": np.array([0.0, 1.0, 0.0]),
    "A": np.array([0.0, -1.0, 0.0]),
    "H": np.array([0.0, 0.0, 1.0]),
    "F": np.array([0.0, 0.0, -1.0]),
}


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
    centre_pixel: tuple[float, float] | None = None,
    **details,
) -> View:
    """A view whose central ray passes through the origin and meets the detector squarely.

    Args:
        name: label.
        axis: unit vector from the source to the detector.
        column_direction, row_direction: unit vectors, perpendicular to ``axis``.
        sdd: source to detector, mm.
        sod: source to the origin (the iso-centre), mm.
        pixel_spacing: mm on the detector, (between columns, between rows).
        size: (columns, rows).
        centre_pixel: (column, row) where the central ray meets the detector; default: the middle.
        details: further fields of :class:`~SSRKDLib.geometry.views.View`.

    Raises:
        GeometryError: distances that no X-ray set-up has, or what View refuses.
    """
    if not (math.isfinite(sdd) and math.isfinite(sod) and 300 <= sdd <= 5000):
        raise GeometryError(
            f"View '{name}': a source-to-detector distance of {sdd:g} mm is impossible.",
            "Give the distance in millimetres, between 300 and 5000.",
        )
    if not 100 <= sod < sdd:
        raise GeometryError(
            f"View '{name}': a source-to-object distance of {sod:g} mm is impossible with the "
            f"detector at {sdd:g} mm.",
            "Give the distance from the source to the knee in millimetres, less than that to the "
            "detector.",
        )
    if centre_pixel is None:
        centre_pixel = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    source = -sod * axis
    origin = (
        source
        + sdd * axis
        - centre_pixel[0] * pixel_spacing[0] * column_direction
        - centre_pixel[1] * pixel_spacing[1] * row_direction
    )
    return View(
        name=name,
        source=source,
        detector_origin=origin,
        column_direction=column_direction,
        row_direction=row_direction,
        pixel_spacing=pixel_spacing,
        size=size,
        **details,
    )


def seen_from_tube(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row direction of an image seen from the source, head up, for a level ``axis``."""
    return np.cross(axis, UP), -UP


def seen_from_detector(primary: float, secondary: float) -> tuple[np.ndarray, ...]:
    """Axis, column and row direction of a C-arm.

    PS3.3 C.8.7.5.1.2: with both angles zero the detector is in front of the chest (so that the beam
    runs from posterior to anterior); +90 degrees of the primary angle bring it to the patient's
    left (LAO), +90 of the secondary one to the head (cranial). C.8.19.6.13.1.2: rows and columns
    are those seen looking from the detector towards the source.

    Args:
        primary, secondary: degrees.
    """
    turn, lift = math.radians(primary), math.radians(secondary)
    about_z = np.array(
        [[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(lift), math.sin(lift)], [0, -math.sin(lift), math.cos(lift)]]
    )
    pose = about_z @ about_x
    return pose @ LETTERS["A"], pose @ LETTERS["L"], pose @ LETTERS["F"]


def orientation_vector(letters: str) -> np.ndarray | None:
    """Unit vector of a patient orientation such as ``L`` or ``PF`` (first letter strongest)."""
    letters = letters.strip().upper()
    if not letters or any(letter not in LETTERS for letter in letters):
        return None
    vector = sum(LETTERS[letter] * 0.5**rank for rank, letter in enumerate(letters))
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-6 else None


def orientation_letters(direction: np.ndarray) -> str:
    """The patient orientation of a direction: letters by falling share, small shares left out."""
    order = np.argsort(-np.abs(direction))
    return "".join(
        ("LPH" if direction[k] > 0 else "RAF")[k] for k in order if abs(direction[k]) > 0.2
    )


def laid_out(
    column: np.ndarray, row: np.ndarray, orientation: tuple[str, str] | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """The turn by quarters, or flip, of a detector's edges that fits a patient orientation.

    Args:
        column, row: unit vectors along the detector's edges.
        orientation: letters of the column and the row direction of the stored image.

    Returns:
        Column and row direction of the stored image, or None where no layout fits.
    """
    wanted = [None if o is None else orientation_vector(o) for o in orientation or (None, None)]
    if wanted[0] is None or wanted[1] is None:
        return None
    layouts = [
        (a * first, b * second)
        for first, second in ((column, row), (row, column))
        for a, b in itertools.product((1, -1), repeat=2)
    ]
    best = max(layouts, key=lambda pair: pair[0] @ wanted[0] + pair[1] @ wanted[1])
    return best if min(best[0] @ wanted[0], best[1] @ wanted[1]) > 0.3 else None

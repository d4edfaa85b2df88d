"""How images of a patient are laid out on a detector, and which distances a view may have.

World frame LPS, mm: +x patient left, +y posterior, +z superior.
"""

from __future__ import annotations

import itertools

import numpy as np

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.centred_views import angles_from_positioner, seen_from_source

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


def check_distances(name: str, sdd: float, sod: float) -> None:
    """Raise :class:`~SSRKDLib.core.errors.GeometryError` for distances (mm) from the source to the
    detector and to the knee that no X-ray set-up has; ``name`` is the view's."""
    if not 300 <= sdd <= 5000:
        raise GeometryError(
            "View '{name}': a source-to-detector distance of {sdd:g} mm is impossible.",
            "Give the distance in millimetres, between 300 and 5000.",
            name=name,
            sdd=sdd,
        )
    if not 100 <= sod < sdd:
        raise GeometryError(
            "View '{name}': a source-to-object distance of {sod:g} mm is impossible with "
            "the detector at {sdd:g} mm.",
            "Give the distance from the source to the knee in millimetres, less than "
            "that to the detector.",
            name=name,
            sod=sod,
            sdd=sdd,
        )


def seen_from_tube(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row direction of an image seen from the source, head up, for a level ``axis``."""
    return np.cross(axis, UP), -UP


def seen_from_detector(primary: float, secondary: float) -> tuple[np.ndarray, ...]:
    """Axis, column and row direction of a C-arm's image, from its positioner angles in degrees.

    C.8.19.6.13.1.2: rows and columns are those seen looking from the detector towards the source.
    """
    axis, column, row = seen_from_source(*angles_from_positioner(primary, secondary))
    return axis, -column, row


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

"""A rig whose two views have nothing in common with a textbook's."""

from __future__ import annotations

import math

import numpy as np

from SSRKDLib.geometry.centred_views import view_from_angles
from SSRKDLib.geometry.rig_presets import PRESETS
from SSRKDLib.geometry.views import Rig, View


def asymmetric() -> Rig:
    """Everything that a careless implementation mixes up.

    Pixels not square, images not square, sizes that differ, detectors tilted against the beam,
    one image turned in its plane by 25 degrees and one by 90 and mirrored, the sources raised and
    lowered. Sees some 70 mm around the centre.
    """
    frontal = view_from_angles(
        "frontal", -12.0, 1100.0, 800.0, (300, 260), (0.9, 1.1), shift=(14.0, 6.0), elevation=7.0,
    )  # fmt: skip
    lateral = view_from_angles(
        "lateral", 68.0, 1400.0, 1150.0, (220, 340), (1.2, 0.7), shift=(-8.0, -11.0),
        elevation=-5.0,
    )  # fmt: skip
    frontal = _tilted(frontal, _rotation(frontal.column_direction, 9.0), 25.0)
    lateral = _tilted(lateral, _rotation(lateral.row_direction, -11.0), 90.0, mirror=True)
    return Rig(views=(frontal, lateral), laterality="L")


def _rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    """Rotation matrix about a unit vector (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = math.radians(degrees)
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _tilted(view: View, tilt: np.ndarray, turn: float, mirror: bool = False) -> View:
    """The view with its detector tilted and its image turned about the detector's middle."""
    rotation = tilt @ _rotation(view.normal, turn)
    column, row = rotation @ view.column_direction, rotation @ view.row_direction
    column = -column if mirror else column
    half = (np.array(view.size) - 1) / 2 * np.array(view.pixel_spacing)
    return View(
        name=view.name,
        source=view.source,
        detector_origin=view.detector_centre - half[0] * column - half[1] * row,
        column_direction=column,
        row_direction=row,
        pixel_spacing=view.pixel_spacing,
        size=view.size,
    )


#: The presets and this one, by name.
RIGS = {**PRESETS, "asymmetric": asymmetric}

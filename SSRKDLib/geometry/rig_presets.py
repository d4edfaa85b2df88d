"""Ready-made rigs: what tests, evaluations and ``simulate --preset`` look through.

World frame LPS, millimetres. ``frontal`` has its source in front of the patient (-y), ``lateral``
at the patient's left (+x). Rows grow downwards (-z); columns grow with +x in the frontal view and
with +y (backwards) in the lateral one. Every preset but :func:`asymmetric` sees at least 110 mm
around its centre (measured in the plane through the centre) in each view.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from SSRKDLib.geometry.centred_views import centred_slot_view, seen_from_source, view_from_angles
from SSRKDLib.geometry.views import Rig, View


def orthogonal(
    sdd: float = 1200.0,
    sod: float = 900.0,
    pixels: int = 256,
    pixel: float | None = None,
    *,
    laterality: str | None = "L",
    centre: Sequence[float] = (0.0, 0.0, 0.0),
) -> Rig:
    """Frontal and lateral, 90 degrees apart, square detectors of ``pixels`` x ``pixels``.

    ``pixel`` is the pixel's edge in mm; by default the detector is 300 mm wide at the default
    magnification and as much wider at others as the magnification asks for.
    """
    pixel = (225.0 * sdd / sod) / pixels if pixel is None else pixel
    views = [
        view_from_angles(name, angle, sdd, sod, (pixels, pixels), (pixel, pixel), centre=centre)
        for name, angle in (("frontal", 0.0), ("lateral", 90.0))
    ]
    return Rig(views=tuple(views), laterality=laterality)


def c_arm(
    sdd: float = 1050.0,
    sod: float = 700.0,
    *,
    laterality: str | None = "L",
    centre: Sequence[float] = (0.0, 0.0, 0.0),
) -> Rig:
    """A C-arm's two shots: strong magnification (1.5), 384 x 384 pixels."""
    return orthogonal(sdd, sod, 384, laterality=laterality, centre=centre)


def oblique(*, laterality: str | None = "L", centre: Sequence[float] = (0.0, 0.0, 0.0)) -> Rig:
    """Central rays 82 degrees apart, a distance and a detector shift of its own for each view."""
    frontal = view_from_angles(
        "frontal", 5.0, 1150.0, 880.0, (320, 320), (1.0, 1.0), shift=(12.0, -9.0), centre=centre
    )
    lateral = view_from_angles(
        "lateral", 87.0, 1000.0, 740.0, (384, 400), (0.86, 0.86), shift=(-10.0, 14.0),
        centre=centre,
    )  # fmt: skip
    return Rig(views=(frontal, lateral), laterality=laterality)


def slot(
    sdd: float = 1300.0,
    sod: float = 987.0,
    pixels: int = 256,
    *,
    laterality: str | None = "L",
    centre: Sequence[float] = (0.0, 0.0, 0.0),
) -> Rig:
    """A biplanar slot scanner's pair, both views at one moment, 225 mm square at the centre."""
    pixel = 225.0 / pixels
    views = [
        centred_slot_view(
            name,
            *seen_from_source(angle),
            sdd=sdd,
            sod=sod,
            size=(pixels, pixels),
            pixel_spacing=(pixel * sdd / sod, pixel),
            centre=centre,
        )
        for name, angle in (("frontal", 0.0), ("lateral", 90.0))
    ]
    return Rig(views=tuple(views), laterality=laterality, simultaneous=True)


def four_views(*, laterality: str | None = "L", centre: Sequence[float] = (0.0, 0.0, 0.0)) -> Rig:
    """The orthogonal rig, and two oblique views between its own, half from either side."""
    pair = orthogonal(laterality=laterality, centre=centre)
    frontal = pair.views[0]
    further = [
        view_from_angles(
            f"oblique {angle:+.0f}", angle, 1200.0, 900.0, frontal.size, frontal.pixel_spacing,
            centre=centre,
        )
        for angle in (45.0, -45.0)
    ]  # fmt: skip
    return replace(pair, views=(*pair.views, *further))


def asymmetric(*, laterality: str | None = "L", centre: Sequence[float] = (0.0, 0.0, 0.0)) -> Rig:
    """Everything that a careless implementation mixes up, for tests.

    Pixels not square, images not square, sizes that differ, detectors tilted against the beam,
    one image turned in its plane by 25 degrees and one by 90 and mirrored, the sources raised and
    lowered. Sees some 70 mm around the centre.
    """
    frontal = view_from_angles(
        "frontal", -12.0, 1100.0, 800.0, (300, 260), (0.9, 1.1), shift=(14.0, 6.0), elevation=7.0,
        centre=centre,
    )  # fmt: skip
    lateral = view_from_angles(
        "lateral", 68.0, 1400.0, 1150.0, (220, 340), (1.2, 0.7), shift=(-8.0, -11.0),
        elevation=-5.0, centre=centre,
    )  # fmt: skip
    frontal = _tilted(frontal, _rotation(frontal.column_direction, 9.0), 25.0)
    lateral = _tilted(lateral, _rotation(lateral.row_direction, -11.0), 90.0, mirror=True)
    return Rig(views=(frontal, lateral), laterality=laterality)


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


#: The presets that ``simulate --preset`` offers, by name; each takes ``laterality``, ``centre``.
PRESETS: dict[str, Callable[..., Rig]] = {
    "orthogonal": orthogonal,
    "c_arm": c_arm,
    "oblique": oblique,
    "slot": slot,
    "four_views": four_views,
}

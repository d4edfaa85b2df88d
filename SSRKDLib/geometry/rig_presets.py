"""Ready-made rigs: what evaluations and ``simulate --preset`` look through.

World frame LPS, millimetres. ``frontal`` has its source in front of the patient (-y), ``lateral``
at the patient's left (+x). Rows grow downwards (-z); columns grow with +x in the frontal view and
with +y (backwards) in the lateral one. Every preset sees at least 110 mm around its centre
(measured in the plane through the centre) in each view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from SSRKDLib.geometry.centred_views import centred_slot_view, seen_from_source, view_from_angles
from SSRKDLib.geometry.views import Rig


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


#: The presets that ``simulate --preset`` offers, by name; each takes ``laterality``, ``centre``.
PRESETS: dict[str, Callable[..., Rig]] = {
    "orthogonal": orthogonal,
    "c_arm": c_arm,
    "oblique": oblique,
    "slot": slot,
    "four_views": four_views,
}

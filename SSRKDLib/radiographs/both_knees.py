"""Frontal films that show both knees: which half is the wanted one, and where that knee stands.

A film of both knees is centred between them, the lateral one on its knee. Where both central rays
are taken to pass through the rig's origin, the knee's distance from the frontal one would be an
error of the lateral view's magnification: the frontal view is moved, so that the wanted knee stands
at the origin. Where the rig states otherwise, or that nothing moved between the views, it is
believed; then both legs stand in the lateral view, too, unless its field leaves one out. What the
rays lose in a slice of the patient is the same from all sides, so that it tells how many it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.radiographs.exposure import Exposure

#: Between two legs the image is at most this share as dense as in each of them.
_GAP = 0.5

#: The leg seen the less is at least this share as dense as the other.
_BOTH = 0.5

#: Knees of two legs are at least so far apart in the patient, mm, and each shadow, seen at half its
#: depth, is so wide: a collimator's blade that lets some radiation through is a shadow, too.
_APART_MM, _LEG_MM = 110.0, 40.0

#: A field so narrow is one leg's, as a user crops it, mm. How dark one leg is need not be told by
#: values for display, whose scale is each image's own.
_ONE_LEG_MM = 250.0

#: Of one leg, bones agree with a radiograph at least so well (Dice): 0.92 and more in nearly all
#: virtual slot pairs; of two legs, one bone by 0.00 to 0.88.
_AGREEING = 0.9

#: One leg is no wider from the front, mm, and wider than from the side by no more than this factor.
_FRONT_MM, _FRONT_TO_SIDE = 160.0, 1.03

#: Where an image is densest if its border is this share as dense.
_BORDER = 0.9

#: A leg begins where the image is this share as dense as where it is densest.
_EDGE = 0.25

#: A central ray that is nearer to the origin passes through it, mm.
_CENTRED_MM = 1.0


def one_knee(rig: Rig, exposures: Sequence[Exposure]) -> tuple[Rig, list[Exposure]]:
    """The rig and the exposures of the wanted knee alone; unchanged where none shows two.

    Args:
        rig: in the patient's axes, else nothing is looked for.
        exposures: one per view.

    Raises:
        GeometryError: both knees are shown and the side is not known, or both legs stand in the
            other view of a pair that was exposed at one moment.
    """
    views, shown, notes = list(rig.views), list(exposures), []
    centred = len(views) > 1 and not rig.simultaneous and all(map(_is_centred, views))
    for k, (view, exposure) in enumerate(zip(rig.views, exposures)):
        legs = None
        if rig.frame == "LPS" and abs(view.axis[1]) > 0.7:
            legs = _legs(np.where(exposure.valid, exposure.line_integral, 0), view)
        if legs is None:
            continue
        if rig.laterality is None:
            raise GeometryError(
                "The {view} radiograph shows both knees.",
                "State the side that is wanted, L or R.",
                view=view.name,
            )
        gap, columns = legs
        # Columns grow to the patient's left or to the right.
        wanted = int((rig.laterality == "L") == (view.column_direction[0] > 0))
        half = (np.arange(view.size[0]) >= gap) == bool(wanted)
        note = Message(
            "The {view} radiograph shows both knees: the {side} one is taken.",
            view=view.name,
            side=SIDES[rig.laterality],
        )
        if centred:
            shift = _beside_the_axis(view, columns[wanted])
            views[k] = _moved(view, -shift)
            note = Message(
                "The {view} radiograph shows both knees: the {side} one is taken, {distance:.0f} "
                "mm beside the central ray; the other view is taken to be centred on it.",
                view=view.name,
                side=SIDES[rig.laterality],
                distance=np.linalg.norm(shift),
            )
        if rig.simultaneous:
            _need_one_leg(exposures, k, half, SIDES[rig.laterality])
        notes.append(note)
        shown[k] = Exposure(views[k], exposure.line_integral, exposure.valid & half)
    if not notes:
        return rig, list(exposures)
    return replace(rig, views=tuple(views), assumptions=(*rig.assumptions, *notes)), shown


def need_bones_of_one_leg(
    rig: Rig, pair: Sequence[Exposure], agreement: Mapping[str, Sequence[float | None]]
) -> None:
    """Refuse bones that agree poorly with a slot scanner's radiographs, where these are wide enough
    for two legs and do not clearly show one: legs that touch show no gap, and are in both views.

    Args:
        rig: in the patient's axes, else nothing is refused.
        pair: its exposures that bones were fitted to, after :func:`one_knee`.
        agreement: by bone its Dice with each of them, None where neither shows it.

    Raises:
        GeometryError: they agree poorly.
    """
    scanned = rig.simultaneous and all(exposure.view.travel.any() for exposure in pair)
    if rig.frame != "LPS" or not scanned or not any(map(_is_wide, pair)):
        return
    known = [
        (dice, bone) for bone, values in agreement.items() for dice in values if dice is not None
    ]
    worst, bone = min(known, default=(1.0, ""))
    if worst < _AGREEING and not _show_one_leg(pair):
        raise GeometryError(
            "The {bone} agrees poorly with the radiographs (Dice {worst:.2f}), which are wide "
            "enough for both legs: where these touch or cover each other, their bones cannot be "
            "told apart.",
            "Crop the radiographs to the wanted leg where the legs lie apart, also where there is "
            "one leg only, or reconstruct from one radiograph alone.",
            bone=bone,
            worst=worst,
        )


def _show_one_leg(pair: Sequence[Exposure]) -> bool:
    """Whether the frontal one's shadow is so narrow, in what :func:`one_knee` left out, too."""
    front, side = sorted(pair, key=lambda exposure: -abs(exposure.view.axis[1]))
    widths = []
    for exposure in (front, side):
        profile = _profile(exposure.line_integral)
        columns = (profile > _EDGE * profile.max()).sum()
        widths.append(float(columns) * _width_mm(exposure.view))
    return widths[0] <= min(_FRONT_MM, _FRONT_TO_SIDE * widths[1])


def _is_wide(exposure: Exposure) -> bool:
    """Whether it has room for two legs."""
    return bool(exposure.valid.any(0).sum() * _width_mm(exposure.view) > _ONE_LEG_MM)


def _need_one_leg(exposures: Sequence[Exposure], k: int, half: np.ndarray, side: str) -> None:
    """Refuse views that show nearly as much as view k, which shows both legs at the same moment,
    rather than as much as its wanted leg, in half of its columns."""
    both = _lost(exposures[k])
    most = (both.sum() + both[half].sum()) / 2
    for exposure in exposures:
        name = exposure.view.name
        if name != exposures[k].view.name and _is_wide(exposure) and _lost(exposure).sum() > most:
            raise GeometryError(
                "The {view} radiograph, taken at the same moment, shows both legs, too; where they "
                "cover each other, their bones cannot be told apart.",
                "Crop it to the {side} leg where they lie apart, reconstruct from the {other} "
                "radiograph alone, or have it taken again with the other leg out of the way.",
                view=name,
                side=side,
                other=exposures[k].view.name,
            )


def _lost(exposure: Exposure) -> np.ndarray:
    """What rays lose in each column ``[columns]``, the mean of the middle rows times mm."""
    profile = _profile(np.where(exposure.valid, exposure.line_integral, 0))
    return profile * _width_mm(exposure.view)


def _width_mm(view: View) -> float:
    """Of a column, at the origin."""
    return view.pixel_size(float(view.depths(np.zeros(3))))[0]


def _profile(line: np.ndarray) -> np.ndarray:
    """Mean of the middle rows ``[columns]``, above the least of them."""
    rows = len(line)
    profile = line[rows // 4 : rows - rows // 4].mean(0)
    return profile - profile.min()


def _is_centred(view: View) -> bool:
    return bool(np.linalg.norm(np.cross(view.source, view.axis)) < _CENTRED_MM)


def _legs(line: np.ndarray, view: View) -> tuple[int, tuple[float, float]] | None:
    """The column between two legs and those of their middles, or None where there is one leg."""
    width = line.shape[1]
    profile = ndimage.gaussian_filter1d(_profile(line), width / 60)
    gap = width // 3 + int(profile[width // 3 : width - width // 3].argmin())
    peaks = profile[:gap].max(), profile[gap:].max()
    if min(peaks) < _BOTH * max(peaks) or profile[gap] > _GAP * min(peaks):
        return None
    # Of one leg whose air is taken for bone, the borders are the densest.
    outer = profile[0], profile[-1]
    if all(edge >= _BORDER * peak for edge, peak in zip(outer, peaks)):
        return None
    middles = []
    for first, part in ((0, profile[:gap]), (gap, profile[gap:])):
        weights = np.maximum(part - part.max() / 2, 0)
        if (weights > 0).sum() * _width_mm(view) < _LEG_MM:
            return None
        middles.append(first + float(np.average(np.arange(len(part)), weights=weights)))
    places = [_beside_the_axis(view, column) for column in middles]
    if np.linalg.norm(places[1] - places[0]) < _APART_MM:
        return None
    return gap, (middles[0], middles[1])


def _beside_the_axis(view: View, column: float) -> np.ndarray:
    """Where the ray through a column meets the plane of the origin, along the columns, mm."""
    row = view.project(np.zeros(3))[1]
    point = view.points_on_detector(np.array([column, row]))
    ray = point - view.source
    place = view.source - (view.source @ view.axis) / (ray @ view.axis) * ray
    return (place @ view.column_direction) * view.column_direction


def _moved(view: View, shift: np.ndarray) -> View:
    return replace(view, source=view.source + shift, detector_origin=view.detector_origin + shift)

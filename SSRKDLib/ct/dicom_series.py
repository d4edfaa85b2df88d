"""Which files of a folder are the slices of a CT, in which order, and where they lie.

Source: DICOM PS3.3 C.7.6.2 (image plane), C.8.2.1 (CT image). Slices are sorted by their position
along the normal; neither file names nor instance numbers need to be in order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.input_files import files_below
from SSRKDLib.core.messages import Message
from SSRKDLib.ct.dicom_slices import Slice, read_slices
from SSRKDLib.images.volumes import check_placement

#: How far slices may lie from evenly spaced ones, and beside a straight line: a share of the
#: spacing, and mm (positions are often rounded to 0.1 mm).
_UNEVEN_SHARE, _UNEVEN_MM = 0.1, 0.06

#: Slices of unequal distances that are further apart have too much between them, mm.
_GAP_MM = 10.0

#: Slices whose positions differ by less lie in the same place, mm.
_SAME_MM = 1e-3

#: Between neighbouring slices of one scan most values differ by less, HU.
_LEAP_HU = 100.0

#: Entries of directions that differ by less are the same.
_SAME_DIRECTION = 0.01

#: A gantry that is tilted by less is upright, degrees.
_TILT_DEGREES = 0.1

_REMEDY = "Give the folder of one DICOM series of a CT."


class Series(NamedTuple):
    """The slices of a CT.

    ``files`` in their order along the normal, and ``frames`` that the slices are in these, None for
    the only one; ``index_to_lps`` 4x4, (i, j, k, 1) to LPS mm; ``notes``, sentences; ``scales``,
    per slice, RescaleSlope and RescaleIntercept; ``places``, which slice lies at each even
    distance, with fractions, or None where each lies at its own.
    """

    files: list[str]
    frames: list[int | None]
    index_to_lps: np.ndarray
    notes: tuple[str, ...]
    scales: list[tuple]
    places: np.ndarray | None = None


def find_series(folder: Path) -> Series:
    """The slices of the CT in a folder, or, where it contains none itself, below it; or those in an
    enhanced file.

    Of several series the one with most slices is taken; scouts and slices of another orientation or
    size are left out; of slices in one place the one with the lowest acquisition and instance
    number is taken. Notes say so.

    Raises:
        ImageError: no series, two patients in one, slices that are missing, too far apart or
            beside the others, or tags that no CT has.
    """
    inside = [folder] if folder.is_file() else sorted(folder.iterdir())
    slices = read_slices(path for path in inside if path.is_file())
    if not slices and folder.is_dir():
        slices = read_slices(files_below(folder, ImageError))
    if not slices:
        raise ImageError(Message("'{folder}' contains no DICOM series.", folder=folder), _REMEDY)
    notes: list[str] = []
    slices = _longest_series(slices, notes)
    _check_one_patient(slices, folder)
    slices = _largest_stack(slices, notes)
    for one in slices:
        one.check()
        if one.position is None or one.directions is None or one.spacing is None:
            raise ImageError(
                "The slices of the CT '{folder}' do not state where they lie, (0020,0032), "
                "(0020,0037) and (0028,0030).",
                "Export the scan again as CT images, or as NIfTI or NRRD.",
                folder=folder,
            )
    slices = _in_order(slices, notes)
    if len(slices) < 2:
        raise ImageError(
            Message("'{folder}' contains a single slice, no CT.", folder=folder), _REMEDY
        )
    _check_straight(slices, folder)
    places = _even_places(slices, folder, notes)
    matrix = _index_to_lps(slices, len(slices) if places is None else len(places), notes)
    check_placement(matrix, folder)
    files, frames = [str(one.path) for one in slices], [one.frame for one in slices]
    return Series(files, frames, matrix, tuple(notes), [one.scale for one in slices], places)


def _longest_series(slices: list[Slice], notes: list[str]) -> list[Slice]:
    if any(one.tags.get("Modality") == "CT" for one in slices):
        slices = [one for one in slices if one.tags.get("Modality") == "CT"]
    series = list(_grouped(slices, lambda one: str(one.tags.SeriesInstanceUID)).values())
    longest = max(series, key=len)
    if len(series) > 1:
        others = ", ".join(_series_name(one) for one in series if one is not longest)
        notes.append(
            Message(
                "The folder contains {count} DICOM series. The one with most slices was "
                "used: {series}; not {others}.",
                count=len(series),
                series=_series_name(longest),
                others=others,
            )
        )
    return longest


def _series_name(slices: list[Slice]) -> str:
    """Number, description and size of a series."""
    tags = slices[0].tags
    number, description = tags.get("SeriesNumber", "?"), tags.get("SeriesDescription", "")
    return f"no. {number} '{description}' ({len(slices)} slices)"


def _check_one_patient(slices: list[Slice], folder: Path) -> None:
    people = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
    for names, what in ((people, "patients"), (("StudyInstanceUID",), "studies")):

        def stated(one: Slice, names: tuple[str, ...] = names) -> tuple[str, ...]:
            return tuple(str(one.tags.get(name) or "") for name in names)

        groups = list(_grouped(slices, stated).values())
        if len(groups) > 1:
            raise ImageError(
                "The DICOM series in '{folder}' has slices of {count} {what}: '{path}' and "
                "'{other_path}'.",
                "Give a folder with the slices of one scan.",
                folder=folder,
                count=len(groups),
                what=what,
                path=groups[0][0].path.name,
                other_path=groups[1][0].path.name,
            )


def _largest_stack(slices: list[Slice], notes: list[str]) -> list[Slice]:
    """Slices of the orientation, size and kind that most have."""
    directions = Counter(
        () if one.directions is None else tuple(one.directions.flat) for one in slices
    )
    usual = np.reshape(directions.most_common(1)[0][0], (-1, 3))

    def kind(one: Slice) -> tuple:
        direction, spacing = one.directions, one.spacing
        return (
            "LOCALIZER" in (one.tags.get("ImageType") or ()),
            direction is None
            or direction.shape != usual.shape
            or np.abs(direction - usual).max() > _SAME_DIRECTION
            and tuple(np.round(direction.flat, 2) + 0.0),
            None if spacing is None else tuple(np.round(spacing, 4)),
            one.tags.Rows,
            one.tags.Columns,
            one.tags.get("BitsAllocated"),
        )

    groups = list(_grouped(slices, kind).values())
    largest = max(groups, key=len)
    others = sum(map(len, groups)) - len(largest)
    if others:
        first = next(group for group in groups if group is not largest)[0]
        notes.append(
            Message(
                "{others} image(s) of the series are of another orientation or size, such as "
                "'{path}', and were left out.",
                others=others,
                path=first.path.name,
            )
        )
    return largest


def _grouped(slices: list[Slice], key: Callable[[Slice], object]) -> dict:
    groups = defaultdict(list)
    for one in slices:
        groups[key(one)].append(one)
    return groups


def _heights(slices: list[Slice]) -> np.ndarray:
    """Positions along the normal, mm."""
    return np.array([one.position for one in slices]) @ np.cross(*slices[0].directions)


def _in_order(slices: list[Slice], notes: list[str]) -> list[Slice]:
    """Along the normal; one of those that lie in the same place."""
    heights = _heights(slices)
    numbers = [one.order for one in slices]
    # The same place is the same number here.
    ranks = np.concatenate([[0], np.cumsum(np.diff(np.sort(heights)) > _SAME_MM)])
    place = np.empty(len(slices), int)
    place[np.argsort(heights, kind="stable")] = ranks
    order = sorted(range(len(slices)), key=lambda n: (place[n], numbers[n]))
    first = [n for k, n in enumerate(order) if k == 0 or place[n] != place[order[k - 1]]]
    if len(first) < len(slices):
        twice = sum(count > 1 for count in Counter(place.tolist()).values())
        notes.append(
            Message(
                "{twice} of {count} slices occur twice or more in the same place (two "
                "acquisitions or reconstructions in one series); of each the first was used, "
                "by acquisition and instance number.",
                twice=twice,
                count=len(first),
            )
        )
    return [slices[n] for n in first]


def _check_straight(slices: list[Slice], folder: Path) -> None:
    """Raise where a slice begins beside the line from the first to the last."""
    positions = np.array([one.position for one in slices])
    heights = _heights(slices)
    share = (heights - heights[0]) / (heights[-1] - heights[0])
    beside = np.linalg.norm(
        positions - positions[0] - share[:, None] * (positions[-1] - positions[0]), axis=1
    )
    tolerance = max(_UNEVEN_MM, _UNEVEN_SHARE * float(np.median(np.diff(heights))))
    if beside.max() > tolerance:
        worst = int(beside.argmax())
        raise ImageError(
            "The slices of the CT '{folder}' are not one above the other: '{name}' lies "
            "{distance:.4g} mm beside the line from the first to the last.",
            "Give a folder with the slices of one scan, or resample it to a straight stack.",
            folder=folder,
            name=slices[worst].path.name,
            distance=beside[worst],
        )


def _even_places(slices: list[Slice], folder: Path, notes: list[str]) -> np.ndarray | None:
    """:attr:`Series.places`: unequal distances are the scanner's where no number is missing."""
    heights, names = _heights(slices), [one.path.name for one in slices]
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    tolerance = max(_UNEVEN_MM, _UNEVEN_SHARE * usual)
    even = np.linspace(heights[0], heights[-1], len(heights))
    if np.abs(heights - even).max() <= tolerance:
        return None
    off = np.abs(gaps - usual)
    worst = int(off.argmax())
    steps = np.diff([one.order[1] for one in slices])
    if gaps.max() <= _GAP_MM and (np.abs(steps) == 1).all() and len(set(steps)) == 1:
        count = 1 + int(np.ceil((heights[-1] - heights[0]) / usual - 1e-6))
        even = np.linspace(heights[0], heights[-1], count)
        notes.append(
            Message(
                "The slices are {least:.4g} to {most:.4g} mm apart, their numbers without a gap; "
                "they were resampled to {count} slices {step:.4g} mm apart.",
                least=gaps.min(),
                most=gaps.max(),
                count=count,
                step=even[1] - even[0],
            )
        )
        return np.interp(even, heights, np.arange(len(heights)))
    number = int((off > tolerance).sum())
    raise ImageError(
        "The slices of the CT '{folder}' are not evenly spaced: most are {usual:.4g} mm apart, but "
        "'{name}' and '{other_name}' {gap:.4g} mm"
        + (" ({count} such gaps)." if number > 1 else "."),
        "Slices may be missing: export the whole series again, or resample it to even slices.",
        folder=folder,
        usual=usual,
        name=names[worst],
        other_name=names[worst + 1],
        gap=gaps[worst],
        count=number,
    )


def check_scales(hounsfield: np.ndarray, series: Series) -> str:
    """A sentence on slices with another rescale, which each has for itself.

    Args:
        hounsfield: ``[k, j, i]``, the slices in the order of the series.

    Raises:
        ImageError: from one rescale to another the values leap: one of the two is wrong.
    """
    for k, (one, other) in enumerate(zip(series.scales, series.scales[1:])):
        if one == other:
            continue
        leap = float(np.median(hounsfield[k + 1].astype(float) - hounsfield[k]))
        if abs(leap) > _LEAP_HU:
            names = [Path(file).name for file in series.files[k : k + 2]]
            raise ImageError(
                "'{name}' and '{other_name}' are neighbouring slices with different rescales "
                "(slope, intercept: {one}; {other}), which put their values {leap:.0f} HU apart.",
                "Give a folder with the slices of one scan, or export the series again.",
                name=names[0],
                other_name=names[1],
                one=_words(one),
                other=_words(other),
                leap=abs(leap),
            )
    return "The slices differ in their rescale to Hounsfield units; each has its own."


def _words(scale: tuple) -> str:
    return ", ".join("absent" if value is None else f"{float(value):g}" for value in scale)


def _index_to_lps(slices: list[Slice], count: int, notes: list[str]) -> np.ndarray:
    """From the positions themselves: with a tilted gantry each slice begins a step to the side of
    the one before, which the matrix holds exactly."""
    row, column = slices[0].directions
    between_rows, between_columns = slices[0].spacing
    positions = [slices[0].position, slices[-1].position]
    step = (positions[1] - positions[0]) / (count - 1)
    matrix = np.eye(4)
    matrix[:3, 0] = row / np.linalg.norm(row) * between_columns
    matrix[:3, 1] = column / np.linalg.norm(column) * between_rows
    matrix[:3, 2], matrix[:3, 3] = step, positions[0]
    normal = np.cross(row, column)
    cosine = step @ normal / np.linalg.norm(step) / np.linalg.norm(normal)
    tilt = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    if tilt > _TILT_DEGREES:
        notes.append(
            Message(
                "The gantry was tilted by {tilt:.1f} degrees; slices lie where their "
                "positions say.",
                tilt=tilt,
            )
        )
    return matrix

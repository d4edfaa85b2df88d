"""Which files of a folder are the slices of a CT, in which order, and where they lie.

Source: DICOM PS3.3 C.7.6.2 (image plane), C.8.2.1 (CT image). Slices are sorted by their position
along the normal; neither file names nor instance numbers need to be in order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.input_files import files_below
from SSRKDLib.core.messages import Message
from SSRKDLib.images.dicom_files import is_dicom, read_dicom

if TYPE_CHECKING:
    import pydicom

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

_TAGS = [
    "Modality", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "ImageType", "SeriesNumber",
    "SeriesDescription", "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "AcquisitionNumber", "InstanceNumber", "RescaleSlope", "RescaleIntercept",
    "NumberOfFrames",
]  # fmt: skip


class Series(NamedTuple):
    """The slices of a CT.

    ``files`` in their order along the normal; ``index_to_lps`` 4x4, (i, j, k, 1) to LPS mm, or None
    where the files do not state it; ``notes``, sentences; ``scales``, per slice, RescaleSlope and
    RescaleIntercept; ``places``, which slice lies at each even distance, with fractions, or None
    where each lies at its own.
    """

    files: list[str]
    index_to_lps: np.ndarray | None
    notes: tuple[str, ...]
    scales: list[tuple]
    places: np.ndarray | None = None


class _Slice(NamedTuple):
    path: Path
    tags: pydicom.Dataset


def find_series(folder: Path) -> Series:
    """The slices of the CT in a folder, or, where it contains none itself, below it.

    Of several series the one with most slices is taken; scouts and slices of another orientation or
    size are left out; of slices in one place the one with the lowest acquisition and instance
    number is taken. Notes say so.

    Raises:
        ImageError: no series, two patients in one, or slices that are missing, too far apart or
            beside the others.
    """
    slices = _slices(path for path in sorted(folder.iterdir()) if path.is_file())
    if not slices:
        slices = _slices(files_below(folder, ImageError))
    if not slices:
        raise ImageError(
            Message("The folder '{folder}' contains no DICOM series.", folder=folder), _REMEDY
        )
    notes: list[str] = []
    slices = _longest_series(slices, notes)
    _check_one_patient(slices, folder)
    slices = _largest_stack(slices, notes)
    placed = all(
        one.tags.get(name)
        for one in slices
        for name in ("ImagePositionPatient", "ImageOrientationPatient")
    )
    matrix = places = None
    if len(slices) > 1:
        if not placed:
            raise ImageError(
                "The slices of the CT '{folder}' do not state where they lie, (0020,0032) and "
                "(0020,0037).",
                "Export the scan again as CT images, or as NIfTI or NRRD.",
                folder=folder,
            )
        slices = _in_order(slices, notes)
        _check_straight(slices, folder)
        places = _even_places(slices, folder, notes)
        matrix = _index_to_lps(slices, len(slices) if places is None else len(places), notes)
    files = [str(one.path) for one in slices]
    scales = [(one.tags.get("RescaleSlope"), one.tags.get("RescaleIntercept")) for one in slices]
    return Series(files, matrix, tuple(notes), scales, places)


def _slices(paths: Iterable[Path]) -> list[_Slice]:
    """The image files among them."""
    found = []
    for path in paths:
        if not is_dicom(path):
            continue
        tags = read_dicom(path, _TAGS)
        try:
            if tags.get("Rows") and tags.get("SeriesInstanceUID"):
                found.append(_Slice(path, tags))
        except Exception as error:  # pydicom raises many kinds on damaged files
            raise ImageError(
                "'{path}' is a damaged DICOM file ({error}).",
                "Copy or export it again.",
                path=path,
                error=type(error).__name__,
            ) from error
    return found


def _longest_series(slices: list[_Slice], notes: list[str]) -> list[_Slice]:
    if any(one.tags.get("Modality") == "CT" for one in slices):
        slices = [one for one in slices if one.tags.get("Modality") == "CT"]
    series = list(_grouped(slices, lambda tags: str(tags.SeriesInstanceUID)).values())
    longest = max(series, key=_count)
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


def _series_name(slices: list[_Slice]) -> str:
    """Number, description and size of a series."""
    tags = slices[0].tags
    number, description = tags.get("SeriesNumber", "?"), tags.get("SeriesDescription", "")
    return f"no. {number} '{description}' ({_count(slices)} slices)"


def _count(slices: list[_Slice]) -> int:
    """One file may hold many slices."""
    return sum(int(one.tags.get("NumberOfFrames") or 1) for one in slices)


def _check_one_patient(slices: list[_Slice], folder: Path) -> None:
    for name, what in (("PatientID", "patients"), ("StudyInstanceUID", "studies")):
        groups = list(_grouped(slices, lambda tags, name=name: str(tags.get(name, ""))).values())
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


def _largest_stack(slices: list[_Slice], notes: list[str]) -> list[_Slice]:
    """Slices of the orientation, size and kind that most have."""
    directions = Counter(tuple(one.tags.get("ImageOrientationPatient") or ()) for one in slices)
    usual = np.array(directions.most_common(1)[0][0], float)

    def kind(tags: pydicom.Dataset) -> tuple:
        direction, spacing = tags.get("ImageOrientationPatient"), tags.get("PixelSpacing")
        return (
            "LOCALIZER" in (tags.get("ImageType") or ()),
            not direction
            or len(direction) != len(usual)
            or np.abs(np.array(direction, float) - usual).max() > _SAME_DIRECTION
            and tuple(np.round(np.array(direction, float), 2) + 0.0),
            None if not spacing else tuple(np.round(np.array(spacing, float), 4)),
            tags.Rows,
            tags.Columns,
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


def _grouped(slices: list[_Slice], key: Callable[[pydicom.Dataset], object]) -> dict:
    groups = defaultdict(list)
    for one in slices:
        groups[key(one.tags)].append(one)
    return groups


def _numbers(one: _Slice) -> tuple[int, ...]:
    return tuple(int(one.tags.get(name) or 0) for name in ("AcquisitionNumber", "InstanceNumber"))


def _heights(slices: list[_Slice]) -> np.ndarray:
    """Positions along the normal, mm."""
    row, column = np.array(slices[0].tags.ImageOrientationPatient, float).reshape(2, 3)
    positions = np.array([one.tags.ImagePositionPatient for one in slices], float)
    return positions @ np.cross(row, column)


def _in_order(slices: list[_Slice], notes: list[str]) -> list[_Slice]:
    """Along the normal; one of those that lie in the same place."""
    heights = _heights(slices)
    numbers = [_numbers(one) for one in slices]
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


def _check_straight(slices: list[_Slice], folder: Path) -> None:
    """Raise where a slice begins beside the line from the first to the last."""
    positions = np.array([one.tags.ImagePositionPatient for one in slices], float)
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


def _even_places(slices: list[_Slice], folder: Path, notes: list[str]) -> np.ndarray | None:
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
    steps = np.diff([int(one.tags.get("InstanceNumber") or 0) for one in slices])
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


def _index_to_lps(slices: list[_Slice], count: int, notes: list[str]) -> np.ndarray:
    """From the positions themselves: with a tilted gantry each slice begins a step to the side of
    the one before, which the matrix holds exactly."""
    first, last = slices[0].tags, slices[-1].tags
    row, column = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = (float(mm) for mm in first.PixelSpacing)
    positions = [np.array(tags.ImagePositionPatient, float) for tags in (first, last)]
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

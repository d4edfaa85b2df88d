"""CT scans as files: NIfTI, NRRD, MetaImage, or a folder of one DICOM series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.images.formats import whole_image_kind

if TYPE_CHECKING:
    import pydicom

_REMEDY = "Give a CT as NIfTI, NRRD, MetaImage or a folder of one DICOM series."

#: How far slices may lie from evenly spaced ones: a share of the spacing, and mm (positions are
#: often rounded to 0.1 mm).
_UNEVEN_SHARE, _UNEVEN_MM = 0.1, 0.06


@dataclass(frozen=True, eq=False)
class CtScan:
    """A CT in memory.

    Attributes:
        hounsfield: ``[k, j, i]``, of the file's own type: a whole leg as float32 would need twice
            the memory.
        index_to_lps: 4x4, takes (i, j, k, 1) to LPS mm.
        notes: sentences about how the files were read, for reports.
    """

    hounsfield: np.ndarray
    index_to_lps: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> np.ndarray:
        """Voxel edges along i, j and k, ``(3,)`` mm."""
        return np.linalg.norm(self.index_to_lps[:3, :3], axis=0)


def read_scan(path: str | Path) -> CtScan:
    """Read a CT in Hounsfield units.

    Args:
        path: the file, or the folder; of several series the one with most slices is taken, which
            a note reports.

    Raises:
        ImageError: absent, cut off, unreadable, not three-dimensional, slices that are missing,
            doubled or unevenly spaced, or not in Hounsfield units.
    """
    import SimpleITK as sitk

    path = Path(path)
    if not path.exists():
        raise ImageError(f"'{path}' was not found.", "Check the path.")
    try:
        files, notes = _series(path) if path.is_dir() else ([str(path)], ())
        for file in files:
            whole_image_kind(file)
        if len(files) > 1:
            _check_slices(path, files)
        image = sitk.ReadImage(files if path.is_dir() else files[0])
    except RuntimeError as error:
        raise ImageError(f"The CT '{path}' cannot be read.", _REMEDY) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(f"'{path}' is not one three-dimensional grey image.", _REMEDY)
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    hounsfield = sitk.GetArrayFromImage(image)
    check_hounsfield(hounsfield, str(path))
    return CtScan(hounsfield, affine, notes)


def check_hounsfield(values: np.ndarray, name: str) -> None:
    """Raise :class:`~SSRKDLib.core.errors.ImageError` where values cannot be those of a CT.

    Args:
        values: of any shape.
        name: of the CT, for the message.
    """
    if not np.isfinite(values).all() or values.min() >= 0:
        raise ImageError(
            f"'{name}' is not in Hounsfield units (air should be near -1000).",
            "Give the CT itself, not a label map or a rescaled copy.",
        )


def _series(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """The files of the folder's longest DICOM series, in order; a note where there are others."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader
    series = [
        list(reader.GetGDCMSeriesFileNames(str(folder), name))
        for name in reader.GetGDCMSeriesIDs(str(folder))
    ]
    if not series:
        raise ImageError(f"The folder '{folder}' contains no DICOM series.", _REMEDY)
    longest = max(series, key=len)
    if len(series) == 1:
        return longest, ()
    others = ", ".join(_series_name(files) for files in series if files is not longest)
    return longest, (
        f"The folder contains {len(series)} DICOM series. The one with most slices was used: "
        f"{_series_name(longest)}; not {others}.",
    )


def _series_name(files: list[str]) -> str:
    """Number, description and size of a series."""
    tags = _tags(files[0], ["SeriesNumber", "SeriesDescription"])
    number, description = tags.get("SeriesNumber", "?"), tags.get("SeriesDescription", "")
    return f"no. {number} '{description}' ({len(files)} slices)"


def _check_slices(path: Path, files: list[str]) -> None:
    """Raise where a series' slices are doubled or unevenly spaced: ITK reads them as if they were
    evenly spaced."""
    wanted = ["ImagePositionPatient", "ImageOrientationPatient"]
    tags = [_tags(file, wanted) for file in files]
    if not all(one.get(name) for one in tags for name in wanted):
        return
    row, column = np.array(tags[0].ImageOrientationPatient, float).reshape(2, 3)
    heights = np.array([one.ImagePositionPatient for one in tags], float) @ np.cross(row, column)
    order = np.argsort(heights, kind="stable")
    heights, names = heights[order], [Path(files[n]).name for n in order]
    gaps = np.diff(heights)
    doubled = np.flatnonzero(gaps < 1e-3)
    if len(doubled):
        first = doubled[0]
        raise ImageError(
            f"Slices of the CT '{path}' lie in the same place: '{names[first]}' and "
            f"'{names[first + 1]}'{_and_more(len(doubled), 'pair')}.",
            "Give a folder with one acquisition and one reconstruction of it.",
        )
    usual = float(np.median(gaps))
    tolerance = max(_UNEVEN_MM, _UNEVEN_SHARE * usual)
    even = np.linspace(heights[0], heights[-1], len(heights))
    if np.abs(heights - even).max() > tolerance:
        off = np.abs(gaps - usual)
        worst = int(off.argmax())
        raise ImageError(
            f"The slices of the CT '{path}' are not evenly spaced: most are {usual:.4g} mm apart, "
            f"but '{names[worst]}' and '{names[worst + 1]}' {gaps[worst]:.4g} mm"
            f"{_and_more(int((off > tolerance).sum()), 'gap')}.",
            "Slices may be missing: export the whole series again, or resample it to even slices.",
        )


def _and_more(count: int, what: str) -> str:
    return f" ({count} such {what}s)" if count > 1 else ""


def _tags(file: str, names: list[str]) -> pydicom.Dataset:
    import pydicom

    return pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=names)

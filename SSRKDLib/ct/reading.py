"""CT scans as files: NIfTI, NRRD, MetaImage, or a folder of one DICOM series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.reading_child import apart
from SSRKDLib.ct.dicom_series import check_scales, find_series
from SSRKDLib.images.formats import whole_image_kind
from SSRKDLib.images.volumes import Volume, index_to_lps, itk_settings, read_volume

if TYPE_CHECKING:
    import SimpleITK as sitk

_REMEDY = "Give a CT as NIfTI, NRRD, MetaImage or a folder of one DICOM series."


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
        path: the file, or the folder of a series, see
            :func:`~SSRKDLib.ct.dicom_series.find_series`.

    Raises:
        ImageError: absent, cut off, unreadable, not three-dimensional, slices that are missing,
            beside each other, of several people or of rescales that contradict each other, or not
            in Hounsfield units.
    """
    path = Path(path)
    if not path.exists():
        raise ImageError("'{path}' was not found.", "Check the path.", path=path)
    scan = _read_series(path) if path.is_dir() else _read_file(path)
    check_hounsfield(scan.hounsfield, str(path))
    return scan


def check_hounsfield(values: np.ndarray, name: str) -> None:
    """Raise :class:`~SSRKDLib.core.errors.ImageError` where values cannot be those of a CT.

    Args:
        values: of any shape.
        name: of the CT, for the message.
    """
    if not np.isfinite(values).all() or values.min() >= 0:
        raise ImageError(
            "'{name}' is not in Hounsfield units (air should be near -1000).",
            "Give the CT itself, not a label map or a rescaled copy.",
            name=name,
        )


def _read_file(path: Path) -> CtScan:
    volume = read_volume(path)
    return CtScan(_grey_volume(volume, path), volume.index_to_lps)


@apart(ImageError)
def _read_series(folder: Path) -> CtScan:
    series = find_series(folder)
    if len(series.files) == 1:  # one file may hold all slices
        volume = read_volume(Path(series.files[0]))
        return CtScan(_grey_volume(volume, folder), volume.index_to_lps, series.notes)
    for file in series.files:
        whole_image_kind(file)
    import SimpleITK as sitk

    # At once where that holds no slice's own scale back: ITK gives all the first one's type.
    one_scale = len(set(series.scales)) == 1
    images = _decoded([series.files] if one_scale else series.files, folder)
    volumes = [sitk.GetArrayFromImage(image) for image in images]
    hounsfield, notes = volumes[0], series.notes
    if not one_scale:
        hounsfield = np.concatenate(volumes).astype(np.float32)
        notes = (*notes, check_scales(hounsfield, series))
    if series.places is not None:
        hounsfield = _resampled(hounsfield, series.places)
    affine = series.index_to_lps
    return CtScan(hounsfield, index_to_lps(images[0]) if affine is None else affine, notes)


def _resampled(slices: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Slices at fractions of slices, linear between them, of the same type."""
    made = np.empty((len(places), *slices.shape[1:]), slices.dtype)
    for k, place in enumerate(places):
        below = min(int(place), len(slices) - 2)
        share = np.float32(place - below)
        between = (1 - share) * slices[below] + share * slices[below + 1]
        made[k] = between if made.dtype.kind == "f" else np.rint(between)
    return made


def _decoded(files: list[str | list[str]], path: Path) -> list[sitk.Image]:
    """ITK's images of files, or of a list of them as one."""
    import SimpleITK as sitk

    try:
        with itk_settings():
            return [sitk.ReadImage(file) for file in files]
    except RuntimeError as error:
        raise ImageError(Message("The CT '{path}' cannot be read.", path=path), _REMEDY) from error


def _grey_volume(volume: Volume, path: Path) -> np.ndarray:
    if volume.array.ndim != 3 or volume.components != 1:
        raise ImageError(
            Message("'{path}' is not one three-dimensional grey image.", path=path), _REMEDY
        )
    return volume.array

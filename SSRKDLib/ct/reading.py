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
from SSRKDLib.images.dicom_files import is_dicom
from SSRKDLib.images.formats import whole_image_kind
from SSRKDLib.images.volumes import itk_settings, read_volume

if TYPE_CHECKING:
    import SimpleITK as sitk

#: Largest CT number, either sign: metal's are some ten thousands.
_LARGEST_HU = 1e5

#: Of a file that says so, or that says nothing.
_UNPLACED = (
    "The CT states no voxel size other than 1 mm; if it was lost in an export, the bones have the "
    "wrong size. Check the spacing."
)

_SEPARATE = "Export the scan again as CT images of one file each, or as NIfTI or NRRD."

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
        path: the file, or the folder or enhanced file of a series, see
            :func:`~SSRKDLib.ct.dicom_series.find_series`.

    Raises:
        ImageError: absent, cut off, unreadable, not three-dimensional, slices that are missing,
            beside each other, of several people or of rescales that contradict each other, or not
            in Hounsfield units.
    """
    path = Path(path)
    if not path.exists():
        raise ImageError("'{path}' was not found.", "Check the path.", path=path)
    scan = _read_series(path) if path.is_dir() or is_dicom(path) else _read_file(path)
    check_hounsfield(scan.hounsfield, str(path))
    return scan


def check_hounsfield(values: np.ndarray, name: str) -> None:
    """Raise :class:`~SSRKDLib.core.errors.ImageError` where values cannot be those of a CT.

    Args:
        values: of any shape.
        name: of the CT, for the message.
    """
    if not np.isfinite(values).all():
        raise ImageError(
            "'{name}' contains voxels that are not finite numbers (NaN or infinite).",
            "Export it again with air, -1000, where nothing was scanned.",
            name=name,
        )
    low, high = values.min(), values.max()
    if np.iscomplexobj(values) or low >= 0 or high > _LARGEST_HU or low < -_LARGEST_HU:
        raise ImageError(
            "'{name}' is not in Hounsfield units (air should be near -1000).",
            "Give the CT itself, not a label map or a rescaled copy.",
            name=name,
        )


def _read_file(path: Path) -> CtScan:
    volume, notes = read_volume(path), ()
    if volume.array.ndim != 3 or volume.components != 1:
        raise ImageError(
            Message("'{path}' is not one three-dimensional grey image.", path=path), _REMEDY
        )
    if (volume.index_to_lps == np.eye(4)).all():
        notes = (_UNPLACED,)
    return CtScan(volume.array, volume.index_to_lps, notes)


@apart(ImageError)
def _read_series(folder: Path) -> CtScan:
    series = find_series(folder)
    files = list(dict.fromkeys(series.files))
    for file in files:
        whole_image_kind(file)
    import SimpleITK as sitk

    # At once where that holds no slice's own scale back: ITK gives all the first one's type.
    one_scale, notes = len(set(series.scales)) == 1, series.notes
    framed = any(frame is not None for frame in series.frames)
    if framed and not one_scale:  # ITK gives all frames the first one's scale
        raise ImageError(
            Message("The images in '{path}' differ in their rescale.", path=folder), _SEPARATE
        )
    volumes = [
        sitk.GetArrayFromImage(image)
        for image in _decoded([files] if one_scale and not framed else files, folder)
    ]
    hounsfield = volumes[0]
    if framed:
        volume_of = dict(zip(files, volumes))
        places = zip(series.files, series.frames)
        hounsfield = np.stack([volume_of[file][frame or 0] for file, frame in places])
    elif not one_scale:
        hounsfield = np.concatenate(volumes).astype(np.float32)
        notes = (*notes, check_scales(hounsfield, series))
    if series.places is not None:
        hounsfield = _resampled(hounsfield, series.places)
    return CtScan(hounsfield, series.index_to_lps, notes)


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

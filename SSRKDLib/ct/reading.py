"""CT scans as files: NIfTI, NRRD, MetaImage, or a folder of one DICOM series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.images.formats import whole_image_kind

_REMEDY = "Give a CT as NIfTI, NRRD, MetaImage or a folder of one DICOM series."


@dataclass(frozen=True, eq=False)
class CtScan:
    """A CT in memory.

    Attributes:
        hounsfield: ``[k, j, i]``, of the file's own type: a whole leg as float32 would need twice
            the memory.
        index_to_lps: 4x4, takes (i, j, k, 1) to LPS mm.
    """

    hounsfield: np.ndarray
    index_to_lps: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Voxel edges along i, j and k, ``(3,)`` mm."""
        return np.linalg.norm(self.index_to_lps[:3, :3], axis=0)


def read_scan(path: str | Path) -> CtScan:
    """Read a CT in Hounsfield units.

    Args:
        path: the file, or the folder; of several series the one with most slices is taken.

    Raises:
        ImageError: absent, cut off, unreadable, not three-dimensional, or not in Hounsfield units.
    """
    import SimpleITK as sitk

    path = Path(path)
    if not path.exists():
        raise ImageError(f"There is no CT '{path}'.", "Check the path.")
    try:
        files = _series(path) if path.is_dir() else [str(path)]
        for file in files:
            whole_image_kind(file)
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
    return CtScan(hounsfield, affine)


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


def _series(folder: Path) -> list[str]:
    """The files of the folder's longest DICOM series, in order."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader
    series = [
        reader.GetGDCMSeriesFileNames(str(folder), name)
        for name in reader.GetGDCMSeriesIDs(str(folder))
    ]
    if not series:
        raise ImageError(f"The folder '{folder}' holds no DICOM series.", _REMEDY)
    return list(max(series, key=len))

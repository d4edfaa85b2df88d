"""A CT scan as a volume of attenuation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from SSRKDLib.errors import ImageError
from SSRKDLib.image_files import whole_image_kind
from SSRKDLib.projection.attenuation import DEFAULT_ENERGY, from_hounsfield
from SSRKDLib.projection.joseph import Volume

_REMEDY = "Give a CT as NIfTI, NRRD, MetaImage or a folder of one DICOM series."


def read_ct(path: str | Path, energy: float = DEFAULT_ENERGY) -> Volume:
    """Read a CT in Hounsfield units: NIfTI, NRRD, MetaImage, or a folder with a DICOM series.

    Args:
        path: the file, or the folder; of several series the one with most slices is taken.
        energy: effective photon energy of the radiographs to make, keV.

    Returns:
        Attenuation in 1/mm, ``[k, j, i]``, with the scan's affine in LPS mm.

    Raises:
        ImageError: absent, cut off, unreadable, not three-dimensional, or not in Hounsfield units.
    """
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
    hounsfield = sitk.GetArrayFromImage(image)
    if not np.isfinite(hounsfield).all() or hounsfield.min() >= 0:
        raise ImageError(
            f"'{path}' is not in Hounsfield units (air should be near -1000).",
            "Give the CT itself, not a label map or a rescaled copy.",
        )
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return Volume(torch.from_numpy(from_hounsfield(hounsfield, energy)), affine)


def _series(folder: Path) -> list[str]:
    """The files of the folder's longest DICOM series, in order."""
    reader = sitk.ImageSeriesReader
    series = [
        reader.GetGDCMSeriesFileNames(str(folder), name)
        for name in reader.GetGDCMSeriesIDs(str(folder))
    ]
    if not series:
        raise ImageError(f"The folder '{folder}' holds no DICOM series.", _REMEDY)
    return list(max(series, key=len))

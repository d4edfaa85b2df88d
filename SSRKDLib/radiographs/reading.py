"""Read a radiograph from a file: DICOM, PNG, TIFF, NRRD, NIfTI or MetaImage.

Pixels come through SimpleITK (GDCM decodes JPEG, JPEG-LS, JPEG 2000 and RLE), tags through pydicom.
Row 0 is the first row stored in the file, column 0 its first column; for NRRD, NIfTI and MetaImage
the fastest axis is the column. Origin, spacing and direction written in the file are ignored: the
rig says where the pixels are.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SSRKDLib.core.errors import ImageError
from SSRKDLib.images.formats import whole_image_kind
from SSRKDLib.radiographs.dicom_tags import (
    DicomTags,
    modality_lut,
    read_dicom_dataset,
    tags_from_dataset,
    understood_tags,
    valid_pixels,
)
from SSRKDLib.radiographs.intensity import values_from_dicom

#: Shortest side of a usable radiograph, pixels.
MINIMUM_SIDE = 32


@dataclass(frozen=True)
class Radiograph:
    """One radiograph as stored.

    Attributes:
        pixels: float32 ``[rows, columns]``; of DICOM files after rescale or Modality LUT, without
            VOI window and without inversion for display.
        values: one of :data:`SSRKDLib.geometry.views.VALUE_KINDS`, or None when the file does not
            tell.
        dicom: the tags that matter, or None for other formats.
        valid: bool ``[rows, columns]``, the collimated field that the file declares, or None.
        notes: sentences on what was assumed.
    """

    pixels: np.ndarray
    values: str | None = None
    dicom: DicomTags | None = None
    valid: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows)."""
        return self.pixels.shape[1], self.pixels.shape[0]


def read_radiograph(path: str | os.PathLike) -> Radiograph:
    """Read one radiograph.

    Raises:
        ImageError: the file is absent, cut off, unreadable, in colour, of several frames or slices,
            too small, or its pixels are constant or not all finite.
    """
    path = Path(path)
    with _quiet():
        kind = whole_image_kind(path)
        return _read_dicom(path) if kind == "GDCMImageIO" else _read_plain(path)


def _read_dicom(path: Path) -> Radiograph:
    dataset = read_dicom_dataset(path)
    with understood_tags(path):
        tags = tags_from_dataset(dataset)
        lut = modality_lut(dataset)
        valid = valid_pixels(dataset)
    pixels = _one_slice(_grey(_decode(path), path), path)
    if tags.photometric == "MONOCHROME1":
        with understood_tags(path):
            pixels = _as_stored(pixels, dataset)
    if lut is not None:
        table, first = lut
        pixels = table[np.clip(pixels.astype(np.int64) - first, 0, len(table) - 1)]
    values, notes = values_from_dicom(tags)
    return Radiograph(
        pixels=_checked(pixels, path), values=values, dicom=tags, valid=valid, notes=notes
    )


def _read_plain(path: Path) -> Radiograph:
    return Radiograph(pixels=_checked(_one_slice(_grey(_decode(path), path), path), path))


def _as_stored(pixels: np.ndarray, dataset) -> np.ndarray:
    """Undo ITK's inversion of MONOCHROME1.

    GDCM turns the stored value s into M - s (M: the largest stored value, -1 for signed ones), and
    ITK rescales after that; the tags speak about what is stored.
    """
    largest = -1 if dataset.get("PixelRepresentation") else 2 ** int(dataset.BitsStored) - 1
    slope = float(dataset.get("RescaleSlope") or 1)
    intercept = float(dataset.get("RescaleIntercept") or 0)
    return (slope * largest + 2 * intercept - pixels.astype(np.float64)).astype(np.float32)


def _decode(path: Path) -> sitk.Image:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-160:]
        raise ImageError(
            f"'{path}' cannot be decoded ({reason}).",
            "It may be damaged or in a rare encoding; export it again, uncompressed.",
        ) from error


def _grey(image: sitk.Image, path: Path) -> np.ndarray:
    """The array without its colour axis; alpha is dropped, true colour refused."""
    array = sitk.GetArrayFromImage(image)
    channels = image.GetNumberOfComponentsPerPixel()
    if channels == 1:
        return array
    colours = array[..., : channels - 1] if channels in (2, 4) else array
    # Lossy compression of a grey image in colour may leave the channels a count apart.
    slack = 2 if array.dtype == np.uint8 else 0
    spread = colours.max(axis=-1).astype(np.float64) - colours.min(axis=-1)
    if np.iscomplexobj(array) or spread.max() > slack:
        raise ImageError(f"'{path}' is a colour image.", "Export the radiograph in shades of grey.")
    return colours[..., 0]


def _one_slice(array: np.ndarray, path: Path) -> np.ndarray:
    if array.ndim > 2:
        longer = [n for n in array.shape if n > 1]
        if len(longer) > 2:
            raise ImageError(
                f"'{path}' holds {min(longer)} slices or pages.",
                "Export the one that is the radiograph as a single image.",
            )
        array = array.reshape(longer) if len(longer) == 2 else array.reshape(array.shape[-2:])
    return array


def _checked(pixels: np.ndarray, path: Path) -> np.ndarray:
    if min(pixels.shape) < MINIMUM_SIDE:
        rows, columns = pixels.shape
        raise ImageError(
            f"'{path}' is only {columns} x {rows} pixels.",
            f"A radiograph needs {MINIMUM_SIDE} pixels or more per side.",
        )
    pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    if not np.isfinite(pixels).all():
        raise ImageError(
            f"'{path}' holds pixels that are not finite numbers (NaN or infinite).",
            "Export the radiograph again.",
        )
    low, high = float(pixels.min()), float(pixels.max())
    if low == high:
        what = "all zeros" if low == 0 else f"constant ({low:g} everywhere)"
        raise ImageError(f"'{path}' is {what}.", "Choose the file of a radiograph.")
    return pixels


@contextmanager
def _quiet():
    """ITK prints warnings on foreign tags that say nothing to a user; errors still raise."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)

"""Read a radiograph from a file: DICOM, PNG, TIFF, JPEG, NRRD, NIfTI or MetaImage.

Tags and uncompressed pixels of DICOM files come through pydicom, all others through SimpleITK (GDCM
decodes JPEG, JPEG-LS, JPEG 2000 and RLE).
Row 0 is the first row stored in the file, column 0 its first column; for NRRD, NIfTI and MetaImage
the fastest axis is the column. Origin, spacing and direction written in the file are ignored: the
rig says where the pixels are.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.input_files import regular_file
from SSRKDLib.core.messages import Message
from SSRKDLib.core.reading_child import apart
from SSRKDLib.images.dicom_files import DicomFile
from SSRKDLib.images.formats import (
    check_dicom_pixels,
    check_size,
    whole_image_kind,
)
from SSRKDLib.images.pictures import jpeg_orientation
from SSRKDLib.images.volumes import itk_settings
from SSRKDLib.radiographs.collimation import padding_mask, shutter_mask
from SSRKDLib.radiographs.dicom_tags import (
    DicomTags,
    modality_lut,
    read_dicom_dataset,
    tags_from_dataset,
    understood_tags,
)
from SSRKDLib.radiographs.dicom_values import is_big_endian, low_byte_first
from SSRKDLib.radiographs.intensity import bone_is_dark, needs_picture, values_from_dicom

if TYPE_CHECKING:
    import SimpleITK as sitk

#: Shortest side of a usable radiograph, pixels.
MINIMUM_SIDE = 32

#: Largest count or display value, either sign.
_LARGEST_PIXEL = 1e10

_JPEG = "A JPEG file has 256 grey levels and lost details: use the original where there is one."

#: From stored pixels to those that are to be shown, by the EXIF orientation.
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored, 2: np.fliplr, 3: lambda stored: np.rot90(stored, 2), 4: np.flipud,
    5: np.transpose, 6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T, 8: np.rot90,
}  # fmt: skip


@dataclass(frozen=True)
class Radiograph:
    """One radiograph as stored.

    Attributes:
        pixels: float32 ``[rows, columns]``; of DICOM files after rescale or Modality LUT, without
            VOI window and without inversion for display.
        values: one of :data:`SSRKDLib.radiographs.intensity.VALUE_KINDS`, or None where the file
            does not state it.
        dicom: the tags that matter, or None for other formats.
        valid: bool ``[rows, columns]``, the collimated field that the file declares, or None.
        notes: sentences on what was assumed.
        eight_bit: whether the pixels are the 8-bit numbers that the file stores.
    """

    pixels: np.ndarray
    values: str | None = None
    dicom: DicomTags | None = None
    valid: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    eight_bit: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows)."""
        return self.pixels.shape[1], self.pixels.shape[0]


@apart(ImageError)
def read_radiograph(path: str | os.PathLike) -> Radiograph:
    """Read one radiograph.

    Raises:
        ImageError: the file is absent, cut off, unreadable, in colour, of several frames or slices,
            too small, or its pixels are constant or not all finite.
    """
    path = regular_file(path, ImageError)
    with itk_settings():
        with DicomFile(path) as file:
            if file.has_preamble:
                dataset = read_dicom_dataset(path, file)
                check_dicom_pixels(dataset, path)
                return _of_dataset(dataset, path)
        kind = whole_image_kind(path)
        if kind == "GDCMImageIO":
            with DicomFile(path) as file:
                return _of_dataset(read_dicom_dataset(path, file), path)
        pixels, notes = _one_slice(_grey(_decode(path, kind), path), path), ()
        if kind == "JPEGImageIO":
            orientation = jpeg_orientation(path)
            pixels, notes = _TURNS[orientation](pixels), (_JPEG,)
            if orientation > 1:
                notes += (
                    Message(
                        "It was turned as its EXIF orientation {orientation} says.",
                        orientation=orientation,
                    ),
                )
        return _radiograph(pixels, path, notes=notes)


def _of_dataset(dataset, path: Path) -> Radiograph:
    """The radiograph of a DICOM file whose dataset was read."""
    with understood_tags(path, dataset):
        _check_layout(dataset, path)
        tags = tags_from_dataset(dataset)
        lut = modality_lut(dataset)
        stored = _native_pixels(dataset)
        if stored is None:
            stored = _decompressed(dataset, path)
        slope = float(dataset.get("RescaleSlope") or 1)
        intercept = float(dataset.get("RescaleIntercept") or 0)
        pixels = stored if (slope, intercept) == (1, 0) else stored * slope + intercept
        masks = [shutter_mask(dataset, stored.shape), padding_mask(dataset, stored)]
        masks = [mask for mask in masks if mask is not None]
        valid = np.logical_and.reduce(masks) if masks else None
        if lut is not None:
            table, first = lut
            pixels = table[np.clip(pixels.astype(np.int64) - first, 0, len(table) - 1)]
        if needs_picture(tags):
            tags = replace(tags, dark_bone=bone_is_dark(pixels, valid))
        values, notes = values_from_dicom(tags)
    return _radiograph(pixels, path, values=values, dicom=tags, valid=valid, notes=notes)


def _check_layout(dataset, path: Path) -> None:
    """Whether the file says how its pixels are stored, as radiographs' are (PS3.5, 8.1.1)."""
    for name in ("PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelData"):
        if name not in dataset:
            raise ImageError(
                "'{path}' lacks the DICOM tag {name}.",
                "Export the radiograph again.",
                path=path,
                name=name,
            )
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        raise ImageError(
            "The pixels of '{path}' are indices of a colour palette.",
            "Export the radiograph in shades of grey.",
            path=path,
        )
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", stored - 1))
    if allocated not in (8, 16, 32) or not 1 <= stored <= high + 1 <= allocated:
        raise ImageError(
            "'{path}' says of its pixels that {stored} of {allocated} bits are used, up to bit "
            "{high}; of 8, 16 or 32 bits as many as there are, or fewer, are expected.",
            "Export the radiograph again.",
            path=path,
            stored=stored,
            allocated=allocated,
            high=high,
        )


def _radiograph(pixels: np.ndarray, path: Path, **details) -> Radiograph:
    return Radiograph(_checked(pixels, path), eight_bit=pixels.dtype == np.uint8, **details)


def _native_pixels(dataset) -> np.ndarray | None:
    """Grey pixels ``[rows, columns]`` as stored; None where they are compressed, in colour or of
    another kind, which is left to ITK.

    They are in memory: the file need not be opened again. Besides, ITK refuses signed pixels whose
    rescaled values are all positive (its issue 5290). Bits beyond those stored may have any value.
    """
    from pydicom.uid import ExplicitVRLittleEndian

    # Files without it are not compressed; which of the others it is pydicom finds out.
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", ExplicitVRLittleEndian)
    grey = str(dataset.get("PhotometricInterpretation")) in ("MONOCHROME1", "MONOCHROME2")
    allocated = int(dataset.get("BitsAllocated") or 0)
    if syntax.is_compressed or not grey or allocated not in (8, 16, 32):
        return None
    if "PixelData" not in dataset or int(dataset.get("SamplesPerPixel") or 1) != 1:
        return None
    rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsStored)
    order = ">" if is_big_endian(dataset) else "<"
    kind = f"{'i' if dataset.get('PixelRepresentation') else 'u'}{allocated // 8}"
    data = dataset.PixelData if allocated > 8 else low_byte_first(dataset, dataset["PixelData"])
    stored = np.frombuffer(data, order + kind, rows * columns).astype(kind)
    unused = allocated - 1 - int(dataset.get("HighBit", bits - 1))
    return ((stored << unused) >> (allocated - bits)).reshape(rows, columns)


#: What pixels mean as they are stored (PS3.3 C.7.6.3).
_PIXEL_TAGS = (
    "SOPInstanceUID", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
)  # fmt: skip


def _decompressed(dataset, path: Path) -> np.ndarray:
    """Compressed pixels ``[rows, columns]`` as stored.

    ITK decodes them from a file that says nothing else: it refuses signed pixels whose rescaled
    values are all positive (its issue 5290), and inverts MONOCHROME1.
    """
    from pydicom.dataset import Dataset, FileMetaDataset

    plain = Dataset()
    plain.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # of secondary captures
    for name in _PIXEL_TAGS:
        if name in dataset:
            plain.add(dataset[name])
    if plain.PhotometricInterpretation == "MONOCHROME1":
        plain.PhotometricInterpretation = "MONOCHROME2"
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory(prefix="ssrkd-") as folder:
        file = Path(folder) / "pixels.dcm"
        try:
            plain.save_as(file, enforce_file_format=True)
        except ValueError as error:
            raise ImageError(
                "The pixels of '{path}' are not compressed as its transfer syntax says.",
                "Export the radiograph again, uncompressed.",
                path=path,
            ) from error
        try:
            return _one_slice(_grey(_decode(file, "GDCMImageIO"), path), path)
        except ImageError as error:
            raise ImageError(error.cause.replace(str(file), str(path)), error.remedy) from error


def _decode(path: Path, kind: str) -> sitk.Image:
    import SimpleITK as sitk

    try:
        check_size(path, kind, volume=False)
        return sitk.ReadImage(str(path), imageIO=kind)
    except RuntimeError as error:
        raise ImageError(
            "'{path}' cannot be decoded.",
            "It may be damaged or in a rare encoding; export it again, uncompressed.",
            path=path,
        ) from error


def _grey(image: sitk.Image, path: Path) -> np.ndarray:
    """The array without its colour axis; alpha is dropped, true colour refused."""
    import SimpleITK as sitk

    array = sitk.GetArrayFromImage(image)
    channels = image.GetNumberOfComponentsPerPixel()
    if channels == 1:
        return array
    colours = array[..., : channels - 1] if channels in (2, 4) else array
    # Lossy compression of a grey image in colour may leave the channels a count apart.
    slack = 2 if array.dtype == np.uint8 else 0
    spread = colours.max(axis=-1).astype(np.float64) - colours.min(axis=-1)
    if np.iscomplexobj(array) or spread.max() > slack:
        raise ImageError(
            "'{path}' is a colour image.", "Export the radiograph in shades of grey.", path=path
        )
    return colours[..., 0]


def _one_slice(array: np.ndarray, path: Path) -> np.ndarray:
    if array.ndim > 2:
        longer = [n for n in array.shape if n > 1]
        if len(longer) > 2:
            raise ImageError(
                "'{path}' contains {least} slices or pages.",
                "Export the one that is the radiograph as a single image.",
                path=path,
                least=min(longer),
            )
        array = array.reshape(longer) if len(longer) == 2 else array.reshape(array.shape[-2:])
    return array


def _checked(pixels: np.ndarray, path: Path) -> np.ndarray:
    if min(pixels.shape) < MINIMUM_SIDE:
        rows, columns = pixels.shape
        raise ImageError(
            "'{path}' is only {columns} x {rows} pixels.",
            "A radiograph needs {minimum_side} pixels or more per side.",
            path=path,
            columns=columns,
            rows=rows,
            minimum_side=MINIMUM_SIDE,
        )
    pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    if not np.isfinite(pixels).all():
        raise ImageError(
            "'{path}' contains pixels that are not finite numbers (NaN or infinite).",
            "Export the radiograph again.",
            path=path,
        )
    odd = float((np.abs(pixels) > _LARGEST_PIXEL).mean())
    if odd > 0:
        raise ImageError(
            "{odd:.2g} % of the pixels of '{path}' are beyond what detectors count, up "
            "to {most:.3g} (at most {largest_pixel:.0e} are expected).",
            "Export the radiograph again.",
            odd=100 * odd,
            path=path,
            most=float(np.abs(pixels).max()),
            largest_pixel=_LARGEST_PIXEL,
        )
    low, high = float(pixels.min()), float(pixels.max())
    if low == high:
        what = "all zeros" if low == 0 else f"constant ({low:g} everywhere)"
        raise ImageError(
            "'{path}' is {what}.", "Choose the file of a radiograph.", path=path, what=what
        )
    return pixels

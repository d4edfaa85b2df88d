"""Image files before they are decoded: which format, and whether they are whole.

ITK fills what a cut NIfTI or DICOM file lacks with whatever lies in memory without a word, so
their length is checked here; readers of the other formats refuse cut files by themselves.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

from SSRKDLib.core.errors import ImageError

#: ITK's readers of the formats that are read; others are not known to notice a cut file.
READERS = frozenset(
    {
        "GDCMImageIO", "PNGImageIO", "TIFFImageIO", "NrrdImageIO", "NiftiImageIO", "MetaImageIO",
        "JPEGImageIO",
    }
)  # fmt: skip

#: What a gzip stream begins with.
GZIP = b"\x1f\x8b"

_FORMATS = "Use DICOM, PNG, TIFF, JPEG, NRRD, NIfTI or MetaImage."
_AGAIN = "Copy or export it again."


def existing_file(path: str | os.PathLike) -> Path:
    """The path of a file that is there and not empty.

    Raises:
        ImageError: it is not.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise ImageError(f"'{path}' is a folder.", "Choose one image file.")
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise ImageError(f"'{path}' was not found.", "Check the path.") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"'{path}' cannot be read ({error}).", "Check the path.") from error
    if size == 0:
        raise ImageError(f"'{path}' is empty.", _AGAIN)
    return path


def whole_image_kind(path: str | os.PathLike) -> str:
    """The name of ITK's reader for an image file, one of :data:`READERS`.

    Raises:
        ImageError: the file is absent, empty, cut off or of another format.
    """
    import SimpleITK as sitk

    path = existing_file(path)
    kind = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
    if kind not in READERS:
        raise ImageError(f"'{path}' is in no format that can be read.", _FORMATS)
    if kind == "NiftiImageIO":
        _check_nifti(path)
    elif kind == "GDCMImageIO":
        _check_dicom(path)
    elif kind == "JPEGImageIO":
        _check_jpeg(path)
    return kind


def _check_nifti(path: Path) -> None:
    """Header and length of NIfTI-1 and -2 (nifti.nimh.nih.gov), single files, plain or gzip."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == GZIP  # an uncompressed file called .nii.gz is read too
        with (gzip.open if packed else open)(path, "rb") as stream:
            header = stream.read(540)
            length = len(header)
            while chunk := stream.read(1 << 22):
                length += len(chunk)
    except (EOFError, OSError, zlib.error) as error:
        raise ImageError(f"'{path}' is cut off or damaged ({error}).", _AGAIN) from error
    for order in "<>":
        size = struct.unpack_from(f"{order}i", header)[0] if len(header) >= 4 else 0
        if size == 348 and len(header) >= 348:
            dims = struct.unpack_from(f"{order}8h", header, 40)
            bits = struct.unpack_from(f"{order}h", header, 72)[0]
            offset = struct.unpack_from(f"{order}f", header, 108)[0]
        elif size == 540 and len(header) >= 540:
            dims = struct.unpack_from(f"{order}8q", header, 16)
            bits = struct.unpack_from(f"{order}h", header, 14)[0]
            offset = struct.unpack_from(f"{order}q", header, 168)[0]
        else:
            continue
        voxels = math.prod(max(1, n) for n in dims[1 : 1 + max(0, min(7, dims[0]))])
        if path.suffix.lower() in (".hdr", ".img") or length >= offset + voxels * bits / 8:
            return
        break
    raise ImageError(f"'{path}' is cut off or damaged.", _AGAIN)


def _check_jpeg(path: Path) -> None:
    """libjpeg fills what is missing with grey. Some programs add zeros behind the end marker."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4096))
        if not stream.read().rstrip(b"\0\r\n").endswith(b"\xff\xd9"):
            raise ImageError(f"'{path}' is cut off or damaged.", _AGAIN)


def _check_dicom(path: Path) -> None:
    import pydicom

    try:
        dataset = pydicom.dcmread(path, force=True, specific_tags=[
            "Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames", "PixelData",
        ])  # fmt: skip
    except Exception as error:  # pydicom raises many kinds on damaged files
        raise ImageError(f"'{path}' is a damaged DICOM file ({error}).", _AGAIN) from error
    check_dicom_pixels(dataset, path)


def check_dicom_pixels(dataset, path: Path) -> None:
    """Whether a pydicom dataset has all its pixels, where they are not compressed (PS3.5 8.1.1);
    decoders check the others.

    Raises:
        ImageError: pixels are missing.
    """
    try:
        syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
        if (syntax is not None and syntax.is_compressed) or "PixelData" not in dataset:
            return
        if any(key not in dataset for key in ("Rows", "Columns", "BitsAllocated")):
            return
        needed = (
            int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated)
            * int(dataset.get("SamplesPerPixel") or 1) * int(dataset.get("NumberOfFrames") or 1)
        ) / 8  # fmt: skip
        whole = len(dataset.PixelData) >= needed
    except Exception as error:  # as above
        raise ImageError(f"'{path}' is a damaged DICOM file ({error}).", _AGAIN) from error
    if not whole:
        raise ImageError(f"'{path}' is cut off: pixels are missing.", _AGAIN)

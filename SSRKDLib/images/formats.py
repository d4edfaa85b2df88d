"""Image files before they are decoded: which format, and whether they are whole.

ITK fills what a cut NIfTI or DICOM file lacks with whatever lies in memory without a word, so
their length is checked here; readers of the other formats refuse cut files by themselves.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.input_files import regular_file
from SSRKDLib.core.messages import Message
from SSRKDLib.core.reading_child import LARGEST_VOLUME
from SSRKDLib.images.dicom_files import damage_told, read_dicom
from SSRKDLib.images.meta_image import check_compressed
from SSRKDLib.images.pictures import check_jpeg, check_tiff

#: ITK's readers of the formats that are read; others are not known to notice a cut file.
READERS = frozenset(
    {
        "GDCMImageIO", "PNGImageIO", "TIFFImageIO", "NrrdImageIO", "NiftiImageIO", "MetaImageIO",
        "JPEGImageIO",
    }
)  # fmt: skip

#: Of a radiograph, what rigs allow: pixels per side, and in all.
LONGEST_SIDE, MOST_PIXELS = 20_000, 400_000_000

#: Millimetres of the units of length that NRRD and MetaImage files state, and their words for none.
_UNIT_MM = {
    "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "cm": 10.0, "centimeter": 10.0,
    "centimeters": 10.0, "m": 1000.0, "meter": 1000.0, "meters": 1000.0, "um": 0.001,
    "micrometer": 0.001, "micrometers": 0.001, "micron": 0.001, "microns": 0.001, "in": 25.4,
    "inch": 25.4, "inches": 25.4,
}  # fmt: skip
_NO_UNIT = {"", "?", "???", "none", "unknown"}

#: By this share the voxels of a NIfTI's two placements may differ: registrations scale them.
_SCALED = 0.05

#: A decimal number.
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"

#: What a gzip stream begins with.
GZIP = b"\x1f\x8b"

_FORMATS = "Use DICOM, PNG, TIFF, JPEG, NRRD, NIfTI-1 or MetaImage."
_AGAIN = "Copy or export it again."


def whole_image_kind(path: str | os.PathLike) -> str:
    """The name of ITK's reader for an image file, one of :data:`READERS`.

    Raises:
        ImageError: the file is absent, empty, cut off or of another format.
    """
    import SimpleITK as sitk

    path = regular_file(path, ImageError)
    check_tiff(path)  # ITK asks all its readers about any file
    kind = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
    if kind not in READERS:
        raise ImageError(Message("'{path}' is in no format that can be read.", path=path), _FORMATS)
    if kind == "NiftiImageIO":
        _check_nifti(path)
    elif kind == "GDCMImageIO":
        _check_dicom(path)
    elif kind == "JPEGImageIO":
        check_jpeg(path)
    elif kind in ("NrrdImageIO", "MetaImageIO"):
        _check_header(path, kind)
    return kind


def check_size(path: Path, kind: str, volume: bool) -> None:
    """Refuse what is too large for a radiograph, or for a volume, before pixels are decoded.

    ``kind`` is what :func:`whole_image_kind` said: ITK would ask all its readers again.

    Raises:
        ImageError: the header says so.
        RuntimeError: ITK cannot read the header.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(kind)
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = reader.GetSize()
    pixels = math.prod(size)
    bits = int(re.search(r"(\d+)-bit", sitk.GetPixelIDValueAsString(reader.GetPixelID()))[1])
    needed = pixels * reader.GetNumberOfComponents() * bits // 8
    if volume:
        fits, most = needed <= LARGEST_VOLUME, f"{LARGEST_VOLUME >> 20} MB"
    else:
        fits = max(size) <= LONGEST_SIDE and pixels <= MOST_PIXELS
        most = f"{LONGEST_SIDE} pixels per side and {MOST_PIXELS // 10**6} million in all"
    if kind == "MetaImageIO" and fits:
        check_compressed(path, needed)
    if not fits or pixels == 0:
        raise ImageError(
            "'{path}' declares {size} pixels of {bits} bits; at most {most} are read.",
            "Check the file, or crop it to the knee.",
            path=path,
            size=" x ".join(map(str, size)),
            bits=bits,
            most=most,
        )


def _header(path: Path, kind: str) -> bytes:
    """Of NRRD up to the empty line that ends it; of MetaImage with pixels behind it, since what
    ends it for MetaIO is not sure."""
    with path.open("rb") as stream:
        start = stream.read(1 << 20)
    return re.split(rb"\r?\n\r?\n", start, maxsplit=1)[0] if kind == "NrrdImageIO" else start


def _check_header(path: Path, kind: str) -> None:
    """Of NRRD and MetaImage. MetaIO trusts any number of dimensions. Pixels in a file of their own
    lie beside the header: it could show any file of the computer as an image."""
    header = _header(path, kind)
    # Where the square of an edge is beyond all numbers, ITK takes the edge to be 1 mm.
    axes_of_nrrd = rb"(?:space directions|spacings):(?!=)"
    for axes in _fields(path, kind, axes_of_nrrd) if kind == "NrrdImageIO" else ():
        if any(abs(float(edge)) > 1e100 for edge in re.findall(_NUMBER, axes)):
            raise ImageError(
                Message("'{path}' declares voxels of an absurd size.", path=path), _AGAIN
            )
    for dimensions in re.findall(rb"(?im)^[^\S\n]*NDims\s*=\s*([^\r\n]*)", header):
        if dimensions.strip() not in (b"2", b"3", b"4", b"5"):
            raise ImageError(
                Message("'{path}' declares an absurd number of dimensions.", path=path), _AGAIN
            )
    for edges in (
        _fields(path, kind, rb"Element(?:Spacing|Size)\s*=") if kind == "MetaImageIO" else ()
    ):
        if "-" in re.sub(r"[eE]-", "", edges):  # ITK mirrors, and others do not
            raise ImageError(Message("'{path}' states voxels of negative size.", path=path), _AGAIN)
    pattern = rb"(?im)^[^\S\n]*(?:data ?file:|ElementDataFile\s*=)[ \t]*([^\r\n]*)"
    for named in re.finditer(pattern, header):
        name = os.fsdecode(named[1].strip())
        if name.upper() == "LOCAL":
            continue
        data = path.parent / name
        elsewhere = "/" in name or os.sep in name or data.resolve().parent != path.parent.resolve()
        if elsewhere or name.upper().startswith("LIST") or "%" in name:
            raise ImageError(
                "'{path}' takes its pixels from '{name}'; one file in its own folder is expected.",
                "Save the image in one file (.nrrd, .mha).",
                path=path,
                name=name,
            )
        regular_file(data, ImageError)


def unit_mm(path: Path, kind: str) -> float:
    """Millimetres per unit of length that an image file states; 1 where it states none.

    ITK's reader converts NIfTI's units (an undefined one it takes to be mm, and of two voxel sizes
    that of the qform: both are refused), and ignores those of NRRD (field ``space units``, or
    without it ``units`` of each axis that lies in space; teem.sourceforge.net/nrrd) and MetaImage
    (``DistanceUnits``).

    Args:
        path: the file, or its header where its voxels lie in another.
        kind: what :func:`whole_image_kind` makes of it.

    Raises:
        ImageError: a unit that is not known, or several; a NIfTI file of two voxel sizes.
    """
    if kind == "NrrdImageIO":
        words = _nrrd_units(path)
    elif kind == "MetaImageIO":
        words = _fields(path, kind, rb"DistanceUnits\s*[=:]")
    else:
        if kind == "NiftiImageIO":
            _check_nifti_lengths(path)
        return 1.0
    stated = {word.strip().lower() for word in words} - _NO_UNIT
    plain = (re.sub("[\xb5\u03bc]", "u", word).replace("metre", "meter") for word in stated)
    factors = {_UNIT_MM.get(word) for word in plain}
    if len(factors) > 1 or None in factors:
        raise _of_unknown_unit(path, ", ".join(sorted(stated))[:40])
    return factors.pop() if factors else 1.0


def _of_unknown_unit(path: Path, units: str) -> ImageError:
    return ImageError(
        "'{path}' states its lengths in '{units}', which is no unit that is known, or several.",
        "Save it in millimetres.",
        path=path,
        units=units,
    )


def is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == GZIP


def _unpacked_stream(path: Path) -> BinaryIO:
    """Plain or gzip by its content: an uncompressed file called .nii.gz is read too."""
    return (gzip.open if is_gzip(path) else open)(path, "rb")


def nifti_header(path: Path) -> tuple[bytes, str]:
    """The header of a NIfTI-1 file, plain or gzip, and the order of its bytes for ``struct``."""
    with _unpacked_stream(path) as stream:
        header = stream.read(348)
    return header, "<" if header[:4] == struct.pack("<i", 348) else ">"


def _check_nifti_lengths(path: Path) -> None:
    header, order = nifti_header(path)
    if header[123] & 7 > 3:
        raise _of_unknown_unit(path, f"xyzt_units {header[123]}")
    turned, *edges = struct.unpack_from(f"{order}4f", header, 76)
    edges = np.abs(edges)
    sform = np.reshape(struct.unpack_from(f"{order}12f", header, 280), (3, 4))
    others = np.linalg.norm(sform[:, :3], axis=0)
    by_qform, by_sform = (code > 0 for code in struct.unpack_from(f"{order}2h", header, 252))
    if not by_sform or others.min() <= 0:
        return
    # The sign of the first number is the qform's own.
    if by_qform and (turned < 0) != (np.linalg.det(sform[:, :3]) < 0):
        raise ImageError(
            "The qform and the sform of '{path}' mirror each other.",
            "Export it again, or correct its header: a right knee would be a left one.",
            path=path,
        )
    if (np.abs(edges - others) > _SCALED * others).any():
        raise ImageError(
            "'{path}' states two voxel sizes: {first} by its pixdim, {second} by its sform.",
            "Export it again, or correct its header.",
            path=path,
            first=" x ".join(f"{edge:.3g}" for edge in edges),
            second=" x ".join(f"{edge:.3g}" for edge in others),
        )


def _nrrd_units(path: Path) -> list[str]:
    """Units of space; without any, those of the axes but for such as colours and time, which have
    no direction in space."""

    def words(field: bytes, pattern: str = r'"([^"]*)"') -> list[str]:
        return re.findall(pattern, " ".join(_fields(path, "NrrdImageIO", field)))

    axes = words(rb"units:(?!=)")
    directions = words(rb"space directions:", r"none|\([^)]*\)")
    if len(directions) == len(axes):
        axes = [unit for unit, direction in zip(axes, directions) if direction != "none"]
    return words(rb"space units:(?!=)") or axes


def _fields(path: Path, kind: str, field: bytes) -> list[str]:
    """What follows a field's name, wherever a header has it."""
    found = re.findall(rb"(?im)^[^\S\n]*" + field + rb"([^\r\n]*)", _header(path, kind))
    text = b"\n".join(found)
    try:
        return text.decode().split("\n")
    except UnicodeDecodeError:
        return text.decode("latin-1").split("\n")


def _check_nifti(path: Path) -> None:
    """Header and length of NIfTI-1 (nifti.nimh.nih.gov), plain or gzip; ITK reads no NIfTI-2."""
    detached = path.suffix.lower() in (".hdr", ".img")
    try:
        with _unpacked_stream(path) as stream:
            begin, end, kind = _nifti_layout(stream.read(348)) or (0, 0, None)
            if end > LARGEST_VOLUME + (1 << 20):
                raise ImageError(
                    "'{path}' declares {needed} MB; {largest_volume} are the most.",
                    "Check the file, or crop it to the knee.",
                    path=path,
                    needed=end >> 20,
                    largest_volume=LARGEST_VOLUME >> 20,
                )
            stream.seek(begin)
            wanted, finite = end - begin, True
            while wanted > 0 and (chunk := stream.read(min(wanted, 1 << 22))):
                wanted -= len(chunk)
                if kind is not None and not detached:  # ITK reads zeros for what is not finite
                    whole = chunk[: len(chunk) // int(kind[-1]) * int(kind[-1])]
                    finite = finite and bool(np.isfinite(np.frombuffer(whole, kind)).all())
    except (EOFError, OSError, zlib.error) as error:
        raise ImageError(
            Message("'{path}' is cut off or damaged ({error}).", path=path, error=error), _AGAIN
        ) from error
    if end == 0 or (wanted > 0 and not detached):
        raise ImageError(Message("'{path}' is cut off or damaged.", path=path), _AGAIN)
    if not finite:
        raise ImageError(
            "'{path}' contains voxels that are not finite numbers (NaN or infinite).",
            "Export it again with another value there, for a CT that of air, -1000.",
            path=path,
        )


def _nifti_layout(header: bytes) -> tuple[int, int, str | None] | None:
    """From where to where in the file the voxels lie, bytes, and their NumPy type where they are
    floating-point numbers; None where the header is not one of NIfTI."""
    order = next((o for o in "<>" if header[:4] == struct.pack(f"{o}i", 348)), None)
    if order is None or len(header) < 348:
        return None
    placement = struct.unpack_from(f"{order}3f", header, 80)
    for is_used, count, place in zip(
        struct.unpack_from(f"{order}2h", header, 252), (6, 12), (256, 280)
    ):
        placement += struct.unpack_from(f"{order}{count}f", header, place) if is_used > 0 else ()
    if not all(map(math.isfinite, placement)):
        return None  # ITK takes such an edge of voxels to be 1 mm, and another number to be 0
    dims = struct.unpack_from(f"{order}8h", header, 40)
    code, bits = struct.unpack_from(f"{order}2h", header, 70)
    offset = struct.unpack_from(f"{order}f", header, 108)[0]
    if not math.isfinite(offset) or offset < (348 if b"n+1" in header[344:348] else 0):
        return None
    voxels = math.prod(max(1, n) for n in dims[1 : 1 + max(0, min(7, dims[0]))])
    kind = {16: "f4", 64: "f8"}.get(code)
    end = math.ceil(offset + voxels * bits / 8)
    return math.ceil(offset), end, kind and order + kind


def _check_dicom(path: Path) -> None:
    tags = ["Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames", "PixelData"]
    check_dicom_pixels(read_dicom(path, tags, pixels=True), path)


def check_dicom_pixels(dataset, path: Path) -> None:
    """Whether a pydicom dataset has all its pixels, where they are not compressed (PS3.5 8.1.1);
    decoders check the others.

    Raises:
        ImageError: pixels are missing.
    """
    with damage_told(path):
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
    if not whole:
        raise ImageError(Message("'{path}' is cut off: pixels are missing.", path=path), _AGAIN)

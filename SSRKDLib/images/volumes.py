"""Volumes in one file: their voxels, and where these lie."""

from __future__ import annotations

import gzip
import locale
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.reading_child import apart
from SSRKDLib.images.formats import check_size, is_gzip, nifti_header, unit_mm, whole_image_kind

if TYPE_CHECKING:
    import SimpleITK

#: Read by ITK whenever a NIfTI file is opened: oblique axes are made perpendicular, not refused.
_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"

#: Edges of voxels, and how far from the origin a volume may begin, mm.
_EDGE_MM, _FARTHEST_MM = (0.02, 20.0), 1e4

#: Millimetres of NIfTI's units of length, by the lowest three bits of ``xyzt_units``.
_UNIT_MM = {1: 1000.0, 3: 0.001}


class Volume(NamedTuple):
    """A volume as its file stores it.

    ``array`` in SimpleITK's order, ``[k, j, i]``, with ``components`` per voxel last where these
    are several; ``index_to_lps`` [4, 4] takes (i, j, k, 1) to LPS mm; ``entries``, the header's by
    key.
    """

    array: np.ndarray
    components: int
    index_to_lps: np.ndarray
    entries: dict[str, str]


@apart(ImageError)
def read_stored(path: Path) -> Volume:
    """A volume, wherever it says that it lies.

    Its matrix is the file's own where the axes are not perpendicular (a sheared sform, as
    resampling tools leave it), which no image of ITK can be. A gzip-compressed NIfTI file is read
    whatever its ending.

    Raises:
        ImageError: absent, cut off, of another format, or not readable.
    """
    import SimpleITK

    image, matrix = _read(path)
    entries = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    components = image.GetNumberOfComponentsPerPixel()
    return Volume(SimpleITK.GetArrayFromImage(image), components, matrix, entries)


def read_volume(path: Path) -> Volume:
    """As :func:`read_stored`.

    Raises:
        ImageError: as there, or of voxels that no scanner makes.
    """
    volume = read_stored(path)
    check_placement(volume.index_to_lps, path)
    return volume


def check_placement(matrix: np.ndarray, path: Path) -> None:
    """Raise :class:`~SSRKDLib.core.errors.ImageError` where a matrix [4, 4] that takes (i, j, k, 1)
    to LPS mm is none of a scanner's."""
    with np.errstate(over="ignore", invalid="ignore"):
        edges, far = np.linalg.norm(matrix[:3, :3], axis=0), np.abs(matrix[:3, 3]).max()
        volume = abs(np.linalg.det(matrix))
    possible = np.isfinite(matrix).all() and far <= _FARTHEST_MM and volume > 0
    if not possible or edges.min() < _EDGE_MM[0] or edges.max() > _EDGE_MM[1]:
        size = " x ".join(f"{edge:.3g}" for edge in edges)
        raise ImageError(
            "The voxels of '{path}' measure {size} mm and begin {far:.3g} mm from the "
            "origin; {first_edge_mm:g} to {second_edge_mm:g} mm and at most "
            "{farthest_mm:g} mm are expected.",
            "Check spacing and origin in the file, which are millimetres.",
            path=path,
            size=size,
            far=far,
            first_edge_mm=_EDGE_MM[0],
            second_edge_mm=_EDGE_MM[1],
            farthest_mm=_FARTHEST_MM,
        )


def _read(path: Path) -> tuple[SimpleITK.Image, np.ndarray]:
    import SimpleITK as sitk

    with _unpacked(path) as file, itk_settings():
        try:
            kind = whole_image_kind(file)
            unit = unit_mm(file, kind)
            if kind == "NiftiImageIO":
                _check_nifti_edges(file)
        except ImageError as error:
            raise ImageError(error.cause.replace(str(file), str(path)), error.remedy) from error
        try:
            check_size(file, kind, volume=True)
            image = sitk.ReadImage(str(file), imageIO=kind)
        except RuntimeError as error:
            sform = _sform(file) if kind == "NiftiImageIO" else None
            if sform is None:
                raise ImageError(
                    "'{path}' cannot be decoded.", "Export it again, uncompressed.", path=path
                ) from error
            with _permissive():
                check_size(file, kind, volume=True)
                return sitk.ReadImage(str(file), imageIO=kind), sform
    return image, np.diag([unit, unit, unit, 1.0]) @ index_to_lps(image)


def index_to_lps(image: SimpleITK.Image) -> np.ndarray:
    """The matrix [4, 4] that takes (i, j, k, 1) of an image to LPS mm."""
    dimension = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)
    affine, used = np.eye(4), min(dimension, 3)
    affine[:used, :used] = (direction * np.array(image.GetSpacing()))[:used, :used]
    affine[:used, 3] = image.GetOrigin()[:used]
    return affine


def _check_nifti_edges(path: Path) -> None:
    """Negative edges of voxels turn the axis round for ITK, and so for 3D Slicer, and not for other
    programs (nifti.nimh.nih.gov has them positive): a right knee would be a left one."""
    header, order = nifti_header(path)
    dimension, *edges = struct.unpack_from(f"{order}h38x3f", header, 40)
    if min(edges[:dimension], default=0) < 0:
        raise ImageError(
            "'{path}' states voxels of negative size, which some programs read as mirrored.",
            "Export it again, or correct its header.",
            path=path,
        )


def _sform(path: Path) -> np.ndarray | None:
    """The matrix that a NIfTI-1 file states (nifti.nimh.nih.gov), LPS mm; None without one."""
    header, order = nifti_header(path)
    code = struct.unpack_from(f"{order}h", header, 254)[0]
    affine = np.eye(4)
    affine[:3] = np.reshape(struct.unpack_from(f"{order}12f", header, 280), (3, 4))
    affine[:3] *= _UNIT_MM.get(header[123] & 7, 1.0)
    sound = np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-9
    # NIfTI counts to the right and to the front.
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine if code > 0 and sound else None


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """A file under a name from which ITK knows its format: a gzip stream called ``.nii`` is
    unpacked into a temporary file meanwhile."""
    if path.suffix.lower() != ".nii" or not path.is_file() or not is_gzip(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ssrkd-") as folder:
        plain = Path(folder) / path.name
        try:
            with gzip.open(path) as packed, plain.open("wb") as stream:
                shutil.copyfileobj(packed, stream, 1 << 22)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ImageError(
                "'{path}' is cut off or damaged ({error}).",
                "Copy or export it again.",
                path=path,
                error=error,
            ) from error
        yield plain


@contextmanager
def _permissive() -> Iterator[None]:
    before = os.environ.get(_PERMISSIVE)
    os.environ[_PERMISSIVE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PERMISSIVE]
        else:
            os.environ[_PERMISSIVE] = before


@contextmanager
def itk_settings() -> Iterator[None]:
    """For every call of ITK's readers and writers: warnings, which name places in its own code, are
    off, and numbers in headers have a decimal point whatever the locale (Qt sets that of the
    computer; NrrdIO would read them up to the point only)."""
    import SimpleITK as sitk

    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    numbers = locale.setlocale(locale.LC_NUMERIC)
    sitk.ProcessObject.GlobalWarningDisplayOff()
    locale.setlocale(locale.LC_NUMERIC, "C")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_NUMERIC, numbers)
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)

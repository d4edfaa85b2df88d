"""Writing images (NRRD, mostly) and arrays: what goes between programs as pixels.

Nothing but pixels and geometry is written: no patient, no date, no device.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.images.volumes import itk_settings


def write_image(
    path: str | os.PathLike,
    array: np.ndarray,
    index_to_lps: np.ndarray | None = None,
    compress: bool = True,
    entries: Mapping[str, str] | None = None,
) -> None:
    """Write an image, completely or not at all; one that is there is replaced.

    Args:
        path: ends in ``.nrrd``, or another ending that SimpleITK writes, such as ``.nii.gz``.
        array: ``[rows, columns]``, ``[k, j, i]``, or either with a last axis of colours.
        index_to_lps: for volumes, 4x4 from (i, j, k) to LPS mm; its columns must be perpendicular.
        compress: smaller, slower.
        entries: further entries of the file's header, by key.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    import SimpleITK as sitk

    path = Path(path)
    colours = array.ndim == 3 and index_to_lps is None
    image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=colours)
    if index_to_lps is not None:
        spacing = np.linalg.norm(index_to_lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((index_to_lps[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(index_to_lps[:3, 3].tolist())
    for key, value in (entries or {}).items():
        image.SetMetaData(key, value)
    part = path.with_name(f".{uuid.uuid4().hex[:8]}{''.join(path.suffixes[-2:])}")
    try:
        try:
            with _itk_name(part) as name, itk_settings():
                sitk.WriteImage(image, name, useCompression=compress)
            part.replace(path)
        except RuntimeError as error:
            # SimpleITK does not tell why it could not write.
            part.write_bytes(bytes(1 << 20))
            raise OSError("SimpleITK cannot write it") from error
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def _itk_name(path: Path) -> Iterator[str]:
    """A name for SimpleITK, which ends the process over one that is not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix="ssrkd-") as folder:
            ending = "".join(path.suffixes).encode(errors="ignore").decode()
            written = Path(folder) / f"image{ending}"
            yield str(written)
            shutil.copyfile(written, path)
    else:
        yield str(path)


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write an array as ``.npy``.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    try:
        np.save(path, array)
    except OSError as error:
        raise cannot_write(path, error) from error

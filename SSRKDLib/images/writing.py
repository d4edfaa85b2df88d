"""Writing images (NRRD, mostly) and arrays: what goes between programs as pixels.

Nothing but pixels and geometry is written: no patient, no date, no device.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
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
    """Write an image.

    Args:
        path: ends in ``.nrrd``, or another ending that SimpleITK writes, such as ``.nii.gz``.
        array: ``[rows, columns]``, ``[k, j, i]``, or either with a last axis of colours.
        index_to_lps: for volumes, 4x4 from (i, j, k) to LPS mm; its columns must be perpendicular.
        compress: smaller, slower.
        entries: further entries of the file's header, by key.

    Raises:
        OutputError: the file cannot be written, or the disk is full; a torn file is removed.
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
    try:
        with itk_settings():
            sitk.WriteImage(image, str(path), useCompression=compress)
    except RuntimeError as error:
        raise cannot_write(path, _reason(path)) from error


def _reason(path: Path) -> OSError:
    """Why SimpleITK could not write a file, which it does not tell; removes what it wrote."""
    try:
        try:
            path.write_bytes(bytes(1 << 20))
        finally:
            path.unlink(missing_ok=True)
    except OSError as error:
        return error
    return OSError("SimpleITK cannot write it")


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write an array as ``.npy``.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    try:
        np.save(path, array)
    except OSError as error:
        raise cannot_write(path, error) from error

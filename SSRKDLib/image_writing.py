"""Writing images, as NRRD mostly: radiographs, masks and volumes on their way between programs.

Nothing but pixels and geometry is written: no patient, no date, no device.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from SSRKDLib.errors import OutputError


def write_image(
    path: str | os.PathLike,
    array: np.ndarray,
    index_to_lps: np.ndarray | None = None,
    compress: bool = True,
) -> None:
    """Write an image.

    Args:
        path: ends in ``.nrrd``, or another ending that SimpleITK writes, such as ``.nii.gz``.
        array: ``[rows, columns]``, ``[k, j, i]``, or either with a last axis of colours.
        index_to_lps: for volumes, 4x4 from (i, j, k) to LPS mm; its columns must be perpendicular.
        compress: smaller, slower.

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
    try:
        sitk.WriteImage(image, str(path), useCompression=compress)
    except RuntimeError as error:
        path.unlink(missing_ok=True)
        raise OutputError(
            f"'{path}' cannot be written.",
            "Choose a folder that you may write to, on a disk with space left.",
        ) from error

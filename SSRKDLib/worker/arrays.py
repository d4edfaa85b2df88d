"""Arrays that come with a request: collimated fields and bone masks, one per view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from SSRKDLib.core.errors import ImageError, InputError
from SSRKDLib.core.input_files import regular_file


def read_arrays(paths: Sequence[str | None] | None, count: int) -> list[np.ndarray | None]:
    """Arrays from ``.npy`` files, one per view.

    Raises:
        InputError: not one per view, or a file that cannot be read.
    """
    paths = [None] * count if paths is None else paths
    if len(paths) != count:
        raise InputError(
            "{count} arrays came for {wanted} views.",
            "Give one per view.",
            count=len(paths),
            wanted=count,
        )
    arrays = []
    for path in paths:
        try:
            arrays.append(None if path is None else _read(regular_file(path)))
        except (OSError, ValueError) as error:
            raise InputError(
                "'{path}' cannot be read ({reason}).",
                "Check that the disk is not full, then try again.",
                path=path,
                reason=" ".join(str(error).split())[:120],
            ) from error
    return arrays


def _read(path: Path) -> np.ndarray:
    with path.open("rb") as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    if array.dtype.kind not in "buif":
        raise ValueError("it holds no numbers")
    return array


def check_masks(masks: Sequence[np.ndarray | None], sizes: Sequence[tuple[int, int]]) -> None:
    """Raise :class:`ImageError` where bone masks do not fit radiographs of (rows, columns)."""
    for mask, size in zip(masks, sizes):
        if mask is not None and mask.shape != (4, *size):
            raise ImageError(
                "Bone masks of shape {mask_shape} do not fit a radiograph of {second_size} x "
                "{first_size} pixels.",
                "Segment the radiographs again.",
                mask_shape=mask.shape,
                second_size=size[1],
                first_size=size[0],
            )

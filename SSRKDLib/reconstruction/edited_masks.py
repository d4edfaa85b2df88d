"""Masks that a user edited, in place of the segmenter's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.radiographs.network_input import FramedRadiographs, framed_mask


def with_edited(
    framed: FramedRadiographs, edited: tuple[np.ndarray | None, ...]
) -> FramedRadiographs:
    """The radiographs with the user's masks where there are any.

    Args:
        framed: with the segmenter's masks.
        edited: per exposure ``[4, rows, columns]`` on its own pixels, or None.
    """
    masks = framed.masks.copy()
    for slot, camera in enumerate(framed.input.cameras):
        mask = edited[camera.index]
        if mask is not None:
            masks[slot] = [
                framed_mask(mask[bone], framed.pair[camera.index], camera, framed.frame)
                for bone in range(len(BONES))
            ]
    return replace(framed, masks=masks, edited=edited)

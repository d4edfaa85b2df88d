"""The segmenter's masks of radiographs in a frame, and those that a user edited in their place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import FramedRadiographs, framed_mask, network_input


def segmented_anew(
    radiographs: FramedRadiographs,
    exposures: tuple[Exposure, ...],
    frame: np.ndarray,
    model: KneeModel,
) -> FramedRadiographs:
    """The same radiographs in another frame or rig; masks that a user edited stay the user's.

    Args:
        radiographs: as they were framed.
        exposures: the same ones, their views where they are to be seen from.
        frame: canonical to rig, 4x4.
        model: the networks.

    Raises:
        GeometryError: a view shows nothing there.
    """
    framing = model.framing
    detail = network_input(exposures, frame, framing.near_pixels, framing.near_pixel_mm)
    seen = FramedRadiographs(exposures, frame, detail, model.segment(detail.images))
    return with_edited(seen, radiographs.edited)


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

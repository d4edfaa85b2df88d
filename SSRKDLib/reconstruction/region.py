"""Where bones are reconstructed: in the model's box, and where both radiographs show them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from SSRKDLib.models.interface import BoneField
from SSRKDLib.radiographs.exposure import Exposure

#: Points ``[N, 3]`` mm to signed margins ``[N]`` mm, positive inside.
Margin = Callable[[np.ndarray], np.ndarray]


def shown_margin(exposure: Exposure, frame: np.ndarray, beyond: int = 1) -> Margin:
    """How far canonical points lie inside what a radiograph shows.

    Args:
        exposure: the radiograph.
        frame: canonical to rig, 4x4.
        beyond: how far beyond its edges margins fall, pixels of 1 mm at the joint; at least the
            distance between points that a surface is cut between.
    """
    small = exposure.reduced(1.0, frame[:3, 3])
    padded = np.pad(small.valid, beyond)
    distance = ndimage.distance_transform_edt(padded) - ndimage.distance_transform_edt(~padded)
    view = small.view

    def margin(points: np.ndarray) -> np.ndarray:
        in_rig = points @ frame[:3, :3].T + frame[:3, 3]
        image_points = view.project(in_rig)
        where = np.clip(np.nan_to_num(image_points, nan=-1e6) + beyond, -0.5, None)
        pixels = ndimage.map_coordinates(distance, where.T[::-1], order=1, mode="nearest")
        return pixels * np.min(view.pixel_size(view.depths(in_rig)), axis=0)

    return margin


def region_margin(
    pair: tuple[Exposure, Exposure], frame: np.ndarray, bone_field: BoneField
) -> Margin:
    """The region that a field's surfaces are taken from: the model's box and field of view, and of
    these what both radiographs see; of canonical points."""
    shown = [shown_margin(exposure, frame) for exposure in pair]

    def margin(points: np.ndarray) -> np.ndarray:
        inside = np.minimum(points - bone_field.low, bone_field.high - points).min(1)
        if bone_field.margin is not None:
            inside = np.minimum(inside, bone_field.margin(points))
        for one in shown:
            inside = np.minimum(inside, one(points))
        return inside

    return margin

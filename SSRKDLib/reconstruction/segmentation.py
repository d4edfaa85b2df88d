"""Bone masks of two radiographs, on their own pixels, for a person to look at and to edit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.geometry.views import Rig
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.models.official_model import OfficialKneeModel
from SSRKDLib.radiographs.exposure import Exposure, best_pair
from SSRKDLib.radiographs.network_input import network_input, unframed
from SSRKDLib.reconstruction.localisation import locate


@dataclass(frozen=True)
class Segmentation:
    """What was marked.

    Attributes:
        masks: per exposure, probabilities of the bones ``[4, rows, columns]`` float32 on its own
            pixels, or None for views beyond the pair that is used.
        laterality: ``"L"`` or ``"R"``.
    """

    masks: list[np.ndarray | None]
    laterality: str


def segment(
    exposures: list[Exposure],
    rig: Rig,
    model: KneeModel | OfficialKneeModel,
    progress: Progress = no_progress,
) -> Segmentation:
    """Mark the bones, as :func:`SSRKDLib.reconstruction.radiographs.reconstruct` does on its way.

    Args:
        exposures: one per view of the rig.
        rig: how they were taken.
        model: the networks.
        progress: called with stage, fraction done and message; what it raises ends the job.

    Raises:
        GeometryError: the radiographs show no common place.
    """
    pair = best_pair(exposures)
    progress("locate", 0.1, "Finding the knee")
    located = locate(pair, rig, model.finder, rig.laterality)
    progress("segment", 0.6, "Marking the bones in the radiographs")
    framing = model.framing
    near = network_input(pair, located.frame, framing.near_pixels, framing.near_pixel_mm)
    marked = model.segment(near.images)
    masks: list[np.ndarray | None] = [None] * len(exposures)
    for slot, camera in enumerate(near.cameras):
        exposure = pair[camera.index]
        progress(
            "unframe", 0.7 + 0.15 * slot, f"Bringing the masks onto the {exposure.view.name} view"
        )
        masks[exposures.index(exposure)] = np.stack(
            [
                unframed(marked[slot, bone], exposure, camera, located.frame)
                for bone in range(len(BONES))
            ]
        )
    return Segmentation(masks, located.laterality)

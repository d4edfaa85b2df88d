"""Bone masks of radiographs, on their own pixels, for a person to look at and to edit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.messages import Message
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.geometry.views import Rig
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.models.official_model import OfficialKneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import unframed
from SSRKDLib.reconstruction.finding import find_knee
from SSRKDLib.reconstruction.further_views import all_views
from SSRKDLib.reconstruction.stages import Stages


@dataclass(frozen=True)
class Segmentation:
    """Which pixels are bone.

    Attributes:
        masks: per exposure, probabilities of the bones ``[4, rows, columns]`` float32 on its own
            pixels, or None for views that are not used.
        laterality: ``"L"`` or ``"R"``.
        rig: how they were taken, what it left open decided.
        notes: a sentence on what was decided otherwise than assumed.
    """

    masks: list[np.ndarray | None]
    laterality: str
    rig: Rig
    notes: tuple[str, ...] = ()


def segment(
    exposures: list[Exposure],
    rig: Rig,
    model: KneeModel | OfficialKneeModel,
    progress: Progress = no_progress,
) -> Segmentation:
    """Segment the bones as :func:`SSRKDLib.reconstruction.radiographs.reconstruct` does.

    Args:
        exposures: one per view of the rig.
        rig: how they were taken.
        model: the networks.
        progress: called with stage, fraction done and message; what it raises ends the job.

    Raises:
        GeometryError: the radiographs show no common place.
    """
    stages = Stages(progress)
    finder = model.finder.watched(stages.repeat)
    with stages.stage("locate", 0.1, "Finding the knee"):
        knee = find_knee(exposures, rig, finder)
    further = exposures if model.surface == "fitted" else []
    seen = all_views(knee, further, finder)
    located, framed = knee.located, seen.framed
    masks: list[np.ndarray | None] = [None] * len(exposures)
    for slot, camera in enumerate(framed.input.cameras):
        exposure = framed.pair[camera.index]
        share = 0.7 + 0.3 * slot / len(framed.input.cameras)
        what = Message("Bringing the masks onto the {view} view", view=exposure.view.name)
        stages.report("unframe", share, what)
        masks[seen.indices[camera.index]] = np.stack(
            [
                unframed(framed.masks[slot, bone], exposure, camera, located.frame)
                for bone in range(len(BONES))
            ]
        )
    return Segmentation(masks, located.laterality, knee.rig, (*knee.notes, *seen.notes))

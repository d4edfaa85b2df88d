"""Radiographs beyond the pair: the knee is found in two, and fitted to all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.core.messages import Message
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import FramedRadiographs, NetworkInput, network_input
from SSRKDLib.reconstruction.choices import FURTHER_NAMES, VIEW_NAMES
from SSRKDLib.reconstruction.edited_masks import with_edited
from SSRKDLib.reconstruction.finding import FoundKnee

#: Networks read the pair; so many views are fitted to in all.
_PAIR = len(VIEW_NAMES)


@dataclass(frozen=True, eq=False)
class AllViews:
    """The radiographs that bones are fitted to.

    Attributes:
        framed: the pair, then further ones; the pair alone where there are none.
        indices: which of the rig's views its exposures are.
        notes: sentences on radiographs that are not among them.
    """

    framed: FramedRadiographs
    indices: tuple[int, ...]
    notes: tuple[str, ...] = ()


def all_views(
    knee: FoundKnee,
    exposures: Sequence[Exposure],
    model: KneeModel,
    masks: Sequence[np.ndarray | None] | None = None,
) -> AllViews:
    """The pair that the knee was found in, and what else shows it, segmented.

    Args:
        knee: where it is.
        exposures: one per view of the rig.
        model: the networks.
        masks: the user's, per exposure; those of the pair are used already.
    """
    framed = knee.located.radiographs
    joint = framed.frame[:3, 3]
    # What a pair leaves open of its distances is fitted for a pair.
    doubted = any(
        what != "calibrated"
        for view in knee.rig.views
        for what in (view.known.detector, view.known.knee)
    )
    chosen, notes = [], []
    for index, (taken, view) in enumerate(zip(exposures, knee.rig.views)):
        if index in knee.indices:
            continue
        if doubted:
            notes.append(
                Message(
                    "The {view} radiograph is not used: bones are fitted to more than two where "
                    "the distances of all are calibrated.",
                    view=view.name,
                )
            )
        elif not view.inside(joint):
            notes.append(
                Message(
                    "The {view} radiograph does not show the knee and is not used.", view=view.name
                )
            )
        elif len(chosen) == len(FURTHER_NAMES):
            notes.append(
                Message(
                    "The {view} radiograph is not used: bones are fitted to {most} at most.",
                    view=view.name, most=_PAIR + len(FURTHER_NAMES),
                )
            )  # fmt: skip
        else:
            chosen.append((index, Exposure(view, taken.line_integral, taken.valid)))
    indices = (*knee.indices, *(index for index, _ in chosen))
    if chosen:
        pair = (*framed.pair, *(exposure for _, exposure in chosen))
        framing = model.framing
        detail = network_input(pair, framed.frame, framing.near_pixels, framing.near_pixel_mm)
        further = model.segment(detail.images[_PAIR:])
        framed = FramedRadiographs(
            pair, framed.frame, detail, np.concatenate([framed.masks, further]), (None,) * len(pair)
        )
    if masks is not None:
        framed = with_edited(framed, tuple(masks[index] for index in indices))
    return AllViews(framed, indices, tuple(notes))


def of_pair(framed: FramedRadiographs) -> FramedRadiographs:
    """The frontal and the lateral radiograph, without further ones."""
    return framed if len(framed.input.cameras) <= _PAIR else of_slots(framed, range(_PAIR))


def of_slots(framed: FramedRadiographs, slots: Sequence[int]) -> FramedRadiographs:
    """The radiographs whose images are these, as the models read them: of a pair, the pair.

    Args:
        framed: two and further ones.
        slots: of its images; those of the pair are 0 and 1.
    """
    images = framed.input
    cameras = tuple(images.cameras[slot] for slot in slots)
    last = max(camera.index for camera in cameras) + 1
    return replace(
        framed,
        pair=framed.pair[:last],
        input=NetworkInput(images.images[list(slots)], images.valid[list(slots)], cameras),
        masks=framed.masks[list(slots)],
        edited=framed.edited[:last],
    )

"""Warnings from image content; never refusals."""

from __future__ import annotations

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.messages import Message
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.geometry.views import Rig
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.explanations import find_explanation
from SSRKDLib.reconstruction.explanations_of_one import doubts_of_one
from SSRKDLib.reconstruction.localisation import Localisation, other_side
from SSRKDLib.surfaces.mesh import Mesh

#: Width of the femur across its condyles that people have, from children to giants, mm.
CONDYLAR_WIDTH_MM = (52.0, 108.0)

#: Width at the knee of radiographs that show one, from a child's to a whole-leg film, mm.
FIELD_WIDTH_MM = (80.0, 900.0)


def find_warnings(
    pair: tuple[Exposure, ...],
    rig: Rig,
    model: KneeModel,
    located: Localisation,
    bones: dict[str, Mesh],
    agreement: dict[str, list[float | None]],
    explained: bool = False,
) -> list[str]:
    """Sentences on what looks wrong.

    Args:
        pair, rig, model, located: what was reconstructed, and how.
        bones: surfaces in canonical coordinates, mm.
        agreement: Dice of each bone with its masks, per view.
        explained: whether bones were found that agree with the radiographs, though the located
            frame may not: bones that moved between the views.
    """
    warnings = []
    if rig.laterality is None:
        side = SIDES[located.laterality]
        warnings.append(
            Message("The side was not given; the radiographs look like a {side} knee.", side=side)
        )
    if rig.frame == "lab" and rig.patient_to_rig is None:
        warnings.append("The patient's pose was not given; it was estimated from the radiographs.")
    for exposure in pair:
        width = field_width(exposure, located.frame[:3, 3])
        if not FIELD_WIDTH_MM[0] <= width <= FIELD_WIDTH_MM[1]:
            warnings.append(
                Message(
                    "The {view} radiograph is {width:.0f} mm wide at the knee; check the pixel "
                    "spacing and the distances.",
                    view=exposure.view.name,
                    width=width,
                )
            )
    for bone in BONES:
        values = [value for value in agreement[bone] if value is not None]
        if bone not in bones:
            warnings.append(Message("The {bone} was not found.", bone=bone))
        elif not values:
            warnings.append(
                Message(
                    "The {bone} was not segmented in either radiograph; check it by eye.", bone=bone
                )
            )
        elif min(values) < 0.7:
            warnings.append(
                Message(
                    "The {bone} agrees poorly with the radiographs (Dice {agreement:.2f}); check "
                    "its outline.",
                    bone=bone,
                    agreement=min(values),
                )
            )
    if "femur" in bones:
        warnings += femur_warnings(bones["femur"].vertices)
    other = None if rig.laterality is None else other_side(pair, model, located)
    if len(pair) == 1:
        return warnings + doubts_of_one(pair[0], model, located, other)
    return warnings + find_explanation(pair, rig, model, located, other, explained)


def femur_warnings(vertices: np.ndarray) -> list[str]:
    """A sentence where a femur cannot be one of a knee.

    Args:
        vertices: ``[N, 3]`` mm, canonical frame.
    """
    condyles = vertices[np.abs(vertices[:, 2]) < 40]
    if not len(condyles):
        return ["The femur does not reach the knee; check which bone it is."]
    width = float(np.ptp(condyles[:, 0]))
    low, high = CONDYLAR_WIDTH_MM
    if low <= width <= high:
        return []
    return [
        Message(
            "The femur is {width:.0f} mm wide at the knee, outside the range of human "
            "knees ({low:.0f}–{high:.0f} mm); check the pixel spacing and the distances.",
            width=width,
            low=low,
            high=high,
        )
    ]


def field_width(exposure: Exposure, joint: np.ndarray) -> float:
    """Shorter side of the radiograph where it passes through the joint, mm."""
    view = exposure.view
    return min(n * mm for n, mm in zip(view.size, view.pixel_size(float(view.depths(joint)))))

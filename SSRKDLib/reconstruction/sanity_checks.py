"""Judgements from image content: warnings, never refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.localisation import (
    GOOD_AGREEMENT,
    Localisation,
    coarse_agreement,
    refine_frame,
)
from SSRKDLib.surfaces.mesh import Mesh

#: Width of the femur across its condyles that people have, from children to giants, mm.
CONDYLAR_WIDTH_MM = (52.0, 108.0)

#: Width at the knee of radiographs that show one, from a child's to a whole-leg film, mm.
FIELD_WIDTH_MM = (80.0, 900.0)

#: Another explanation of the radiographs must agree better by this much (Dice) to be told.
_CLEARLY = 0.06

_SCALES = (0.25, 0.5, 0.7, 1.4, 2.0, 4.0)


def judge(
    pair: tuple[Exposure, Exposure],
    rig: Rig,
    model: KneeModel,
    located: Localisation,
    bones: dict[str, Mesh],
    agreement: dict[str, list[float | None]],
) -> list[str]:
    """Sentences on what looks wrong. ``bones`` in canonical coordinates."""
    warnings = []
    if rig.laterality is None:
        side = SIDES[located.laterality]
        warnings.append(f"The side was not given; the radiographs look like a {side} knee.")
    if rig.frame == "lab" and rig.patient_to_rig is None:
        warnings.append("The patient's pose was not given; it was estimated from the radiographs.")
    for exposure in pair:
        width = field_width(exposure, located.frame[:3, 3])
        if not FIELD_WIDTH_MM[0] <= width <= FIELD_WIDTH_MM[1]:
            warnings.append(
                f"The {exposure.view.name} radiograph is {width:.0f} mm wide at the knee; check "
                "the pixel spacing and the distances."
            )
    for bone in BONES:
        values = [value for value in agreement[bone] if value is not None]
        if bone not in bones:
            warnings.append(f"The {bone} was not found.")
        elif not values:
            warnings.append(f"The {bone} is marked in neither radiograph; check it by eye.")
        elif min(values) < 0.7:
            warnings.append(
                f"The {bone} agrees poorly with the radiographs (Dice {min(values):.2f}); "
                "check its outline."
            )
    if "femur" in bones:
        warnings += femur_doubts(bones["femur"].vertices)
    if located.agreement < GOOD_AGREEMENT:
        warnings += _other_explanations(pair, model, located)
    return warnings


def femur_doubts(vertices: np.ndarray) -> list[str]:
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
        f"The femur is {width:.0f} mm wide at the knee, which no knee is; check the pixel spacing "
        "and the distances."
    ]


def field_width(exposure: Exposure, joint: np.ndarray) -> float:
    """Shorter side of the radiograph where it passes through the joint, mm."""
    view = exposure.view
    depth = float((view.projection_matrix @ [*joint, 1.0])[2])
    return min(n * mm for n, mm in zip(view.size, view.pixel_spacing)) * depth


def _other_explanations(
    pair: tuple[Exposure, Exposure], model: KneeModel, located: Localisation
) -> list[str]:
    """Whether the radiographs make more sense as the other side, swapped, or at another scale."""
    least = located.agreement + _CLEARLY
    found: list[tuple[float, str]] = []

    def consider(exposures: tuple[Exposure, Exposure], frame: np.ndarray, sentence: str) -> None:
        refined = refine_frame(exposures, model, frame)
        score = coarse_agreement(exposures, model, refined.frame)
        if score > least:
            found.append((score, sentence))

    other = SIDES["R" if located.laterality == "L" else "L"]
    consider(
        pair, located.frame @ MIRROR,
        f"The radiographs look like a {other} knee; check the side.",
    )  # fmt: skip
    first, second = pair
    swapped = (
        Exposure(_with_detector_of(first.view, second.view), second.line_integral, second.valid),
        Exposure(_with_detector_of(second.view, first.view), first.line_integral, first.valid),
    )
    consider(
        swapped, located.frame,
        "The frontal and the lateral radiograph seem to be swapped; exchange them.",
    )  # fmt: skip
    for scale in _SCALES:
        try:
            resized = tuple(
                Exposure(_resized(exposure, scale, located.frame[:3, 3]), exposure.line_integral,
                         exposure.valid)
                for exposure in pair
            )  # fmt: skip
        except GeometryError:
            continue  # no rig is of that size
        consider(
            resized, located.frame,
            f"The knee looks {1 / scale:.2g} times the size of any knee; check the pixel spacing "
            "and the distances.",
        )  # fmt: skip
    return [max(found)[1]] if found else [
        "The reconstruction agrees poorly with the radiographs; check the sides, the order of the "
        "views and the geometry."
    ]  # fmt: skip


def _with_detector_of(view: View, other: View) -> View:
    """The view with the other's pixels on its own detector plane, about the same middle."""
    across, down = ((n - 1) / 2 * mm for n, mm in zip(other.size, other.pixel_spacing))
    return replace(
        view,
        detector_origin=view.detector_centre
        - across * view.column_direction
        - down * view.row_direction,
        pixel_spacing=other.pixel_spacing,
        size=other.size,
    )


def _resized(exposure: Exposure, scale: float, centre: np.ndarray) -> View:
    """The view with every length times ``scale`` about ``centre``."""
    view = exposure.view
    return replace(
        view,
        source=centre + (view.source - centre) * scale,
        detector_origin=centre + (view.detector_origin - centre) * scale,
        pixel_spacing=(view.pixel_spacing[0] * scale, view.pixel_spacing[1] * scale),
    )

"""Landmarks of the distal femur: condyles and epicondyles."""

from __future__ import annotations

import numpy as np

from SSRKDLib.clinical.frames import Frame
from SSRKDLib.clinical.marks import marked
from SSRKDLib.clinical.patches import DEEP_MM, unit

_STEPS = 5


def femur_landmarks(femur: np.ndarray, frame: Frame) -> dict[str, np.ndarray]:
    """Points (3,) on the surface, mm, in the frame of the points.

    ``medial_side``, ``lateral_side``: farthest out along the frame's x.
    ``medial_epicondyle``, ``lateral_epicondyle``: middle of the outermost cap on either side.
    ``medial_distal``, ``lateral_distal``: where the condyles' common tangent from below touches,
    seen from the front.
    ``medial_posterior``, ``lateral_posterior``: where that from behind touches.

    Args:
        femur: ``[N, 3]`` the template's vertices, mm.
        frame: of :func:`SSRKDLib.clinical.frames.femur_frame`.
    """
    patches, (x, y, _) = marked("femur"), frame.axes
    medial, lateral = patches["medial_distal"], patches["lateral_distal"]
    tangent = x
    for _ in range(_STEPS):
        below = unit(np.cross(tangent, y))
        ends = medial.outermost(femur, -below), lateral.outermost(femur, -below)
        tangent = ends[1] - ends[0]
    found = {"medial_distal": ends[0], "lateral_distal": ends[1]}
    for name, outwards in (("medial", -x), ("lateral", x)):
        found[f"{name}_side"] = patches[f"{name}_side"].outermost(femur, outwards)
        found[f"{name}_epicondyle"] = patches[f"{name}_side"].outermost(femur, outwards, DEEP_MM)
        found[f"{name}_posterior"] = patches[f"{name}_posterior"].outermost(femur, y, DEEP_MM)
    return found

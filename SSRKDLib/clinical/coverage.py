"""Whether a surface shows what is measured of it: a template is whole, a surface need not be."""

from __future__ import annotations

import numpy as np

from SSRKDLib.clinical.marks import marked, rings
from SSRKDLib.core.messages import Message
from SSRKDLib.reconstruction.fitting.surface_fit import SurfaceFit

#: Shares of a shaft's sections that are to be seen: to measure along it, and to do so without a
#: word.
_SHAFT, _WHOLE_SHAFT = 0.5, 0.9

#: Share of the vertices of each patch that is to be seen.
_PATCH = 0.6

#: What is stranger, or further from the shape model, mm, is not the bone. Virtual people reach 1.3
#: and 0.5, the Visible Humans 0.9 and 0.5, balls 2.8 and 0.8.
_STRANGE, _FAR_MM = 2.0, 2.5

_MISSING = {
    "femur": "Too little of the femur is visible to identify its condyles.",
    "tibia": "Too little of the tibia is visible to identify its plateaus.",
    "patella": "Too little of the patella is visible to identify its articular surface.",
}


class Unmeasurable(Exception):
    """What is asked for cannot be found; the text is a sentence that says why."""


def need_joint(bone: str, fit: SurfaceFit | None) -> None:
    """Raises Unmeasurable where a surface is not of the bone, or lacks what is at the joint.

    Args:
        bone: femur, tibia or patella.
        fit: of its template; None where there was too little for one.
    """
    if fit is None:
        raise Unmeasurable(_MISSING[bone])
    if fit.strangeness > _STRANGE or fit.distance > _FAR_MM:
        raise Unmeasurable(Message("The surface called {bone} is not that of a {bone}.", bone=bone))
    if any(fit.shown[patch.vertices].mean() < _PATCH for patch in marked(bone).values()):
        raise Unmeasurable(_MISSING[bone])


def need_shaft(bone: str, fit: SurfaceFit) -> None:
    """Raises Unmeasurable where too little of the shaft of femur or tibia is visible."""
    if _shaft_shown(bone, fit) < _SHAFT:
        raise Unmeasurable(Message("Too little of the shaft of the {bone} is visible.", bone=bone))


def shaft_is_estimated(bone: str, fit: SurfaceFit) -> bool:
    """Whether part of the shaft's axis is what the shape model expects, not what is seen."""
    return _shaft_shown(bone, fit) < _WHOLE_SHAFT


def _shaft_shown(bone: str, fit: SurfaceFit) -> float:
    return float(np.mean([fit.shown[ring.edges].mean() for ring in rings(bone)]))

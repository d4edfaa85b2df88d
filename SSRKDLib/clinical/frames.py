"""Frames of femur and tibia, built from the bones themselves.

All functions take the template's vertices on a left bone (:mod:`SSRKDLib.clinical.marks` says which
are where). A frame's axes are x lateral, y posterior and z up along the bone, so that it does not
depend on how the knee lies in the world.

Both long axes are the line through the centres of the shaft's sections. Femur: x is parallel to the
posterior condylar line, the common tangent of both condyles seen along z. Tibia: x joins the
middles of both plateaus (after Cobb et al., J Bone Joint Surg Br 90, 2008, 1032-1038, who join the
centres of circles).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SSRKDLib.clinical.marks import marked, rings
from SSRKDLib.clinical.patches import DEEP_MM, axis, section_centre, unit

#: Frames depend on themselves; so many steps settle them to a thousandth of a degree.
_STEPS = 5


@dataclass(frozen=True)
class Frame:
    """A bone's own frame.

    Attributes:
        axes: ``[3, 3]`` rows x (lateral), y (posterior), z (up), in the points' frame.
        shaft: ``[2, 3]`` lower and upper end of the shaft's axis, mm, in the points' frame.
    """

    axes: np.ndarray
    shaft: np.ndarray

    def local(self, points: np.ndarray) -> np.ndarray:
        """Points ``[N, 3]`` along this frame's axes, mm; the origin stays."""
        return points @ self.axes.T

    def world(self, *points: np.ndarray) -> np.ndarray:
        """Points of this frame in that of the bone's points, ``[K, 3]`` mm."""
        return np.array(points) @ self.axes


def femur_frame(femur: np.ndarray) -> Frame:
    """The frame of a left femur.

    Args:
        femur: ``[N, 3]`` the template's vertices, mm.
    """
    shaft = _shaft("femur", femur)
    z, patches = unit(shaft[1] - shaft[0]), marked("femur")
    medial, lateral = patches["medial_posterior"], patches["lateral_posterior"]
    x = lateral.centre(femur) - medial.centre(femur)
    for _ in range(_STEPS):
        back = unit(np.cross(z, x))
        x = lateral.outermost(femur, back, DEEP_MM) - medial.outermost(femur, back, DEEP_MM)
    return Frame(_axes(x, z), shaft)


def tibia_frame(tibia: np.ndarray) -> Frame:
    """The frame of a left tibia.

    Args:
        tibia: ``[N, 3]`` the template's vertices, mm.
    """
    shaft, patches = _shaft("tibia", tibia), marked("tibia")
    x = patches["lateral_plateau"].centre(tibia) - patches["medial_plateau"].centre(tibia)
    return Frame(_axes(x, unit(shaft[1] - shaft[0])), shaft)


def _shaft(bone: str, points: np.ndarray) -> np.ndarray:
    sections = [ring.segments(points) for ring in rings(bone)]
    ends = np.array([segments.mean(axis=(0, 1)) for segments in (sections[0], sections[-1])])
    for _ in range(_STEPS):
        along = unit(ends[1] - ends[0])
        ends = axis([section_centre(segments, along) for segments in sections])
    return ends


def _axes(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rows x, y, z of a frame with this z and x as near as possible to this one."""
    x = unit(x - (x @ z) * z)
    return np.stack([x, np.cross(z, x), z])

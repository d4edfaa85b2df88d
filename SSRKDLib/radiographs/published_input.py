"""What the published networks see of two radiographs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.geometry.views import View
from SSRKDLib.geometry.virtual_cameras import Camera

#: The networks' line integral, of clip((HU + 400) / 900, 0, 1) in metres, as a multiple of the
#: natural one, ln(I0 / I): the ratio in soft tissue, which makes up most of every path.
NETWORK_UNITS = 0.022


@dataclass(frozen=True)
class OfficialImages:
    """What the published networks see of two radiographs.

    Attributes:
        images: ``[2, n, n]`` float32, natural line integrals, 0 where nothing is known; the view
            along x (lateral) first.
        seen: ``[2, n, n]`` bool, where the radiographs show anything.
        cameras: whose images these are, canonical coordinates.
    """

    images: np.ndarray
    seen: np.ndarray
    cameras: tuple[Camera, Camera]


def seen_from_source(view: View) -> View:
    """The view with its columns growing to the right of one who stands at the source, head up.

    So the published images are: columns along +y at 0 degrees (source on +x), along -x at 90
    degrees (source on +y), and reversed from the opposite side. The project's own networks want the
    columns of both sides alike instead, which is what ``framing`` makes.
    """
    right = np.cross(view.axis, -view.row_direction)
    if view.column_direction @ right > 0:
        return view
    width = (view.size[0] - 1) * view.pixel_spacing[0]
    return replace(
        view,
        detector_origin=view.detector_origin + width * view.column_direction,
        column_direction=-view.column_direction,
    )

"""Rigs as people tell them: the same radiographs, their geometry wrong by a known amount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from SSRKDLib.geometry.centred_views import centred_view
from SSRKDLib.geometry.known import Known
from SSRKDLib.geometry.views import Rig, View

_TYPED = Known("typed", "typed", "typed", "typed")


def _rebuilt(
    view: View, detector: float = 1.0, knee: float = 1.0, turn: float = 0.0, off: float = 0.0
) -> View:
    """A view whose central ray passes through the rig's origin, told otherwise.

    Args:
        view: as it was.
        detector, knee: what its distances from the source are multiplied with.
        turn: degrees by which it is turned about the patient's axis.
        off: mm along the detector's columns by which its exposure was centred elsewhere, untold.
    """
    angle = np.deg2rad(turn)
    turned = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    sod = float(np.linalg.norm(view.source))
    axis, column, row = (
        turned @ vector
        for vector in (-view.source / sod, view.column_direction, view.row_direction)
    )
    return centred_view(
        view.name, axis, column, row,
        sdd=detector * view.source_to_detector_distance, sod=knee * sod,
        pixel_spacing=view.pixel_spacing, size=view.size, centre=off * column, known=_TYPED,
    )  # fmt: skip


#: From the rig as it was, whose central rays meet in its origin, to what is told of it.
TOLD: dict[str, Callable[[Rig], Rig]] = {
    "as it was": lambda rig: rig,
    "typed": lambda rig: _told(rig, {}, {}),
    "detector 2 % farther": lambda rig: _told(rig, {"detector": 1.02}, {"detector": 1.02}),
    "knee 2 % farther": lambda rig: _told(rig, {"knee": 1.02}, {"knee": 1.02}),
    "one knee 2 % farther": lambda rig: _told(rig, {}, {"knee": 1.02}),
    "angle 5 degrees wrong": lambda rig: _told(rig, {}, {"turn": 5.0}),
    "centred 60 mm off": lambda rig: _told(rig, {}, {"off": 60.0}),
}


def _told(rig: Rig, first: dict, second: dict) -> Rig:
    views = (_rebuilt(rig.views[0], **first), _rebuilt(rig.views[1], **second))
    return replace(rig, views=views)

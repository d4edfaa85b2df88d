"""Images of whole legs: where in them the knee lies, and which part of them is enough."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from SSRKDLib.core.messages import Message
from SSRKDLib.geometry.views import View

#: No film of a knee is larger, mm: the largest detectors' edge is 17 inches.
_KNEE_FILM_MM = 440.0

#: What is enough around a knee, mm in its canonical frame, to either side: what the segmenter sees,
#: but no more to the sides than leaves the other leg out.
_AROUND_MM = (85.0, 85.0, 130.0)


class Region(NamedTuple):
    """Pixels of a radiograph, whole ones."""

    left: int
    top: int
    columns: int
    rows: int


def shows_whole_leg(view: View) -> bool:
    """Whether an image is larger than any film of a knee."""
    return max(n * mm for n, mm in zip(view.size, view.pixel_spacing)) > _KNEE_FILM_MM


def knee_region(view: View, frame: np.ndarray) -> Region | None:
    """The part of a radiograph around a knee, or None where the knee lies outside of it.

    Args:
        view: of the radiograph.
        frame: canonical to the view's coordinates, 4x4.
    """
    if not view.inside(frame[:3, 3]):
        return None
    corners = np.array(list(product(*((-mm, mm) for mm in _AROUND_MM))))
    pixels = view.project(corners @ frame[:3, :3].T + frame[:3, 3])
    first = np.clip(np.floor(pixels.min(0)), 0, None).astype(int)
    beyond = np.clip(np.ceil(pixels.max(0)) + 1, None, view.size).astype(int)
    return Region(*(int(n) for n in (*first, *(beyond - first))))


def places_in_whole_legs(views: Sequence[View], frame: np.ndarray) -> list[str]:
    """A sentence for each radiograph of a whole leg on where its knee was found.

    Args:
        views: of the radiographs.
        frame: of the knee, canonical to the views' coordinates, 4x4.
    """
    return [
        Message(
            "In the {view} radiograph, which shows more than a knee, the knee was found at column "
            "{column:.0f} of {columns}, row {row:.0f} of {rows}; crop it around the knee if that "
            "is another place.",
            view=view.name,
            column=place[0],
            row=place[1],
            columns=view.size[0],
            rows=view.size[1],
        )
        for view in views
        if shows_whole_leg(view) and view.inside(frame[:3, 3])
        for place in [view.project(frame[:3, 3])]
    ]

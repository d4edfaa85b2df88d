"""Directions of views that DICOM files name, or that their patient orientation shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from SSRKDLib.core.messages import Message, joined
from SSRKDLib.geometry.detector_pose import LETTERS, orientation_vector


def beam_of(view: str, laterality: str | None) -> tuple[np.ndarray, str | None]:
    """Direction of the beam of a named view, and what had to be assumed."""
    if view in ("AP", "PA"):
        return LETTERS["P" if view == "AP" else "A"], None
    if view in ("LL", "RL"):  # the named side lies at the detector
        return LETTERS[view[0]], None
    note = None
    if view == "LATERAL":
        view, note = "ML", "A lateral view is taken to be mediolateral (lateral side at detector)."
    if laterality is None:
        unknown = "The side being unknown, the beam is taken to run to the left."
        note = joined((note, unknown), " ") if note else unknown
    outwards = LETTERS[laterality or "L"]
    return (outwards if view == "ML" else -outwards), note


def view_from_orientation(
    orientation: Sequence[str] | None, name: str, stated: Sequence[str]
) -> tuple[str, str]:
    """A view from the plane that the patient orientation spans, else from the file's role."""
    nothing = Message("No view position")
    if stated:
        nothing = Message("The view position '{stated}' is not known", stated=stated[-1])
    vectors = [orientation_vector(o) for o in orientation or ()]
    if len(vectors) == 2 and all(v is not None for v in vectors):
        normal = np.abs(np.cross(*vectors))
        if normal.max() > 0.7 and normal.argmax() < 2:
            if normal.argmax() == 1:
                return "AP", Message(
                    "{nothing}; the patient orientation is frontal, taken as AP.", nothing=nothing
                )
            return "LATERAL", Message(
                "{nothing}; the patient orientation is lateral.", nothing=nothing
            )
    view = "AP" if name == "frontal" else "LATERAL"
    return view, Message(
        "{nothing}; given as {name}, taken as {view}.", nothing=nothing, name=name, view=view
    )

"""Whether surfaces can be compared as the bones of a knee."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.messages import Message

if TYPE_CHECKING:
    from SSRKDLib.surfaces.mesh import Mesh

#: Second largest extent of a knee's bones along their own axes, mm, with ample room.
_WIDTHS = {"patella": (12, 90), "femur": (22, 220), "fibula": (5, 90), "tibia": (22, 200)}


_UNITS = {1000.0: "metres", 10.0: "centimetres", 0.001: "micrometres"}


def check_surfaces(bones: Mapping[str, Mesh], what: str) -> list[str]:
    """Sentences on surfaces that can be compared only in part.

    Args:
        bones: the surfaces, mm.
        what: what to call them, such as "reference".

    Raises:
        MeshError: there is no bone, one is empty, or is outside the range of human knees.
    """
    if not bones:
        raise MeshError(
            "The {what} contains no bone.", "Check how the bones are matched.", what=what
        )
    notes = []
    for bone, mesh in bones.items():
        if not len(mesh.faces) or not mesh.area() > 0:
            raise MeshError(
                "The {bone} of the {what} is empty.",
                "Leave it out or replace it.",
                bone=bone,
                what=what,
            )
        _check_size(bone, mesh, what)
        tangled = mesh.edge_report().non_manifold
        if tangled:
            notes.append(
                Message(
                    "The {bone} of the {what} has {tangled} edge(s) that join more than two "
                    "faces: distances hold, its inside (Dice) may not.",
                    bone=bone,
                    what=what,
                    tangled=tangled,
                )
            )
    return notes


def _check_size(bone: str, mesh: Mesh, what: str) -> None:
    points = mesh.vertices - mesh.vertices.mean(axis=0)
    axes = np.linalg.eigh(points.T @ points)[1]
    width = float(np.sort(np.ptp(points @ axes, axis=0))[1])
    low, high = _WIDTHS[bone]
    if low <= width <= high:
        return
    unit = next((u for factor, u in _UNITS.items() if low <= width * factor <= high), None)
    raise MeshError(
        "The {bone} of the {what} is {width:.3g} mm wide, outside the range of human knees ({low} "
        "to {high} mm)" + ("; it seems to be in {unit}." if unit else "."),
        "Convert it to millimetres." if unit else "Check its units and which bone it is.",
        bone=bone,
        what=what,
        width=width,
        low=low,
        high=high,
        unit=unit,
    )

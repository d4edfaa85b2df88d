"""Cut plane and hinge as 3D Slicer's Markups files."""

from __future__ import annotations

import json

import numpy as np

from SSRKDLib.planning.cut import Cut
from SSRKDLib.planning.landmarks import Landmarks

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)

#: Edge of the plane that is drawn, and length of the hinge, mm.
PLANE_MM, HINGE_MM = 90.0, 70.0


def hinge_ends(cut: Cut) -> np.ndarray:
    """Anterior and posterior end ``[2, 3]`` of the line that shows the hinge, mm."""
    return cut.hinge + HINGE_MM / 2.0 * np.outer([-1.0, 1.0], cut.axis)


def plane_centre(cut: Cut, landmarks: Landmarks) -> np.ndarray:
    """Where the plane's middle is shown, (3,) mm: as far inside the hinge as a tibia is wide."""
    return cut.hinge + cut.frame(landmarks)[0] * PLANE_MM / 3.0


def plane_markup(cut: Cut, landmarks: Landmarks) -> str:
    """The cut plane as the text of a ``.mrk.json`` file, LPS mm."""
    away, back, normal = cut.frame(landmarks)
    across = np.cross(back, normal)  # right-handed
    centre = plane_centre(cut, landmarks)
    base = np.eye(4)
    base[:3, :3], base[:3, 3] = np.stack([across, back, normal], axis=1), centre
    half = PLANE_MM / 2.0
    return _file(
        "Plane",
        [("Cut", centre)],
        planeType="pointNormal",
        sizeMode="absolute",
        autoScalingFactor=1.0,
        center=centre.tolist(),
        normal=normal.tolist(),
        objectToBase=np.eye(4).ravel().tolist(),
        baseToNode=base.ravel().tolist(),
        orientation=base[:3, :3].ravel().tolist(),
        size=[PLANE_MM, PLANE_MM, 0.0],
        planeBounds=[-half, half, -half, half],
    )


def hinge_markup(cut: Cut) -> str:
    """The hinge as the text of a ``.mrk.json`` file, LPS mm."""
    return _file("Line", list(zip(("anterior", "posterior"), hinge_ends(cut))))


def _file(kind: str, points: list[tuple[str, np.ndarray]], **more: object) -> str:
    controls = [
        {
            "id": str(number),
            "label": label,
            "position": place.tolist(),
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, (label, place) in enumerate(points, start=1)
    ]
    markup = {
        "type": kind,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "lastUsedControlPointNumber": len(controls),
        **more,
        "controlPoints": controls,
    }
    return json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1) + "\n"

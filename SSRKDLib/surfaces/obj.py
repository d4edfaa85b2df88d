"""Surfaces as Wavefront OBJ: the format of the paper's cases.

VTK's reader keeps no names of objects, and ends the process on a face whose vertices do not exist.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.ply import MOST_ROWS

#: No bone's surface has a longer line, characters, nor more objects with a group each.
_LONGEST_LINE, _MOST_PARTS = 1 << 18, 1000


def read_obj(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vertices [N, 3], and triangles [M, 3] by the name of their object, or of their group where
    there are not several objects, ``""`` without one; polygons are cut into fans.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged.
    """
    points = array("d")
    parts: dict[tuple[str, str], array] = {}
    named, group, triangles = "", "", 0
    for line in _lines(path):
        word, *rest = line.split() or [""]
        if word == "v":
            if len(rest) < 3:
                raise ValueError("a vertex has not three coordinates")
            points.extend(map(float, rest[:3]))
        elif word == "o":
            named = " ".join(rest)
        elif word == "g":
            group = " ".join(rest)
        elif word == "f":
            corners = [int(corner.split("/")[0]) for corner in rest]
            # Negative ones count from the vertex before.
            corners = [n - 1 if n > 0 else len(points) // 3 + n for n in corners]
            fans = parts.setdefault((named, group), array("q"))
            for two in zip(corners[1:-1], corners[2:]):
                fans.extend((corners[0], *two))
            triangles += max(0, len(corners) - 2)
        if triangles > MOST_ROWS or len(points) > 3 * MOST_ROWS or len(parts) > _MOST_PARTS:
            raise ValueError("it has more objects, vertices or triangles than any bone")
    if not points or not parts:
        raise ValueError("there is no OBJ surface in it")
    vertices = np.array(points).reshape(-1, 3)
    by_object = len({named for named, _ in parts}) > 1 or len(parts) == 1
    joined: dict[str, array] = {}
    for (named, group), faces in parts.items():
        name = (named or group) if by_object else (group or named)
        joined.setdefault(name, array("q")).extend(faces)
    return vertices, {
        name: np.array(faces, np.int64).reshape(-1, 3) for name, faces in joined.items() if faces
    }


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file; one that ends with a backslash goes on in the next."""
    with path.open(encoding="utf-8", errors="replace") as file:
        parts, length = [], 0
        while line := file.readline(_LONGEST_LINE + 1):
            length += len(line)
            if length > _LONGEST_LINE:
                raise ValueError("one of its lines is longer than that of any bone's face")
            parts.append(line.removesuffix("\\\n"))
            if not line.endswith("\\\n"):
                yield " ".join(parts)
                parts, length = [], 0
        yield " ".join(parts)


def write_obj(path: Path, mesh: Mesh) -> None:
    """Write vertices (nine digits) and triangles; the same mesh makes the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    path.write_bytes(("\n".join(lines) + "\n").encode())

"""Surfaces as Wavefront OBJ: the format of the paper's cases.

VTK's reader keeps no names of objects, and ends the process on a face whose vertices do not exist.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from SSRKDLib.surfaces.mesh import Mesh


def read_obj(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vertices [N, 3], and triangles [M, 3] by the name of their object, or of their group where
    there are not several objects, ``""`` without one; polygons are cut into fans.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged.
    """
    vertices: list[list[float]] = []
    parts: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    named, group = "", ""
    for line in (
        path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ").splitlines()
    ):
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif word == "o":
            named = " ".join(rest)
        elif word == "g":
            group = " ".join(rest)
        elif word == "f":
            corners = [int(corner.split("/")[0]) for corner in rest]
            # Negative ones count from the vertex before.
            corners = [n - 1 if n > 0 else len(vertices) + n for n in corners]
            fans = parts.setdefault((named, group), [])
            fans += [(corners[0], *corners[k : k + 2]) for k in range(1, len(corners) - 1)]
    if not vertices or not parts:
        raise ValueError("there is no OBJ surface in it")
    try:
        points = np.array(vertices, float).reshape(len(vertices), 3)
    except ValueError as error:
        raise ValueError("a vertex has not three coordinates") from error
    by_object = len({named for named, _ in parts}) > 1 or len(parts) == 1
    joined: dict[str, list[tuple[int, int, int]]] = {}
    for (named, group), faces in parts.items():
        joined.setdefault((named or group) if by_object else (group or named), []).extend(faces)
    return points, {name: np.array(faces, np.int64) for name, faces in joined.items() if faces}


def write_obj(path: Path, mesh: Mesh) -> None:
    """Write vertices (nine digits) and triangles; the same mesh makes the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    path.write_bytes(("\n".join(lines) + "\n").encode())

"""Surfaces as Wavefront OBJ: the format of the paper's cases.

VTK's reader keeps no names of objects, and ends the process on a face whose vertices do not exist.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.ply import MOST_ROWS, fans

#: No bone's surface has a longer line, characters, nor more objects with a group each.
_LONGEST_LINE, _MOST_PARTS = 1 << 18, 1000

#: Characters that are read at a time.
_BLOCK = 1 << 20


class _Faces(NamedTuple):
    """Faces of one number of corners: these as they are written, one face after the other, and of
    each face how many vertices stand before it, and its part."""

    corners: list[str]
    before: list[int]
    part: list[int]


def read_obj(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vertices [N, 3], and triangles [M, 3] by the name of their object, or of their group where
    there are not several objects, ``""`` without one; polygons are cut into fans.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged.
    """
    points, triangles, parts = array("d"), array("q"), array("q")
    names: dict[tuple[str, str], int] = {}
    named = group = ""
    part = None
    for block in _blocks(path):
        # Many numbers at once: one by one takes seconds for a large file.
        vertices: list[str] = []
        faces: dict[int, _Faces] = {}
        before = len(points) // 3
        for line in map(str.split, block.split("\n")):
            word = line[0] if line else ""
            if word == "f":
                if part is None:
                    part = names.setdefault((named, group), len(names))
                alike = faces.setdefault(len(line) - 1, _Faces([], [], []))
                alike.corners.extend(line[1:])
                alike.before.append(before)
                alike.part.append(part)
            elif word == "v":
                if len(line) < 4:
                    raise ValueError("a vertex has not three coordinates")
                vertices.extend(line[1:4])
                before += 1
            elif word == "o":
                named, part = " ".join(line[1:]), None
            elif word == "g":
                group, part = " ".join(line[1:]), None
        points.extend(map(float, vertices))
        for count, alike in faces.items():
            found = fans(_corners(count, alike))
            triangles.frombytes(found.tobytes())
            parts.frombytes(np.repeat(alike.part, max(0, count - 2)).tobytes())
        if max(len(parts), before) > MOST_ROWS or len(names) > _MOST_PARTS:
            raise ValueError("it has more objects, vertices or triangles than any bone")
    if not points or not names:
        raise ValueError("there is no OBJ surface in it")
    by_object = len({named for named, _ in names}) > 1 or len(names) == 1
    joined: dict[str, int] = {}
    shown = ((named or group) if by_object else (group or named) for named, group in names)
    owners = np.array([joined.setdefault(name, len(joined)) for name in shown])[np.array(parts)]
    order = np.argsort(owners, kind="stable")
    ends = np.cumsum(np.bincount(owners, minlength=len(joined)))[:-1]
    groups = np.split(np.array(triangles).reshape(-1, 3)[order], ends)
    return np.array(points).reshape(-1, 3), {n: one for n, one in zip(joined, groups) if len(one)}


def _blocks(path: Path) -> Iterator[str]:
    """The text, some whole lines at a time; one that ends with a backslash goes on in the next."""
    with path.open(encoding="utf-8", errors="replace") as file:
        while block := file.read(_BLOCK):
            texts, length = [block + file.readline(_LONGEST_LINE + 1)], 0
            while texts[-1].endswith("\\\n") and length <= _LONGEST_LINE:
                if not (more := file.readline(_LONGEST_LINE + 1)):
                    break
                texts.append(more)
                length += len(more)
            block = "".join(texts).replace("\\\n", " ")
            if max(length, *map(len, block.split("\n"))) > _LONGEST_LINE:
                raise ValueError("one of its lines is longer than that of any bone's face")
            yield block


def _corners(count: int, faces: _Faces) -> np.ndarray:
    """Indices of vertices [faces, count], from 0."""
    written = (corner.partition("/")[0] for corner in faces.corners)
    corners = np.fromiter(map(int, written), np.int64, len(faces.corners))
    corners = corners.reshape(len(faces.part), count)
    # Negative ones count from the vertex before.
    before = np.array(faces.before)[:, None]
    return np.where(corners > 0, corners - 1, corners + before)


def write_obj(path: Path, mesh: Mesh) -> None:
    """Write vertices (nine digits) and triangles; the same mesh makes the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    path.write_bytes(("\n".join(lines) + "\n").encode())

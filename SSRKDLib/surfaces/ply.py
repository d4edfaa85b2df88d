"""PLY files, read and written with NumPy alone.

VTK's own PLY reader ends the whole process (a segmentation fault, seen with VTK 9.7)
when a file is cut short, which inside Slicer would cost the user's scene.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip


#: No bone's surface has a longer header, bytes, nor more vertices, polygons or triangles.
_LONGEST_HEADER, MOST_ROWS = 1 << 16, 10_000_000

#: Numbers written as text are decoded so many bytes at a time.
_CHUNK = 1 << 20

#: What programs leave behind the last element.
_PADDING = b"\0\t\r\n "


class _Property(NamedTuple):
    name: str
    item: np.dtype
    length: np.dtype | None  # type of the count in front of a list; None for a scalar


class _Element(NamedTuple):
    name: str
    count: int
    properties: list


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [N, 3] float64 and triangles [M, 3] int64 of a PLY file.

    ASCII and binary of either byte order; polygons are cut into fans of triangles.
    Raises ``ValueError`` with the reason where the content is not a PLY surface, and
    ``OSError`` where the file cannot be opened.
    """
    content = Path(path).read_bytes()
    vertices = triangles = None
    for name, columns in _elements(content):
        if name == "vertex":
            axes = [columns.get(axis) for axis in "xyz"]
            if any(not isinstance(axis, np.ndarray) or axis.ndim != 1 for axis in axes):
                raise ValueError("its vertices lack x, y or z, or have lists of them")
            vertices = np.stack([axis.astype(np.float64) for axis in axes], axis=1)
        elif name == "face":
            polygons = columns.get("vertex_indices", columns.get("vertex_index"))
            groups = polygons if isinstance(polygons, list) else [polygons]
            if any(np.ndim(group) != 2 or not len(group) for group in groups):
                raise ValueError("its faces lack lists of vertex indices")
            triangles = _triangles(groups)
    if vertices is None or triangles is None:
        raise ValueError("it contains no vertices or no faces")
    return vertices, triangles


def read_ply_property(path: Path, name: str) -> np.ndarray | None:
    """A property of a PLY file's vertices, ``[N]`` float64; None where they have none of that name.

    Raises as :func:`read_ply`.
    """
    for element, columns in _elements(Path(path).read_bytes()):
        if element == "vertex" and name in columns:
            return np.asarray(columns[name], dtype=np.float64)
    return None


def write_ply(
    path: Path,
    vertices: np.ndarray,
    triangles: np.ndarray,
    normals: np.ndarray,
    colour: tuple[float, float, float] | None = None,
    comments: tuple[str, ...] = (),
    scalars: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a little-endian binary PLY of triangles with vertex normals.

    ``colour`` (sRGB, 0..1) is given to every vertex; ``scalars`` ``[N]`` become properties of that
    name. Raises ``OSError``.
    """
    fields = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    if colour is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue")]
    scalars = scalars or {}
    fields += [(name, "<f4") for name in scalars]
    points = np.empty(len(vertices), dtype=fields)
    for axis, name in enumerate("xyz"):
        points[name] = vertices[:, axis]
        points["n" + name] = normals[:, axis]
    if colour is not None:
        for name, value in zip(("red", "green", "blue"), colour):
            points[name] = round(255 * value)
    for name, values in scalars.items():
        points[name] = values
    faces = np.empty(len(triangles), dtype=[("n", "u1"), ("v", "<i4", (3,))])
    faces["n"] = 3
    faces["v"] = triangles
    header = ["ply", "format binary_little_endian 1.0"]
    header += [f"comment {comment}" for comment in comments]
    header.append(f"element vertex {len(points)}")
    header += [f"property {'float' if kind == '<f4' else 'uchar'} {name}" for name, kind in fields]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    header.append("end_header\n")
    with open(path, "wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(points.tobytes())
        file.write(faces.tobytes())


def _elements(content: bytes) -> Iterator[tuple[str, dict]]:
    """Name and columns of each element of a file."""
    ascii_body, elements, body = _header(content)
    if ascii_body:
        body = _numbers(body)
    offset = 0
    for element in elements:
        columns, offset = _columns(body, offset, element)
        yield element.name, columns
    if body[offset:].strip(_PADDING):
        raise ValueError("it has more data after the vertices and faces that it states")


def _numbers(text: bytes) -> bytes:
    """Numbers written as text in binary, float64, so that one decoder serves both."""
    parts, start, space = [], 0, re.compile(rb"\s")
    while start < len(text):
        found = space.search(text, start + _CHUNK)
        end = found.start() if found else len(text)
        parts.append(np.array(text[start:end].split(), dtype="<f8").tobytes())
        start = end
    return b"".join(parts)


def _header(content: bytes) -> tuple[bool, list, bytes]:
    if not content.startswith(b"ply"):
        raise ValueError("it does not begin with 'ply'")
    end = content.find(b"end_header", 0, _LONGEST_HEADER)
    newline = content.find(b"\n", end)
    if end < 0 or newline < 0:
        raise ValueError("its header does not end")
    lines = [line.split() for line in content[:end].decode("latin-1").splitlines()]
    layout = next((line[1] for line in lines if line[:1] == ["format"] and len(line) > 1), "")
    orders = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
    if layout not in orders:
        raise ValueError(f"its format '{layout}' is unknown")

    def kind(name: str) -> np.dtype:
        return np.dtype("<f8" if layout == "ascii" else orders[layout] + _TYPES[name])

    elements: list = []
    try:
        for line in lines:
            if line[:1] == ["element"]:
                elements.append(_Element(line[1], int(line[2]), []))
                if not 0 <= elements[-1].count <= MOST_ROWS:
                    raise ValueError
            elif line[:2] == ["property", "list"]:
                item = _Property(line[4], kind(line[3]), kind(line[2]))
                elements[-1].properties.append(item)
            elif line[:1] == ["property"]:
                elements[-1].properties.append(_Property(line[2], kind(line[1]), None))
    except (IndexError, KeyError, ValueError):
        raise ValueError(f"its header line '{' '.join(line)}' makes no sense") from None
    return layout == "ascii", elements, content[newline + 1 :]


def _columns(body: bytes, offset: int, element: _Element) -> tuple[dict, int]:
    """Columns of one element by name, and where the next element begins.

    A scalar column is an array [count]; a list column an array [count, k] where all
    lists have k items, else a list of such arrays, shorter lists first.
    """
    if element.count == 0 or not element.properties:
        return {p.name: np.empty((0, 3) if p.length else 0) for p in element.properties}, offset
    counts, _ = _places(body, offset, element._replace(count=1))
    fields = []
    for item in element.properties:
        if item.length is not None:
            fields.append((f"#{item.name}", item.length))
            fields.append((item.name, item.item, (counts[item.name][1][0],)))
        else:
            fields.append((item.name, item.item))
    layout = np.dtype(fields)
    lists = [item.name for item in element.properties if item.length is not None]
    if offset + element.count * layout.itemsize <= len(body):
        table = np.frombuffer(body, layout, element.count, offset)
        if all(np.all(table[f"#{name}"] == counts[name][1][0]) for name in lists):
            columns = {item.name: table[item.name] for item in element.properties}
            return columns, offset + table.nbytes
    if not lists:
        raise ValueError("it ends too early")
    places, offset = _places(body, offset, element)
    columns = {}
    for item in element.properties:
        groups = _gathered(body, item.item, *places[item.name])
        columns[item.name] = groups if item.length is not None else groups[0][:, 0]
    return columns, offset


def _places(body: bytes, offset: int, element: _Element) -> tuple[dict, int]:
    """Where the values of each property begin, row by row, and how many they are (``array`` of
    integers, both), by its name; and where the next element begins."""
    places = {item.name: (array("q"), array("q")) for item in element.properties}
    kinds = [
        (*places[item.name], item.item.itemsize, item.length and _decoder(item.length))
        for item in element.properties
    ]
    for _ in range(element.count):
        for starts, counts, size, length in kinds:
            count = 1
            if length is not None:
                if offset + length.size > len(body):
                    raise ValueError("it ends too early")
                stated = length.unpack_from(body, offset)[0]
                if not stated >= 0 or stated % 1:  # of text, any number or none
                    raise ValueError("the length of a list is not a whole number")
                count = int(stated)
                offset += length.size
            starts.append(offset)
            counts.append(count)
            offset += count * size
            if offset > len(body):
                raise ValueError("it ends too early")
    return places, offset


def _decoder(kind: np.dtype) -> struct.Struct:
    return struct.Struct((">" if kind.byteorder == ">" else "<") + kind.char)


def _gathered(body: bytes, kind: np.dtype, starts: array, counts: array) -> list:
    """Values from the places of :func:`_places`: an array [rows, k] for each length k but 0."""
    starts, counts = np.asarray(starts), np.asarray(counts)
    order = np.argsort(counts, kind="stable")
    content, groups = np.frombuffer(body, np.uint8), []
    for rows in np.split(order, np.flatnonzero(np.diff(counts[order])) + 1):
        size = int(counts[rows[0]]) * kind.itemsize
        if size:
            windows = np.lib.stride_tricks.sliding_window_view(content, size)
            groups.append(windows[starts[rows]].view(kind))
    return groups


def _triangles(groups: list) -> np.ndarray:
    """Triangles [M, 3] int64 of polygons, arrays [rows, corners]."""
    if sum(len(group) * max(0, group.shape[1] - 2) for group in groups) > MOST_ROWS:
        raise ValueError(f"it has more than {MOST_ROWS} triangles")
    triangles = [np.empty((0, 3), dtype=np.int64)]
    for group in groups:
        # Text is float64; none of these numbers is one that warns.
        if not (np.abs(group) < 2.0**53).all() or (group != np.rint(group)).any():
            raise ValueError("the index of a vertex is no whole number")
        triangles.append(fans(group.astype(np.int64)))
    return np.concatenate(triangles)


def fans(polygons: np.ndarray) -> np.ndarray:
    """Triangles [M, 3] of polygons [rows, corners], each cut into a fan around its first corner."""
    first = np.broadcast_to(polygons[:, :1], polygons[:, 2:].shape)
    return np.stack([first, polygons[:, 1:-1], polygons[:, 2:]], axis=-1).reshape(-1, 3)

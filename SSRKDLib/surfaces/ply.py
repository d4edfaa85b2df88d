"""PLY files, read and written with NumPy alone.

VTK's own PLY reader ends the whole process (a segmentation fault, seen with VTK 9.7)
when a file is cut short, which inside Slicer would cost the user's scene.
"""

from __future__ import annotations

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
            if any(axis not in columns for axis in "xyz"):
                raise ValueError("its vertices lack x, y or z")
            vertices = np.stack([columns[axis].astype(np.float64) for axis in "xyz"], axis=1)
        elif name == "face":
            polygons = columns.get("vertex_indices", columns.get("vertex_index"))
            if polygons is None or not len(polygons) or np.ndim(polygons[0]) != 1:
                raise ValueError("its faces lack lists of vertex indices")
            triangles = _fans(polygons)
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
        # Numbers written as text become float64 in binary, so one decoder serves both.
        body = np.array(body.split(), dtype="<f8").tobytes()
    offset = 0
    for element in elements:
        columns, offset = _columns(body, offset, element)
        yield element.name, columns


def _header(content: bytes) -> tuple[bool, list, bytes]:
    if not content.startswith(b"ply"):
        raise ValueError("it does not begin with 'ply'")
    end = content.find(b"end_header")
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
    lists have k items, else a list of arrays.
    """
    if element.count == 0 or not element.properties:
        return {p.name: np.empty((0, 3) if p.length else 0) for p in element.properties}, offset
    first, _ = _row(body, offset, element)
    fields = []
    for item in element.properties:
        if item.length is not None:
            fields.append((f"#{item.name}", item.length))
            fields.append((item.name, item.item, (len(first[item.name]),)))
        else:
            fields.append((item.name, item.item))
    layout = np.dtype(fields)
    lists = [item.name for item in element.properties if item.length is not None]
    if offset + element.count * layout.itemsize <= len(body):
        table = np.frombuffer(body, layout, element.count, offset)
        if all(np.all(table[f"#{name}"] == len(first[name])) for name in lists):
            columns = {item.name: table[item.name] for item in element.properties}
            return columns, offset + table.nbytes
    if not lists:
        raise ValueError("it ends too early")
    rows = []
    for _ in range(element.count):
        row, offset = _row(body, offset, element)
        rows.append(row)
    return {item.name: [row[item.name] for row in rows] for item in element.properties}, offset


def _row(body: bytes, offset: int, element: _Element) -> tuple[dict, int]:
    row = {}
    for item in element.properties:
        length = None
        if item.length is not None:
            length = _take(body, offset, item.length, 1)[0]
            if not np.isfinite(length):
                raise ValueError("the length of a list is not a number")
            length = int(length)
            offset += item.length.itemsize
        values = _take(body, offset, item.item, 1 if length is None else length)
        offset += values.nbytes
        row[item.name] = values[0] if length is None else values
    return row, offset


def _take(body: bytes, offset: int, kind: np.dtype, count: int) -> np.ndarray:
    if count < 0 or offset + count * kind.itemsize > len(body):
        raise ValueError("it ends too early")
    return np.frombuffer(body, kind, count, offset)


def _fans(polygons: np.ndarray | list) -> np.ndarray:
    """Triangles [M, 3] int64 of polygons, each cut into a fan around its first corner."""
    if isinstance(polygons, np.ndarray):
        groups = [polygons]
    else:
        sizes = np.array([len(polygon) for polygon in polygons])
        groups = [
            np.stack([polygons[i] for i in np.flatnonzero(sizes == size)])
            for size in np.unique(sizes)
        ]
    triangles = [np.empty((0, 3), dtype=np.int64)]
    for group in groups:
        corners = group.astype(np.int64)
        for k in range(1, corners.shape[1] - 1):
            triangles.append(corners[:, [0, k, k + 1]])
    return np.concatenate(triangles)

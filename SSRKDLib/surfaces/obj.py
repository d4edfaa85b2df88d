"""Surfaces as Wavefront OBJ: the format of the paper's cases."""

from __future__ import annotations

from pathlib import Path

from SSRKDLib.surfaces.mesh import Mesh


def write_obj(path: Path, mesh: Mesh) -> None:
    """Write vertices (nine digits) and triangles; the same mesh makes the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    path.write_bytes(("\n".join(lines) + "\n").encode())

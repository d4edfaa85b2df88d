"""PLY and OBJ files that are nonsense, or whose surface is larger than any bone's."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.errors import MeshError
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import read_mesh, read_parts, write_mesh
from SSRKDLib.surfaces.obj import write_obj


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("vertices", "x", "face", "cause"),
    [
        (3, "float x", "3 0.9 1 2", "index of a vertex is no whole number"),
        (3, "float x", "3 nan 1 2", "index of a vertex is no whole number"),
        (3, "float x", "2.5 0 1 2", "length of a list is not a whole number"),
        (3, "float x", "inf 0 1 2", "length of a list is not a whole number"),
        (3, "list uchar float x", "3 0 1 2", "lists of them"),
        (-3, "float x", "3 0 1 2", "element vertex -3"),
    ],
)
def test_a_ply_file_of_nonsense_is_refused(tmp_path, vertices, x, face, cause):
    first, others = ("1 0", "2 1 1") if x.startswith("list") else ("0", "1")
    (tmp_path / "a.ply").write_text(
        f"ply\nformat ascii 1.0\nelement vertex {vertices}\nproperty {x}\nproperty float y\n"
        "property float z\nelement face 1\nproperty list uchar float vertex_index\nend_header\n"
        f"{first} 0 0\n{others} 0 0\n{others} 1 0\n{face}\n"
    )
    with pytest.raises(MeshError) as caught:
        read_mesh(tmp_path / "a.ply")
    assert cause in caught.value.cause


@pytest.mark.parametrize("name", ["a.ply", "a.obj"])
def test_a_polygon_without_end_is_refused_before_it_is_cut(tmp_path, monkeypatch, name):
    monkeypatch.setattr("SSRKDLib.surfaces.ply.MOST_ROWS", 1000)
    corners = [0, 1, 2] * 50_000
    if name == "a.ply":
        header = (
            b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\n"
            b"property float y\nproperty float z\nelement face 1\n"
            b"property list int uchar vertex_index\nend_header\n"
        )
        points = np.eye(3, dtype="<f4").tobytes()
        size = len(corners).to_bytes(4, "little")
        (tmp_path / name).write_bytes(header + points + size + bytes(corners))
    else:
        face = " ".join(str(corner + 1) for corner in corners)
        (tmp_path / name).write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nf {face}\n")
    with pytest.raises(MeshError, match="more than 1000 triangles|longer than that of any bone"):
        read_mesh(tmp_path / name)


def test_an_obj_line_that_goes_on_is_read(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 \\\n0\nv 0 1 0\nf 1 \\\n2 \\\n3\n")
    assert read_mesh(tmp_path / "a.obj").faces.tolist() == [[0, 1, 2]]


def test_an_obj_line_that_goes_on_without_end_is_refused(tmp_path, monkeypatch):
    """Also where it is no longer than others, and lies across what is read at a time."""
    monkeypatch.setattr("SSRKDLib.surfaces.obj._BLOCK", 40)
    monkeypatch.setattr("SSRKDLib.surfaces.obj._LONGEST_LINE", 60)
    (tmp_path / "a.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n" + "\\\n" * 40 + "f 1 2\n"
    )
    with pytest.raises(MeshError, match="longer than that of any bone"):
        read_mesh(tmp_path / "a.obj")


def test_obj_lines_of_all_kinds_are_read_in_whatever_order(tmp_path, monkeypatch):
    monkeypatch.setattr("SSRKDLib.surfaces.obj._BLOCK", 500)  # several in this file
    lines = []
    for index in range(40):  # a strip of squares, each with its own vertices
        bone = "femur" if index % 2 else "tibia"
        lines += [f"o {bone}", f"v {index} 0 0", f"v {index} 1 0 0.5 0.5 0.5", "vn 0 0 1"]
        lines += [f"v {index + 0.5} 1 0", f"v {index + 0.5} 0 0"]
        corners = [-4, -3, -2, -1] if index % 3 else [4 * index + k for k in (1, 2, 3, 4)]
        lines.append("f " + " ".join(f"{corner}//1" for corner in corners))
        lines.append(f"f {corners[0]} {corners[1]} {corners[2]}")
    (tmp_path / "knee.obj").write_text("\r\n".join(lines))
    parts = read_parts(tmp_path / "knee.obj")
    assert set(parts) == {"femur", "tibia"}
    for first, mesh in enumerate((parts["tibia"], parts["femur"])):
        assert np.unique(mesh.vertices[:, 0]).tolist() == [
            index + half for index in range(first, 40, 2) for half in (0, 0.5)
        ]
        sizes = np.ptp(mesh.vertices[mesh.faces], axis=1)
        assert len(sizes) == 60 and (sizes == [0.5, 1, 0]).all()


@pytest.mark.parametrize("name", ["a.ply", "a.obj"])
def test_a_large_surface_is_read_in_a_process_of_its_own(tmp_path, monkeypatch, name):
    mesh = Mesh(np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0]]), np.array([[0, 1, 2]]))
    (write_mesh if name == "a.ply" else write_obj)(tmp_path / name, mesh)
    monkeypatch.setattr("SSRKDLib.surfaces.mesh_files._READ_HERE", 0)
    for here in ("read_ply", "read_obj"):
        monkeypatch.setattr(f"SSRKDLib.surfaces.mesh_files.{here}", None)
    np.testing.assert_array_equal(read_mesh(tmp_path / name).vertices, mesh.vertices)

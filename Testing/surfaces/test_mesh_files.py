"""Meshes against closed-form truth, files there and back, and broken files."""

from __future__ import annotations

import re

import numpy as np
import pytest
import trimesh
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkIOGeometry import vtkSTLWriter
from vtkmodules.vtkIOLegacy import vtkPolyDataWriter
from vtkmodules.vtkIOPLY import vtkPLYReader, vtkPLYWriter
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from SSRKDLib.core.errors import MeshError, OutputError
from SSRKDLib.surfaces.mesh import Mesh, from_polydata, to_polydata
from SSRKDLib.surfaces.mesh_files import find_meshes, read_mesh, read_meshes, write_mesh

EVERYTHING = [-np.inf] * 3, [np.inf] * 3


def as_mesh(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(shape.vertices, shape.faces)


@pytest.fixture
def box() -> Mesh:
    """A box of 20 x 30 x 40 mm far from the origin."""
    return as_mesh(trimesh.creation.box((20, 30, 40))).transformed(shift(500, -300, 90))


@pytest.fixture
def pyramid() -> Mesh:
    """A shape without symmetry: a tetrahedron with legs 10, 20, 30 mm."""
    corners = [[0, 0, 0], [10, 0, 0], [0, 20, 0], [0, 0, 30]]
    return Mesh(corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def shift(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def test_measures_of_a_box_and_a_ball(box):
    assert box.volume() == pytest.approx(24_000)
    assert box.area() == pytest.approx(2 * (600 + 800 + 1200))
    assert box.bounds == pytest.approx(np.array([[490, -315, 70], [510, -285, 110]]))
    ball = as_mesh(trimesh.creation.icosphere(5, 30.0))
    assert ball.volume() == pytest.approx(4 / 3 * np.pi * 30**3, rel=2e-3)
    assert ball.area() == pytest.approx(4 * np.pi * 30**2, rel=2e-3)
    radial = ball.vertices / np.linalg.norm(ball.vertices, axis=1, keepdims=True)
    assert (ball.vertex_normals() * radial).sum(axis=1).min() > 0.999


def test_volume_is_negative_when_inside_out(pyramid):
    assert pyramid.volume() == pytest.approx(1000)
    assert Mesh(pyramid.vertices, pyramid.faces[:, ::-1]).volume() == pytest.approx(-1000)


def test_edges_tell_open_and_non_manifold(pyramid):
    assert pyramid.is_closed
    assert pyramid.edge_report() == (0, 0)
    opened = Mesh(pyramid.vertices, pyramid.faces[1:])
    assert opened.edge_report() == (3, 0)
    assert not opened.is_closed
    fin = Mesh([*pyramid.vertices, [-5, -5, -5]], [*pyramid.faces, [0, 1, 4]])
    assert fin.edge_report() == (2, 1)
    assert not fin.is_closed


def test_cut_cylinder_has_two_loops_and_capping_restores_its_volume():
    rod = as_mesh(trimesh.creation.cylinder(15, 120, sections=64))
    full = rod.volume()
    middle = rod.clipped(np.array([[-np.inf, -np.inf, -40], [np.inf, np.inf, 25]]))
    assert len(middle.open_loops()) == 2
    assert middle.bounds[:, 2] == pytest.approx([-40, 25])
    assert middle.volume() == pytest.approx(full * 65 / 120, rel=1e-6)
    assert middle.capped().is_closed
    assert middle.capped().volume() == pytest.approx(full * 65 / 120, rel=1e-6)


def test_clipping_outside_gives_nothing_and_inside_gives_all(box):
    assert not len(box.clipped(np.array([[0, 0, 0], [1, 1, 1]])).faces)
    assert box.clipped(np.array(EVERYTHING)).area() == pytest.approx(box.area())


def test_mirroring_keeps_the_outside_outside(pyramid):
    mirrored = pyramid.transformed(np.diag([-1.0, 1, 1, 1]))
    assert mirrored.volume() == pytest.approx(1000)
    assert mirrored.bounds[0, 0] == -10
    turned = pyramid.transformed(
        np.array([[0, -1, 0, 5], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    )
    assert turned.vertices[1] == pytest.approx([5, 10, 0])
    assert turned.volume() == pytest.approx(1000)


def test_vtk_there_and_back_is_exact(pyramid):
    again = from_polydata(to_polydata(pyramid))
    assert np.array_equal(again.vertices, pyramid.vertices)
    assert np.array_equal(again.faces, pyramid.faces)


@pytest.mark.parametrize("suffix", ["ply", "stl", "obj"])
def test_files_of_other_programs_are_read(tmp_path, suffix, box):
    path = tmp_path / f"femur.{suffix}"
    trimesh.Trimesh(box.vertices, box.faces).export(path)
    mesh = read_mesh(path)
    assert mesh.is_closed
    assert len(mesh.vertices) == 8
    assert mesh.volume() == pytest.approx(24_000)


def test_an_obj_file_with_a_normal_per_face_is_one_closed_surface(tmp_path, pyramid):
    lines = [f"v {x} {y} {z}" for x, y, z in pyramid.vertices]
    lines += [f"vn {x} {y} {z}" for x, y, z in pyramid.area_vectors()]
    lines += [
        "f " + " ".join(f"{corner + 1}//{index + 1}" for corner in face)
        for index, face in enumerate(pyramid.faces)
    ]
    (tmp_path / "tibia.obj").write_text("\n".join(lines) + "\n")
    mesh = read_mesh(tmp_path / "tibia.obj")
    assert mesh.is_closed
    assert mesh.volume() == pytest.approx(1000)


def test_vtp_is_read(tmp_path, pyramid):
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    writer = vtkXMLPolyDataWriter()
    writer.SetFileName(str(tmp_path / "femur.vtp"))
    writer.SetInputData(to_polydata(pyramid))
    writer.Write()
    assert np.array_equal(read_mesh(tmp_path / "femur.vtp").faces, pyramid.faces)


@pytest.mark.parametrize("colour", [None, (1.0, 0.5, 0.0)])
def test_written_ply_reads_the_same_here_and_in_vtk(tmp_path, pyramid, colour):
    path = tmp_path / "femur.ply"
    write_mesh(path, pyramid, colour)
    assert b"format binary_little_endian" in path.read_bytes()
    assert b"comment SPACE=LPS" in path.read_bytes()
    mesh = read_mesh(path)
    assert np.array_equal(mesh.vertices, pyramid.vertices)
    assert np.array_equal(mesh.faces, pyramid.faces)
    reader = vtkPLYReader()
    reader.SetFileName(str(path))
    reader.Update()
    output = reader.GetOutput()
    assert np.array_equal(from_polydata(output).faces, pyramid.faces)
    assert output.GetPointData().GetNormals() is not None
    if colour:
        assert output.GetPointData().GetScalars().GetTuple3(0) == (255, 128, 0)


@pytest.mark.parametrize("layout", ["ascii", "big-endian"])
def test_ply_with_polygons_of_several_sizes(tmp_path, layout):
    path = tmp_path / "patella.ply"
    points = [[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0], [5, 5, 9]]
    polygons = [[3, 2, 1, 0], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]
    kind = "ascii" if layout == "ascii" else "binary_big_endian"
    header = (
        f"ply\nformat {kind} 1.0\nelement vertex 5\nproperty double x\nproperty double y\n"
        "property double z\nelement face 5\nproperty list uchar int vertex_index\nend_header\n"
    )
    if layout == "ascii":
        lines = [" ".join(map(str, p)) for p in points]
        lines += [" ".join(map(str, [len(p), *p])) for p in polygons]
        body = "\n".join(lines).encode()
    else:
        body = np.array(points, ">f8").tobytes()
        body += b"".join(bytes([len(p)]) + np.array(p, ">i4").tobytes() for p in polygons)
    path.write_bytes(header.encode() + body)
    mesh = read_mesh(path)
    assert len(mesh.faces) == 6
    assert mesh.is_closed
    assert mesh.volume() == pytest.approx(300)


def bad_file(tmp_path, kind: str):
    """A broken mesh file of the given kind."""
    good = tmp_path / "good.ply"
    write_mesh(good, as_mesh(trimesh.creation.icosphere(2, 20.0)))
    content = good.read_bytes()
    nan = content.replace(content[content.find(b"end_header\n") + 11 :][:4], b"\x00\x00\xc0\x7f", 1)
    stl = trimesh.creation.box((9, 9, 9)).export(file_type="stl")
    files = {
        "absent.ply": None,
        "empty.ply": b"",
        "garbage.ply": b"hello world" * 50,
        "header.ply": content.replace(b"property float y", b"property wobble y", 1),
        "cut.ply": content[: len(content) * 2 // 3],
        "cut_in_vertices.ply": content[: len(content) // 3],
        "huge.ply": content.replace(b"vertex 162", b"vertex 162000000000", 1),
        "nan.ply": nan,
        "index.ply": content[:-4] + b"\xff\xff\xff\x0f",
        "no_faces.ply": re.sub(rb"element face.*\n.*\n", b"", content)[: -320 * 13],
        "half.ply": content.replace(b"face 320", b"face 160", 1),
        "longer.ply": content + b"x" * 12,
        "header_without_end.ply": content.replace(
            b"end_header", b"a\n" * 50_000 + b"end_header", 1
        ),
        "garbage.stl": b"hello world" * 50,
        "cut.stl": stl[:-60],
        "longer.stl": stl + b"x" * 12,
        "more.stl": stl + b"x" * 50,
        "cut_text.stl": b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\n",
        "garbage.obj": b"hello world\n" * 50,
        "garbage.vtp": b"hello world" * 50,
        "femur.docx": b"words",
    }
    path = tmp_path / kind
    if files[kind] is not None:
        path.write_bytes(files[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("absent.ply", "was not found"),
        ("empty.ply", "is empty"),
        ("garbage.ply", "does not begin with 'ply'"),
        ("header.ply", "property wobble y"),
        ("cut.ply", "ends too early"),
        ("cut_in_vertices.ply", "ends too early"),
        ("huge.ply", "header line 'element vertex 162000000000' makes no sense"),
        ("nan.ply", "not finite"),
        ("index.ply", "do not exist"),
        ("no_faces.ply", "no vertices or no faces"),
        ("half.ply", "has more data after the vertices and faces that it states"),
        ("longer.ply", "has more data after the vertices and faces that it states"),
        ("header_without_end.ply", "its header does not end"),
        ("garbage.stl", "ends too early"),
        ("cut.stl", "ends too early"),
        ("longer.stl", "has more data after the triangles that it states (12)"),
        ("more.stl", "has more data after the triangles that it states (12)"),
        ("cut_text.stl", "text is cut off, or contains something else than facets"),
        ("garbage.obj", "OBJ"),
        ("garbage.vtp", "VTP"),
        ("femur.docx", "not a kind of mesh file"),
    ],
)
def test_a_broken_file_is_refused_in_a_sentence(tmp_path, kind, cause):
    with pytest.raises(MeshError) as caught:
        read_mesh(bad_file(tmp_path, kind))
    assert cause in caught.value.cause
    assert kind in caught.value.cause
    assert caught.value.remedy.endswith(".")
    assert "\n" not in str(caught.value)


def test_arrays_that_are_no_surface_are_refused():
    with pytest.raises(MeshError, match="N, 3"):
        Mesh(np.zeros((4, 2)), [[0, 1, 2]])
    with pytest.raises(MeshError, match="triangles"):
        Mesh(np.zeros((4, 3)), [[0, 1, 2, 3]])
    with pytest.raises(MeshError, match="do not exist"):
        Mesh(np.zeros((3, 3)), [[0, 1, -1]])
    with pytest.raises(MeshError, match="4x4"):
        Mesh(np.zeros((3, 3)), [[0, 1, 2]]).transformed(np.eye(3))


def test_writing_where_one_cannot_is_refused(tmp_path, pyramid):
    with pytest.raises(OutputError, match="cannot be written"):
        write_mesh(tmp_path / "absent" / "femur.ply", pyramid)
    with pytest.raises(OutputError, match="PLY"):
        write_mesh(tmp_path / "femur.stl", pyramid)


def test_bones_are_found_by_name(tmp_path, box, pyramid):
    write_mesh(tmp_path / "Left_Tibia.ply", box)
    write_mesh(tmp_path / "femur.ply", pyramid)
    write_mesh(tmp_path / "femur_old.ply", box)
    write_mesh(tmp_path / "skin.ply", box)
    meshes = read_meshes(tmp_path)
    assert list(meshes) == ["femur", "tibia"]
    assert meshes["femur"].volume() == pytest.approx(1000)


def test_folders_without_bones_are_refused(tmp_path, box):
    with pytest.raises(MeshError, match="does not exist"):
        read_meshes(tmp_path / "absent")
    write_mesh(tmp_path / "skin.ply", box)
    with pytest.raises(MeshError, match="no bone surface"):
        read_meshes(tmp_path)
    write_mesh(tmp_path / "tibia_1.ply", box)
    write_mesh(tmp_path / "tibia_2.ply", box)
    with pytest.raises(MeshError, match=r"tibia_1.ply and tibia_2.ply"):
        read_meshes(tmp_path)


def written(path, mesh: Mesh, space: str | None, joined: bool = True) -> None:
    """The mesh as other programs write it, saying its space as 3D Slicer does."""
    if not joined:
        corners = mesh.corners().reshape(-1, 3)
        mesh = Mesh(corners, np.arange(len(corners)).reshape(-1, 3))
    polydata = to_polydata(mesh)
    writers = {
        ".ply": vtkPLYWriter, ".stl": vtkSTLWriter, ".vtk": vtkPolyDataWriter,
        ".vtp": vtkXMLPolyDataWriter,
    }  # fmt: skip
    comment = "3D Slicer output." if space is None else f"3D Slicer output. SPACE={space}"
    if path.suffix == ".obj":
        lines = [f"# {comment}", *(f"v {x} {y} {z}" for x, y, z in mesh.vertices)]
        lines += [f"f {a}// {b}// {c}//" for a, b, c in mesh.faces + 1]
        path.write_text("\n".join(lines))
        return
    writer = writers[path.suffix]()
    writer.SetInputData(polydata)
    writer.SetFileName(str(path))
    if path.suffix == ".vtp" and space is not None:
        array = vtkStringArray()
        array.SetName("SPACE")
        array.InsertNextValue(space)
        polydata.GetFieldData().AddArray(array)
    elif path.suffix == ".ply":
        writer.AddComment(comment)
    elif path.suffix != ".vtp":
        writer.SetHeader(comment)
    writer.Write()


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".obj", ".vtp", ".vtk"])
def test_the_space_that_a_file_states_is_believed(tmp_path, suffix, pyramid):
    turned = pyramid.transformed(np.diag([-1.0, -1.0, 1.0, 1.0]))
    for space, mesh in (("RAS", turned), ("LPS", pyramid), (None, pyramid)):
        path = tmp_path / f"{space}{suffix}"
        written(path, mesh, space)
        found = read_mesh(path)
        assert found.bounds == pytest.approx(pyramid.bounds, abs=1e-4), space
        assert found.volume() == pytest.approx(1000, rel=1e-5)


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".obj", ".vtp", ".vtk"])
def test_triangles_that_share_no_vertices_are_joined(tmp_path, suffix, pyramid):
    written(tmp_path / f"flat{suffix}", pyramid, None, joined=False)
    found = read_mesh(tmp_path / f"flat{suffix}")
    assert len(found.vertices) == 4 and found.is_closed


def test_an_ascii_stl_with_a_long_name_is_read(tmp_path, pyramid):
    shape = trimesh.Trimesh(pyramid.vertices, pyramid.faces)
    shape.export(tmp_path / "a.stl", file_type="stl_ascii")
    text = (tmp_path / "a.stl").read_text().split("\n", 1)[1]
    (tmp_path / "a.stl").write_text(f"solid patella{'/' * 3000}\n{text}")
    assert read_mesh(tmp_path / "a.stl").volume() == pytest.approx(1000, rel=1e-5)


def test_objects_of_one_obj_file_are_the_bones(tmp_path, pyramid, box):
    lines = []
    for name, mesh in (("Femur_L", box), ("Tibia_L", pyramid), ("Skin", box)):
        lines += [f"o {name}", *(f"v {x} {y} {z}" for x, y, z in mesh.vertices)]
        last = len(mesh.vertices)  # counted from the vertex before
        lines += [f"f {a - last} {b - last} {c - last}" for a, b, c in mesh.faces]
    (tmp_path / "knee.obj").write_text("\n".join(lines))
    for place in (tmp_path, tmp_path / "knee.obj"):
        meshes, found = find_meshes(place)
        assert list(meshes) == ["femur", "tibia"] and found.side == "L"
        assert meshes["tibia"].volume() == pytest.approx(1000)
        assert meshes["femur"].volume() == pytest.approx(24_000)


def test_groups_of_one_object_are_the_bones(tmp_path, pyramid, box):
    """As programs write that name the scene, and parts as groups."""
    lines, before = ["o Knee"], 1
    for name, mesh in (("Femur links", box), ("Tibia links", pyramid)):
        lines += [f"g {name}", *(f"v {x} {y} {z}" for x, y, z in mesh.vertices)]
        lines += [f"f {a + before} {b + before} {c + before}" for a, b, c in mesh.faces]
        before += len(mesh.vertices)
    (tmp_path / "knee.obj").write_text("\r\n".join(lines))
    meshes, found = find_meshes(tmp_path / "knee.obj")
    assert list(meshes) == ["femur", "tibia"] and found.side == "L"
    assert meshes["tibia"].volume() == pytest.approx(1000)


def test_a_folder_of_other_files_is_refused_by_their_names(tmp_path):
    (tmp_path / "femur.off").write_text("OFF")
    with pytest.raises(MeshError, match="found femur.off.*or .stl"):
        find_meshes(tmp_path)


@pytest.mark.parametrize("face", ["f 1 2 999999999", f"f 1 2 {10**20}", "f 1 2 -9", "f 1 b 2"])
def test_an_obj_file_with_faces_of_nothing_is_refused(tmp_path, face):
    (tmp_path / "a.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\n{face}\n")
    with pytest.raises(MeshError, match="a.obj cannot be"):
        read_mesh(tmp_path / "a.obj")


@pytest.mark.parametrize("scale", [1e5, 1e30])
def test_a_surface_of_impossible_size_is_refused(tmp_path, pyramid, scale):
    written(tmp_path / "femur.ply", pyramid.transformed(np.diag([scale] * 3 + [1])), None)
    with pytest.raises(MeshError, match="within 10000 mm is expected"):
        read_mesh(tmp_path / "femur.ply")

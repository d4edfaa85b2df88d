"""Triangle meshes of bones: the type, its measures, VTK, and files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.bone_names import NamedSurface, NameMatch, match_bones
from SSRKDLib.core.errors import MeshError, OutputError
from SSRKDLib.core.input_files import beginning, regular_file
from SSRKDLib.core.messages import Message
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.core.reading_child import apart
from SSRKDLib.surfaces.mesh import Mesh, _tidy, from_polydata
from SSRKDLib.surfaces.obj import read_obj
from SSRKDLib.surfaces.ply import read_ply, write_ply

#: File endings :func:`read_mesh` understands.
SUFFIXES: tuple[str, ...] = (".ply", ".stl", ".obj", ".vtp", ".vtk")

_READABLE = "Give a PLY, STL, OBJ, VTP or VTK file of one bone's surface, in millimetres."

#: No bone's surface takes more, bytes.
_LARGEST_FILE = 1 << 30

#: Larger files, bytes, take seconds and are read apart; starting that process takes one.
_READ_HERE = 8 << 20

#: No bone lies farther from the origin of a scanner, mm.
_FARTHEST_MM = 1e4

#: From RAS to LPS, both mm.
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_mesh(path: str | Path) -> Mesh:
    """Read a surface from a PLY, STL, OBJ, VTP or legacy VTK file, in the file's units.

    A surface whose file says that it is in RAS, as 3D Slicer writes on request, is turned to LPS;
    any other is in the file's frame. Corners that are stored once per face are joined. Raises
    :class:`~SSRKDLib.core.errors.MeshError` where the file is absent, not a surface, cut
    short, empty or contains NaN.
    """
    (mesh,) = _read_parts(Path(path), whole=True).values()
    return mesh


def read_parts(path: str | Path) -> dict[str, Mesh]:
    """The named objects of an OBJ file (:func:`~SSRKDLib.surfaces.obj.read_obj`), or the one
    surface of another file under the file's name; else as :func:`read_mesh`."""
    return _read_parts(Path(path), whole=False)


def _read_parts(path: Path, whole: bool) -> dict[str, Mesh]:
    if path.suffix.lower() not in SUFFIXES:
        raise MeshError(
            Message("{path} is not a kind of mesh file that can be read.", path=path.name),
            _READABLE,
        )
    regular_file(path, MeshError, _LARGEST_FILE)
    by_numpy = path.suffix.lower() in (".ply", ".obj") and path.stat().st_size <= _READ_HERE
    read = _read_here if by_numpy else _read_apart
    return read(path, whole)


def _read_here(path: Path, whole: bool) -> dict[str, Mesh]:
    try:
        space = _stated_space(path)
        if path.suffix.lower() == ".ply":
            parts = {"": _tidy(*read_ply(path))}
        elif path.suffix.lower() == ".obj":
            vertices, objects = read_obj(path)
            if whole and objects:
                objects = {"": np.concatenate(list(objects.values()))}
            parts = {name: _tidy(vertices, faces) for name, faces in objects.items()}
        else:
            mesh, field_space = _read_with_vtk(path)
            parts, space = {"": mesh}, field_space or space
    except OSError as error:
        raise MeshError(
            "{path} cannot be opened ({strerror}).", "Check it.", path=path, strerror=error.strerror
        ) from error
    except (ValueError, OverflowError) as error:
        raise MeshError(
            Message("{path} cannot be read: {error}.", path=path.name, error=error), _READABLE
        ) from error
    except MeshError as error:
        raise MeshError(
            Message("{path} cannot be used: {cause}", path=path.name, cause=error.cause), _READABLE
        ) from error
    if not parts or not all(len(mesh.faces) for mesh in parts.values()):
        raise MeshError(Message("{path} contains no triangles.", path=path.name), _READABLE)
    farthest = max(float(np.abs(mesh.vertices).max()) for mesh in parts.values())
    if farthest > _FARTHEST_MM:
        raise MeshError(
            "The surface in {path} reaches {farthest:.3g} mm from the origin; a bone "
            "within {farthest_mm:g} mm is expected.",
            "Check the file and its units.",
            path=path.name,
            farthest=farthest,
            farthest_mm=_FARTHEST_MM,
        )
    turn = _RAS_TO_LPS if space == "RAS" else np.eye(4)
    return {name or path.stem: _joined(mesh).transformed(turn) for name, mesh in parts.items()}


@apart(MeshError)
def _read_apart(path: Path, whole: bool) -> dict[str, Mesh]:
    return _read_here(path, whole)


def _stated_space(path: Path) -> str | None:
    """What 3D Slicer writes into a comment or the header: ``SPACE=RAS`` or ``SPACE=LPS``."""
    with path.open("rb") as file:
        found = re.search(rb"SPACE=(RAS|LPS)", file.read(2048))
    return found[1].decode() if found else None


def _joined(mesh: Mesh) -> Mesh:
    """The mesh with vertices of one place made one: with an edge per face, distances hold, but
    nothing lies inside. One without such vertices is left as it is, in its order."""
    places, first, inverse = np.unique(
        mesh.vertices, axis=0, return_index=True, return_inverse=True
    )
    if len(places) == len(mesh.vertices):
        return mesh
    return _tidy(mesh.vertices[first], inverse.reshape(-1)[mesh.faces])


def _read_with_vtk(path: Path) -> tuple[Mesh, str | None]:
    """The surface, and the space that its field data state."""
    from vtkmodules.vtkCommonCore import vtkObject
    from vtkmodules.vtkIOGeometry import vtkSTLReader
    from vtkmodules.vtkIOLegacy import vtkPolyDataReader
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    suffix = path.suffix.lower()
    is_text = suffix == ".stl" and _is_whole_text(path)
    readers = {".stl": vtkSTLReader, ".vtk": vtkPolyDataReader, ".vtp": vtkXMLPolyDataReader}
    reader = readers[suffix]()
    if suffix == ".stl":
        reader.MergingOff()
    reader.SetFileName(str(path))
    # A bad file is recognised by what came out of it; VTK's own words go to the terminal only.
    display = vtkObject.GetGlobalWarningDisplay()
    vtkObject.SetGlobalWarningDisplay(0)
    try:
        reader.Update()
    finally:
        vtkObject.SetGlobalWarningDisplay(display)
    if reader.GetOutput().GetNumberOfPolys() + reader.GetOutput().GetNumberOfStrips() == 0:
        if is_text:
            raise MeshError("Its text is cut off, or contains something else than facets.")
        raise MeshError("There is no {upper} surface in it.", upper=suffix[1:].upper())
    space = reader.GetOutput().GetFieldData().GetAbstractArray("SPACE")
    stated = space.GetValue(0) if space is not None and space.GetNumberOfValues() else None
    return from_polydata(reader.GetOutput()), stated


def _is_whole_text(path: Path) -> bool:
    """Whether an STL is text. Of a binary one VTK does not believe the number of triangles: it
    would read what is there of a cut file, and what stands behind the last as more of them."""
    with open(path, "rb") as file:
        start = file.read(1 << 16)  # an ASCII file's first line may be long
    if start.lstrip()[:5].lower() == b"solid" and b"facet" in start.lower():
        return True
    count = int.from_bytes(start[80:84], "little")
    more = path.stat().st_size - 84 - 50 * count
    if more < 0:
        raise MeshError("It ends too early.")
    if more % 50 or (more and count):  # some programs leave the number at zero
        raise MeshError(
            "It has more data after the triangles that it states ({count}).", count=count
        )
    return False


_COMMENTS = ("SPACE=LPS", "units mm")


def write_mesh(
    path: str | Path,
    mesh: Mesh,
    colour: tuple[float, float, float] | None = None,
    scalars: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a binary little-endian PLY of triangles with normals (float32, LPS, mm).

    The comment ``SPACE=LPS`` is the one 3D Slicer looks for; ``colour`` is sRGB, 0..1;
    ``scalars`` are further properties of the vertices, ``[N]`` by name.
    Raises :class:`~SSRKDLib.core.errors.OutputError` where the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".ply":
        raise OutputError(
            "Meshes are written as PLY, not as {path}.", "Use a .ply name.", path=path.name
        )
    try:
        write_ply(
            path, mesh.vertices, mesh.faces, mesh.vertex_normals(), colour, _COMMENTS, scalars
        )
    except OSError as error:
        raise cannot_write(path, error) from error


def is_written_mesh(path: Path) -> bool:
    """Whether a file is one of :func:`write_mesh`, which no other program saved since."""
    wanted = "".join(f"comment {comment}\n" for comment in _COMMENTS).encode()
    return wanted in beginning(path, 200)


def read_meshes(folder: str | Path) -> dict[str, Mesh]:
    """The bones found in a folder, by file name (``femur.ply``, ``left_Femur.stl``, ...).

    Names are read by :func:`~SSRKDLib.core.bone_names.match_bones`. Bones without a file are absent
    from the result, which keeps the order of :data:`~SSRKDLib.core.anatomy.BONES`. Raises
    :class:`~SSRKDLib.core.errors.MeshError` where the folder is absent or contains none, or two
    files match one bone.
    """
    return find_meshes(folder)[0]


def find_meshes(
    path: str | Path,
    laterality: str | None = None,
    chosen: Mapping[str, str] | None = None,
) -> tuple[dict[str, Mesh], NameMatch]:
    """As :func:`read_meshes`, with what was matched; also of one file of a bone that it is named
    after, and of an OBJ file with an object per bone, alone in the folder or by its path.

    ``laterality`` and ``chosen`` as for :func:`~SSRKDLib.core.bone_names.match_bones`.
    """
    path = Path(path)
    single = [path] if path.is_file() else _mesh_files(path)
    if path.is_dir() and not (len(single) == 1 and single[0].suffix.lower() == ".obj"):
        files, matching = match_files(path, laterality, chosen)
        return {bone: read_mesh(files[name]) for bone, name in matching.bones.items()}, matching
    parts = read_parts(single[0])
    matching = _matched({name: name for name in parts}, single[0], laterality, chosen)
    return {bone: parts[name] for bone, name in matching.bones.items()}, matching


def match_files(
    folder: str | Path,
    laterality: str | None = None,
    chosen: Mapping[str, str] | None = None,
) -> tuple[dict[str, Path], NameMatch]:
    """The mesh files of a folder by name (without ending), and which is which bone.

    ``laterality`` and ``chosen`` as for :func:`~SSRKDLib.core.bone_names.match_bones`.
    Raises what :func:`read_meshes` raises, but for what is inside the files.
    """
    found = _mesh_files(Path(folder))
    # One bone may lie there in two formats: then the whole name tells them apart.
    stems = [path.stem for path in found]
    files = {p.stem if stems.count(p.stem) == 1 else p.name: p for p in found}
    return files, _matched({n: p.name for n, p in files.items()}, Path(folder), laterality, chosen)


def _mesh_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MeshError("The folder '{folder}' does not exist.", "Check the path.", folder=folder)
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _matched(
    shown: Mapping[str, str], place: Path, laterality: str | None, chosen: Mapping[str, str] | None
) -> NameMatch:
    """Which name is which bone; in messages it is called as shown."""
    matching = match_bones([NamedSurface(name) for name in shown], laterality, chosen)
    for bone, candidates in matching.candidates.items():
        both = " and ".join(shown[name] for name in candidates[:2])
        raise MeshError(
            "Both {both} in {place} match the {bone}.",
            "Remove one.",
            both=both,
            place=place,
            bone=bone,
        )
    if not matching.bones:
        wanted = ", ".join(f"{bone}.ply" for bone in BONES)
        there = sorted(p.name for p in place.iterdir()) if place.is_dir() else sorted(shown)
        more = ", ..." if len(there) > 4 else ""
        raise MeshError(
            "There is no bone surface in {place}" + (" (found {found})." if there else "."),
            "Expected any of {wanted} (or {kinds}).",
            place=place,
            found=", ".join(there[:4]) + more,
            wanted=wanted,
            kinds=", ".join(SUFFIXES[1:]),
        )
    return matching

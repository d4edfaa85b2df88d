"""Triangle meshes of bones: the type, its measures, VTK, and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.bone_names import NamedSurface, NameMatch, match_bones
from SSRKDLib.core.errors import MeshError, OutputError
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.surfaces.mesh import Mesh, _tidy, from_polydata
from SSRKDLib.surfaces.ply import read_ply, write_ply

#: File endings :func:`read_mesh` understands.
SUFFIXES: tuple[str, ...] = (".ply", ".stl", ".obj", ".vtp")

_READABLE = "Give a PLY, STL, OBJ or VTP file of one bone's surface, in millimetres."


def read_mesh(path: str | Path) -> Mesh:
    """Read a surface from a PLY, STL, OBJ or VTP file, in the file's frame and units.

    Corners that STL and OBJ files store once per face are joined. Raises
    :class:`~SSRKDLib.core.errors.MeshError` where the file is absent, not a surface, cut
    short, empty or contains NaN.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise MeshError(f"{path.name} is not a kind of mesh file that can be read.", _READABLE)
    if not path.is_file():
        raise MeshError(f"'{path}' was not found.", "Check the path.")
    try:
        if path.suffix.lower() == ".ply":
            mesh = _tidy(*read_ply(path))
        else:
            mesh = _read_with_vtk(path)
    except OSError as error:
        raise MeshError(f"{path} cannot be opened ({error.strerror}).", "Check it.") from error
    except ValueError as error:
        raise MeshError(f"{path.name} cannot be read: {error}.", _READABLE) from error
    except MeshError as error:
        raise MeshError(f"{path.name} cannot be used: {error.cause}", _READABLE) from error
    if not len(mesh.faces):
        raise MeshError(f"{path.name} contains no triangles.", _READABLE)
    return mesh


def _read_with_vtk(path: Path) -> Mesh:
    from vtkmodules.vtkCommonCore import vtkObject
    from vtkmodules.vtkFiltersCore import vtkCleanPolyData
    from vtkmodules.vtkIOGeometry import vtkOBJReader, vtkSTLReader
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    suffix = path.suffix.lower()
    if suffix == ".stl":
        _check_stl_length(path)
    readers = {".stl": vtkSTLReader, ".obj": vtkOBJReader, ".vtp": vtkXMLPolyDataReader}
    reader = readers[suffix]()
    reader.SetFileName(str(path))
    # A bad file is recognised by what came out of it; VTK's own words go to the terminal only.
    display = vtkObject.GetGlobalWarningDisplay()
    vtkObject.SetGlobalWarningDisplay(0)
    try:
        reader.Update()
    finally:
        vtkObject.SetGlobalWarningDisplay(display)
    if reader.GetOutput().GetNumberOfPolys() + reader.GetOutput().GetNumberOfStrips() == 0:
        raise ValueError(f"there is no {suffix[1:].upper()} surface in it")
    if suffix == ".vtp":
        return from_polydata(reader.GetOutput())
    join = vtkCleanPolyData()
    join.SetInputConnection(reader.GetOutputPort())
    join.SetTolerance(0.0)
    join.Update()
    return from_polydata(join.GetOutput())


def _check_stl_length(path: Path) -> None:
    """VTK reads a binary STL that was cut short as far as it goes, without a word."""
    with open(path, "rb") as file:
        start = file.read(1024)
    if b"facet" in start or len(start) < 84:
        return
    count = int.from_bytes(start[80:84], "little")
    if path.stat().st_size < 84 + 50 * count:
        raise ValueError("it ends too early")


_COMMENTS = ("SPACE=LPS", "units mm")


def write_mesh(
    path: str | Path, mesh: Mesh, colour: tuple[float, float, float] | None = None
) -> None:
    """Write a binary little-endian PLY of triangles with normals (float32, LPS, mm).

    The comment ``SPACE=LPS`` is the one 3D Slicer looks for; ``colour`` is sRGB, 0..1.
    Raises :class:`~SSRKDLib.core.errors.OutputError` where the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".ply":
        raise OutputError(f"Meshes are written as PLY, not as {path.name}.", "Use a .ply name.")
    try:
        write_ply(path, mesh.vertices, mesh.faces, mesh.vertex_normals(), colour, _COMMENTS)
    except OSError as error:
        raise cannot_write(path, error) from error


def is_written_mesh(path: Path) -> bool:
    """Whether a file is one of :func:`write_mesh`, which no other program saved since."""
    wanted = "".join(f"comment {comment}\n" for comment in _COMMENTS).encode()
    try:
        with path.open("rb") as file:
            return wanted in file.read(200)
    except OSError:
        return False


def read_meshes(folder: str | Path, laterality: str | None = None) -> dict[str, Mesh]:
    """The bones found in a folder, by file name (``femur.ply``, ``left_Femur.stl``, ...).

    Names are read by :func:`~SSRKDLib.core.bone_names.match_bones`; ``laterality`` ("L", "R")
    picks one knee of two. Bones without a file are absent from the result, which keeps the order of
    :data:`~SSRKDLib.core.anatomy.BONES`. Raises :class:`~SSRKDLib.core.errors.MeshError` where the
    folder is absent or contains none, two files match one bone, or the bones are of the other side.
    """
    files, matching = match_files(folder, laterality)
    return {bone: read_mesh(files[name]) for bone, name in matching.bones.items()}


def match_files(
    folder: str | Path,
    laterality: str | None = None,
    chosen: Mapping[str, str] | None = None,
) -> tuple[dict[str, Path], NameMatch]:
    """The mesh files of a folder by name (without ending), and which is which bone.

    ``laterality`` and ``chosen`` as for :func:`~SSRKDLib.core.bone_names.match_bones`.
    Raises what :func:`read_meshes` raises, but for what is inside the files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MeshError(f"The folder '{folder}' does not exist.", "Check the path.")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    # One bone may lie there in two formats: then the whole name tells them apart.
    stems = [path.stem for path in found]
    files = {p.stem if stems.count(p.stem) == 1 else p.name: p for p in found}
    matching = match_bones([NamedSurface(name) for name in files], laterality, chosen)
    for bone, candidates in matching.candidates.items():
        names = " and ".join(files[name].name for name in candidates[:2])
        raise MeshError(f"Both {names} in {folder} match the {bone}.", "Remove one.")
    if not matching.bones:
        names = ", ".join(f"{bone}.ply" for bone in BONES)
        raise MeshError(f"There is no bone surface in {folder}.", f"Expected any of {names}.")
    return files, matching

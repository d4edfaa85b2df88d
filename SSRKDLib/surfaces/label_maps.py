"""Bone surfaces from label maps: NIfTI, NRRD, MetaImage and 3D Slicer's ``.seg.nrrd``."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.core.bone_names import NamedSurface, match_bones
from SSRKDLib.core.errors import ImageError, MeshError
from SSRKDLib.images.formats import whole_image_kind
from SSRKDLib.surfaces.mesh import Mesh, from_polydata, to_polydata
from SSRKDLib.surfaces.mesh_files import SUFFIXES, match_files, read_mesh

if TYPE_CHECKING:
    import SimpleITK

#: File endings :func:`read_labelmap_meshes` understands.
LABELMAP_SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")

_REMEDY = "Give a 3-D label map: " + ", ".join(f"{LABELS[bone]} {bone}" for bone in BONES) + "."

#: Windowed sinc smoothing: removes the voxels' steps and keeps the volume.
_SMOOTHING_STEPS = 30
_PASS_BAND = 0.08


class Mask(NamedTuple):
    """A bone's voxels: bool ``array`` [k, j, i], and ``index_to_lps`` [4, 4], mm."""

    array: np.ndarray
    index_to_lps: np.ndarray


class Reference(NamedTuple):
    """Bones as they were found.

    ``meshes`` by bone (LPS mm; from mesh files: in their frame); ``side`` "L", "R" or None;
    ``sentences`` on what was not found; ``masks`` by bone where they come from a label map.
    """

    meshes: dict[str, Mesh]
    side: str | None
    sentences: tuple[str, ...]
    masks: dict[str, Mask]


def read_reference(
    path: str | Path,
    laterality: str | None = None,
    chosen: Mapping[str, str] | None = None,
) -> Reference:
    """The bones in ``path``: a folder of meshes, a label map, or a folder with one.

    ``laterality`` ("L", "R" or None) picks one knee of two, ``chosen`` (bone to name) what the
    user knows better. Raises :class:`~SSRKDLib.core.errors.MeshError`.
    """
    path = Path(path)
    if path.is_dir():
        maps = sorted(item for item in path.iterdir() if _is_labelmap(item))
        has_meshes = any(item.suffix.lower() in SUFFIXES for item in path.iterdir())
        if has_meshes or not maps:
            files, found = match_files(path, laterality, chosen)
            meshes = {bone: read_mesh(files[name]) for bone, name in found.bones.items()}
            return Reference(meshes, found.side, found.sentences, {})
        if len(maps) > 1:
            raise MeshError(f"{path} contains {len(maps)} label maps.", "Name the one to use.")
        path = maps[0]
    masks, side, sentences = _read_masks(path, laterality, chosen)
    meshes = {bone: mask_surface(*mask) for bone, mask in masks.items()}
    return Reference(meshes, side, sentences, masks)


def read_labelmap_meshes(path: str | Path) -> dict[str, Mesh]:
    """Surfaces of the bones in a label map, LPS mm, outward, smoothed without shrinking.

    Bones are found by the names and terminology of a ``.seg.nrrd``'s segments, by the names in
    or beside the file (see :func:`label_names`), else by value: those of
    :data:`~SSRKDLib.core.anatomy.LABELS`. Segments may overlap in layers. Bones the map lacks are
    absent. Surfaces are open where a bone leaves the volume. Raises
    :class:`~SSRKDLib.core.errors.MeshError` for a file that is absent, unreadable, not 3-D or
    without any bone.
    """
    masks, _, _ = _read_masks(Path(path))
    return {bone: mask_surface(*mask) for bone, mask in masks.items()}


def _read_masks(
    path: Path, laterality: str | None = None, chosen: Mapping[str, str] | None = None
) -> tuple[dict[str, Mask], str | None, tuple[str, ...]]:
    """The bones' voxels, the side according to their names, and sentences."""
    if not path.is_file():
        raise MeshError(f"'{path}' was not found.", "Check the path.")
    if not _is_labelmap(path):
        raise MeshError(f"{path.name} is not a kind of label map that can be read.", _REMEDY)
    image = _read(path)
    layers = _layers(image, path)
    affine = _index_to_lps(image)
    segments, side, sentences = _segments(image, path, laterality, chosen)
    masks = {}
    for bone, (layer, value) in segments.items():
        if not 0 <= layer < len(layers):
            raise MeshError(f"{path.name} has no layer for its {bone}.", "Export it again.")
        mask = layers[layer] == value
        if mask.any():
            masks[bone] = Mask(mask, affine)
        else:
            sentences += (f"The {bone} has no voxel in {path.name}.",)
    if not masks:
        raise MeshError(f"{path.name} contains no bone.", _REMEDY)
    return masks, side, sentences


def mask_surface(mask: np.ndarray, index_to_lps: np.ndarray) -> Mesh:
    """Smooth surface of a bool volume ``mask`` [k, j, i], moved by ``index_to_lps`` [4, 4].

    The matrix takes (i, j, k, 1) to mm. Open where the mask touches the volume's faces.
    """
    from scipy.ndimage import find_objects
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter
    from vtkmodules.vtkFiltersGeneral import vtkDiscreteFlyingEdges3D

    # One voxel of background around the bone, except at the volume's faces.
    window = find_objects(mask.astype(np.uint8))[0]
    low = [max(part.start - 1, 0) for part in window]
    crop = mask[tuple(slice(lo, part.stop + 1) for lo, part in zip(low, window))]
    grid = vtkImageData()
    grid.SetDimensions(*crop.shape[::-1])
    values = numpy_to_vtk(np.ascontiguousarray(crop, dtype=np.uint8).ravel(), deep=True)
    grid.GetPointData().SetScalars(values)
    surface = vtkDiscreteFlyingEdges3D()
    surface.SetInputData(grid)
    surface.SetValue(0, 1)
    surface.Update()
    shift = np.eye(4)
    shift[:3, 3] = low[::-1]
    moved = from_polydata(surface.GetOutput()).transformed(np.asarray(index_to_lps) @ shift)
    # Smoothed in mm, where voxels are not cubes.
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputData(to_polydata(moved))
    smooth.SetNumberOfIterations(_SMOOTHING_STEPS)
    smooth.SetPassBand(_PASS_BAND)
    smooth.BoundarySmoothingOff()
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    smooth.Update()
    result = from_polydata(smooth.GetOutput())
    return result if result.volume() >= 0 else Mesh(result.vertices, result.faces[:, ::-1])


def _is_labelmap(path: Path) -> bool:
    return path.name.lower().endswith(LABELMAP_SUFFIXES) and path.is_file()


def _read(path: Path) -> SimpleITK.Image:
    import SimpleITK

    try:
        whole_image_kind(path)
        return SimpleITK.ReadImage(str(path))
    except ImageError as error:
        raise MeshError(error.cause, error.remedy) from error
    except RuntimeError as error:
        raise MeshError(f"{path.name} cannot be read as an image.", _REMEDY) from error


def _layers(image: SimpleITK.Image, path: Path) -> list[np.ndarray]:
    """The volume's layers, each [k, j, i]; more than one where segments overlap."""
    import SimpleITK

    array = SimpleITK.GetArrayFromImage(image)
    if image.GetDimension() != 3 or min(image.GetSize()) < 2:
        size = " x ".join(str(n) for n in image.GetSize())
        raise MeshError(f"{path.name} is not a volume ({size}).", _REMEDY)
    if image.GetNumberOfComponentsPerPixel() == 1:
        return [array]
    return list(np.moveaxis(array, -1, 0))


def _segments(
    image: SimpleITK.Image,
    path: Path,
    laterality: str | None,
    chosen: Mapping[str, str] | None,
) -> tuple[dict[str, tuple[int, int]], str | None, tuple[str, ...]]:
    """Layer and value of every bone, the side, and sentences on what was not found."""
    entries = _named_segments(image, path)
    if not entries:
        entries = [
            (NamedSurface(name), 0, value) for value, name in label_names(path, image).items()
        ]
    if not entries:
        return {bone: (0, value) for bone, value in LABELS.items()}, laterality, ()
    matching = match_bones([named for named, _, _ in entries], laterality, chosen)
    for bone, candidates in matching.candidates.items():
        raise MeshError(
            f"{path.name} has two segments called {bone} ({candidates[0]}, {candidates[1]}).",
            "Rename one, or give the side that is wanted.",
        )
    if not matching.bones:
        found = ", ".join(named.name for named, _, _ in entries[:12])
        raise MeshError(
            f"No segment of {path.name} is named after a bone (found {found}).",
            f"Name segments {', '.join(BONES)}.",
        )
    places = {named.name: (layer, value) for named, layer, value in entries}
    segments = {bone: places[name] for bone, name in matching.bones.items()}
    return segments, matching.side, matching.sentences


def _named_segments(image: SimpleITK.Image, path: Path) -> list[tuple[NamedSurface, int, int]]:
    """Name with terminology, layer and value of the segments in a ``.seg.nrrd``."""
    keys = set(image.GetMetaDataKeys())
    entries = []
    for key in sorted(keys):
        match = re.fullmatch(r"Segment(\d+)_Name", key)
        if not match:
            continue
        number, name = match.group(1), image.GetMetaData(key)
        tags, value, layer = (f"Segment{number}_{what}" for what in ("Tags", "LabelValue", "Layer"))
        codes = (image.GetMetaData(tags),) if tags in keys else ()
        try:
            place = (
                int(image.GetMetaData(layer)) if layer in keys else 0,
                int(image.GetMetaData(value)) if value in keys else 1,
            )
        except ValueError as error:
            raise MeshError(
                f"{path.name}: layer or label value of the segment '{name}' is not a number.",
                "Export the segmentation again.",
            ) from error
        entries.append((NamedSurface(name, codes), *place))
    # Two segments of one name would hide each other.
    counts = Counter(named.name for named, _, _ in entries)
    return [
        (named if counts[named.name] == 1 else named._replace(name=f"{named.name} #{n}"), *place)
        for n, (named, *place) in enumerate(entries)
    ]


def label_names(path: Path, image: SimpleITK.Image) -> dict[int, str]:
    """Names of the values of a label map (file and content), from the file itself or one beside it;
    {} if none.

    Looked for: TotalSegmentator's list in the header of a NIfTI file; ``NAME.json`` or nnU-Net's
    ``dataset.json`` with value and name in either order; ``NAME.ctbl``, ``NAME.txt`` or
    ``NAME.label`` as colour tables of 3D Slicer or ITK-SNAP. JSON files about other things, such
    as those that dcm2niix writes, are ignored: one counts where it, or its ``labels``, maps values
    to names and nothing else, and the label map has one of these values.
    """
    stem = re.sub(r"(\.seg)?(\.nii\.gz|\.\w+)$", "", path.name, flags=re.IGNORECASE)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        names = _names_in_nifti(path)
        if names:
            return names
    for name in (f"{stem}.json", "dataset.json"):
        names = _names_in_json(path.parent / name) if (path.parent / name).is_file() else {}
        if names and _has_value(image, names):
            return names
    for suffix in (".ctbl", ".label", ".txt"):
        if (path.parent / (stem + suffix)).is_file():
            return _names_in_table(path.parent / (stem + suffix))
    return {}


def _names_in_nifti(path: Path) -> dict[int, str]:
    """Labels that TotalSegmentator writes as XML between a NIfTI's header and its voxels."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        start = file.read(65536)
    found = re.findall(rb'<Label Key="(\d+)"[^>]*>(?:<!\[CDATA\[)?([^<\]]+)', start)
    return {int(value): name.decode("utf-8", "replace").strip() for value, name in found}


def _names_in_json(path: Path) -> dict[int, str]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MeshError(f"{path.name} cannot be read as JSON.", "Correct or remove it.") from error
    labels = data.get("labels", data) if isinstance(data, dict) else None
    names = {}
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if key.isdecimal() and len(key) < 20 and isinstance(value, str):
            names[int(key)] = value
        elif type(value) is int:
            names[value] = key
        elif labels is data:
            return {}
    return {value: name for value, name in names.items() if value > 0}


def _has_value(image: SimpleITK.Image, values: Iterable[int]) -> bool:
    import SimpleITK

    return bool(np.isin(SimpleITK.GetArrayViewFromImage(image), list(values)).any())


def _names_in_table(path: Path) -> dict[int, str]:
    """Rows ``value name r g b a`` (3D Slicer) or ``value r g b a v m "name"`` (ITK-SNAP)."""
    names = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        slicer = re.match(r"\s*(\d+)\s+([A-Za-z]\S*)\s+\d", line)
        snap = re.match(r"\s*(\d+)\s+\d.*\"([^\"]+)\"\s*$", line)
        match = slicer or snap
        if match and int(match.group(1)) > 0:
            names[int(match.group(1))] = match.group(2)
    return names


def _index_to_lps(image: SimpleITK.Image) -> np.ndarray:
    """The matrix [4, 4] that takes voxel indices (i, j, k, 1) to LPS mm."""
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine

"""Bone surfaces from label maps: NIfTI, NRRD, MetaImage and 3D Slicer's ``.seg.nrrd``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.core.bone_names import NamedSurface, identify, match_bones
from SSRKDLib.core.errors import ImageError, MeshError
from SSRKDLib.core.input_files import regular_file
from SSRKDLib.core.messages import Message
from SSRKDLib.core.reading_child import apart
from SSRKDLib.images.dicom_files import has_preamble, read_dicom
from SSRKDLib.images.volumes import read_volume
from SSRKDLib.surfaces.label_checks import check_assumed, filled_window, left_out, one_leg, unplaced
from SSRKDLib.surfaces.label_names import label_names, named_segments
from SSRKDLib.surfaces.mesh import Mesh, from_polydata, to_polydata
from SSRKDLib.surfaces.mesh_files import SUFFIXES, find_meshes

#: File endings of label maps that :func:`read_reference` understands.
LABELMAP_SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")

_REMEDY = "Give a 3-D label map: " + ", ".join(f"{LABELS[bone]} {bone}" for bone in BONES) + "."

#: Windowed sinc smoothing: removes the voxels' steps and keeps the volume.
_SMOOTHING_STEPS = 30
_PASS_BAND = 0.08

#: A bone is cut where its section has this share of the section so many mm further in.
_CUT_SHARE, _FURTHER_IN_MM = 0.7, 4.0

#: Labels may be so far from whole numbers.
_HAIR = 0.01


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
    """The bones in ``path``: meshes in a folder or a file, a label map, a folder with one, or with
    a file of voxels per structure.

    Bones of a label map are found by the names and terminology of a ``.seg.nrrd``'s segments, by
    the names in or beside the file (see :func:`~SSRKDLib.surfaces.label_names.label_names`), by the
    name of a file with one label, else by value, where size and place allow it: those of
    :data:`~SSRKDLib.core.anatomy.LABELS`. Segments may overlap in layers. Their surfaces are
    outward, smoothed without shrinking, and open where a bone leaves the volume. Bones that
    ``path`` lacks are absent.

    ``laterality`` ("L", "R" or None) picks one knee of two, ``chosen`` (bone to name, or to the
    value of a label map) what the user knows better. Raises
    :class:`~SSRKDLib.core.errors.MeshError` for a file that is absent, unreadable, not 3-D or
    without any bone.
    """
    path = Path(path)
    if path.is_dir():
        maps = sorted(item for item in path.iterdir() if _is_labelmap(item))
        has_meshes = any(item.suffix.lower() in SUFFIXES for item in path.iterdir())
        if has_meshes or not maps:
            for item in () if has_meshes else sorted(filter(Path.is_file, path.iterdir())):
                if has_preamble(item):
                    raise _of_another_kind(item)
            return _of_meshes(path, laterality, chosen)
        found = _read_mask_files(maps, laterality, chosen) if len(maps) > 1 else None
        if len(maps) > 1 and found is None:
            raise MeshError(
                "{path} contains {count} label maps.",
                "Name the one to use.",
                path=path,
                count=len(maps),
            )
        masks, side, sentences = found or _read_masks(maps[0], laterality, chosen)
    elif path.suffix.lower() in SUFFIXES and path.is_file():
        return _of_meshes(path, laterality, chosen)
    else:
        masks, side, sentences = _read_masks(path, laterality, chosen)
    meshes = {bone: mask_surface(*mask) for bone, mask in masks.items()}
    return Reference(meshes, side, sentences, masks)


def _of_meshes(path: Path, laterality: str | None, chosen: Mapping[str, str] | None) -> Reference:
    meshes, found = find_meshes(path, laterality, chosen)
    return Reference(meshes, found.side, found.sentences, {})


def _read_masks(
    path: Path, laterality: str | None, chosen: Mapping[str, str] | None
) -> tuple[dict[str, Mask], str | None, tuple[str, ...]]:
    """The bones' voxels, the side according to their names, and sentences."""
    entries, layers, affine = _read(path)
    segments = _segments(entries, layers, path, laterality, chosen)
    found, missing = {}, []
    for bone, (layer, value) in segments.places.items():
        if value == 0:
            raise MeshError(
                "The {bone} in {path} would be the value 0, which is the background.",
                "Export it again, or say which value is which bone (compare: --pick femur=75).",
                path=path.name,
                bone=bone,
            )
        if not 0 <= layer < len(layers):
            raise MeshError(
                "{path} has no layer for its {bone}.", "Export it again.", path=path.name, bone=bone
            )
        mask = layers[layer] == value
        if mask.any():
            found[bone] = mask
        else:
            missing.append(Message("The {bone} has no voxel in {path}.", bone=bone, path=path.name))
    if not found:
        raise MeshError(Message("{path} contains no bone.", path=path.name), _REMEDY)
    masks, sentences = _of_one_leg(
        {bone: Mask(mask, affine) for bone, mask in found.items()}, segments.side, path.name
    )
    if segments.assumed:
        arrays = {bone: mask.array for bone, mask in masks.items()}
        sentences.append(check_assumed(arrays, affine, path.name))
    sentences += unplaced(affine, path.name)
    return masks, segments.side, (*segments.sentences, *missing, *sentences)


def _read_mask_files(
    paths: list[Path], laterality: str | None, chosen: Mapping[str, str] | None
) -> tuple[dict[str, Mask], str | None, tuple[str, ...]] | None:
    """As :func:`_read_masks` of files that are named after a structure and contain its voxels
    alone, as TotalSegmentator writes them; empty ones are ignored. None where no file is named
    after a bone."""
    stems = {_stem(path): path for path in paths}
    wanted = set((chosen or {}).values())
    masks = {}
    for stem, path in stems.items():
        if identify(NamedSurface(stem)) is not None or stem in wanted:
            _, layers, affine = _read(path)
            mask = layers[0] != 0
            if len(layers) > 1 or (mask.any() and np.ptp(layers[0][mask]) > 0):
                return None  # not of one structure
            if mask.any():
                masks[stem] = Mask(mask, affine)
    if not masks:
        return None
    matching = match_bones([NamedSurface(stem) for stem in masks], laterality, chosen)
    for bone, candidates in matching.candidates.items():
        raise MeshError(
            "Both {first_candidate} and {second_candidate} match the {bone}.",
            "Remove one, or give the side that is wanted.",
            first_candidate=candidates[0],
            second_candidate=candidates[1],
            bone=bone,
        )
    found = {bone: masks[stem] for bone, stem in matching.bones.items()}
    found, sentences = _of_one_leg(found, matching.side, paths[0].parent.name)
    sentences += unplaced(next(iter(found.values())).index_to_lps, paths[0].parent.name)
    return found, matching.side, (*matching.sentences, *sentences)


def _of_one_leg(
    masks: dict[str, Mask], side: str | None, name: str
) -> tuple[dict[str, Mask], list[str]]:
    """The masks without what belongs to the other leg, and a sentence where something did."""
    kept, other = {}, False
    for bone, mask in masks.items():
        array, more = one_leg(*mask, side, f"The {bone} in {name}")
        kept[bone], other = Mask(array, mask.index_to_lps), other or more
    return kept, [left_out(side, name)] if other else []


def mask_surface(mask: np.ndarray, index_to_lps: np.ndarray) -> Mesh:
    """Smooth surface of a bool volume ``mask`` [k, j, i], moved by ``index_to_lps`` [4, 4].

    The matrix takes (i, j, k, 1) to mm. Open where a face of the volume cuts the bone, which is as
    thick there as further in; closed where a volume that was cropped to the bone merely touches it.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter
    from vtkmodules.vtkFiltersGeneral import vtkDiscreteFlyingEdges3D

    window = filled_window(mask)
    bone = mask[window]
    at_face = [(part.start == 0, part.stop == size) for part, size in zip(window, mask.shape)]
    spacing = np.linalg.norm(np.asarray(index_to_lps)[:3, :3], axis=0)
    margins = 1 - (at_face & _cut_ends(bone, spacing[::-1]))
    crop = np.pad(bone, margins)
    grid = vtkImageData()
    grid.SetDimensions(*crop.shape[::-1])
    values = numpy_to_vtk(np.ascontiguousarray(crop, dtype=np.uint8).ravel(), deep=True)
    grid.GetPointData().SetScalars(values)
    surface = vtkDiscreteFlyingEdges3D()
    surface.SetInputData(grid)
    surface.SetValue(0, 1)
    surface.Update()
    shift = np.eye(4)
    shift[:3, 3] = ([part.start for part in window] - margins[:, 0])[::-1]
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


def _cut_ends(bone: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Whether a bone that fills its array looks cut at each end of each axis, ``[3, 2]`` bool;
    ``spacing``: mm along the axes."""
    cut = np.empty((3, 2), dtype=bool)
    for axis in range(3):
        sections = bone.sum(axis=tuple({0, 1, 2} - {axis}))
        inside = min(max(1, round(_FURTHER_IN_MM / spacing[axis])), len(sections) - 1)
        cut[axis, 0] = sections[0] >= _CUT_SHARE * sections[inside]
        cut[axis, 1] = sections[-1] >= _CUT_SHARE * sections[-1 - inside]
    return cut


def _is_labelmap(path: Path) -> bool:
    return path.name.lower().endswith(LABELMAP_SUFFIXES) and path.is_file()


def _stem(path: Path) -> str:
    return re.sub(r"(\.seg)?(\.nii\.gz|\.\w+)$", "", path.name, flags=re.IGNORECASE)


def _read(path: Path) -> tuple[dict[str, str], list[np.ndarray], np.ndarray]:
    """The entries of a label map's header, its layers, each [k, j, i] (more than one where
    segments overlap or have a layer each), and the matrix [4, 4] from (i, j, k, 1) to LPS mm."""
    regular_file(path, MeshError)
    if not _is_labelmap(path):
        raise _of_another_kind(path)
    try:
        volume = read_volume(path)
    except ImageError as error:
        raise MeshError(error.cause, error.remedy) from error
    array = volume.array
    if volume.components > 1:
        array = np.moveaxis(array, -1, 0)
    elif array.ndim == 3:
        array = array[None]
    # Several channels may be stored as a fourth or fifth dimension.
    array = array.reshape(-1, *array.shape[-3:]) if array.ndim > 3 else array
    if array.ndim != 4 or min(array.shape[1:]) < 2:
        size = " x ".join(str(n) for n in volume.array.shape[::-1])
        raise MeshError(
            Message("{path} is not a volume ({size}).", path=path.name, size=size), _REMEDY
        )
    layers = [_whole_numbers(layer, path) for layer in array]
    return volume.entries, layers, volume.index_to_lps


def _whole_numbers(layer: np.ndarray, path: Path) -> np.ndarray:
    """Labels that a scale factor in the file has left a hair off whole numbers, rounded."""
    if not np.issubdtype(layer.dtype, np.floating):
        return layer
    if (np.abs(layer) < 2.0**53).all():
        rounded = np.rint(layer)
        if np.abs(layer - rounded).max() < _HAIR:
            return rounded.astype(np.int64)
    raise MeshError(
        "{path} is not a label map: its values are not whole numbers.",
        "Give labels, not the image itself nor probabilities.",
        path=path.name,
    )


@apart(MeshError)
def _of_another_kind(path: Path) -> MeshError:
    if not has_preamble(path):
        return MeshError(
            Message("{path} is not a kind of label map that can be read.", path=path.name), _REMEDY
        )
    dataset = read_dicom(path, ["Modality"])
    kind = {"SEG": "segmentation", "RTSTRUCT": "structure set"}.get(
        str(dataset.get("Modality")), "file"
    )
    return MeshError(
        "'{path}' is a DICOM {kind}, which is not read as a label map.",
        "Open it in 3D Slicer (extension QuantitativeReporting or SlicerRT) and "
        "export the segmentation as .seg.nrrd or NIfTI.",
        path=path.name,
        kind=kind,
    )


class _Segments(NamedTuple):
    """Layer and value of every bone, the side, sentences on what was not found, and whether
    values stand for bones although nothing says so."""

    places: dict[str, tuple[int, int]]
    side: str | None
    sentences: tuple[str, ...] = ()
    assumed: bool = False


def _segments(
    header: dict[str, str],
    layers: list[np.ndarray],
    path: Path,
    laterality: str | None,
    chosen: Mapping[str, str] | None,
) -> _Segments:
    entries = named_segments(header, path, len(layers))
    if not entries:
        entries = [
            (NamedSurface(name), *_place(value, layers))
            for value, name in label_names(path, layers).items()
        ]
    if not entries:
        entries = _named_by_file(path, layers)
    known = {named.name for named, _, _ in entries}
    by_value = {
        bone: int(name)
        for bone, name in (chosen or {}).items()
        if bone in BONES and name.isdecimal() and name not in known
    }
    picked = {bone: _place(value, layers) for bone, value in by_value.items()}
    if not entries:
        if picked:
            return _Segments(picked, laterality)
        defaults = {bone: _place(value, layers) for bone, value in LABELS.items()}
        return _Segments(defaults, laterality, assumed=True)
    by_name = {bone: name for bone, name in (chosen or {}).items() if bone not in by_value}
    matching = match_bones([named for named, _, _ in entries], laterality, by_name)
    for bone, candidates in matching.candidates.items():
        if bone not in picked:
            raise MeshError(
                "{path} has two segments called {bone} ({first_candidate}, {second_candidate}).",
                "Rename one, or give the side that is wanted.",
                path=path.name,
                bone=bone,
                first_candidate=candidates[0],
                second_candidate=candidates[1],
            )
    if not matching.bones and not picked:
        found = ", ".join(named.name for named, _, _ in entries[:12])
        raise MeshError(
            "No segment of {path} is named after a bone (found {found}).",
            "Name segments {bones}.",
            path=path.name,
            found=found,
            bones=", ".join(BONES),
        )
    places = {named.name: (layer, value) for named, layer, value in entries}
    segments = {bone: places[name] for bone, name in matching.bones.items()}
    return _Segments({**segments, **picked}, matching.side, matching.sentences)


def _place(value: int, layers: list[np.ndarray]) -> tuple[int, int]:
    """Layer and value of a label; of labels with a layer each, the first may be background."""
    if len(layers) == 1 or value == 0:
        return 0, value
    with_background = np.count_nonzero(layers[0]) > layers[0].size / 2
    return (value if with_background else value - 1), 1


def _named_by_file(path: Path, layers: list[np.ndarray]) -> list[tuple[NamedSurface, int, int]]:
    """The bone that a map of one value is named after."""
    named = NamedSurface(_stem(path))
    if len(layers) > 1 or identify(named) is None:
        return []
    inside = layers[0][layers[0] != 0]
    return [(named, 0, int(inside[0]))] if inside.size and np.ptp(inside) == 0 else []

"""Bone surfaces from label maps: NIfTI, NRRD, MetaImage and 3D Slicer's ``.seg.nrrd``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.anatomy import BONES, LABELS
from SSRKDLib.errors import ImageError, MeshError
from SSRKDLib.image_files import whole_image_kind
from SSRKDLib.meshes import SUFFIXES, Mesh, from_polydata, read_meshes, to_polydata

if TYPE_CHECKING:
    import SimpleITK

#: File endings :func:`read_labelmap_meshes` understands.
LABELMAP_SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")

_REMEDY = "Give a 3-D label map: " + ", ".join(f"{LABELS[bone]} {bone}" for bone in BONES) + "."

#: Windowed sinc smoothing: removes the voxels' steps and keeps the volume.
_SMOOTHING_STEPS = 30
_PASS_BAND = 0.08


def read_bones(path: str | Path) -> dict[str, Mesh]:
    """The bones in ``path``: a folder of meshes, a label map, or a folder with one.

    Surfaces are in LPS mm (meshes: in their file's frame). Raises
    :class:`~SSRKDLib.errors.MeshError`.
    """
    path = Path(path)
    if not path.is_dir():
        return read_labelmap_meshes(path)
    maps = sorted(item for item in path.iterdir() if _is_labelmap(item))
    has_meshes = any(item.suffix.lower() in SUFFIXES for item in path.iterdir())
    if has_meshes or not maps:
        return read_meshes(path)
    if len(maps) > 1:
        raise MeshError(f"{path} holds {len(maps)} label maps.", "Name the one to use.")
    return read_labelmap_meshes(maps[0])


def read_labelmap_meshes(path: str | Path) -> dict[str, Mesh]:
    """Surfaces of the bones in a label map, LPS mm, outward, smoothed without shrinking.

    Values are those of :data:`~SSRKDLib.anatomy.LABELS`, unless the file names its
    segments (``.seg.nrrd``), which then decide; segments may overlap in layers. Bones the
    map lacks are absent. Surfaces are open where a bone leaves the volume. Raises
    :class:`~SSRKDLib.errors.MeshError` for a file that is absent, unreadable, not 3-D or
    without any bone.
    """
    path = Path(path)
    if not path.is_file():
        raise MeshError(f"There is no file {path}.", "Check the path.")
    if not _is_labelmap(path):
        raise MeshError(f"{path.name} is not a kind of label map that can be read.", _REMEDY)
    image = _read(path)
    layers = _layers(image, path)
    affine = _index_to_lps(image)
    meshes = {}
    for bone, (layer, value) in _segments(image, path).items():
        if not 0 <= layer < len(layers):
            raise MeshError(f"{path.name} lacks the layer of its {bone}.", "Export it again.")
        mask = layers[layer] == value
        if mask.any():
            meshes[bone] = mask_surface(mask, affine)
    if not meshes:
        raise MeshError(f"{path.name} holds no bone.", _REMEDY)
    return meshes


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


def _segments(image: SimpleITK.Image, path: Path) -> dict[str, tuple[int, int]]:
    """Layer and value of every bone, from the segments' names if the file has them."""
    keys = set(image.GetMetaDataKeys())
    names = {}
    for key in sorted(keys):
        match = re.fullmatch(r"Segment(\d+)_Name", key)
        if match:
            names[match.group(1)] = image.GetMetaData(key)
    if not names:
        return {bone: (0, value) for bone, value in LABELS.items()}
    segments: dict[str, tuple[int, int]] = {}
    for number, name in names.items():
        words = re.split("[^a-z]+", name.lower())
        for bone in (bone for bone in BONES if bone in words):
            if bone in segments:
                raise MeshError(f"{path.name} has two segments called {bone}.", "Rename one.")
            value, layer = f"Segment{number}_LabelValue", f"Segment{number}_Layer"
            try:
                segments[bone] = (
                    int(image.GetMetaData(layer)) if layer in keys else 0,
                    int(image.GetMetaData(value)) if value in keys else 1,
                )
            except ValueError as error:
                raise MeshError(
                    f"{path.name}: layer or label value of the {bone} is not a number.",
                    "Export the segmentation again.",
                ) from error
    if not segments:
        found = ", ".join(names.values())
        raise MeshError(
            f"No segment of {path.name} is named after a bone (found {found}).",
            f"Name segments {', '.join(BONES)}.",
        )
    return {bone: segments[bone] for bone in BONES if bone in segments}


def _index_to_lps(image: SimpleITK.Image) -> np.ndarray:
    """The matrix [4, 4] that takes voxel indices (i, j, k, 1) to LPS mm."""
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine

"""From bone surfaces to voxels, in a frame that lies along the leg.

Needs no upright patient and no known side: the frame comes from the bones themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from vtkmodules.util import numpy_support
from vtkmodules.vtkCommonCore import VTK_UNSIGNED_CHAR, vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkImagingStencil import vtkImageStencil, vtkPolyDataToImageStencil

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError

#: Shafts are cut this far before their end before they are lengthened, mm: a cut need not be
#: square to the shaft, and what lies beyond may be a cap.
_CUT_MARGIN = 15.0


@dataclass(frozen=True)
class LegFrame:
    """Where a knee lies, derived from its bones.

    Attributes:
        to_world: 4x4 rigid, world mm of leg mm: origin between femur and tibia, +z from the shank
            to the thigh (the mean of both shafts), -y towards the patella, +x to complete a
            right-handed frame (the patient's left where the bones are upright LPS).
        axes: unit vectors in the leg frame along which femur, tibia and fibula leave the joint.
    """

    to_world: np.ndarray
    axes: dict[str, np.ndarray]


def as_arrays(meshes: Mapping[str, object]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Vertices ``[n, 3]`` float64 and faces ``[m, 3]`` int64 of each bone.

    Args:
        meshes: per bone, a (vertices, faces) pair or an object with those attributes.

    Raises:
        MeshError: a bone is missing, or its surface is not triangles of finite points.
    """
    arrays = {}
    for bone in BONES:
        if bone not in meshes:
            raise MeshError(f"There is no surface of the {bone}.", "Give all four bones.")
        mesh = meshes[bone]
        pair = (mesh.vertices, mesh.faces) if hasattr(mesh, "vertices") else mesh
        vertices = np.asarray(pair[0], dtype=np.float64)
        faces = np.asarray(pair[1], dtype=np.int64)
        good = vertices.ndim == faces.ndim == 2 and vertices.shape[1] == faces.shape[1] == 3
        if not good or len(faces) < 4 or not np.isfinite(vertices).all():
            raise MeshError(
                f"The {bone} is not a surface of triangles with finite points.",
                "Export it again as a triangle mesh.",
            )
        arrays[bone] = _merged(vertices, faces)
    return arrays


def _merged(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same surface with points that coincide (to 1 micrometre) made one."""
    _, first, inverse = np.unique(
        np.round(vertices, 3), axis=0, return_index=True, return_inverse=True
    )
    faces = inverse.reshape(-1)[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2])
    return vertices[first], faces[whole & (faces[:, 0] != faces[:, 2])]


def leg_frame(arrays: dict[str, tuple[np.ndarray, np.ndarray]]) -> LegFrame:
    """The leg's own frame from the four bones (see :class:`LegFrame`).

    Raises:
        MeshError: the bones do not make a knee (shafts folded onto each other, for instance).
    """
    femur, tibia = arrays["femur"][0], arrays["tibia"][0]
    distance, nearest = cKDTree(tibia).query(femur)
    close = distance < distance.min() + 6.0
    joint = (femur[close].mean(0) + tibia[nearest[close]].mean(0)) / 2
    axes = {bone: _shaft_direction(arrays[bone][0], joint) for bone in ("femur", "tibia")}
    z = axes["femur"] - axes["tibia"]
    forward = arrays["patella"][0].mean(0) - joint
    y = -(forward - (forward @ z) * z / max(z @ z, 1e-9))
    if np.linalg.norm(z) < 0.5 or np.linalg.norm(y) < 5.0:
        raise MeshError(
            "The four surfaces do not lie as the bones of a knee.",
            "Check that they share one frame and that each has the right name.",
        )
    z, y = z / np.linalg.norm(z), y / np.linalg.norm(y)
    to_world = np.eye(4)
    to_world[:3, :3] = np.stack([np.cross(y, z), y, z], axis=1)
    to_world[:3, 3] = joint
    axes["fibula"] = axes["tibia"]
    return LegFrame(to_world, {bone: to_world[:3, :3].T @ axis for bone, axis in axes.items()})


def _shaft_direction(vertices: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """Unit vector along which a long bone leaves the joint, from its middle part."""
    away = np.linalg.norm(vertices - joint, axis=1)
    reach = min(away.max(), 140.0)
    near = vertices[(away > 0.45 * reach) & (away < 0.6 * reach)]
    far = vertices[(away > 0.75 * reach) & (away < 0.95 * reach)]
    if not (len(near) and len(far)):
        raise MeshError("A long bone has no shaft.", "Give at least 60 mm of each bone.")
    direction = far.mean(0) - near.mean(0)
    return direction / np.linalg.norm(direction)


def lengthened(
    vertices: np.ndarray, faces: np.ndarray, axis: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """The bone with its shaft drawn out, where it ends before ``reach`` mm along ``axis``.

    The origin is the joint. The shaft's last 15 mm are taken off (a cap, a slanting cut) and its
    rim is extruded in the shaft's own last direction; the new end stays open.
    """
    along = vertices @ axis
    if along.max() >= reach:
        return vertices, faces
    cut = along.max() - _CUT_MARGIN
    kept = faces[(along[faces] <= cut).all(1)]
    edges = np.sort(np.concatenate([kept[:, [0, 1]], kept[:, [1, 2]], kept[:, [2, 0]]]), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
    rim = edges[(uses == 1) & (along[edges] > cut - _CUT_MARGIN).all(1)]
    last = vertices[(along > cut - 15) & (along <= cut)]
    before = vertices[(along > cut - 45) & (along <= cut - 30)]
    course = last.mean(0) - before.mean(0) if len(last) and len(before) else axis
    shift = course * ((reach - cut + 20) / (course @ axis))
    drawn = len(vertices) + np.arange(len(vertices))
    a, b = rim[:, 0], rim[:, 1]
    walls = np.concatenate([np.stack([b, a, drawn[a]], 1), np.stack([b, drawn[a], drawn[b]], 1)])
    return np.concatenate([vertices, vertices + shift]), np.concatenate([kept, walls])


@dataclass(frozen=True)
class Box:
    """A piece of the grid: first index and count along (k, j, i)."""

    start: tuple[int, int, int]
    shape: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The piece as an index into the whole grid."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.shape))


def coverage(
    vertices: np.ndarray,
    faces: np.ndarray,
    origin: np.ndarray,
    spacing: float,
    shape: tuple[int, int, int],
    margin: float = 10.0,
) -> tuple[np.ndarray, Box]:
    """The share of each voxel that lies inside a surface, from 2 x 2 x 2 points per voxel.

    Args:
        vertices, faces: the surface, mm; it may be open where it leaves the grid.
        origin: (x, y, z) of voxel (0, 0, 0)'s centre, mm.
        spacing: voxel edge, mm.
        shape: the grid's (k, j, i).
        margin: mm kept free around the surface.

    Returns:
        float32 ``[k, j, i]`` for the box around the surface, and that box.
    """
    size = np.array(shape[::-1])
    low = np.floor((vertices.min(0) - margin - origin) / spacing).astype(int)
    high = np.ceil((vertices.max(0) + margin - origin) / spacing).astype(int)
    low, high = np.clip(low, 0, size - 1), np.clip(high, 0, size - 1)
    count = high - low + 1
    first = origin + low * spacing - spacing / 4
    inside = _stencil(vertices, faces, first, spacing / 2, 2 * count)
    k, j, i = (int(n) for n in count[::-1])
    share = inside.reshape(k, 2, j, 2, i, 2).mean((1, 3, 5), dtype=np.float32)
    return share, Box(tuple(int(n) for n in low[::-1]), (k, j, i))


def _stencil(
    vertices: np.ndarray, faces: np.ndarray, origin: np.ndarray, spacing: float, count: np.ndarray
) -> np.ndarray:
    """1 where a voxel's centre lies inside the surface, uint8 ``[k, j, i]``."""
    points, cells, surface = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(vertices), deep=True))
    cells.SetData(3, numpy_support.numpy_to_vtkIdTypeArray(faces.ravel().copy(), deep=True))
    surface.SetPoints(points)
    surface.SetPolys(cells)
    image = vtkImageData()
    image.SetDimensions(*(int(n) for n in count))
    image.SetSpacing(spacing, spacing, spacing)
    image.SetOrigin(*origin)
    image.AllocateScalars(VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(1)
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(surface)
    stencil.SetOutputOrigin(image.GetOrigin())
    stencil.SetOutputSpacing(image.GetSpacing())
    stencil.SetOutputWholeExtent(image.GetExtent())
    cutter = vtkImageStencil()
    cutter.SetInputData(image)
    cutter.SetStencilConnection(stencil.GetOutputPort())
    cutter.SetBackgroundValue(0)
    cutter.Update()
    scalars = cutter.GetOutput().GetPointData().GetScalars()
    return numpy_support.vtk_to_numpy(scalars).reshape(count[::-1])

"""From bone surfaces to voxels, in a frame that lies along the leg.

Needs no upright patient and no known side: the frame comes from the bones themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.core.boxes import bounding_box
from SSRKDLib.surfaces.mesh import Mesh, to_polydata

#: Shafts are cut this far before their end before they are lengthened, mm: a cut need not be
#: square to the shaft, and what lies beyond may be a cap.
_CUT_MARGIN = 15.0


def lengthened(
    vertices: np.ndarray, faces: np.ndarray, axis: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """The bone with its shaft extended, where it ends before ``reach`` mm along ``axis``.

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
    extended = len(vertices) + np.arange(len(vertices))
    a, b = rim[:, 0], rim[:, 1]
    new_a, new_b = extended[a], extended[b]
    walls = np.concatenate([np.stack([b, a, new_a], 1), np.stack([b, new_a, new_b], 1)])
    return np.concatenate([vertices, vertices + shift]), np.concatenate([kept, walls])


@dataclass(frozen=True)
class Box:
    """A part of the grid: first index and count along (k, j, i)."""

    start: tuple[int, int, int]
    shape: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The part as an index into the whole grid."""
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
    low, high = bounding_box(vertices)
    low = np.floor((low - margin - origin) / spacing).astype(int)
    high = np.ceil((high + margin - origin) / spacing).astype(int)
    low, high = np.clip(low, 0, size - 1), np.clip(high, 0, size - 1)
    count = high - low + 1
    first = origin + low * spacing - spacing / 4
    inside = _inside(Mesh(vertices, faces), first, spacing / 2, 2 * count)
    k, j, i = (int(n) for n in count[::-1])
    share = inside.reshape(k, 2, j, 2, i, 2).mean((1, 3, 5), dtype=np.float32)
    return share, Box(tuple(int(n) for n in low[::-1]), (k, j, i))


def voxelise(mesh: Mesh, origin: np.ndarray, spacing: float, size: np.ndarray) -> np.ndarray:
    """Which voxel centres lie inside ``mesh``: bool, indexed [k, j, i].

    ``origin`` [3] is the centre of voxel (0, 0, 0) in mm, ``size`` [3] the number of
    voxels along x, y, z; the grid is parallel to the axes. Open ends are capped.
    """
    # VTK 9.7 joins loose ends of a slice by itself; its documentation asks for closed input.
    return _inside(mesh.capped(), origin, spacing, size) > 0


def _inside(mesh: Mesh, origin: np.ndarray, spacing: float, size: np.ndarray) -> np.ndarray:
    """As :func:`voxelise` without caps, uint8: 1 inside."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

    columns, rows, slices = (int(n) for n in size)
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(to_polydata(mesh))
    stencil.SetOutputOrigin(*origin)
    stencil.SetOutputSpacing(spacing, spacing, spacing)
    stencil.SetOutputWholeExtent(0, columns - 1, 0, rows - 1, 0, slices - 1)
    image = vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutsideValue(0)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    scalars = image.GetOutput().GetPointData().GetScalars()
    return vtk_to_numpy(scalars).reshape(slices, rows, columns)


def label_map(
    meshes: Mapping[str, Mesh], origin: np.ndarray, spacing: float, size: np.ndarray
) -> np.ndarray:
    """Which bone each voxel's centre lies in: uint8 ``[k, j, i]``, values as in
    :data:`~SSRKDLib.core.anatomy.LABELS`, later bones over earlier ones; grid as for
    :func:`voxelise`."""
    labels = np.zeros(tuple(int(n) for n in size[::-1]), np.uint8)
    for bone in (bone for bone in BONES if bone in meshes):
        labels[voxelise(meshes[bone], origin, spacing, size)] = LABELS[bone]
    return labels

"""From a field on a grid to one bone's surface.

The surface is where the continuous field is zero (flying edges, Schroeder et al., LDAV 2015), not
the border of a label map: vertices lie on it to a small part of a voxel. Where a bone leaves the
grid, or the region that the radiographs show, its surface ends open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import numpy as np

from SSRKDLib.reconstruction.field import FieldGrid
from SSRKDLib.surfaces.mesh import Mesh, from_polydata, to_polydata

if TYPE_CHECKING:
    from vtkmodules.vtkCommonDataModel import vtkPolyData

#: Iterations and pass band of the smoothing (Taubin et al., ECCV 1996). They remove the traces of
#: the grid; a sphere of 6 mm keeps its radius to a thousandth.
SMOOTHING_ITERATIONS = 15
PASS_BAND = 0.1

#: A vertex stays this share of an edge away from the edge's ends, so that no face collapses.
NUDGE = 1e-3


def extract(
    grid: FieldGrid,
    bone_index: int,
    clip: Callable[[np.ndarray], np.ndarray] | None = None,
    smooth: int = SMOOTHING_ITERATIONS,
) -> Mesh | None:
    """The surface of one bone: its largest connected piece.

    Args:
        grid: from :func:`SSRKDLib.reconstruction.field.evaluate`.
        bone_index: which of ``grid.values``.
        clip: points ``[N, 3]`` mm to signed margins ``[N]`` mm, positive in the region to keep
            (NaN counts as outside). The surface is cut where the margin is zero and left open.
            Needed when the grid was evaluated with ``inside``.
        smooth: iterations of smoothing, 0 for none. Smoothing does not shrink, and does not
            move the rim of an open end.

    Returns:
        Triangles in the grid's frame, mm, facing outward; closed except at the border of the
        grid and of the region. None where the field knows no such bone.
    """
    isosurface = _isosurface(grid, bone_index)
    if isosurface is None:
        return None
    surface = _smoothed(isosurface, smooth) if smooth else isosurface
    if clip is not None:
        surface = _clipped(surface, clip)
    mesh = from_polydata(_largest(surface))
    if not len(mesh.faces):
        return None
    return mesh if mesh.volume() > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1])


def _isosurface(grid: FieldGrid, bone_index: int) -> vtkPolyData | None:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    whole = grid.values[bone_index]
    box = _bounding_box(whole > 0)
    if box is None:
        return None
    values = np.ascontiguousarray(whole[box])
    values = _nudged(values)
    first = np.array([part.start for part in reversed(box)])
    image = vtkImageData()
    image.SetDimensions(*reversed(values.shape))
    image.SetOrigin(*(grid.origin + first * grid.spacing))
    image.SetSpacing(grid.spacing, grid.spacing, grid.spacing)
    image.GetPointData().SetScalars(numpy_to_vtk(values.ravel()))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.0)
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    surface = edges.GetOutput()
    return surface if surface.GetNumberOfPolys() else None


def _bounding_box(marked: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The marked nodes ``[k, j, i]`` and one node around them, within the grid."""
    if not marked.any():
        return None
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        places = np.flatnonzero(marked.any(axis=others))
        box.append(slice(max(places[0] - 1, 0), min(places[-1] + 2, marked.shape[axis])))
    return tuple(box)


def _nudged(values: np.ndarray) -> np.ndarray:
    """Values no closer to zero than a thousandth of what they change by across the surface."""
    sign = values > 0
    crossed = sign[..., 1:] != sign[..., :-1]
    if not crossed.any():
        return values
    least = NUDGE * float(np.median(np.abs(np.diff(values, axis=-1)[crossed])))
    return np.where(np.abs(values) < least, np.where(sign, least, -least), values).astype(
        np.float32
    )


def _smoothed(surface: vtkPolyData, iterations: int) -> vtkPolyData:
    from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

    sinc = vtkWindowedSincPolyDataFilter()
    sinc.SetInputData(surface)
    sinc.SetNumberOfIterations(iterations)
    sinc.SetPassBand(PASS_BAND)
    sinc.NormalizeCoordinatesOn()
    sinc.BoundarySmoothingOff()
    sinc.FeatureEdgeSmoothingOff()
    sinc.NonManifoldSmoothingOff()
    sinc.Update()
    return sinc.GetOutput()


def _clipped(surface: vtkPolyData, clip: Callable[[np.ndarray], np.ndarray]) -> vtkPolyData:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkFiltersCore import vtkClipPolyData

    # Through Mesh, since flying edges leave float32 points, too coarse for a cut's small faces.
    mesh = from_polydata(surface)
    margins = np.nan_to_num(np.asarray(clip(mesh.vertices), dtype=np.float64), nan=-1e3)
    if (margins > 0).all():
        return surface
    # A cut through a vertex would leave faces without area.
    margins = np.where(np.abs(margins) < NUDGE, np.where(margins > 0, NUDGE, -NUDGE), margins)
    surface = to_polydata(mesh)
    surface.GetPointData().SetScalars(numpy_to_vtk(margins, deep=True))
    cut = vtkClipPolyData()
    cut.SetInputData(surface)
    cut.SetValue(0.0)
    cut.SetOutputPointsPrecision(1)  # vtkAlgorithm::DOUBLE_PRECISION
    cut.Update()
    return cut.GetOutput()


def _largest(surface: vtkPolyData) -> vtkPolyData:
    from vtkmodules.vtkFiltersCore import vtkPolyDataConnectivityFilter

    connectivity = vtkPolyDataConnectivityFilter()
    connectivity.SetInputData(surface)
    connectivity.SetExtractionModeToLargestRegion()
    connectivity.Update()
    return connectivity.GetOutput()

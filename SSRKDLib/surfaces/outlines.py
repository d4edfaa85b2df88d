"""The outline of a surface's projection, as curves on the detector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.geometry.views import View
from SSRKDLib.surfaces.mesh import Mesh

#: Edge of the pixels that the silhouette is drawn with, mm on the detector.
PITCH_MM = 0.4

#: Blur that turns the staircase of drawn pixels into a smooth curve, pixels of PITCH_MM.
_SMOOTH = 1.0

#: Curves shorter than this are specks of rasterisation, mm.
_SHORTEST_MM = 6.0


def outline(mesh: Mesh, view: View) -> list[np.ndarray]:
    """Closed curves around a surface's projection, on the detector plane and beyond its edges.

    Args:
        mesh: in the view's coordinates, mm; may be open.
        view: where it is projected to.

    Returns:
        Curves ``[n, 3]`` mm on the detector plane, the first point repeated at the end; none where
        the surface lies behind the source.
    """
    image_points = view.project(mesh.vertices)
    image_points = image_points[np.isfinite(image_points).all(1)]
    if not len(image_points):
        return []
    fine = _around(view, image_points)
    drawn = silhouette(mesh.vertices, mesh.faces, fine).astype(np.float32)
    smooth = ndimage.gaussian_filter(drawn, _SMOOTH)
    curves = [fine.points_on_detector(curve) for curve in iso_curves(smooth, 0.5)]
    lengths = [np.linalg.norm(np.diff(curve, axis=0), axis=1).sum() for curve in curves]
    return [curve for curve, length in zip(curves, lengths) if length >= _SHORTEST_MM]


def _around(view: View, image_points: np.ndarray) -> View:
    """A view of the same source and detector plane whose fine pixels cover the points, and no
    point more than three image sizes away."""
    size = np.array(view.size)
    margin = 6 * PITCH_MM / np.array(view.pixel_spacing)
    low = np.maximum(image_points.min(0), -size) - margin
    high = np.minimum(image_points.max(0), 2 * size) + margin
    extent = np.maximum(high - low, 8 * margin) * view.pixel_spacing
    # A large bone on a detector of metres must not ask for gigabytes.
    pitch = max(PITCH_MM, float(extent.max()) / 2000)
    return replace(
        view,
        detector_origin=view.points_on_detector(low),
        pixel_spacing=(pitch, pitch),
        size=tuple(int(n) for n in np.ceil(extent / pitch) + 1),
    )


def iso_curves(image: np.ndarray, level: float) -> list[np.ndarray]:
    """Curves of a level in an image ``[rows, columns]``, as (column, row) pixels ``[n, 2]``."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges2D, vtkStripper

    rows, columns = image.shape
    data = vtkImageData()
    data.SetDimensions(columns, rows, 1)
    data.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(image).ravel(), deep=True))
    contour = vtkFlyingEdges2D()
    contour.SetInputData(data)
    contour.SetValue(0, level)
    strips = vtkStripper()
    strips.SetInputConnection(contour.GetOutputPort())
    strips.SetMaximumLength(10**6)
    strips.JoinContiguousSegmentsOn()
    strips.Update()
    lines = strips.GetOutput().GetLines()
    if lines.GetNumberOfCells() == 0:
        return []
    points = vtk_to_numpy(strips.GetOutput().GetPoints().GetData())[:, :2].astype(np.float64)
    offsets = vtk_to_numpy(lines.GetOffsetsArray())
    order = vtk_to_numpy(lines.GetConnectivityArray())
    return [points[order[a:b]] for a, b in zip(offsets, offsets[1:])]

"""Triangle surfaces on disk, read and measured by VTK and NumPy alone.

Nothing of SSRKDLib is used: what compares two of its versions must not change with it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersGeneral import vtkDistancePolyDataFilter
from vtkmodules.vtkIOGeometry import vtkOBJReader
from vtkmodules.vtkIOPLY import vtkPLYReader

READERS = {".ply": vtkPLYReader, ".obj": vtkOBJReader}


def read_surface(path: Path) -> vtkPolyData:
    """The surface in a ``.ply`` or ``.obj`` file, in the file's units."""
    reader = READERS[path.suffix]()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def arrays(surface: vtkPolyData) -> tuple[np.ndarray, np.ndarray]:
    """Vertices, float64 ``[N, 3]``, and triangles, int ``[M, 3]``."""
    if not surface.GetNumberOfPoints() or not surface.GetNumberOfPolys():
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    vertices = vtk_to_numpy(surface.GetPoints().GetData()).astype(np.float64)
    return vertices, vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)


def largest_distances(one: vtkPolyData, other: vtkPolyData) -> tuple[float, float]:
    """The largest distance of a vertex of ``one`` to the surface ``other``, and the reverse.

    In the surfaces' units; infinite where one of them is empty and the other is not.
    """
    (points, faces), (other_points, other_faces) = arrays(one), arrays(other)
    if np.array_equal(points, other_points) and np.array_equal(faces, other_faces):
        return 0.0, 0.0
    if not len(faces) or not len(other_faces):
        return np.inf, np.inf
    measure = vtkDistancePolyDataFilter()
    measure.SignedDistanceOff()
    measure.SetInputData(0, one)
    measure.SetInputData(1, other)
    measure.Update()
    outputs = (measure.GetOutput(), measure.GetSecondDistanceOutput())
    forth, back = (
        float(vtk_to_numpy(output.GetPointData().GetArray("Distance")).max()) for output in outputs
    )
    return forth, back


def measures(surface: vtkPolyData) -> dict[str, float | list[float]]:
    """Area and enclosed volume, and the lowest and highest x, y and z: mm2, mm3 and mm."""
    vertices, faces = arrays(surface)
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    return {
        "area_mm2": float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2),
        "volume_mm3": float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6),
        "lowest_mm": vertices.min(axis=0).tolist(),
        "highest_mm": vertices.max(axis=0).tolist(),
    }

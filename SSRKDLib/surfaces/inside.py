"""Which points lie inside a surface."""

from __future__ import annotations

import numpy as np

from SSRKDLib.surfaces.mesh import Mesh, points_to_polydata, to_polydata

#: Of VTK's intersections, as a share of the surface's extent: with its default of 1e-3 points up to
#: a tenth of a millimetre from a surface come out on the wrong side.
_TOLERANCE = 1e-6


def inside_mesh(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Whether points ``[N, 3]`` lie inside a surface, bool ``[N]``.

    Args:
        mesh: triangles, any orientation; open ends are capped (see :meth:`Mesh.capped`). Where
            it passes through itself, what is enclosed twice counts as outside.
        points: in the mesh's coordinates.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersModeling import vtkSelectEnclosedPoints

    if not len(mesh.faces) or not len(points):
        return np.zeros(len(points), dtype=bool)
    select = vtkSelectEnclosedPoints()
    select.SetInputData(points_to_polydata(points))
    select.SetSurfaceData(to_polydata(mesh.capped()))
    select.SetTolerance(_TOLERANCE)
    select.Update()
    return vtk_to_numpy(select.GetOutput().GetPointData().GetArray("SelectedPoints")) > 0

"""The nearest place on a surface of triangles, exactly.

VTK's cell locator does the work; the command line may have PyTorch3D do it on a GPU instead.
Nothing here chooses PyTorch3D by itself, since Slicer's own process must never import torch.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from SSRKDLib.core.errors import MeshError, MissingDependencyError
from SSRKDLib.surfaces.mesh import Mesh, to_polydata

#: What may measure distances; the numbers agree to 1e-3 mm.
BACKENDS: tuple[str, ...] = ("vtk", "pytorch3d")


class Nearest:
    """Looks up the nearest places on one mesh (kept: building the look-up takes time)."""

    def __init__(self, mesh: Mesh) -> None:
        from vtkmodules.vtkCommonDataModel import vtkStaticCellLocator

        if not len(mesh.faces):
            raise _no_surface()
        self._locator = vtkStaticCellLocator()
        self._locator.SetDataSet(to_polydata(mesh))
        self._locator.BuildLocator()

    def places(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest places [N, 3] to ``points`` [N, 3] (mm), and the faces [N] they lie on."""
        from vtkmodules.vtkCommonCore import reference
        from vtkmodules.vtkCommonDataModel import vtkGenericCell

        cell, cell_id, part = vtkGenericCell(), reference(0), reference(0)
        place, squared = [0.0, 0.0, 0.0], reference(0.0)
        places, faces = [], []
        for point in np.asarray(points, dtype=np.float64).tolist():
            self._locator.FindClosestPoint(point, place, cell, cell_id, part, squared)
            places += place
            faces.append(cell_id.get())
        return np.reshape(np.array(places), (-1, 3)), np.array(faces, dtype=np.int64)


def point_distances(points: np.ndarray, mesh: Mesh, backend: str = "vtk") -> np.ndarray:
    """Exact distance [N] in mm of each point [N, 3] to the nearest place on ``mesh``.

    Args:
        points: mm, the mesh's frame.
        mesh: not empty.
        backend: one of :data:`BACKENDS`.

    Raises:
        MeshError: the mesh is empty.
        MissingDependencyError: PyTorch3D is asked for and cannot be imported.
    """
    if backend == "pytorch3d":
        return _with_pytorch3d(np.asarray(points, dtype=np.float64), mesh)
    if not len(mesh.faces):
        raise _no_surface()
    return np.abs(signed_distances(np.asarray(points, dtype=np.float64), mesh))


def _no_surface() -> MeshError:
    return MeshError("There is no surface to measure to.", "Give a surface with triangles.")


def signed_distances(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """Exact distance [N] in mm of each point [N, 3] to the surface, positive outside it.

    Near an open end the sign is that of the side of the nearest triangle.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkDoubleArray
    from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance

    field, values = vtkImplicitPolyDataDistance(), vtkDoubleArray()
    field.SetInput(to_polydata(mesh))
    field.FunctionValue(numpy_to_vtk(np.ascontiguousarray(points), deep=True), values)
    return vtk_to_numpy(values).astype(np.float64)


def best_backend() -> str:
    """``"pytorch3d"`` where it works beside a GPU that torch can use, else ``"vtk"``."""
    if find_spec("pytorch3d") is None:
        return "vtk"
    try:
        import torch
        from pytorch3d.loss.point_mesh_distance import point_face_distance  # noqa: F401
    except ImportError:
        return "vtk"  # there, but built for another torch: VTK gives the same numbers
    return "pytorch3d" if torch.cuda.is_available() else "vtk"


def _with_pytorch3d(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    try:
        import torch
        from pytorch3d.loss.point_mesh_distance import point_face_distance
    except ImportError as error:
        raise MissingDependencyError(
            "PyTorch3D cannot be imported ({error}).",
            "Install it, or measure with VTK.",
            error=error,
        ) from error
    if not len(mesh.faces):
        raise _no_surface()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Its kernels are float32: about the middle of the mesh, digits suffice for 1e-3 mm.
    middle = mesh.bounds.mean(axis=0)
    cloud = torch.as_tensor(points - middle, dtype=torch.float32, device=device)
    triangles = torch.as_tensor(mesh.corners() - middle, dtype=torch.float32, device=device)
    first = torch.zeros(1, dtype=torch.int64, device=device)
    # By default it takes triangles below 5e-3 (mm^2 here) for lines.
    squared = point_face_distance(cloud, first, triangles, first, len(points), 1e-9)
    return squared.double().sqrt().cpu().numpy()

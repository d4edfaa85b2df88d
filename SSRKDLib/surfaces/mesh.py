"""Triangle meshes of bones: the type, its measures, and VTK's type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from SSRKDLib.core.boxes import bounding_box
from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.messages import Message

if TYPE_CHECKING:
    from vtkmodules.vtkCommonDataModel import vtkPolyData


class EdgeReport(NamedTuple):
    """Edges with one face (``open``) and with more than two (``non_manifold``)."""

    open: int
    non_manifold: int


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles.

    ``vertices`` [N, 3] float64, mm (LPS unless the owner says otherwise); ``faces``
    [M, 3] int64, corners counter-clockwise seen from outside. Raises
    :class:`~SSRKDLib.core.errors.MeshError` for wrong shapes, NaN, and faces that name
    vertices which do not exist. A mesh may be empty.
    """

    vertices: np.ndarray
    faces: np.ndarray

    def __post_init__(self) -> None:
        vertices = np.asarray(self.vertices, dtype=np.float64)
        faces = np.asarray(self.faces, dtype=np.int64)
        remedy = "Export the surface again as triangles."
        if vertices.ndim != 2 or vertices.shape[1] != 3:
            raise MeshError(
                Message(
                    "Vertices must be [N, 3], not {vertices_shape}.",
                    vertices_shape=list(vertices.shape),
                ),
                remedy,
            )
        if faces.ndim != 2 or faces.shape[1] != 3:
            raise MeshError(
                Message(
                    "Faces must be triangles [M, 3], not {faces_shape}.",
                    faces_shape=list(faces.shape),
                ),
                remedy,
            )
        if not np.isfinite(vertices).all():
            raise MeshError("The surface has vertices that are not finite numbers.", remedy)
        if faces.size and (faces.min() < 0 or faces.max() >= len(vertices)):
            raise MeshError("The surface has faces whose vertices do not exist.", remedy)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)

    @property
    def bounds(self) -> np.ndarray:
        """Smallest and largest corner [2, 3] in mm (NaN for an empty mesh)."""
        if not len(self.vertices):
            return np.full((2, 3), np.nan)
        return bounding_box(self.vertices)

    def corners(self) -> np.ndarray:
        """Corner positions of every face, [M, 3 corners, 3 coordinates] mm."""
        return self.vertices[self.faces]

    def area_vectors(self) -> np.ndarray:
        """Outward normal of every face with its area as length, [M, 3] mm^2."""
        a, b, c = np.moveaxis(self.corners(), 1, 0)
        return 0.5 * np.cross(b - a, c - a)

    def area(self) -> float:
        """Surface area in mm^2 (open ends are not covered)."""
        return float(np.linalg.norm(self.area_vectors(), axis=1).sum())

    def volume(self) -> float:
        """Signed volume in mm^3, positive when the faces look outward.

        An open mesh counts as if capped, see :meth:`capped`.
        """
        closed = self.capped()
        if not len(closed.faces):
            return 0.0
        # Relative to the middle of the mesh: far from the origin, digits would be lost.
        centroids = closed.corners().mean(axis=1) - self.bounds.mean(axis=0)
        return float((centroids * closed.area_vectors()).sum() / 3.0)

    def vertex_normals(self) -> np.ndarray:
        """Outward unit normals [N, 3]: faces' normals weighted by area, (0, 0, 0) if alone."""
        corners, count = self.faces.ravel(), len(self.vertices)
        vectors = np.repeat(self.area_vectors(), 3, axis=0)
        normals = np.stack([np.bincount(corners, part, count) for part in vectors.T], axis=1)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)

    def edge_report(self) -> EdgeReport:
        """How many edges are open, and how many join more than two faces."""
        _, counts = np.unique(self._edge_keys(), return_counts=True)
        return EdgeReport(int((counts == 1).sum()), int((counts > 2).sum()))

    @property
    def is_closed(self) -> bool:
        """Whether there are faces and every edge joins exactly two of them."""
        return len(self.faces) > 0 and self.edge_report() == (0, 0)

    def open_loops(self) -> list[np.ndarray]:
        """Open edges grouped into connected loops, each [E, 2] vertex indices.

        An edge runs in the direction of the one face that has it.
        """
        _, inverse, counts = np.unique(self._edge_keys(), return_inverse=True, return_counts=True)
        edges = self._edges()[counts[inverse.ravel()] == 1]
        if not len(edges):
            return []
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        size = len(self.vertices)
        links = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
        _, labels = connected_components(links, directed=False)
        loop = labels[edges[:, 0]]
        return [edges[loop == label] for label in np.unique(loop)]

    def capped(self) -> Mesh:
        """The mesh with every open loop closed by a fan around the loop's centre.

        Made for shafts that were cut: flat loops get flat caps. Inside and outside stay
        right by parity whatever the shape of the loop.
        """
        loops = self.open_loops()
        if not loops:
            return self
        size = len(self.vertices)
        centres, caps = [], []
        for index, edges in enumerate(loops):
            centres.append(self.vertices[np.unique(edges)].mean(axis=0))
            apex = np.full(len(edges), size + index)
            caps.append(np.stack([edges[:, 1], edges[:, 0], apex], axis=1))
        return Mesh(np.vstack([self.vertices, centres]), np.vstack([self.faces, *caps]))

    def transformed(self, matrix: np.ndarray) -> Mesh:
        """The mesh moved by an affine ``matrix`` [4, 4], p_new = M p (row-major, mm).

        A matrix that mirrors also turns the faces round, so that outside stays outside.
        """
        matrix = np.asarray(matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise MeshError("A mesh is moved by a 4x4 matrix of finite numbers.")
        mirrors = np.linalg.det(matrix[:3, :3]) < 0
        vertices = self.vertices @ matrix[:3, :3].T + matrix[:3, 3]
        return Mesh(vertices, self.faces[:, ::-1] if mirrors else self.faces)

    def clipped(self, box: np.ndarray) -> Mesh:
        """The surface inside an axis-aligned ``box`` [2, 3] (lowest, highest corner, mm).

        Faces are cut at the box and left open there.
        """
        box = np.asarray(box, dtype=np.float64)
        result = self
        for axis in range(3):
            for side, sign in ((0, 1.0), (1, -1.0)):
                if not len(result.vertices):
                    return result
                if (sign * (result.bounds[side, axis] - box[side, axis])) < 0:
                    result = result.cut(sign * np.eye(3)[axis], sign * box[side, axis])
        return result

    def cut(self, normal: np.ndarray, offset: float) -> Mesh:
        """The surface where ``normal . p >= offset`` (unit normal [3], mm), left open there."""
        from vtkmodules.vtkCommonDataModel import vtkPlane
        from vtkmodules.vtkFiltersCore import vtkClipPolyData

        plane = vtkPlane()
        plane.SetOrigin(*(offset * np.asarray(normal)))
        plane.SetNormal(*normal)
        clip = vtkClipPolyData()
        clip.SetInputData(to_polydata(self))
        clip.SetClipFunction(plane)
        clip.SetOutputPointsPrecision(1)  # vtkAlgorithm::DOUBLE_PRECISION
        clip.Update()
        return from_polydata(clip.GetOutput())

    def _edges(self) -> np.ndarray:
        return self.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)

    def _edge_keys(self) -> np.ndarray:
        """One integer per edge of every face, the same for both directions."""
        edges = np.sort(self._edges(), axis=1)
        return edges[:, 0] * max(len(self.vertices), 1) + edges[:, 1]


def points_to_polydata(points: np.ndarray) -> vtkPolyData:
    """A ``vtkPolyData`` of points ``[N, 3]`` alone (a copy, float64)."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    copied = vtkPoints()
    copied.SetDataTypeToDouble()
    copied.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64), deep=True))
    polydata = vtkPolyData()
    polydata.SetPoints(copied)
    return polydata


def to_polydata(mesh: Mesh) -> vtkPolyData:
    """A ``vtkPolyData`` of the same triangles (a copy, float64, same frame)."""
    from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray

    offsets = np.arange(0, 3 * len(mesh.faces) + 1, 3, dtype=np.int64)
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(mesh.faces).ravel(), deep=True),
    )
    polydata = points_to_polydata(mesh.vertices)
    polydata.SetPolys(cells)
    return polydata


def from_polydata(polydata: vtkPolyData) -> Mesh:
    """The triangles of a ``vtkPolyData``; polygons are triangulated.

    Lines, points, collapsed triangles and vertices without a face are dropped.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    triangulate = vtkTriangleFilter()
    triangulate.PassLinesOff()
    triangulate.PassVertsOff()
    triangulate.SetInputData(polydata)
    triangulate.Update()
    output = triangulate.GetOutput()
    if output.GetNumberOfPolys() == 0:
        return Mesh(np.empty((0, 3)), np.empty((0, 3), dtype=np.int64))
    vertices = vtk_to_numpy(output.GetPoints().GetData()).astype(np.float64)
    faces = vtk_to_numpy(output.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return _tidy(vertices, faces.astype(np.int64))


def _tidy(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    """A mesh without faces that name a vertex twice and without unused vertices."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    checked = Mesh(vertices, faces)
    used, inverse = np.unique(faces, return_inverse=True)
    if len(used) == len(vertices):
        return checked
    return Mesh(vertices[used], inverse.reshape(-1, 3))

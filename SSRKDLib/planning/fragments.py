"""A planned osteotomy as surfaces: the tibia cut and turned, and the wedge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SSRKDLib.core.rigid import moved_points
from SSRKDLib.planning.cut import TUBERCLE_ANGLE
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.planning.osteotomy import Plan
from SSRKDLib.surfaces.mesh import Mesh, points_to_polydata

#: Vertices this near a plane lie in it, mm: what VTK cuts is as exact as its single precision.
_FLAT = 1e-4


class Fragments(NamedTuple):
    """Surfaces, mm, in the bones' frame.

    ``proximal``: with the joint, where it was. ``distal``: the rest, turned; with the tubercle in a
    biplanar osteotomy. ``wedge``: what is opened, or taken out (where it was). Proximal and distal
    part are cut right through: the bridge of bone behind the hinge, which bends, is shown as if
    both overlapped there, by less than the hinge's width times the angle.
    """

    proximal: Mesh
    distal: Mesh
    wedge: Mesh


def fragments(
    tibia: Mesh, landmarks: Landmarks, plan: Plan, tubercle: float | None = None
) -> Fragments:
    """Cut a tibia as planned and turn its lower part.

    Args:
        tibia: its surface, mm.
        landmarks: of it.
        plan: of :func:`~SSRKDLib.planning.osteotomy.plan_osteotomy` on it.
        tubercle: thickness of the tubercle's fragment, mm, in a biplanar osteotomy: a second cut
            rises in front, :data:`~SSRKDLib.planning.cut.TUBERCLE_ANGLE` from the first, and leaves
            the tubercle on the shaft (Lobenhoffer and Agneskirchner 2003). None: one plane.
    """
    cut = plan.cut
    away, back, normal = cut.frame(landmarks)
    plane = (normal, float(normal @ cut.hinge))
    above, below = _half(tibia, *plane), _half(tibia, -normal, -plane[1])
    if cut.kind == "closing":
        # The second cut: where the distal part's surface was before it turned up to the first.
        turn = plan.motion[:3, :3]
        second = normal @ turn
        offset = float(second @ cut.hinge)
        distal, wedge = _half(below, -second, -offset), _half(below, second, offset)
    else:
        distal = below
    section = _section(above, cut.hinge, normal)
    parts = [distal]
    if tubercle is not None:
        corner = cut.hinge + (((section.vertices - cut.hinge) @ back).min() + tubercle) * back
        lean = np.radians(TUBERCLE_ANGLE - 90.0)
        front = np.cos(lean) * back + np.sin(lean) * normal
        parts.append(_half(above, -front, -float(front @ corner)))
        above = _half(above, front, float(front @ corner))
        section = section.cut(back, float(back @ corner))
    if cut.kind == "opening":
        wedge = _gap(section.cut(away, float(away @ cut.hinge)), plan.motion, cut.hinge, away)
    return Fragments(above, _joined(parts).transformed(plan.motion), wedge)


def _section(above: Mesh, hinge: np.ndarray, normal: np.ndarray) -> Mesh:
    """The cut surface of the upper part."""
    flat = np.abs((above.vertices - hinge) @ normal) < _FLAT
    return Mesh(above.vertices, above.faces[flat[above.faces].all(axis=1)]).cut(
        normal, float(normal @ hinge) - 1.0
    )


def _half(mesh: Mesh, normal: np.ndarray, offset: float) -> Mesh:
    """The part with ``normal . p >= offset``, closed there (and nowhere else)."""
    part = mesh.cut(normal, offset)
    height = part.vertices @ normal - offset
    flat = np.abs(height) < _FLAT
    part = Mesh(part.vertices - (height * flat)[:, None] * normal, part.faces)
    edges = [loop for loop in part.open_loops() if flat[loop].all()]
    if not edges:
        return part
    return Mesh(part.vertices, np.vstack([part.faces, _filled(part, np.vstack(edges), -normal)]))


def _filled(mesh: Mesh, edges: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """Triangles ``[M, 3]`` of a mesh's vertices that fill plane loops of edges."""
    from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkCellArray
    from vtkmodules.vtkFiltersGeneral import vtkContourTriangulator

    used, inverse = np.unique(edges, return_inverse=True)
    pairs = np.ascontiguousarray(inverse.reshape(-1, 2)[:, ::-1]).ravel()
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.arange(0, len(pairs) + 1, 2), deep=True),
        numpy_to_vtkIdTypeArray(pairs, deep=True),
    )
    lines = points_to_polydata(mesh.vertices[used])
    lines.SetLines(cells)
    fill = vtkContourTriangulator()
    fill.SetInputData(lines)
    fill.Update()
    faces = vtk_to_numpy(fill.GetOutput().GetPolys().GetConnectivityArray())
    faces = used[faces.reshape(-1, 3).astype(np.int64)]
    a, b, c = np.moveaxis(mesh.vertices[faces], 1, 0)
    if (np.cross(b - a, c - a) @ outward).sum() < 0:
        faces = faces[:, ::-1]
    return faces


def _gap(section: Mesh, motion: np.ndarray, hinge: np.ndarray, away: np.ndarray) -> Mesh:
    """What lies between the upper cut surface, on the open side of the hinge, and the lower one."""
    top, size = section.faces[:, ::-1], len(section.vertices)
    bottom = section.faces + size
    edges = np.vstack(section.open_loops())[:, ::-1]
    sides = [
        np.stack([edges[:, 1], edges[:, 0], edges[:, 0] + size], axis=1),
        np.stack([edges[:, 1], edges[:, 0] + size, edges[:, 1] + size], axis=1),
    ]
    vertices = np.vstack([section.vertices, moved_points(motion, section.vertices)])
    # On the hinge upper and lower vertices are the same.
    on_hinge = np.abs((section.vertices - hinge) @ away) < _FLAT
    same = np.arange(2 * size)
    same[size:][on_hinge] = np.flatnonzero(on_hinge)
    faces = same[np.vstack([top, bottom, *sides])]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    used, inverse = np.unique(faces, return_inverse=True)
    return Mesh(vertices[used], inverse.reshape(-1, 3))


def _joined(parts: list[Mesh]) -> Mesh:
    """Several surfaces as one."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    return Mesh(
        np.vstack([part.vertices for part in parts]),
        np.vstack([part.faces + start for part, start in zip(parts, starts)]),
    )

"""A whole comparison of a reconstruction with a reference: numbers, distances to colour, curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from SSRKDLib.alignment import Alignment, align
from SSRKDLib.clinical import compare_measures, measure
from SSRKDLib.clinical.measures import Measure
from SSRKDLib.comparison import say_alignment
from SSRKDLib.errors import MeshError
from SSRKDLib.geometry import Rig
from SSRKDLib.meshes import Mesh, to_polydata
from SSRKDLib.metrics import compare_meshes, surface_distances
from SSRKDLib.regions import Region, common_region, region_from_rig

#: Shares of the surface at which a curve of distances is told, percent.
SHARES = np.arange(0, 101)


@dataclass(frozen=True)
class Compared:
    """What was found.

    Attributes:
        rows: of :func:`SSRKDLib.metrics.compare_meshes`, with how the reference was moved.
        clinical: of :func:`SSRKDLib.clinical.compare_measures`.
        measures: the reconstruction's clinical measures, with their landmarks.
        alignment: of the reference to the reconstruction.
        signed: by bone, signed distance of each vertex of the reconstruction to the reference,
            mm, positive outside it; NaN where it is not judged.
        curves: by bone, the distance in mm that :data:`SHARES` percent of both surfaces stay
            below.
    """

    rows: list[dict]
    clinical: list[dict]
    measures: list[Measure]
    alignment: Alignment
    signed: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]


def compare_knees(
    recon: dict[str, Mesh],
    reference: dict[str, Mesh],
    mode: str,
    laterality: str,
    rig: Rig | None = None,
    progress: Callable[[str, float, str], None] | None = None,
) -> Compared:
    """Align the reference, measure distances and clinical measures.

    Args:
        recon: what is judged, mm.
        reference: what it is compared with, mm, in any frame that ``mode`` allows.
        mode: one of :data:`SSRKDLib.alignment.MODES`.
        laterality: of the knee, "L" or "R".
        rig: of the radiographs, in the reconstruction's frame; the judged part is then what both
            views see.
        progress: called with stage, fraction done and message; what it raises ends the job.

    Raises:
        MeshError: nothing can be compared; see :func:`SSRKDLib.alignment.align`.
    """
    say = progress or (lambda stage, fraction, message: None)
    say("align", 0.1, "Laying the reference on the reconstruction")
    alignment = align(reference, recon, mode)
    moved = alignment.move(reference)
    say("compare", 0.4, "Measuring distances")
    regions = common_region(recon, moved) if rig is None else region_from_rig(recon, moved, rig)
    rows = compare_meshes(recon, moved, regions)
    say_alignment(rows, mode, alignment)
    say("colour", 0.7, "Colouring by distance")
    signed, curves = {}, {}
    for bone in (bone for bone in recon if bone in moved):
        region = regions.get(bone)
        signed[bone] = signed_distances(recon[bone], moved[bone], region)
        try:
            found = surface_distances(recon[bone], moved[bone], region)
        except MeshError:
            continue  # its row says why
        both = np.concatenate([found.a_to_b, found.b_to_a])
        curves[bone] = np.percentile(both, SHARES)
    say("clinical", 0.9, "Measuring slopes, widths and angles")
    measures = measure(recon, laterality)
    clinical = compare_measures(measures, measure(moved, laterality))
    return Compared(rows, clinical, measures, alignment, signed, curves)


def signed_distances(mesh: Mesh, reference: Mesh, region: Region | None) -> np.ndarray:
    """Signed distance of each vertex to a reference surface, mm: positive outside it.

    NaN outside the region. Near an open end of the reference the sign is that of the side of the
    nearest triangle.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkDoubleArray
    from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance

    field = vtkImplicitPolyDataDistance()
    field.SetInput(to_polydata(reference))
    values = vtkDoubleArray()
    points = numpy_to_vtk(np.ascontiguousarray(mesh.vertices), deep=True)
    field.FunctionValue(points, values)
    distances = vtk_to_numpy(values).astype(np.float64)
    if region is not None:
        for plane in region.sides():
            distances[mesh.vertices @ plane[:3] < plane[3]] = np.nan
    return distances

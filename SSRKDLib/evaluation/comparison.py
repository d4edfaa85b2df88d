"""A whole comparison of a reconstruction with a reference: numbers, distances to colour, curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from SSRKDLib.clinical.comparison import compare_measures
from SSRKDLib.clinical.measures import Measure, measure
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.evaluation.alignment import Alignment, align
from SSRKDLib.evaluation.metrics import SurfaceDistances, compare_meshes
from SSRKDLib.evaluation.regions import Region, common_region, region_from_rig
from SSRKDLib.evaluation.tables import note_alignment
from SSRKDLib.geometry.views import Rig
from SSRKDLib.surfaces.distance import signed_distances
from SSRKDLib.surfaces.mesh import Mesh

if TYPE_CHECKING:
    from SSRKDLib.surfaces.label_maps import Mask

#: Shares of the surface at which curves of distances are given, percent.
SHARES = np.arange(0, 101)


class Measured(NamedTuple):
    """Distances between two sets of bones.

    ``rows``: of :func:`SSRKDLib.evaluation.metrics.compare_meshes`, with how the reference was
    moved; ``alignment``: of the reference to the reconstruction; ``moved``: the reference after
    it, by bone; ``regions``: the evaluated part, by bone; ``distances``: within it, by bone that
    could be evaluated.
    """

    rows: list[dict]
    alignment: Alignment
    moved: dict[str, Mesh]
    regions: dict[str, Region]
    distances: dict[str, SurfaceDistances]


def measure_distances(
    recon: dict[str, Mesh],
    reference: dict[str, Mesh],
    mode: str,
    rig: Rig | None = None,
    masks: Mapping[str, Mask] | None = None,
    backend: str = "vtk",
) -> Measured:
    """Lay the reference on the reconstruction and measure distances and overlap.

    Args:
        recon: what is evaluated, mm.
        reference: what it is compared with, mm, in any frame that ``mode`` allows.
        mode: one of :data:`SSRKDLib.evaluation.alignment.MODES`.
        rig: of the radiographs, in the reconstruction's frame; the evaluated part is then what both
            views see.
        masks: the reference's voxels by bone, in its frame, for the Dice of voxels.
        backend: one of :data:`SSRKDLib.surfaces.distance.BACKENDS`.

    Raises:
        MeshError: nothing can be compared; see :func:`SSRKDLib.evaluation.alignment.align`.
    """
    alignment = align(reference, recon, mode)
    moved = alignment.move(reference)
    regions = common_region(recon, moved) if rig is None else region_from_rig(recon, moved, rig)
    in_place = {
        bone: mask._replace(index_to_lps=alignment.matrices[bone] @ mask.index_to_lps)
        for bone, mask in (masks or {}).items()
    }
    distances = {}
    rows = compare_meshes(
        recon, moved, regions, masks=in_place, backend=backend, distances=distances
    )
    note_alignment(rows, mode, alignment)
    return Measured(rows, alignment, moved, regions, distances)


@dataclass(frozen=True)
class Compared:
    """What was found.

    Attributes:
        rows: of :func:`SSRKDLib.evaluation.metrics.compare_meshes`, with how the reference was
            moved.
        clinical: of :func:`SSRKDLib.clinical.comparison.compare_measures`.
        measures: the reconstruction's clinical measures, with their landmarks.
        alignment: of the reference to the reconstruction.
        signed: by bone, signed distance of each vertex of the reconstruction to the reference,
            mm, positive outside it; NaN where it is not evaluated.
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
    progress: Progress = no_progress,
    errors: Mapping[str, float] | None = None,
    pose: str | None = None,
) -> Compared:
    """Align the reference, measure distances and clinical measures.

    Args:
        recon, reference, mode, rig: see :func:`measure_distances`.
        laterality: of the knee, "L" or "R".
        progress: called with stage, fraction done and message; what it raises ends the job.
        errors, pose: of the reconstruction, see :func:`SSRKDLib.clinical.measures.measure`.

    Raises:
        MeshError: nothing can be compared; see :func:`SSRKDLib.evaluation.alignment.align`.
    """
    progress("compare", 0.1, "Laying the reference on the reconstruction, measuring distances")
    rows, alignment, moved, regions, distances = measure_distances(recon, reference, mode, rig)
    progress("colour", 0.7, "Colouring by distance")
    signed = {
        bone: signed_in_region(recon[bone], moved[bone], regions.get(bone))
        for bone in recon
        if bone in moved
    }
    curves = {
        bone: np.percentile(np.concatenate([found.a_to_b, found.b_to_a]), SHARES)
        for bone, found in distances.items()
    }
    progress("clinical", 0.9, "Measuring slopes, widths and angles")
    measures = measure(recon, laterality, errors, pose)
    clinical = compare_measures(measures, measure(moved, laterality, {}))
    return Compared(rows, clinical, measures, alignment, signed, curves)


def signed_in_region(mesh: Mesh, reference: Mesh, region: Region | None) -> np.ndarray:
    """Signed distance of each vertex to a reference surface, mm: positive outside it, NaN outside
    the region (see :func:`SSRKDLib.surfaces.distance.signed_distances`)."""
    distances = signed_distances(mesh.vertices, reference)
    if region is not None:
        for plane in region.sides():
            distances[mesh.vertices @ plane[:3] < plane[3]] = np.nan
    return distances

"""How far two sets of bone surfaces are apart: distances and overlap.

Distances are taken from points spread evenly over one surface to the nearest place on
the whole of the other, in both directions. A region limits which points are evaluated,
never what they are compared with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.messages import Message, joined
from SSRKDLib.evaluation.regions import Region, as_region, common_region
from SSRKDLib.evaluation.voxel_metrics import dice_mesh_in_mask, dice_meshes
from SSRKDLib.surfaces.distance import point_distances
from SSRKDLib.surfaces.label_maps import Mask
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import sample_surface, sample_surface_even
from SSRKDLib.surfaces.voxelise import voxelise as voxelise

#: Points per surface in the protocol of the SSR-KD paper.
PAPER_POINTS = 49_152

#: The figures of a row of :func:`compare_meshes`, in the order of a table.
MEASURES: tuple[str, ...] = ("assd_mm", "assd_paper_mm", "hd_mm", "hd95_mm", "dsc")

#: Further figures of a row: distances by direction (from the reconstruction to the reference
#: and back), and Dice on the voxels of the reference's label map, NaN where it is none.
MORE_MEASURES: tuple[str, ...] = (
    "hd_to_reference_mm", "hd_to_recon_mm", "hd95_to_reference_mm", "hd95_to_recon_mm",
    "dsc_voxel",
)  # fmt: skip


class SurfaceDistances(NamedTuple):
    """Distances in mm between two surfaces.

    ``a_to_b`` and ``b_to_a``: from evenly spread points, for means and percentiles.
    ``a_peaks`` and ``b_peaks``: from the vertices, where a surface of flat triangles is
    usually farthest from another; for the maximum only, since vertices are not spread
    evenly.
    """

    a_to_b: np.ndarray
    b_to_a: np.ndarray
    a_peaks: np.ndarray
    b_peaks: np.ndarray


def surface_distances(
    a: Mesh,
    b: Mesh,
    region: np.ndarray | Region | None = None,
    samples: int = 20_000,
    backend: str = "vtk",
) -> SurfaceDistances:
    """Point-to-surface distances between ``a`` and ``b`` (one frame, mm), both ways.

    ``samples`` points per surface, drawn the same ones every time, from the part inside
    ``region`` (a :class:`~SSRKDLib.evaluation.regions.Region` or a box [2, 3], lowest and highest
    corner; everything if None); ``backend`` is one of :data:`SSRKDLib.surfaces.distance.BACKENDS`.
    Raises :class:`~SSRKDLib.core.errors.MeshError` where either has no surface in the region.
    """
    inside_a, inside_b = _within(a, b, region)
    return SurfaceDistances(
        point_distances(sample_surface(inside_a, samples, 0), b, backend),
        point_distances(sample_surface(inside_b, samples, 1), a, backend),
        point_distances(inside_a.vertices, b, backend),
        point_distances(inside_b.vertices, a, backend),
    )


def assd(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance, mm: the mean of both directions' means."""
    return float((distances.a_to_b.mean() + distances.b_to_a.mean()) / 2.0)


def directed_hausdorff(distances: SurfaceDistances) -> tuple[float, float]:
    """Largest distance found from ``a`` to ``b``, and from ``b`` to ``a``, mm."""
    return (
        float(max(group.max() for group in (distances.a_to_b, distances.a_peaks) if len(group))),
        float(max(group.max() for group in (distances.b_to_a, distances.b_peaks) if len(group))),
    )


def directed_hausdorff95(distances: SurfaceDistances) -> tuple[float, float]:
    """95th percentile of the distances from ``a`` to ``b``, and from ``b`` to ``a``, mm."""
    return (
        float(np.percentile(distances.a_to_b, 95)),
        float(np.percentile(distances.b_to_a, 95)),
    )


def hausdorff(distances: SurfaceDistances) -> float:
    """Largest distance found in either direction, mm."""
    return max(directed_hausdorff(distances))


def hausdorff95(distances: SurfaceDistances) -> float:
    """The larger of both directions' 95th percentiles, mm."""
    return max(directed_hausdorff95(distances))


def assd_paper(
    a: Mesh,
    b: Mesh,
    region: np.ndarray | Region | None = None,
    count: int = PAPER_POINTS,
) -> float:
    """The paper's ASSD in mm: from point to point, so never 0 (about 0.3 for equal femora).

    ``count`` evenly spaced points on each surface, the distance of each to the nearest
    point on the other, both directions averaged. With a ``region`` both surfaces are cut
    to it first, as the paper's were to their volume.
    """
    from scipy.spatial import cKDTree

    inside_a, inside_b = _within(a, b, region)
    points_a = sample_surface_even(inside_a, count, 0)
    points_b = sample_surface_even(inside_b, count, 1)
    a_to_b, _ = cKDTree(points_b).query(points_a)
    b_to_a, _ = cKDTree(points_a).query(points_b)
    return float((a_to_b.mean() + b_to_a.mean()) / 2.0)


def compare_meshes(
    recon: dict[str, Mesh],
    reference: dict[str, Mesh],
    region: np.ndarray | dict[str, Region] | None = None,
    samples: int = 20_000,
    masks: dict[str, Mask] | None = None,
    backend: str = "vtk",
    distances: dict[str, SurfaceDistances] | None = None,
) -> list[dict]:
    """A row per bone that either set has, in the usual order, and a row ``mean``.

    Keys: ``bone``, :data:`MEASURES`, :data:`MORE_MEASURES`, ``region`` (the evaluated box, two
    corners in mm, or None), ``note``. A bone that cannot be evaluated has NaN and a note that says
    why, and where the reference has that bone the mean is NaN too: leaving a bone out never
    improves a result.

    Args:
        recon: what is evaluated, mm.
        reference: what it is compared with, same frame, mm.
        region: a box [2, 3] for all bones, or a region for each, as
            :func:`~SSRKDLib.evaluation.regions.region_from_rig` gives them; by default
            :func:`~SSRKDLib.evaluation.regions.common_region` decides.
        samples: points per surface.
        masks: the reference's voxels by bone, in the same frame, for ``dsc_voxel``.
        backend: one of :data:`SSRKDLib.surfaces.distance.BACKENDS`.
        distances: gets those of every bone that can be evaluated.

    Raises:
        MeshError: the reference is empty.
    """
    if not reference:
        raise MeshError("The reference contains no bone.", "Give a reference to compare with.")
    regions = region if isinstance(region, dict) else {}
    if region is None:
        regions = common_region(recon, reference)
    everywhere = as_region(None if isinstance(region, dict) else region)
    rows = []
    for bone in BONES:
        if bone not in recon and bone not in reference:
            continue
        measures = dict.fromkeys((*MEASURES, *MORE_MEASURES), float("nan"))
        row = {"bone": bone, **measures, "region": None, "note": ""}
        rows.append(row)
        if bone not in reference:
            row["note"] = "not in the reference, not evaluated"
        elif bone not in recon:
            row["note"] = "missing from the reconstruction"
        else:
            place = regions.get(bone, everywhere)
            mask = (masks or {}).get(bone)
            found = _measure(row, recon[bone], reference[bone], place, samples, mask, backend)
            if found is not None and distances is not None:
                distances[bone] = found
    rows.append(_mean_row([row for row in rows if row["bone"] in reference]))
    return rows


def _measure(
    row: dict,
    recon: Mesh,
    truth: Mesh,
    region: Region,
    samples: int,
    mask: Mask | None,
    backend: str,
) -> SurfaceDistances | None:
    """Fill one row of :func:`compare_meshes` in place; None where nothing can be evaluated."""
    row["note"] = region.note
    if np.isfinite(region.box).all():
        row["region"] = np.round(region.box, 1).tolist()
    try:
        distances = surface_distances(recon, truth, region, samples, backend=backend)
    except MeshError as error:
        row["note"] = joined(filter(None, [row["note"], error.cause]))
        return None
    row["assd_mm"] = assd(distances)
    row["assd_paper_mm"] = assd_paper(recon, truth, region, PAPER_POINTS)
    row["hd_mm"] = hausdorff(distances)
    row["hd95_mm"] = hausdorff95(distances)
    row["dsc"] = dice_meshes(recon, truth, region)
    row["hd_to_reference_mm"], row["hd_to_recon_mm"] = directed_hausdorff(distances)
    row["hd95_to_reference_mm"], row["hd95_to_recon_mm"] = directed_hausdorff95(distances)
    if mask is not None:
        row["dsc_voxel"] = dice_mesh_in_mask(recon, mask.array, mask.index_to_lps, region)
    return distances


def _mean_row(rows: list[dict]) -> dict:
    values = {
        key: float(np.mean([row[key] for row in rows])) for key in (*MEASURES, *MORE_MEASURES)
    }
    lost = [row["bone"] for row in rows if np.isnan(row["assd_mm"])]
    note = Message("no mean without the {lost}", lost=" and ".join(lost)) if lost else ""
    return {"bone": "mean", **values, "region": None, "note": note}


def _within(a: Mesh, b: Mesh, region: np.ndarray | Region | None) -> tuple[Mesh, Mesh]:
    """The parts of ``a`` and ``b`` within ``region``; an error where there is none."""
    region = as_region(region)
    parts = (region.clip(a), region.clip(b))
    for part, name in zip(parts, ("first", "second")):
        if not len(part.faces):
            raise MeshError(
                "The {name} surface has no part in the compared region.",
                "Check that both are in one frame, in millimetres.",
                name=name,
            )
    return parts

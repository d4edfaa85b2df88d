"""How far two sets of bone surfaces are apart: distances and overlap.

Distances are taken from points spread evenly over one surface to the nearest place on
the whole of the other, in both directions. A region limits which points are judged,
never what they are compared with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from SSRKDLib.anatomy import BONES
from SSRKDLib.errors import MeshError
from SSRKDLib.meshes import Mesh, to_polydata
from SSRKDLib.regions import common_region
from SSRKDLib.sampling import sample_surface, sample_surface_even

#: Points per surface in the protocol of the SSR-KD paper.
PAPER_POINTS = 49_152

#: The figures of a row of :func:`compare_meshes`, in the order of a table.
MEASURES: tuple[str, ...] = ("assd_mm", "assd_paper_mm", "hd_mm", "hd95_mm", "dsc")


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


def point_distances(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """Exact distance [N] in mm of each point [N, 3] to the nearest place on ``mesh``."""
    from vtkmodules.vtkCommonCore import reference
    from vtkmodules.vtkCommonDataModel import vtkGenericCell, vtkStaticCellLocator

    if not len(mesh.faces):
        raise MeshError("There is no surface to measure to.", "Give a surface with triangles.")
    locator = vtkStaticCellLocator()
    locator.SetDataSet(to_polydata(mesh))
    locator.BuildLocator()
    cell, cell_id, part = vtkGenericCell(), reference(0), reference(0)
    nearest, squared = [0.0, 0.0, 0.0], reference(0.0)
    result = np.empty(len(points))
    for index, point in enumerate(np.asarray(points, dtype=np.float64).tolist()):
        locator.FindClosestPoint(point, nearest, cell, cell_id, part, squared)
        result[index] = squared.get()
    return np.sqrt(result)


def surface_distances(
    a: Mesh, b: Mesh, region: np.ndarray | None = None, samples: int = 20_000, seed: int = 0
) -> SurfaceDistances:
    """Point-to-surface distances between ``a`` and ``b`` (one frame, mm), both ways.

    ``samples`` points per surface, drawn with a fixed ``seed`` from the part inside
    ``region`` ([2, 3], lowest and highest corner; everything if None). Raises
    :class:`~SSRKDLib.errors.MeshError` where either has no surface in the region.
    """
    inside_a, inside_b = _judged(a, b, region)
    return SurfaceDistances(
        point_distances(sample_surface(inside_a, samples, seed), b),
        point_distances(sample_surface(inside_b, samples, seed + 1), a),
        point_distances(inside_a.vertices, b),
        point_distances(inside_b.vertices, a),
    )


def assd(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance, mm: the mean of both directions' means."""
    return float((distances.a_to_b.mean() + distances.b_to_a.mean()) / 2.0)


def hausdorff(distances: SurfaceDistances) -> float:
    """Largest distance found in either direction, mm."""
    return float(max(group.max() for group in distances if len(group)))


def hausdorff95(distances: SurfaceDistances) -> float:
    """The larger of both directions' 95th percentiles, mm."""
    return float(max(np.percentile(distances.a_to_b, 95), np.percentile(distances.b_to_a, 95)))


def assd_paper(
    a: Mesh, b: Mesh, region: np.ndarray | None = None, count: int = PAPER_POINTS, seed: int = 0
) -> float:
    """The paper's ASSD in mm: from point to point, so never 0 (about 0.3 for equal femora).

    ``count`` evenly spaced points on each surface, the distance of each to the nearest
    point on the other, both directions averaged. With a ``region`` both surfaces are cut
    to it first, as the paper's were to their volume.
    """
    from scipy.spatial import cKDTree

    inside_a, inside_b = _judged(a, b, region)
    points_a = sample_surface_even(inside_a, count, seed)
    points_b = sample_surface_even(inside_b, count, seed + 1)
    a_to_b, _ = cKDTree(points_b).query(points_a)
    b_to_a, _ = cKDTree(points_a).query(points_b)
    return float((a_to_b.mean() + b_to_a.mean()) / 2.0)


def dice_meshes(a: Mesh, b: Mesh, region: np.ndarray | None = None, spacing: float = 0.5) -> float:
    """Dice similarity 0..1 of the insides, on a grid of ``spacing`` mm within ``region``.

    Open ends are capped first (keep the region short of them: a lid across an oblique
    cut is a guess). NaN where neither has an inside in the region.
    """
    box = np.stack([np.minimum(a.bounds[0], b.bounds[0]), np.maximum(a.bounds[1], b.bounds[1])])
    if region is not None:
        region = np.asarray(region, dtype=np.float64)
        box = np.stack([np.maximum(box[0], region[0]), np.minimum(box[1], region[1])])
    size = np.maximum(np.ceil((box[1] - box[0]) / spacing), 0)
    if not np.isfinite(size).all() or not size.all():
        return float("nan")
    # Voxel centres half a voxel inside, and a hair off round coordinates, where vertices
    # tend to lie and the scan conversion would have to break ties.
    origin = box[0] + spacing * (0.5 + np.array([1.3e-3, 1.7e-3, 2.3e-3]))
    inside_a = voxelise(a, origin, spacing, size.astype(int))
    inside_b = voxelise(b, origin, spacing, size.astype(int))
    total = int(inside_a.sum()) + int(inside_b.sum())
    return 2.0 * int((inside_a & inside_b).sum()) / total if total else float("nan")


def voxelise(mesh: Mesh, origin: np.ndarray, spacing: float, size: np.ndarray) -> np.ndarray:
    """Which voxel centres lie inside ``mesh``: bool, indexed [k, j, i].

    ``origin`` [3] is the centre of voxel (0, 0, 0) in mm, ``size`` [3] the number of
    voxels along x, y, z; the grid is parallel to the axes. Open ends are capped.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

    # VTK 9.7 joins loose ends of a slice by itself; its documentation asks for closed input.
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(to_polydata(mesh.capped()))
    stencil.SetOutputOrigin(*origin)
    stencil.SetOutputSpacing(spacing, spacing, spacing)
    stencil.SetOutputWholeExtent(0, int(size[0]) - 1, 0, int(size[1]) - 1, 0, int(size[2]) - 1)
    image = vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutsideValue(0)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    scalars = image.GetOutput().GetPointData().GetScalars()
    return vtk_to_numpy(scalars).reshape(int(size[2]), int(size[1]), int(size[0])) > 0


def compare_meshes(
    recon: dict[str, Mesh],
    reference: dict[str, Mesh],
    region: np.ndarray | None = None,
    samples: int = 20_000,
) -> list[dict]:
    """A row per bone that either set has, in the usual order, and a row ``mean``.

    Keys: ``bone``, :data:`MEASURES`, ``region`` (the judged box, two corners in mm, or
    None), ``note``. ``region`` [2, 3] serves for all bones; without it
    :func:`~SSRKDLib.regions.common_region` decides. A bone that cannot be judged has NaN
    and a note that says why, and where the reference has that bone the mean is NaN too:
    leaving a bone out never improves a result. Raises
    :class:`~SSRKDLib.errors.MeshError` where the reference is empty.
    """
    if not reference:
        raise MeshError("The reference holds no bone.", "Give a reference to compare with.")
    regions = common_region(recon, reference) if region is None else {}
    rows = []
    for bone in BONES:
        if bone not in recon and bone not in reference:
            continue
        row = {"bone": bone, **dict.fromkeys(MEASURES, float("nan")), "region": None, "note": ""}
        rows.append(row)
        if bone not in reference:
            row["note"] = "not in the reference, not judged"
        elif bone not in recon:
            row["note"] = "missing from the reconstruction"
        else:
            box, row["note"] = regions.get(bone, (region, ""))
            _measure(row, recon[bone], reference[bone], box, samples)
    rows.append(_mean_row([row for row in rows if row["bone"] in reference]))
    return rows


def _measure(row: dict, recon: Mesh, truth: Mesh, box: np.ndarray | None, samples: int) -> None:
    """Fill one row of :func:`compare_meshes` in place."""
    if box is not None:
        row["region"] = np.round(box, 1).tolist()
    try:
        distances = surface_distances(recon, truth, box, samples)
    except MeshError as error:
        row["note"] = "; ".join(filter(None, [row["note"], error.cause]))
        return
    row["assd_mm"] = assd(distances)
    row["assd_paper_mm"] = assd_paper(recon, truth, box, PAPER_POINTS)
    row["hd_mm"] = hausdorff(distances)
    row["hd95_mm"] = hausdorff95(distances)
    row["dsc"] = dice_meshes(recon, truth, box)


def _mean_row(rows: list[dict]) -> dict:
    values = {key: float(np.mean([row[key] for row in rows])) for key in MEASURES}
    lost = [row["bone"] for row in rows if np.isnan(row["assd_mm"])]
    note = f"no mean without the {' and '.join(lost)}" if lost else ""
    return {"bone": "mean", **values, "region": None, "note": note}


def _judged(a: Mesh, b: Mesh, region: np.ndarray | None) -> tuple[Mesh, Mesh]:
    """The parts of ``a`` and ``b`` within ``region``; an error where there is none."""
    parts = (a, b) if region is None else (a.clipped(region), b.clipped(region))
    for part, name in zip(parts, ("first", "second")):
        if not len(part.faces):
            raise MeshError(
                f"The {name} surface has no part in the compared region.",
                "Check that both are in one frame, in millimetres.",
            )
    return parts

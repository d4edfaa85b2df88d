"""What each factor of a radiograph costs, and which step of the reconstruction pays for it.

Every scene is reconstructed twice: as a user would, and with the true masks in place of the
segmenter's. Three numbers say where error comes from: how far the frame that was found is turned
against the true one (locating), how well the masks overlap the true ones (marking), and what is
left with true masks (reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import SSRKDError
from SSRKDLib.evaluation.held_out_people import placed
from SSRKDLib.evaluation.metrics import compare_meshes
from SSRKDLib.evaluation.regions import region_around
from SSRKDLib.evaluation.stress_factors import FACTORS, Factor, Scene
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.reconstruction.radiographs import Reconstruction, reconstruct
from SSRKDLib.simulation.population import canonical_frame, shape_model
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh

#: A row that no factor changed.
BASELINE = "as usual"

#: Where the joint of a scene's bones lies, mm.
JOINT = np.zeros(3)

#: Masks are compared up to this height above and below the joint, mm.
_MASK_REACH = 70.0

#: Flexion that virtual people are drawn with; the factor comes on top of it.
_FLEXION = 5.0


def virtual_person(index: int) -> dict[str, Mesh]:
    """A left knee at random, nearly straight, its joint at the origin, mm."""
    points = random_knee(np.random.default_rng([0, index]), flexion=_FLEXION)
    bones = {bone: Mesh(points[bone], shape_model().faces[bone]) for bone in BONES}
    return placed(bones, JOINT)


def scenes(
    bones: dict[str, Mesh], factors: tuple[Factor, ...] = FACTORS
) -> Iterator[tuple[str, float | None, Scene]]:
    """Factor, value and scene: first the one that no factor changes, whose value is None."""
    usual = Scene(bones)
    yield BASELINE, None, usual
    yield "simulator of the training", 1.0, replace(usual, simulator="mesh")
    for factor in factors:
        for value in factor.values:
            yield factor.name, value, factor.change(usual, value)


def measure(scene: Scene, model: KneeModel) -> dict:
    """One row: ``assd`` and ``true_masks`` by bone, mm, None for a bone that was not found;
    ``turned``, degrees, None for bones that do not correspond to the population; ``dice`` of the
    masks; ``error``, what the reconstruction was refused with."""
    truth, rig, exposures = scene.placed(), scene.rig(), scene.exposures()
    row = {"assd": dict.fromkeys(BONES), "true_masks": dict.fromkeys(BONES)}
    row |= {"turned": None, "dice": None, "error": ""}
    try:
        result = reconstruct(exposures, rig, model)
        row["assd"] = _distances(result, truth)
        row |= {"turned": _turned(result, truth), "dice": _dice(result, truth)}
        masks = [
            np.stack([silhouette(truth[b].vertices, truth[b].faces, view) for b in BONES])
            for view in rig.views
        ]
        row["true_masks"] = _distances(reconstruct(exposures, rig, model, masks=masks), truth)
    except SSRKDError as error:
        row["error"] = str(error)
    return row


def _distances(result: Reconstruction, truth: dict[str, Mesh]) -> dict[str, float | None]:
    region = region_around(joint_centre(truth))
    rows = {row["bone"]: row["assd_mm"] for row in compare_meshes(result.bones, truth, region)}
    return {bone: rows[bone] if np.isfinite(rows[bone]) else None for bone in BONES}


def _turned(result: Reconstruction, truth: dict[str, Mesh]) -> float | None:
    points = {bone: truth[bone].vertices for bone in BONES}
    if any(len(points[b]) != rows.stop - rows.start for b, rows in shape_model().slices.items()):
        return None
    between = canonical_frame(points)[:3, :3].T @ result.frame[:3, :3]
    return float(np.degrees(Rotation.from_matrix(between).magnitude()))


def _dice(result: Reconstruction, truth: dict[str, Mesh]) -> float:
    """Mean over bones and views, near the joint."""
    to_canonical = np.linalg.inv(result.frame)
    values = []
    for masks, camera in zip(result.masks, result.cameras):
        view = camera.view
        grid = np.stack(np.meshgrid(*map(np.arange, view.size)), axis=-1)
        near = np.abs(view.points_on_detector(grid)[..., 2]) < _MASK_REACH
        for mask, bone in zip(masks, BONES):
            mesh = truth[bone].transformed(to_canonical)
            true, found = silhouette(mesh.vertices, mesh.faces, view) & near, (mask > 0.5) & near
            values.append(2 * (true & found).sum() / max(true.sum() + found.sum(), 1))
    return float(np.mean(values))


def table(rows: list[dict]) -> list[dict]:
    """A line per factor and value, means over people in mm: each bone, all, what that is more than
    as usual (``cost``), per unit between the factor's ends (``slope``), and with true masks. NaN
    where a bone is missing: a lost bone must not make the rest look good."""
    usual = [row for row in rows if row["factor"] == BASELINE]
    units = {factor.name: factor.unit for factor in FACTORS}
    lines = []
    for factor, value in dict.fromkeys((row["factor"], row["value"]) for row in rows):
        chosen = [row for row in rows if (row["factor"], row["value"]) == (factor, value)]
        people = {row["person"] for row in chosen}
        same = [row for row in usual if row["person"] in people]
        line = {"factor": factor, "value": value, "unit": units.get(factor, "")}
        line |= {bone: _mean(chosen, "assd", [bone]) for bone in BONES}
        line["all"] = _mean(chosen, "assd", BONES)
        line["cost"] = line["all"] - _mean(same, "assd", BONES)
        line["true masks"] = _mean(chosen, "true_masks", BONES)
        line |= {key: _figure(chosen, key) for key in ("turned", "dice")}
        line["refused"] = sum(bool(row["error"]) for row in chosen)
        lines.append(line)
    for line in lines:
        ends = [other for other in lines if other["factor"] == line["factor"]]
        width = 0.0 if line["value"] is None else ends[-1]["value"] - ends[0]["value"]
        line["slope"] = (ends[-1]["all"] - ends[0]["all"]) / width if width else float("nan")
    return lines


def _mean(rows: list[dict], key: str, bones) -> float:
    values = [row[key][bone] for row in rows for bone in bones]
    return float(np.mean([np.nan if value is None else value for value in values]))


def _figure(rows: list[dict], key: str) -> float:
    values = [row[key] for row in rows if row[key] is not None]
    return float(np.mean(values)) if values else float("nan")

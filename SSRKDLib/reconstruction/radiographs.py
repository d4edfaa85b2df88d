"""Two radiographs in, four bones out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.geometry.views import Rig
from SSRKDLib.geometry.virtual_cameras import REACH, Camera, pixel_grid
from SSRKDLib.models.interface import BoneField
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.models.official_model import OfficialKneeModel
from SSRKDLib.radiographs.exposure import Exposure, best_pair
from SSRKDLib.radiographs.network_input import (
    FramedRadiographs,
    NetworkInput,
    framed_mask,
)
from SSRKDLib.reconstruction.field import EmptyRegionError, FieldGrid, evaluate
from SSRKDLib.reconstruction.isosurface import extract
from SSRKDLib.reconstruction.localisation import Localisation, locate
from SSRKDLib.reconstruction.report import report_of
from SSRKDLib.reconstruction.sanity_checks import find_warnings
from SSRKDLib.surfaces.mesh import Mesh


@dataclass
class Reconstruction:
    """What came out.

    Attributes:
        bones: closed-except-at-the-region's-border surfaces in rig coordinates, mm; a bone that
            was not found is absent.
        frame: canonical to rig, 4x4 (mirrored for a right knee).
        laterality: ``"L"`` or ``"R"``.
        masks: per view of the pair, bone probabilities ``[4, rows, columns]`` on the network's
            image; see ``cameras``.
        cameras: the virtual cameras of ``masks``.
        report: plain JSON values, as written to report.json.
    """

    bones: dict[str, Mesh]
    frame: np.ndarray
    laterality: str
    masks: np.ndarray
    cameras: tuple[Camera, Camera]
    report: dict = field(default_factory=dict)


class _Stages:
    """Seconds by stage, and progress on the way."""

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str, fraction: float, message: str):
        self.report(name, fraction, message)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)

    def report(self, name: str, fraction: float, message: str = "") -> None:
        if self._progress is not None:
            self._progress(name, fraction, message)


def reconstruct(
    exposures: list[Exposure],
    rig: Rig,
    model: KneeModel | OfficialKneeModel,
    spacing: float = 1.0,
    masks: list[np.ndarray | None] | None = None,
    progress: Progress = no_progress,
) -> Reconstruction:
    """Reconstruct the four bones.

    Args:
        exposures: one per view of the rig (of more than two, the pair nearest to perpendicular is
            used).
        rig: how they were taken.
        model: the networks.
        spacing: of the grid that surfaces are extracted from, mm.
        masks: bone masks to use in place of the segmenter's, one entry per exposure: None, or
            ``[4, rows, columns]`` on the radiograph's own pixels.
        progress: called with stage, fraction done and message; what it raises ends the job.

    Raises:
        ImageError: no bone is found at all.
        GeometryError: the radiographs show no common place.
    """
    stages = _Stages(progress)
    pair = best_pair(exposures)
    with stages.stage("locate", 0.05, "Finding the knee"):
        located = locate(pair, rig, model.finder, rig.laterality)

    framed = located.radiographs
    with stages.stage("segment", 0.3, "Segmenting the bones in the radiographs"):
        if masks is not None:
            edited = tuple(masks[exposures.index(exposure)] for exposure in pair)
            framed = _with_edited(framed, edited)

    with stages.stage("encode", 0.4, "Reading the radiographs"):
        # Localisation has read what its model reads of the segmenter's masks.
        known = framed is located.radiographs and model is model.finder
        bone_field = located.field if known else model.read(framed)

    region = region_margin(pair, located.frame, bone_field)
    with stages.stage("field", 0.5, "Evaluating the bones' field"):
        try:
            grid = evaluate(
                bone_field.query,
                bone_field.low,
                bone_field.high,
                spacing,
                band=bone_field.band,
                progress=lambda share: stages.report("field", 0.5 + 0.3 * share),
                inside=lambda points: region(points) > 0,
            )
        except EmptyRegionError as error:
            raise _no_knee("No place lies in the exposed fields of both radiographs.") from error

    bones: dict[str, Mesh] = {}
    with stages.stage("surface", 0.8, "Extracting surfaces"):
        for k, bone in enumerate(BONES):
            stages.report("surface", 0.8 + 0.04 * k, f"Extracting the {bone}")
            mesh = extract(grid, k, clip=region)
            if mesh is not None:
                bones[bone] = mesh
    if not bones:
        raise _no_knee("No bone was found in the radiographs.")

    with stages.stage("check", 0.95, "Checking against the radiographs"):
        agreement = silhouettes_agreement(bones, framed.input, framed.masks)
        warnings = find_warnings(pair, rig, model.finder, located, bones, agreement)
    in_rig = {bone: mesh.transformed(located.frame) for bone, mesh in bones.items()}
    warnings = [*rig.assumptions, *bone_field.notes, *warnings]
    report = _report(model, located, in_rig, agreement, stages.seconds, spacing, grid, warnings)
    return Reconstruction(
        in_rig, located.frame, located.laterality, framed.masks, framed.input.cameras, report
    )


def _no_knee(cause: str) -> ImageError:
    return ImageError(
        cause,
        "Check that they show a knee, and the distances, the pixel spacing (mm) and the directions "
        "of the views.",
    )


def _with_edited(
    framed: FramedRadiographs, edited: tuple[np.ndarray | None, ...]
) -> FramedRadiographs:
    """The radiographs with the user's masks in place of the segmenter's that were edited."""
    masks = framed.masks.copy()
    for slot, camera in enumerate(framed.input.cameras):
        mask = edited[camera.index]
        if mask is not None:
            masks[slot] = [
                framed_mask(mask[bone], framed.pair[camera.index], camera, framed.frame)
                for bone in range(len(BONES))
            ]
    return replace(framed, masks=masks, edited=edited)


def region_margin(
    pair: tuple[Exposure, Exposure], frame: np.ndarray, bone_field: BoneField
) -> Callable[[np.ndarray], np.ndarray]:
    """The region that is reconstructed: the model's box and field of view, and of these what both
    radiographs see.

    Returns:
        Canonical points ``[N, 3]`` mm to signed margins ``[N]`` mm, positive inside.
    """
    borders = []
    for exposure in pair:
        small = exposure.reduced(1.0, frame[:3, 3])
        padded = np.pad(small.valid, 1)
        distance = ndimage.distance_transform_edt(padded) - ndimage.distance_transform_edt(~padded)
        borders.append((small.view, distance))

    def margin(points: np.ndarray) -> np.ndarray:
        inside = np.minimum(points - bone_field.low, bone_field.high - points).min(1)
        if bone_field.margin is not None:
            inside = np.minimum(inside, bone_field.margin(points))
        in_rig = points @ frame[:3, :3].T + frame[:3, 3]
        for view, distance in borders:
            image_points = view.project(in_rig)
            where = np.clip(np.nan_to_num(image_points, nan=-1e6) + 1, -0.5, None)
            pixels = ndimage.map_coordinates(distance, where.T[::-1], order=1, mode="nearest")
            depth = in_rig @ view.projection_matrix[2, :3] + view.projection_matrix[2, 3]
            inside = np.minimum(inside, pixels * min(view.pixel_spacing) * depth)
        return inside

    return margin


def silhouettes_agreement(
    bones: dict[str, Mesh], detail: NetworkInput, masks: np.ndarray
) -> dict[str, list[float | None]]:
    """Dice of each bone's projected outline with the mask it was reconstructed from, per view.

    Bones in canonical coordinates. Rows beyond the reconstructed ends of the shafts are left out;
    None where neither shows the bone.
    """
    agreement: dict[str, list[float | None]] = {}
    for k, bone in enumerate(BONES):
        agreement[bone] = []
        for slot, camera in enumerate(detail.cameras):
            grid = pixel_grid(camera.view)
            height = camera.view.points_on_detector(grid)[..., 2]
            evaluated = detail.valid[slot] & (np.abs(height) < REACH[2] - 15)
            segmented = (masks[slot, k] > 0.5) & evaluated
            projected = np.zeros_like(segmented)
            if bone in bones:
                mesh = bones[bone]
                projected = silhouette(mesh.vertices, mesh.faces, camera.view) & evaluated
            total = segmented.sum() + projected.sum()
            dice = float(2 * (segmented & projected).sum() / total) if total > 20 else None
            agreement[bone].append(None if dice is None else round(dice, 4))
    return agreement


def _report(
    model: KneeModel | OfficialKneeModel,
    located: Localisation,
    bones: dict[str, Mesh],
    agreement: dict[str, list[float | None]],
    seconds: dict[str, float],
    spacing: float,
    grid: FieldGrid,
    warnings: list[str],
) -> dict:
    spread = located.estimate.spread
    details = {
        "spacing_mm": spacing,
        "laterality": located.laterality,
        "canonical_to_rig": located.frame.tolist(),
        "locating": {
            "agreement": round(located.agreement, 4),
            "spread_mm": None if spread is None else round(spread, 3),
        },
        "field": {"visited": grid.visited, "total": grid.total},
        "warnings": warnings,
    }
    by_bone = {
        bone: {"agreement": dict(zip(("frontal", "lateral"), agreement[bone]))} for bone in BONES
    }
    return report_of(model, bones, seconds, details, by_bone)

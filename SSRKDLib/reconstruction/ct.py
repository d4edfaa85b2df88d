"""A CT in, four bones out: the teacher's predictions, window by window, and the shape model's bones
fitted to them.

At 256^3 voxels with a network of the published size the whole process takes 2.9 GB at its peak,
most of it the features of one window of 128^3, and 373 s of one core of a CPU (27 windows;
``python -m Testing.benchmark --ct``); run whole, the network alone takes 12.9 GB.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.ct.connected_components import components, isolated_field, one_knee
from SSRKDLib.ct.grid import CtGrid
from SSRKDLib.ct.reading import CtScan, read_scan
from SSRKDLib.ct.sliding_window import Blend, window_starts
from SSRKDLib.models import loading
from SSRKDLib.models.ct_model import PUBLISHED_SIZE, check_teacher
from SSRKDLib.reconstruction.choices import chosen_surface
from SSRKDLib.reconstruction.ct_bones import fit_ct_bones, left_out_beyond
from SSRKDLib.reconstruction.field import NOT_SEEN, FieldGrid
from SSRKDLib.reconstruction.fitting.template import CutBone, correspondence
from SSRKDLib.reconstruction.isosurface import extract
from SSRKDLib.reconstruction.report import report_of
from SSRKDLib.surfaces.mesh import Mesh

if TYPE_CHECKING:
    from SSRKDLib.models.ct_model import CtModel

#: A CT so many times as long as those that the network was trained on gets a warning.
LONGER = 1.15

#: The fibula lies this much to one side of the tibia, or does not decide the side, mm.
_BESIDE_MM = 5.0


@dataclass
class CtReconstruction:
    """What came out.

    Attributes:
        bones: surfaces in the patient's LPS mm, outward; closed except where the CT, or the fitted
            shaft, ends; a bone that was not found is absent.
        laterality: "L", "R", or None where neither the caller nor the bones decide.
        report: plain JSON values, as written to report.json.
        within_mm: as of :class:`~SSRKDLib.reconstruction.radiographs.Reconstruction`; of a CT
            nothing is said.
    """

    bones: dict[str, Mesh]
    laterality: str | None
    report: dict = field(default_factory=dict)
    within_mm: dict[str, np.ndarray] = field(default_factory=dict)


def reconstruct_ct_file(
    path: str | Path,
    weights: str | Path | None = None,
    device: str = "auto",
    laterality: str | None = None,
    progress: Progress = no_progress,
    surface: str | None = None,
    load: Callable[[str | Path | None, str], CtModel] | None = None,
) -> CtReconstruction:
    """Read a CT, load weights and reconstruct; on the CPU where ``auto`` found a GPU too small.

    Args:
        path: see :func:`~SSRKDLib.ct.reading.read_scan`.
        weights, device: see :func:`SSRKDLib.models.loading.load_ct_model`.
        laterality, progress, surface: see :func:`reconstruct_ct`.
        load: gives the model of weights and device, default
            :func:`SSRKDLib.models.loading.load_ct_model`.

    Raises:
        WeightsError: the weights are absent, damaged, or contain no teacher.
        ImageError: the CT cannot be used, or no bone is found in it.
        InputError: a device that is not there, or another surface.
        MissingDependencyError: torch or safetensors is not installed.
        DeviceMemoryError: memory ran out.
    """
    check_teacher(weights)
    start = time.perf_counter()
    progress("read", 0.0, "Reading the CT")
    scan = read_scan(path)
    read = round(time.perf_counter() - start, 3)

    result, warnings = loading.run_with_model(
        lambda model: reconstruct_ct(scan, model, laterality, progress, surface),
        load or loading.load_ct_model, weights, device, progress,
    )  # fmt: skip
    result.report["warnings"][:0] = warnings
    stages = result.report["seconds"]
    total = round(stages.pop("total") + read, 3)
    result.report["seconds"] = {"read": read, **stages, "total": total}
    return result


def reconstruct_ct(
    scan: CtScan,
    model: CtModel,
    laterality: str | None = None,
    progress: Progress = no_progress,
    surface: str | None = None,
) -> CtReconstruction:
    """Reconstruct the bones of one knee.

    Args:
        scan: the CT; of any orientation.
        model: the teacher.
        laterality: "L", "R" or None: from where the fibula lies beside the tibia.
        progress: called with stage, fraction done and message; what it raises ends the job.
        surface: one of :data:`~SSRKDLib.reconstruction.choices.SURFACES`: the shape model's bones,
            fitted to what was segmented and to the CT's edges, or the isosurface of the network's
            labels; None: ``model.surface``.

    Raises:
        ImageError: a CT of impossible size, or no bone is found.
        InputError: another surface.
    """
    surface = chosen_surface(surface, model.surface)
    start = time.perf_counter()
    if model.voxel is None:
        grid = CtGrid.stretched(scan, PUBLISHED_SIZE)
    else:
        grid = CtGrid.isotropic(scan, model.voxel)
    margins, windows = _margins(grid, model, progress)
    seconds = {"field": round(time.perf_counter() - start, 3)}

    start = time.perf_counter()
    progress("surface", 0.9, "Extracting surfaces")
    bones, choices = _surfaces(grid, margins, progress)
    if not bones:
        raise ImageError(
            "No bone was found in the CT.",
            "Check that it shows a knee, and that its values are Hounsfield units.",
        )
    seconds["surface"] = round(time.perf_counter() - start, 3)
    side, doubts = _side(bones, laterality)
    fitted = None
    if surface == "fitted":
        start = time.perf_counter()
        progress("fit", 0.98, "Fitting the bones to the CT")
        fitted = fit_ct_bones(bones, side, scan)
        if fitted is None:
            doubts.append(
                "The shape model does not fit what was segmented, so the network's own surfaces "
                "are delivered."
            )
        else:
            doubts += _beyond(bones, fitted)
            bones = {bone: cut.mesh for bone, cut in fitted.items()}
        seconds["fit"] = round(time.perf_counter() - start, 3)
    missing = [
        Message("The {bone} was not found.", bone=bone) for bone in BONES if bone not in bones
    ]
    report = _report(grid, model, bones, seconds, windows)
    report["laterality"] = side
    report["surface"] = "field" if fitted is None else "fitted"
    report["correspondence"] = None if fitted is None else correspondence(fitted)
    longer = _outside_training_range(scan, model)
    report["warnings"] = [*scan.notes, *model.notes, *longer, *missing, *choices, *doubts]
    return CtReconstruction(bones, side, report)


def _outside_training_range(scan: CtScan, model: CtModel) -> list[str]:
    """A sentence where the CT shows much more of the leg than the network was trained on."""
    length = float(np.abs(scan.index_to_lps[2, :3]) @ scan.hounsfield.shape[::-1])  # of the leg
    if length <= LONGER * model.extent:
        return []
    return [
        Message(
            "These weights were trained on {extent:.0f} mm around the knee, and this CT "
            "shows {length:.0f} mm: crop it to the knee, else parts of the shafts may be "
            "taken for other bones.",
            extent=model.extent,
            length=length,
        )
    ]


def _beyond(bones: dict[str, Mesh], fitted: dict[str, CutBone]) -> list[str]:
    """A sentence where shafts were segmented beyond the shape model's."""
    reach = left_out_beyond(bones, fitted)
    if reach is None:
        return []
    return [
        Message(
            "Only the {reach:.0f} mm on each side of the joint are fitted; the rest of the shafts "
            "is left out.",
            reach=reach,
        )
    ]


def _margins(grid: CtGrid, model: CtModel, progress: Progress) -> tuple[np.ndarray, dict[str, int]]:
    """The bones' margins on the grid, float16 ``[bones, k, j, i]``; how many windows the network
    was given, and of how many: those that contain nothing but air are left out."""
    progress("resample", 0.04, "Resampling the CT")
    values = grid.network_values(lambda share: progress("resample", 0.04 + 0.06 * share, ""))
    starts = window_starts(grid.shape, model.window)
    blend = Blend(len(BONES), grid.shape, model.window, NOT_SEEN)
    visited = 0
    for number, start in enumerate(starts):
        share = 0.1 + 0.8 * number / len(starts)
        part = Message(
            "Segmenting the bones, part {number} of {count}", number=number + 1, count=len(starts)
        )
        progress("field", share, part)
        part = values[tuple(slice(first, first + model.window) for first in start)]
        if part.any():
            window = np.zeros((model.window,) * 3, np.float32)  # beyond the volume there is air
            window[tuple(slice(0, n) for n in part.shape)] = part
            blend.add(start, np.clip(model.margins(window / 255), NOT_SEEN, -NOT_SEEN))
            visited += 1
    return blend.finish(), {"visited": visited, "total": len(starts)}


def _surfaces(
    grid: CtGrid, margins: np.ndarray, progress: Progress
) -> tuple[dict[str, Mesh], list[str]]:
    """The bones of one knee, LPS mm, and sentences on what was chosen and left out."""
    found = {
        bone: some
        for bone, values in zip(BONES, margins)
        if (some := components(values > 0, grid.index_to_lps))
    }
    if not found:
        return {}, []
    chosen, sentences = one_knee(found)
    bones = {}
    for number, (bone, component) in enumerate(chosen.items()):
        progress("surface", 0.92 + 0.015 * number, Message("Extracting the {bone}", bone=bone))
        values, first = isolated_field(margins[BONES.index(bone)], component)
        # In voxels: the grid's own may be no cubes and lie askew.
        field_grid = FieldGrid(values[None], first.astype(float), 1.0, values.size, values.size)
        mesh = extract(field_grid, 0, clip=grid.margin)
        if mesh is not None:
            bones[bone] = mesh.transformed(grid.index_to_lps)
    return bones, sentences


def _side(bones: dict[str, Mesh], given: str | None) -> tuple[str | None, list[str]]:
    """The knee's side, and sentences on what is doubtful about it."""
    found = None
    if "fibula" in bones and "tibia" in bones:
        fibula, tibia = bones["fibula"].vertices, bones["tibia"].vertices
        # At the fibula's heights only: the tibia may reach farther up, and be bent there.
        level = tibia[(tibia[:, 2] >= fibula[:, 2].min()) & (tibia[:, 2] <= fibula[:, 2].max())]
        if len(level):
            beside = fibula[:, 0].mean() - level[:, 0].mean()
            if abs(beside) >= _BESIDE_MM:
                found = "L" if beside > 0 else "R"
    if given is None and found is None:
        return None, ["The side was not given, and cannot be determined from the bones."]
    if given is not None and found is not None and given != found:
        return given, [
            Message("The bones look like a {side} knee; check the side.", side=SIDES[found])
        ]
    return given or found, []


def _report(
    grid: CtGrid,
    model: CtModel,
    bones: dict[str, Mesh],
    seconds: dict[str, float],
    windows: dict[str, int],
) -> dict:
    details = {
        "spacing_mm": round(float(grid.voxel.min()), 4),
        "ct": {
            "size": list(grid.scan.hounsfield.shape[::-1]),
            "voxel_mm": np.round(grid.scan.spacing, 4).tolist(),
            "seen_as_voxel_mm": np.round(grid.voxel, 4).tolist(),
        },
        "windows": windows,
    }
    return report_of(model, bones, seconds, details)

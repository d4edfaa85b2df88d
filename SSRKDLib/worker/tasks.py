"""What a worker can do. Each task takes its request and a progress callback.

Paths in requests are absolute. Outputs are folders that come into being whole or not at all, as on
the command line.
"""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.errors import SSRKDError
from SSRKDLib.core.output_manifest import ResultKind
from SSRKDLib.core.progress import Progress
from SSRKDLib.images.writing import write_array
from SSRKDLib.worker.arrays import check_masks, read_arrays
from SSRKDLib.worker.requests import checked
from SSRKDLib.worker.server import Task

if TYPE_CHECKING:
    from SSRKDLib.models.knee_model import KneeModel
    from SSRKDLib.models.loading import ModelCache
    from SSRKDLib.reconstruction.segmentation import Segmentation


#: Bone masks of a radiograph: uint8 ``[4, rows, columns]``, 0 to 255.
MASKS = "masks_{index}.npy"

#: What the tasks ``segment`` and ``compare`` write; the others write what the commands do.
SEGMENTATION, DISTANCES = ResultKind("segmentation"), ResultKind("distances")


def all_tasks() -> dict[str, Task]:
    """The tasks by name; models stay loaded between them."""
    from SSRKDLib.models.loading import ModelCache, load_ct_model

    models, ct_models = ModelCache(), ModelCache(load_ct_model)
    tasks = {
        "describe": describe,
        "import_weights": import_weights,
        "reconstruct": lambda request, progress: _reconstruct(models, request, progress),
        "reconstruct_ct": lambda request, progress: _reconstruct_ct(ct_models, request, progress),
        "compare": compare,
        "measure": measure,
        "landmarks": landmarks,
        "segment": lambda request, progress: _segment(models, request, progress),
        "locate": lambda request, progress: _locate(models, request, progress),
        "simulate": simulate,
    }
    return {name: checked(name, task) for name, task in tasks.items()}


def _reconstruct(models: ModelCache, request: dict, progress: Progress) -> dict:
    """Surfaces from radiographs.

    Request: ``rig`` (file), ``output``, ``weights`` (name, path or None), ``device``, ``spacing``
    (mm), ``surface`` (``fitted``, ``field`` or None: by the weights), ``pose`` (``lateral`` or
    ``frontal``), ``fields`` and ``masks`` (per view a ``.npy`` or None: collimated field, bool
    ``[rows, columns]``, and the user's bone masks, see :data:`MASKS`).

    Result: ``report``, as in report.json; the surfaces lie in ``output``.
    """
    from SSRKDLib.core.output_folder import replaced_folder
    from SSRKDLib.radiographs.rig_file import read_rig
    from SSRKDLib.reconstruction.job import Job
    from SSRKDLib.reconstruction.result_folder import RECONSTRUCTION, write_result

    progress("read", 0.0, "Reading the radiographs")
    rig = read_rig(request["rig"])
    masks = [
        None if mask is None else mask.astype(np.float32) / 255
        for mask in read_arrays(request.get("masks"), len(rig.views))
    ]
    with replaced_folder(request["output"], RECONSTRUCTION) as folder:
        job = Job.read(rig, read_arrays(request.get("fields"), len(rig.views)))
        check_masks(masks, [exposure.valid.shape for exposure in job.exposures])
        result = job.run_with(
            request.get("weights"),
            request.get("device", "auto"),
            float(request.get("spacing", 1.0)),
            masks if any(mask is not None for mask in masks) else None,
            progress,
            models.load,
            request.get("surface"),
            request.get("pose", "lateral"),
        )
        _name_gpu(result.report)
        progress("write", 0.98, "Writing the surfaces")
        write_result(folder, result)
    return {"report": result.report}


def _reconstruct_ct(models: ModelCache, request: dict, progress: Progress) -> dict:
    """Surfaces from a CT.

    Request: ``ct`` (file, Hounsfield units), ``output``, ``weights``, ``device``, ``laterality``
    ("L", "R" or None: from the bones), ``surface`` as of ``reconstruct``.

    Result: as of ``reconstruct``.
    """
    from SSRKDLib.core.output_folder import replaced_folder
    from SSRKDLib.reconstruction.ct import reconstruct_ct_file
    from SSRKDLib.reconstruction.result_folder import RECONSTRUCTION, write_result

    with replaced_folder(request["output"], RECONSTRUCTION) as folder:
        result = reconstruct_ct_file(
            request["ct"],
            request.get("weights"),
            request.get("device", "auto"),
            request.get("laterality"),
            progress,
            request.get("surface"),
            models.load,
        )
        _name_gpu(result.report)
        progress("write", 0.98, "Writing the surfaces")
        write_result(folder, result)
    return {"report": result.report}


def _name_gpu(report: dict) -> None:
    """Say in a report which GPU it was made on."""
    if report["device"] == "cuda":
        import torch

        report["gpu"] = torch.cuda.get_device_name()


def _segment(models: ModelCache, request: dict, progress: Progress) -> dict:
    """Bone masks of radiographs.

    Request: as for ``reconstruct``, without ``spacing`` and ``masks``.

    Result: ``masks``, per view a file as :data:`MASKS` or None, ``laterality``, ``device``,
    ``notes``, ``warnings``; ``rig``, how the radiographs were taken, what it left open decided.
    """
    from SSRKDLib.core.output_folder import replaced_folder
    from SSRKDLib.models.loading import run_with_model
    from SSRKDLib.radiographs.rig_file import described, read_rig
    from SSRKDLib.reconstruction.job import Job
    from SSRKDLib.reconstruction.segmentation import segment

    progress("read", 0.0, "Reading the radiographs")
    rig = read_rig(request["rig"])
    job = Job.read(rig, read_arrays(request.get("fields"), len(rig.views)))

    def run(model: KneeModel) -> tuple[Segmentation, str]:
        return segment(job.exposures, job.rig, model, progress), model.device

    output = Path(request["output"])
    with replaced_folder(output, SEGMENTATION) as folder:
        (found, device), warnings = run_with_model(
            run, models.load, request.get("weights"), request.get("device", "auto"), progress
        )
        names = [
            None if mask is None else MASKS.format(index=index)
            for index, mask in enumerate(found.masks)
        ]
        for name, mask in zip(names, found.masks):
            if name is not None:
                write_array(folder / name, np.round(255 * mask).astype(np.uint8))
    return {
        "masks": [None if name is None else str(output / name) for name in names],
        "laterality": found.laterality,
        "device": device,
        "notes": job.notes,
        "warnings": [*warnings, *found.notes],
        "rig": described(found.rig),
    }


def _locate(models: ModelCache, request: dict, progress: Progress) -> dict:
    """Where a knee lies in its radiographs.

    Request: as for ``segment``; ``output`` is not written.

    Result: ``regions``, per view left, top, columns and rows of pixels around the knee, or None
    where it is not in it; ``notes``.
    """
    from SSRKDLib.models.loading import run_with_model
    from SSRKDLib.radiographs.rig_file import read_rig
    from SSRKDLib.reconstruction.finding import FoundKnee, find_knee
    from SSRKDLib.reconstruction.job import Job
    from SSRKDLib.reconstruction.stages import Stages
    from SSRKDLib.reconstruction.whole_legs import knee_region

    progress("read", 0.0, "Reading the radiographs")
    rig = read_rig(request["rig"])
    job = Job.read(rig, read_arrays(request.get("fields"), len(rig.views)))

    def run(model: KneeModel) -> FoundKnee:
        stages = Stages(progress)
        with stages.stage("locate", 0.1, "Finding the knee"):
            return find_knee(job.exposures, job.rig, model.finder.watched(stages.repeat))

    knee, warnings = run_with_model(
        run, models.load, request.get("weights"), request.get("device", "auto"), progress
    )
    regions = [knee_region(view, knee.located.frame) for view in knee.rig.views]
    return {"regions": regions, "notes": [*warnings, *knee.notes, *job.notes]}


def simulate(request: dict, progress: Progress) -> dict:
    """Radiographs of a CT.

    Request: ``ct`` (file, Hounsfield units), ``rig`` (file, in the CT's LPS frame), ``output``,
    ``energy`` (keV), ``noise_free``, ``seed``, ``projector``.

    Result: ``rig``, the file of the rig that names the images; ``notes``, on how the CT was read;
    ``projector``.
    """
    from SSRKDLib.core.output_folder import replaced_folder
    from SSRKDLib.ct.reading import read_scan
    from SSRKDLib.radiographs.rig_file import read_rig
    from SSRKDLib.simulation.ct_volume import attenuation_volume
    from SSRKDLib.simulation.writing import RIG, SIMULATION, ExposureSettings, write_radiographs

    how = ExposureSettings(
        energy=float(request.get("energy", 60.0)),
        noise_free=bool(request.get("noise_free", False)),
        seed=int(request.get("seed", 0)),
        projector=request.get("projector", "joseph"),
    )
    progress("volume", 0.05, "Reading the CT")
    rig = read_rig(request["rig"])
    with replaced_folder(request["output"], SIMULATION) as folder:
        scan = read_scan(request["ct"])
        volumes = [attenuation_volume(scan, how.energy)] * len(rig.views)
        write_radiographs(
            volumes, rig, folder, how, np.random.default_rng(how.seed),
            lambda stage, fraction, message: progress(stage, 0.3 + 0.7 * fraction, message),
        )  # fmt: skip
    rig_path = str(Path(request["output"]) / RIG)
    return {"rig": rig_path, "notes": list(scan.notes), "projector": how.projector}


def compare(request: dict, progress: Progress) -> dict:
    """A reconstruction beside a reference.

    Request: ``recon`` and ``reference`` (folders of ``{bone}.ply``, mm, LPS or the rig's frame),
    ``align`` (see :data:`SSRKDLib.evaluation.alignment.MODES`), ``laterality``, ``rig`` (file, or
    None), ``output``, ``errors`` (by bone, mm, or None) and ``pose`` (or None; both see
    :func:`SSRKDLib.clinical.measures.measure`).

    Result: ``rows``, ``clinical``, ``landmarks`` (by measure and name, mm), ``matrices`` (by bone,
    reference to reconstruction), ``residual_mm``, ``notes``, ``curves`` (by bone); ``output`` holds
    ``{bone}.npy``, signed distances of the reconstruction's vertices, mm.
    """
    from SSRKDLib.core.output_folder import replaced_folder
    from SSRKDLib.evaluation.comparison import compare_knees
    from SSRKDLib.radiographs.rig_file import read_rig
    from SSRKDLib.surfaces.mesh_files import read_meshes

    progress("read", 0.0, "Reading the surfaces")
    recon, reference = read_meshes(request["recon"]), read_meshes(request["reference"])
    rig = read_rig(request["rig"]) if request.get("rig") else None
    with replaced_folder(request["output"], DISTANCES) as folder:
        found = compare_knees(
            recon, reference, request["align"], request["laterality"], rig, progress,
            request.get("errors"), request.get("pose"),
        )  # fmt: skip
        for bone, distances in found.signed.items():
            write_array(folder / f"{bone}.npy", distances)
    return {
        "rows": [_without_nan(row) for row in found.rows],
        "clinical": [_without_nan(row) for row in found.clinical],
        "landmarks": {
            one.name: {name: point.tolist() for name, point in one.landmarks.items()}
            for one in found.measures
        },
        "matrices": {b: matrix.tolist() for b, matrix in found.alignment.matrices.items()},
        "residual_mm": _without_nan(found.alignment.residual_mm),
        "notes": list(found.alignment.notes),
        "curves": {bone: curve.tolist() for bone, curve in found.curves.items()},
    }


def measure(request: dict, progress: Progress) -> dict:
    """Clinical measures of a reconstruction.

    Request: ``recon``, ``laterality``, ``errors`` and ``pose``, see :func:`compare`; ``output`` is
    not written.

    Result: ``rows``, see :func:`SSRKDLib.clinical.table.measure_rows`.
    """
    from SSRKDLib.clinical.measures import measure as measured
    from SSRKDLib.clinical.table import measure_rows
    from SSRKDLib.surfaces.mesh_files import read_meshes

    progress("read", 0.0, "Reading the surfaces")
    bones = read_meshes(request["recon"])
    progress("clinical", 0.2, "Measuring slopes, widths and angles")
    found = measured(bones, request["laterality"], request.get("errors"), request.get("pose"))
    return {"rows": [_without_nan(row) for row in measure_rows(found)]}


def landmarks(request: dict, progress: Progress) -> dict:
    """What an osteotomy of a reconstruction is planned by.

    Request: ``recon`` and ``laterality``, see :func:`compare`; ``output`` is not written.

    Result: ``landmarks``, see :meth:`SSRKDLib.planning.landmarks.Landmarks.as_dict`; ``knee``, the
    angles of :class:`SSRKDLib.planning.correction.Knee` by name.
    """
    from SSRKDLib.planning.correction import knee_angles
    from SSRKDLib.planning.landmarks import find_landmarks
    from SSRKDLib.surfaces.mesh_files import read_meshes

    progress("read", 0.0, "Reading the surfaces")
    bones = read_meshes(request["recon"])
    progress("landmarks", 0.1, "Finding the landmarks of the tibia")
    found = find_landmarks(bones, request["laterality"])
    progress("knee", 0.6, "Measuring how the femur stands on the tibia")
    return {"landmarks": found.as_dict(), "knee": knee_angles(bones, found)._asdict()}


def _without_nan(values: dict) -> dict:
    """JSON knows no NaN: None stands for it."""
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in values.items()
    }


def import_weights(request: dict, progress: Progress) -> dict:
    """Weights into the user's folder.

    Request: ``files``. Result: ``name`` and ``title`` of the bundle.
    """
    from SSRKDLib.models.loading import import_weights as checked_import

    progress("import", 0.1, "Checking the weights")
    info = checked_import([Path(path) for path in request["files"]])
    return {"name": info.name, "title": info.title}


def describe(request: dict, progress: Progress) -> dict:
    """What is installed where the worker runs.

    Result: ``torch`` and ``safetensors`` (versions, or None), ``gpu`` (name, or None),
    ``gpu_memory`` (bytes, or None), ``cores``, ``weights`` (name to problem, "" where sound).
    """
    from SSRKDLib.weights.bundle import verify_bundle
    from SSRKDLib.weights.catalogue import list_bundles

    progress("describe", 0.1, "Loading PyTorch")
    about: dict = {"cores": os.cpu_count(), "gpu": None, "gpu_memory": None, "problem": ""}
    for name in ("torch", "safetensors"):
        try:
            about[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            about[name] = None
    try:
        import torch
    except Exception as error:  # a broken installation fails in many ways; all are worth reporting
        about["problem"] = f"PyTorch does not load ({' '.join(str(error).split())[:200]})."
    else:
        if torch.cuda.is_available():
            about["gpu"] = torch.cuda.get_device_name()
            about["gpu_memory"] = torch.cuda.get_device_properties(0).total_memory
    progress("describe", 0.6, "Checking the weights")
    about["weights"] = {}
    for info in list_bundles():
        try:
            verify_bundle(info.path)
        except SSRKDError as error:
            about["weights"][info.name] = str(error)
        else:
            about["weights"][info.name] = ""
    return about

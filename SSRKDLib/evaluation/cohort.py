"""Evaluating a folder of cases: what a case is, one case's figures, and going on where it ended.

A case is a sub-folder that contains

- ``rig.json`` and its images, as ``simulate`` writes them; or, where nothing is to be
  reconstructed, ``reconstruction/`` with the bones' surfaces (the rig, if there, then says side and
  evaluated part);
- the truth: a folder ``truth/`` or ``reference/`` of meshes or with a label map, or a label map
  ``truth.*`` or ``reference.*`` (NIfTI, NRRD, ``.seg.nrrd``).

The results grow inside the output folder: ``evaluation.json`` (the settings; it marks the folder as
an evaluation) and ``cases/NAME.json``, written whole when a case is finished, with a signature of
the case's files. A case is done again only where these files have changed.
"""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

from SSRKDLib.clinical.comparison import compare_measures
from SSRKDLib.clinical.measures import measure
from SSRKDLib.core.errors import (
    Cancelled,
    InputError,
    MeshError,
    OutputError,
    SSRKDError,
    describe_unexpected,
)
from SSRKDLib.core.input_files import json_or_none
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.core.output_folder import check_files, write_into
from SSRKDLib.core.output_manifest import MANIFEST, ResultKind, files_with, not_written
from SSRKDLib.core.processes import run_in_processes
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.evaluation.case_results import FINISHED, read_result, signature, write_result
from SSRKDLib.evaluation.comparison import measure_distances
from SSRKDLib.evaluation.metrics import MEASURES
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.reconstruction.report import expected_errors
from SSRKDLib.simulation.writing import RIG
from SSRKDLib.surfaces.knee import JOINT_CENTRE
from SSRKDLib.surfaces.label_maps import LABELMAP_SUFFIXES, Reference, read_reference
from SSRKDLib.surfaces.mesh import Mesh

#: Marks a folder as an evaluation and holds its settings.
SETTINGS = "evaluation.json"

RECONSTRUCTION = "reconstruction"
TRUTHS = ("truth", "reference")

#: What is written of all cases together, over an earlier one of the same evaluation; and what
#: begins each file.
TOGETHER = {
    "metrics.csv": b"case,bone,", "clinical.csv": b"case,measure,unit,",
    "summary.csv": b"measure,bone,n,", "clinical_summary.csv": b"measure,title,unit,",
    "summary.md": b"| | Average | Patella |", "metrics.png": b"Matplotlib",
    "clinical.png": b"Matplotlib",
}  # fmt: skip

_VERSION = 1


@dataclass(frozen=True)
class Settings:
    """What the figures depend on besides the cases.

    Attributes:
        reconstruct: run the networks; else ``reconstruction/`` is measured.
        weights: name or path for :func:`SSRKDLib.models.loading.load_model`.
        weights_sha256: of the bundle's tensors, "" where nothing is reconstructed.
        device, spacing: see :meth:`SSRKDLib.reconstruction.job.Job.run_with`.
        align: one of :data:`SSRKDLib.evaluation.alignment.MODES`.
    """

    reconstruct: bool = True
    weights: str | None = None
    weights_sha256: str = ""
    device: str = "auto"
    spacing: float = 1.0
    align: str = "none"

    def as_dict(self) -> dict:
        """What decides whether earlier results may stay: where weights lie, and what computes
        with them, does not."""
        kept = asdict(self)
        del kept["weights"], kept["device"]
        return {"version": _VERSION, **kept}


def _earlier(folder: Path) -> Collection[str]:
    found = json_or_none(folder / SETTINGS)
    ours = isinstance(found, dict) and found.keys() == Settings().as_dict().keys()
    return {SETTINGS, *files_with(folder, TOGETHER)} if ours else ()


#: What ``evaluate`` writes; finished cases (:mod:`SSRKDLib.evaluation.case_results`) are not in
#: the manifest.
EVALUATION = ResultKind("evaluation", _earlier)


def find_cases(folder: Path) -> list[Path]:
    """The cases in a folder, by name: every sub-folder with a rig, a reconstruction or a truth.

    Raises:
        InputError: the folder is absent, or contains no case, or one whose name is not UTF-8.
    """
    if not folder.is_dir():
        raise InputError("The folder '{folder}' does not exist.", "Check the path.", folder=folder)
    cases = [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir()
        and not path.name.startswith(".")
        and ((path / RIG).is_file() or (path / RECONSTRUCTION).is_dir() or _truths(path))
    ]
    if not cases:
        raise InputError(
            "'{folder}' contains no case.",
            "A case is a sub-folder with {rig}, its images and {truth}/.",
            folder=folder,
            rig=RIG,
            truth=TRUTHS[0],
        )
    for case in cases:
        try:
            case.name.encode()
        except UnicodeEncodeError as error:  # no table could hold it
            raise InputError(
                "The name of the case '{case}' is not UTF-8.", "Rename its folder.", case=case.name
            ) from error
        if not case.name.isprintable():  # it would command the terminal that shows the table
            raise InputError(
                "The name of the case '{case}' has control characters.",
                "Rename its folder.",
                case=case.name,
            )
    return cases


def prepare_output(output: Path, settings: Settings) -> None:
    """Make the output folder, or take up the evaluation that is in it.

    Raises:
        OutputError: it contains something else, or an evaluation with other settings, or cannot be
            written.
    """
    wanted = settings.as_dict()
    mark = output / SETTINGS
    if output.exists() and not output.is_dir():
        raise OutputError(
            "'{output}' exists and is not a folder.", "Choose another output folder.", output=output
        )
    try:
        if mark.is_file():
            found = json_or_none(mark)
        elif output.is_dir() and any(path.name != MANIFEST for path in output.iterdir()):
            raise OutputError(
                "The folder '{output}' contains other things than an earlier evaluation.",
                "Choose a new or an empty folder.",
                output=output,
            )
        else:
            output.mkdir(parents=True, exist_ok=True)
            write_into(output, EVALUATION, SETTINGS, _as_json(wanted))
            found = wanted
        if not isinstance(found, dict):
            raise OutputError("'{mark}' is damaged.", "Choose another output folder.", mark=mark)
        if found != wanted:
            changed = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
            raise OutputError(
                "The evaluation in '{output}' was begun with another {changed}.",
                "Choose a new folder, or repeat the settings.",
                output=output,
                changed=" and ".join(changed),
            )
        check_files(output, EVALUATION, TOGETHER)
        if (output / FINISHED).is_symlink():
            raise not_written(output / FINISHED)
        (output / FINISHED).mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(output, error) from error


def evaluate_cases(
    cases: list[Path],
    output: Path,
    settings: Settings,
    processes: int = 1,
    progress: Progress = no_progress,
) -> list[dict]:
    """The results of all cases, in their order; finished ones are read, the others made.

    Args:
        cases: of :func:`find_cases`.
        output: of :func:`prepare_output`; every finished case is written there at once.
        settings: see there.
        processes: how many cases at a time, each in another process than this: a script calls it
            below ``if __name__ == "__main__":``, since those processes import the script.
        progress: called with stage, fraction done and message; what it raises ends the run.

    Returns:
        One dict per case: ``case``, ``error`` ("" or why it failed), ``side``, ``seconds``,
        ``warnings``, ``rows`` (of :func:`SSRKDLib.evaluation.metrics.compare_meshes`) and
        ``clinical`` (of :func:`SSRKDLib.clinical.comparison.compare_measures`).

    Raises:
        SSRKDError: the other processes do not start.
    """
    results = {case.name: read_result(case, output) for case in cases}
    open_cases = [case for case in cases if results[case.name] is None]
    done = len(cases) - len(open_cases)
    progress("cases", done / len(cases), f"{done} of {len(cases)} cases were finished before")
    evaluate = partial(evaluate_case, output=output, settings=settings)
    ended = partial(_write_ended, output=output)
    for result in run_in_processes(evaluate, open_cases, processes, ended):
        results[result["case"]] = result
        done += 1
        outcome = f"failed: {result['error']}" if result["error"] else "finished"
        progress("cases", done / len(cases), f"{result['case']} {outcome}")
    return [results[case.name] for case in cases]


def evaluate_case(case: Path, output: Path, settings: Settings) -> dict:
    """Reconstruct, align and measure one case, and write its result; see :func:`evaluate_cases`.

    Whatever goes wrong with the case becomes its ``error``. The result is ``final`` unless
    something else than the case was the reason, such as memory or a missing package.
    """
    result = _without_error(case)
    signed = signature(case)
    try:
        result |= _measured(case, settings)
    except Cancelled:
        raise
    except InputError as error:
        result["error"] = str(error)
    except SSRKDError as error:
        result |= {"error": str(error), "final": False}
    except Exception as error:
        # One case's accident must not cost the others; the traceback goes where a log would be.
        traceback.print_exc()
        result |= {"error": describe_unexpected(error), "final": False}
    write_result(case, output, result, signed)
    return result


def _without_error(case: Path) -> dict:
    result = {"case": case.name, "error": "", "side": "", "seconds": None, "warnings": []}
    return {**result, "joint_centre": JOINT_CENTRE, "final": True, "rows": [], "clinical": []}


def _write_ended(case: Path, output: Path) -> dict:
    """The result of a case that ends its process, written, so that it is not tried again."""
    result = {
        **_without_error(case),
        "error": "It ended the process that measured it, perhaps for lack of memory. Close other "
        f"programs and delete {FINISHED}/{case.name}.json to try it again.",
    }
    write_result(case, output, result, signature(case))
    return result


def _measured(case: Path, settings: Settings) -> dict:
    truth = _truth(case)
    rig = read_rig(case / RIG) if (case / RIG).is_file() or settings.reconstruct else None
    side = None if rig is None else rig.laterality
    seconds, warnings, errors, pose = None, [], None, None
    if settings.reconstruct:
        from SSRKDLib.reconstruction.job import Job

        made = Job.read(rig).run_with(
            settings.weights, settings.device, settings.spacing, load=_models().load
        )
        recon, side = made.bones, made.laterality
        seconds, warnings = made.report["seconds"]["total"], made.report["warnings"]
        errors, pose = expected_errors(made.report), made.pose
    else:
        ready: Reference = read_reference(case / RECONSTRUCTION, side)
        recon, side = ready.meshes, side or ready.side
    reference = read_reference(truth, side)
    side = side or reference.side
    found = measure_distances(recon, reference.meshes, settings.align, rig)
    return {
        "side": side or "",
        "seconds": seconds,
        "warnings": [*warnings, *reference.sentences, *found.alignment.notes],
        "rows": [
            {
                "bone": row["bone"],
                **{key: None if math.isnan(row[key]) else row[key] for key in MEASURES},
                "note": row["note"],
            }
            for row in found.rows
        ],
        "clinical": _clinical(recon, found.moved, side, errors, pose),
    }


def _clinical(
    recon: dict[str, Mesh],
    reference: dict[str, Mesh],
    side: str | None,
    errors: dict[str, float] | None,
    pose: str | None,
) -> list[dict]:
    if side is not None:
        found = measure(recon, side, errors, pose)
        return compare_measures(found, measure(reference, side, {}))
    # Every sign hangs on the side.
    rows = compare_measures([], measure({}, "L"))
    return [{**row, "note": "neither rig nor names tell the knee's side"} for row in rows]


@lru_cache(maxsize=1)
def _models():
    """The models of this process, kept between cases."""
    from SSRKDLib.models.loading import ModelCache

    return ModelCache()


def _truths(case: Path) -> list[Path]:
    return [
        path
        for path in sorted(case.iterdir())
        if (path.name in TRUTHS and path.is_dir())
        or (path.name.split(".")[0] in TRUTHS and path.name.lower().endswith(LABELMAP_SUFFIXES))
    ]


def _truth(case: Path) -> Path:
    found = _truths(case)
    if not found:
        raise MeshError(
            "The case '{case}' has no truth.",
            "Add {truth}/ with the bones' surfaces.",
            case=case.name,
            truth=TRUTHS[0],
        )
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise MeshError(
            "The case '{case}' has {names}.", "Keep one truth.", case=case.name, names=names
        )
    return found[0]


def _as_json(content: dict) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"

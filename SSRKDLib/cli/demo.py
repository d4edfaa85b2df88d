"""``python -m SSRKDLib demo``: reconstruct a few knees and show how well it went."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import Cancelled, InputError, SSRKDError
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.core.progress import no_progress
from SSRKDLib.models.devices import DEVICES
from SSRKDLib.reconstruction.choices import VIEW_NAMES

if TYPE_CHECKING:
    from SSRKDLib.datasets.demo_cases import DemoCase
    from SSRKDLib.models.loading import ModelCache


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``demo`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "demo",
        help="reconstruct a few knees and show how well it went",
        description=(
            "Reconstructs a real person who was held out from training, and, where the shared "
            "material is present, both Visible Humans and a real biplane knee. Writes surfaces, "
            "report, picture and distances into OUT/<case>/."
        ),
    )
    parser.add_argument("-o", "--output", default="demo-output", metavar="OUT")
    parser.add_argument("--case", action="append", metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--weights", metavar="NAME|PATH", help="default: those that come with it")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")
    parser.add_argument("--spacing", type=float, choices=(0.5, 1.0, 2.0), default=1.0)
    parser.set_defaults(run=run)
    return parser


def _earlier(folder: Path) -> Collection[str]:
    from SSRKDLib.evaluation.tables import COMPARISON
    from SSRKDLib.radiographs.rig_file import read_written_rig
    from SSRKDLib.reconstruction.result_folder import RECONSTRUCTION

    reconstruction = set(RECONSTRUCTION.earlier(folder))
    if not reconstruction:
        return ()
    rig, marks = "radiographs/rig.json", {"overview.png": b"Matplotlib"}
    for view in VIEW_NAMES:
        marks |= {
            f"radiographs/{view}.dcm": b"SSRKD simulator",
            f"radiographs/{view}.nrrd": b"NRRD",
        }
    rigs = () if read_written_rig(folder / rig) is None else (rig,)
    return {*reconstruction, *COMPARISON.earlier(folder), *rigs, *files_with(folder, marks)}


#: What is written of a case.
DEMO = ResultKind("demo", _earlier)


class _Steps:
    """Prints what is being done and the seconds until then."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._last = ""

    def report(self, what: str) -> None:
        if what and what != self._last:
            self._last = what
            print(f"  {time.perf_counter() - self._start:6.1f} s  {what}", flush=True)

    def progress(self, stage: str, fraction: float, message: str) -> None:
        """As ``report``, for callers that report a share."""
        self.report(message[:1].lower() + message[1:])


def run(arguments: argparse.Namespace) -> int:
    """Run the cases one after the other; one that fails does not end the others.

    Returns:
        0, or 1 where a case failed.

    Raises:
        InputError: an unknown case, or weights that cannot be used.
        MissingDependencyError: torch is not installed.
    """
    from SSRKDLib.datasets.demo_cases import demo_cases
    from SSRKDLib.models import loading

    cases = demo_cases()
    if arguments.case:
        known = [case.name for case in cases]
        unknown = [name for name in arguments.case if name not in known]
        if unknown:
            raise InputError(f"The demo has no case '{unknown[0]}'.", f"Use {', '.join(known)}.")
        cases = [case for case in cases if case.name in arguments.case]
    models = loading.ModelCache(loading.load_model)
    model, _ = loading.run_with_model(
        lambda model: model, models.load, arguments.weights, arguments.device, no_progress
    )
    print(f"Weights: {model.manifest['title']}, on {model.device}.")
    distances, failed = {}, []
    for case in cases:
        print(f"\n{case.name}: {case.title}")
        if case.reason_to_skip:
            print(f"  skipped: {case.reason_to_skip}")
            continue
        try:
            distances[case.name] = _run_case(case, models, arguments)
        except Cancelled:
            raise
        except SSRKDError as error:
            failed.append(case.name)
            print(f"  failed: {error}")
        except Exception:
            failed.append(case.name)
            print("  failed with an internal error:", flush=True)
            traceback.print_exc(file=sys.stdout)
    _summary(distances)
    if failed:
        print(f"\nFailed: {', '.join(failed)}.")
    return 1 if failed else 0


def _run_case(case: DemoCase, models: ModelCache, arguments: argparse.Namespace) -> list[dict]:
    """Make a case, reconstruct it and write everything; returns the rows of its comparison."""
    from SSRKDLib.core.output_folder import replaced_folder
    from SSRKDLib.evaluation.metrics import compare_meshes
    from SSRKDLib.evaluation.regions import region_around
    from SSRKDLib.evaluation.tables import FILE, format_table, write_comparison
    from SSRKDLib.figures.overview import lying_bones, overview
    from SSRKDLib.reconstruction.job import Job
    from SSRKDLib.reconstruction.result_folder import write_result
    from SSRKDLib.surfaces.knee import joint_centre

    steps = _Steps()
    output = Path(arguments.output) / case.name
    rows: list[dict] = []
    with replaced_folder(output, DEMO) as folder:
        radiographs = folder / "radiographs"
        radiographs.mkdir()
        rig, truth = case.prepare(radiographs, steps.report)
        steps.report("reading the files")
        job = Job.read(rig)
        result = job.run_with(
            arguments.weights, arguments.device, arguments.spacing,
            progress=steps.progress, load=models.load,
        )  # fmt: skip
        write_result(folder, result)
        if truth is not None:
            steps.report("measuring distances to the true bones")
            region = region_around(joint_centre(truth))
            rows = compare_meshes(result.bones, truth, region)
            write_comparison(folder / FILE, rows)
        steps.report("drawing the picture")
        overview(
            folder / "overview.png", result.bones, job.exposures, result.frame, case.title,
            case.credit, truth, lying_bones(result, len(job.exposures)),
        )  # fmt: skip
    steps.report("done")
    for sentence in result.report["warnings"]:
        print(f"  warning: {sentence}")
    if rows:
        print("  " + format_table(rows).replace("\n", "\n  "))
    print(f"  {len(result.bones)} surfaces, report, picture{' and table' * bool(rows)}: {output}/")
    return rows


def _summary(distances: dict[str, list[dict]]) -> None:
    """Point-to-surface distances of all cases that have a truth, as one table."""
    known = {name: rows for name, rows in distances.items() if rows}
    if not known:
        return
    columns = (*BONES, "mean")
    print("\nMean point-to-surface distance (ASSD) within 80 mm of the joint, mm")
    print("  ".join([f"{'':<12}", *(f"{bone:>8}" for bone in columns)]))
    for name, rows in known.items():
        values = {row["bone"]: row["assd_mm"] for row in rows}
        cells = [f"{values.get(bone, float('nan')):8.2f}" for bone in columns]
        print("  ".join([f"{name:<12}", *cells]))

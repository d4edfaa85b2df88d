"""``python -m SSRKDLib prepare``: from CTs, or virtual people, to cases ready for training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from SSRKDLib.cli.simulate import add_projector
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.progress import Progress, no_progress


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``prepare`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "prepare",
        help="make training cases from CTs, with bones or without, or of virtual people",
        description=(
            "Writes PROCESSED/<case>/ for every case, and PROCESSED/info.json with the splits. "
            "Finished cases are not repeated; failures are listed at the end (exit code 1)."
        ),
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT",
        help=(
            "a table (CSV: case, ct, bones, side, person, sex), a CT (file or DICOM folder, "
            "unlabelled), a folder with ct.* and bones.* or bones/, or a folder of these"
        ),
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", required=True, metavar="PROCESSED", help="folder of the cases"
    )
    parser.add_argument("--side", choices=("L", "R"), help="of cases whose side is not given")
    parser.add_argument(
        "--virtual", type=int, default=0, metavar="N", help="virtual people to add (default: 0)"
    )
    parser.add_argument(
        "--labelled", type=int, metavar="K",
        help="how many of them have bones, the others are CT only (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, help="of virtual people, points and splits (default: 0)"
    )
    _add_settings(parser)
    add_projector(parser)
    parser.add_argument(
        "--workers", type=int, metavar="N",
        help="processes; 0: this one alone (default: by cores and memory)",
    )  # fmt: skip
    parser.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="of a Dask cluster that shares these paths, e.g. tcp://host:8786",
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    number = {"type": int, "metavar": "N"}
    parser.add_argument(
        "--size", default=256, help="voxels per edge of the CT; a second has 2 N (default: 256)",
        **number,
    )  # fmt: skip
    parser.add_argument(
        "--detector", default=512, help="pixels per edge of the radiographs (default: 512)",
        **number,
    )  # fmt: skip
    parser.add_argument(
        "--angles", default=37, help="views, from 0 to 360 degrees (default: 37)", **number
    )
    parser.add_argument(
        "--extent", type=float, metavar="MM",
        help="edge of the cube around the knee (default: the whole CT; virtual people: 200)",
    )  # fmt: skip
    parser.add_argument(
        "--surface-points", default=25_000, help="near each bone's surface (default: 25000)",
        **number,
    )  # fmt: skip
    parser.add_argument(
        "--uniform-points", default=100_000, help="anywhere (default: 100000)", **number
    )
    for split, share in (("eval", 0.1), ("test", 0.2)):
        parser.add_argument(
            f"--{split}-share", type=float, default=share, metavar="SHARE",
            help=f"of the labelled people for '{split}' (default: {share:g})",
        )  # fmt: skip


def run(arguments: argparse.Namespace, progress: Progress = no_progress) -> int:
    """Prepare, write the splits, and print what was made and what failed.

    Returns:
        0, or 1 where a case failed.

    Raises:
        InputError: nothing to prepare, or settings that cannot be, or that differ from those of
            cases that are there already.
        MissingDependencyError: Dask is needed and not installed.
    """
    from SSRKDLib.core.output_folder import grown_folder
    from SSRKDLib.datasets.prepare import Settings
    from SSRKDLib.datasets.prepare_many import is_finished, run_jobs
    from SSRKDLib.datasets.splits import (
        INFO,
        PREPARED_CASES,
        finished_knees,
        make_splits,
        write_info,
    )

    settings = Settings(
        size=arguments.size,
        detector=arguments.detector,
        angles=arguments.angles,
        extent=arguments.extent,
        surface_points=arguments.surface_points,
        uniform_points=arguments.uniform_points,
        seed=arguments.seed,
        projector=arguments.projector,
    )
    shares = (arguments.eval_share, arguments.test_share)
    make_splits([], arguments.seed, *shares)  # refuses bad shares before the work, not after it
    jobs = _jobs(arguments)
    processed = Path(arguments.output)
    grown_folder(processed, PREPARED_CASES, [INFO])
    open_jobs = [job for job in jobs if not is_finished(job, processed, settings)]
    outcomes = []
    if open_jobs:
        outcomes = run_jobs(
            open_jobs, processed, settings, arguments.workers, arguments.scheduler, progress
        )
    splits, left_out = make_splits(finished_knees(processed), arguments.seed, *shares)
    failed = [outcome for outcome in outcomes if outcome.reason]
    write_info(processed, splits, [outcome.case_id for outcome in failed])
    progress("done", 1.0, "Done")
    print(
        f"{processed}: {len(outcomes) - len(failed)} cases prepared, "
        f"{len(jobs) - len(open_jobs)} there already, {len(failed)} failed; "
        + ", ".join(f"{len(cases)} {split}" for split, cases in splits.items())
        + "."
    )
    if left_out:
        print(f"In no split, since the other knee is labelled: {', '.join(left_out)}.")
    for outcome in outcomes:
        for note in outcome.notes:
            print(f"note: {outcome.case_id}: {note}", file=sys.stderr)
    for outcome in failed:
        print(f"failed: {outcome.case_id}: {outcome.reason}", file=sys.stderr)
    return 1 if failed else 0


def _jobs(arguments: argparse.Namespace) -> list:
    from SSRKDLib.datasets.sources import find_jobs, virtual_jobs

    count = arguments.virtual
    labelled = count if arguments.labelled is None else arguments.labelled
    if count < 0 or not 0 <= labelled <= count:
        raise InputError(
            f"{labelled} of {count} virtual people cannot be labelled.",
            "Give --virtual N and --labelled K with K from 0 to N.",
        )
    if arguments.workers is not None and arguments.workers < 0:
        raise InputError(f"--workers must be 0 or more (got {arguments.workers}).")
    if not arguments.inputs and not count:
        raise InputError("There is nothing to prepare.", "Give inputs, or --virtual N.")
    return find_jobs(arguments.inputs, arguments.side) + virtual_jobs(
        count, labelled, arguments.seed
    )

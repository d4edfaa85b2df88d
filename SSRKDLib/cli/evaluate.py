"""``python -m SSRKDLib evaluate``: reconstruct and measure a folder of cases."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from SSRKDLib.core.errors import InputError, MissingDependencyError
from SSRKDLib.core.processes import process_count
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.models.devices import DEVICES
from SSRKDLib.reconstruction.job import PEAK_BYTES, SPACINGS

if TYPE_CHECKING:
    from SSRKDLib.evaluation.cohort import Settings

#: Memory that a process without networks takes at its peak, bytes.
_BYTES_MEASURING = 0.5e9


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Add the ``evaluate`` command to an argparse sub-parsers object."""
    parser = subparsers.add_parser(
        "evaluate",
        help="reconstruct and measure a folder of cases",
        description=(
            "Each sub-folder of CASES with rig.json, its images and truth/ (surfaces or a label "
            "map) is a case. Writes OUT/metrics.csv, clinical.csv, their summaries, summary.md and "
            "plots. An interrupted run goes on when the command is repeated; a case that fails is "
            "a row with its reason."
        ),
    )
    parser.add_argument("cases", metavar="CASES", help="folder of cases")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output folder")
    parser.add_argument(
        "--no-reconstruct", action="store_true",
        help="measure the surfaces in each case's reconstruction/ instead of making them",
    )  # fmt: skip
    parser.add_argument(
        "--weights", metavar="NAME|PATH", help="default: the weights that come with SSRKD"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")
    parser.add_argument(
        "--spacing", type=float, choices=SPACINGS, default=1.0, metavar="MM",
        help="of the grid that surfaces are taken from: 0.5, 1 or 2 mm (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--align", choices=("none", "all", "bone"), default="none",
        help=(
            "move the truth onto the reconstruction first: not at all (both are in the rig's "
            "frame), all bones as one body, or every bone by itself (default: none)"
        ),
    )  # fmt: skip
    parser.add_argument(
        "--processes", type=int, metavar="N",
        help=(
            "cases at a time, with one thread each (default: as many as there are processors and "
            "memory for; 1 where a GPU reconstructs)"
        ),
    )  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N cases")
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace, progress: Progress = no_progress) -> int:
    """Evaluate, write, and print the summary; cases that are finished stay where it is ended.

    Returns:
        0, or 1 where no case could be measured.

    Raises:
        InputError: cases, weights or the output folder cannot be used.
        SSRKDError: what is missing on this computer.
    """
    from SSRKDLib.evaluation.cohort import evaluate_cases, find_cases, prepare_output
    from SSRKDLib.evaluation.cohort_summary import format_summary, write_summary
    from SSRKDLib.figures.cohort_plots import write_plots

    for flag, number in (("--processes", arguments.processes), ("--limit", arguments.limit)):
        if number is not None and number < 1:
            raise InputError(f"{flag} must be 1 or more (got {number}).")
    cases = find_cases(Path(arguments.cases))[: arguments.limit]
    settings = _settings(arguments)
    output = Path(arguments.output)
    prepare_output(output, settings)
    processes = arguments.processes or _process_count(settings)
    results = evaluate_cases(cases, output, settings, processes, progress)
    write_summary(results, output)
    try:
        write_plots(results, output)
    except MissingDependencyError as error:
        print(f"note: The plots are left out. {error}", file=sys.stderr)
    progress("done", 1.0, "Done")
    print(format_summary(results))
    print(output / "summary.md")
    return 0 if any(not result["error"] for result in results) else 1


def _settings(arguments: argparse.Namespace) -> Settings:
    from SSRKDLib.evaluation.cohort import Settings

    if arguments.no_reconstruct:
        return Settings(reconstruct=False, align=arguments.align)
    from SSRKDLib.models.devices import resolve_device
    from SSRKDLib.weights.bundle import read_manifest
    from SSRKDLib.weights.catalogue import find_bundle

    # Weights or a device that cannot be used are reported once, not once per case.
    manifest = read_manifest(find_bundle(arguments.weights))
    resolve_device(arguments.device)
    return Settings(
        weights=arguments.weights,
        weights_sha256=manifest["sha256"],
        device=arguments.device,
        spacing=arguments.spacing,
        align=arguments.align,
    )


def _process_count(settings: Settings) -> int:
    from SSRKDLib.models.devices import resolve_device

    if settings.reconstruct and resolve_device(settings.device) != "cpu":
        return 1  # a second one would need the GPU's memory again
    return process_count(PEAK_BYTES if settings.reconstruct else _BYTES_MEASURING)

"""Measure weights on the held-out people: the table of the README.

    python Training/evaluate.py [--weights NAME_OR_PATH] [--shared ../shared] -o OUT

People 20 to 25 of LLP26 (bundled) and both Visible Humans (where --shared has them), left and
mirrored right, in three rigs that training never saw exactly, joint 27 mm off the origin, pose as
they come; radiographs from a simulator that training never saw (voxel) and from the training's own
(mesh). Writes OUT/rows.csv and OUT/scores.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from SSRKDLib.core.errors import script
from SSRKDLib.core.output_folder import grown_folder, write_into
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.core.processes import process_count, run_in_processes
from SSRKDLib.evaluation.held_out_people import (
    RIGS,
    SIMULATORS,
    Person,
    evaluate,
    held_out_people,
    summary,
)
from SSRKDLib.evaluation.tables import rows_as_csv
from SSRKDLib.geometry.rig_presets import PRESETS
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.reconstruction.job import PEAK_BYTES

#: What is written, and what begins each file.
_FILES = {
    "rows.csv": b"group,person,side,simulator,rig,agreement,",
    "scores.json": b'"command": "python Training/evaluate.py"',
}
SCORES = ResultKind("scores of held-out people", partial(files_with, marks=_FILES))


def measure(job: tuple[Person, argparse.Namespace]) -> list[dict]:
    """The rows of one person."""
    person, arguments = job
    model = KneeModel.load(arguments.weights)
    presets = {name: PRESETS[name] for name in arguments.rigs}
    return list(
        evaluate(model, [person], arguments.simulators, arguments.sides, arguments.spacing, presets)
    )


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--spacing", type=float, default=1.0)
    parser.add_argument("--sides", default="LR")
    parser.add_argument("--simulators", nargs="+", default=list(SIMULATORS), choices=SIMULATORS)
    parser.add_argument("--rigs", nargs="+", default=list(RIGS), choices=list(PRESETS))
    parser.add_argument("--people", nargs="+", help="names, default all")
    parser.add_argument("--processes", type=int, default=process_count(PEAK_BYTES))
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    grown_folder(arguments.output, SCORES, _FILES)
    shared = arguments.shared if arguments.shared.is_dir() else None
    if shared is None:
        print(f"skipped: the Visible Humans ({arguments.shared} is not there)")
    people = held_out_people(shared)
    if arguments.people:
        people = [person for person in people if person.name in arguments.people]
    name = KneeModel.load(arguments.weights).name
    jobs = [(person, arguments) for person in people]
    rows = []
    found = run_in_processes(measure, jobs, arguments.processes)
    for of_one in tqdm(found, total=len(jobs), unit="person"):
        rows += of_one
        write_into(arguments.output, SCORES, "rows.csv", rows_as_csv(rows))
    table = summary(rows)
    scores = {
        "command": "python Training/evaluate.py",
        "weights": name,
        "machine": f"{platform.processor() or platform.machine()}, CPU, torch {torch.__version__}",
        "assd_point_to_surface_mm": table,
    }
    text = json.dumps(scores, indent=1) + "\n"
    write_into(arguments.output, SCORES, "scores.json", text)
    columns = ["group", "simulator", "side", "surfaces", "missing", "mean", "p95", "worst"]
    columns += [key for key in table[0] if key not in columns]
    print(" | ".join(columns))
    for line in table:
        print(" | ".join(
            f"{line[key]:.2f}" if isinstance(line[key], float) else str(line[key])
            for key in columns
        ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

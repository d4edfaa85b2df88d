"""Learn and check how sure the program is of its bones and measures, on virtual people.

    python Training/calibrate_confidence.py --cases 64 --seed 1 -o OUT

Reconstructs random knees over good and bad input (nothing wrong, moved, a distance or the angle
told wrongly, collimated), goes on where an interrupted run ended, and prints the numbers that
``SSRKDLib/reconstruction/fitting/confidence.py`` and ``SSRKDLib/clinical/definitions.py`` are to
have, how many vertices lie within what they are said to, and the table of clinical measures. Writes
OUT/calibration.png. Numbers learnt with one seed are checked with another. With --only frontal (or
lateral), of this radiograph alone: the numbers of ``ONE_VIEW``.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from SSRKDLib.core.errors import SSRKDError, script
from SSRKDLib.core.output_folder import write_into
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.evaluation.calibration import (
    bone_rows,
    calibrated,
    measure_rows,
    measures_table,
    virtual_cases,
)
from SSRKDLib.evaluation.stored_rows import StoredRows
from SSRKDLib.evaluation.tables import markdown_table
from SSRKDLib.figures.calibration_plot import plot_calibration
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.reconstruction.choices import VIEW_NAMES
from SSRKDLib.reconstruction.fitting.confidence import RATES
from SSRKDLib.reconstruction.radiographs import reconstruct

PLOT = "calibration.png"
CALIBRATION = ResultKind("calibration", partial(files_with, marks={PLOT: b"Matplotlib"}))


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=VIEW_NAMES, help="reconstruct from this one alone")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    stored = StoredRows(arguments.output, CALIBRATION, _rows_file(arguments), [PLOT])
    torch.set_num_threads(1)
    model = KneeModel.load(arguments.weights)
    known = {row["case"] for row in stored.rows}
    cases = virtual_cases(arguments.cases, arguments.seed, arguments.only)
    for case in tqdm(cases, total=arguments.cases):
        name = case.pair.person.name
        if name in known:
            continue
        try:
            result = reconstruct(case.exposures, case.rig, model)
        except SSRKDError as error:
            print(f"{name} ({case.kind}): {error}")
            continue
        true = case.pair.bones(1 if result.pose == "lateral" else 0)
        measures = measure_rows(name, result, true, "L")
        stored.add([{"case": name, "bones": bone_rows(case, result), "measures": measures}])
    rows = [row for one in stored.rows for row in one["bones"]]
    found = calibrated(rows, None if arguments.only is None else RATES)
    constants = ", ".join(f'"{bone}": {value:.2f}' for bone, value in found.constants.items())
    print(
        f"CONSTANTS = {{{constants}}}\nRATES = {found.rates.round(2)}\nWITHIN = {found.within:.2f}"
    )
    for kind in dict.fromkeys(row["kind"] for row in rows):
        chosen = [row for row in rows if row["kind"] == kind]
        within = np.concatenate([np.less_equal(row["off"], row["within"]) for row in chosen])
        off = np.mean([np.mean(row["off"]) for row in chosen])
        expected = np.mean([row["expected"] for row in chosen])
        print(f"{kind}: mean {off:.2f} mm, expected {expected:.2f}; within {within.mean():.3f}")
    measures = [row for one in stored.rows for row in one["measures"]]
    print(markdown_table(measures_table(measures)))
    write_into(arguments.output, CALIBRATION, PLOT, partial(plot_calibration, rows))


def _rows_file(arguments: argparse.Namespace) -> str:
    only = "" if arguments.only is None else f"{arguments.only}-"
    return f"rows-{only}{arguments.seed}.json"


if __name__ == "__main__":
    sys.exit(main())

"""Learn and check how sure the program is of its bones and measures, on virtual people.

    python Training/calibrate_confidence.py --cases 64 --seed 1 -o OUT

Reconstructs random knees over good and bad input (nothing wrong, moved, a distance or the angle
told wrongly, collimated), goes on where an interrupted run ended, and prints the numbers that
``SSRKDLib/reconstruction/fitting/confidence.py`` and ``SSRKDLib/clinical/definitions.py`` are to
have, how many vertices lie within what they are said to, and the table of clinical measures. Writes
OUT/calibration.png. Numbers learnt with one seed are checked with another.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from SSRKDLib.core.errors import SSRKDError
from SSRKDLib.core.output_file import write_file
from SSRKDLib.evaluation.calibration import (
    bone_rows,
    calibrated,
    measure_rows,
    measures_table,
    virtual_cases,
)
from SSRKDLib.evaluation.tables import markdown_table
from SSRKDLib.figures.calibration_plot import plot_calibration
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.reconstruction.radiographs import reconstruct


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = KneeModel.load(arguments.weights)
    arguments.output.mkdir(parents=True, exist_ok=True)
    stored = arguments.output / f"rows-{arguments.seed}.json"
    done = json.loads(stored.read_text()) if stored.exists() else {}
    for case in tqdm(virtual_cases(arguments.cases, arguments.seed), total=arguments.cases):
        name = case.pair.person.name
        if name in done:
            continue
        try:
            result = reconstruct(case.exposures, case.rig, model)
        except SSRKDError as error:
            print(f"{name} ({case.kind}): {error}")
            continue
        true = case.pair.bones(1 if result.pose == "lateral" else 0)
        done[name] = {
            "bones": bone_rows(case, result),
            "measures": measure_rows(name, result, true, "L"),
        }
        write_file(stored, json.dumps(done) + "\n")
    rows = [row for one in done.values() for row in one["bones"]]
    found = calibrated(rows)
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
    print(markdown_table(measures_table([row for one in done.values() for row in one["measures"]])))
    plot_calibration(rows, arguments.output / "calibration.png")


if __name__ == "__main__":
    main()

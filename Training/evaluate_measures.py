"""Clinical measures of the held-out people, and the errors that they are said to have.

    python Training/evaluate_measures.py [--shared ../shared] -o OUT

People 20 to 25 of LLP26 and both Visible Humans, left, in the three rigs of Training/evaluate.py,
voxel simulator. The true bones are measured in the same way. Prints a table per group and writes
OUT/measures.json; a run that was interrupted goes on where it ended.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from SSRKDLib.core.errors import script
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.evaluation.calibration import measure_rows, measures_table
from SSRKDLib.evaluation.held_out_people import RIGS, held_out_people, radiographs
from SSRKDLib.evaluation.stored_rows import StoredRows
from SSRKDLib.evaluation.tables import markdown_table
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.reconstruction.choices import SURFACES
from SSRKDLib.reconstruction.radiographs import reconstruct

ROWS = "measures.json"
MEASURED = ResultKind("clinical measures", partial(files_with, marks={ROWS: b'"group": "'}))


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--surface", choices=SURFACES)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    stored = StoredRows(arguments.output, MEASURED, ROWS)
    torch.set_num_threads(1)
    model = KneeModel.load(arguments.weights)
    shared = arguments.shared if arguments.shared.is_dir() else None
    if shared is None:
        print(f"skipped: the Visible Humans ({arguments.shared} is not there)")
    rigs = {name: make(laterality="L") for name, make in RIGS.items()}
    for person in tqdm(held_out_people(shared), unit="person"):
        if person.name in {row["person"] for row in stored.rows}:
            continue
        exposures = radiographs(person.bones, rigs, "voxel", seed=sum(map(ord, person.name)))
        rows = []
        for name, rig in rigs.items():
            result = reconstruct(exposures[name], rig, model, surface=arguments.surface)
            for row in measure_rows(f"{person.name} {name}", result, person.bones, "L"):
                rows.append({"group": person.group, "person": person.name, **row})
        stored.add(rows)
    for group in dict.fromkeys(row["group"] for row in stored.rows):
        chosen = [row for row in stored.rows if row["group"] == group]
        print(f"\n{group}\n\n" + markdown_table(measures_table(chosen)))


if __name__ == "__main__":
    sys.exit(main())

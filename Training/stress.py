"""What single factors of a radiograph cost, and which step pays: the stress table.

    python Training/stress.py [--weights NAME_OR_PATH] [--virtual 2] [--held-out] -o OUT

Virtual people (and, with --held-out, people 20 to 25 of LLP26 and both Visible Humans where
--shared has them) are radiographed by the voxel simulator with everything in the middle of what
occurs; then one factor at a time goes to the ends of what occurs
(SSRKDLib/evaluation/stress_factors.py). OUT/rows.json gets a row for each pair of radiographs;
pairs that are in it are not measured again. OUT/stress.csv is the table that is printed.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from SSRKDLib.core.errors import InputError, script
from SSRKDLib.core.output_folder import write_into
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.evaluation.held_out_people import held_out_people, placed
from SSRKDLib.evaluation.stored_rows import StoredRows
from SSRKDLib.evaluation.stress import JOINT, measure, scenes, table, virtual_person
from SSRKDLib.evaluation.stress_factors import FACTORS
from SSRKDLib.evaluation.tables import markdown_table, rows_as_csv
from SSRKDLib.models.knee_model import KneeModel

ROWS, TABLE = "rows.json", "stress.csv"
#: What is written, and what begins each file.
_FILES = {ROWS: b'"factor": "', TABLE: b"factor,value,unit"}
STRESS = ResultKind("stress table", partial(files_with, marks=_FILES))


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--virtual", type=int, default=2, metavar="N", help="virtual people")
    parser.add_argument("--held-out", action="store_true", help="real people, too")
    parser.add_argument("--factors", nargs="+", metavar="NAME", help="default all")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    factors = _factors(arguments.factors)
    stored = StoredRows(arguments.output, STRESS, ROWS, [TABLE])
    torch.set_num_threads(1)
    model = KneeModel.load(arguments.weights)
    known = {(row["person"], row["factor"], row["value"]) for row in stored.rows}
    wanted = [
        (name, *scene)
        for name, bones in _people(arguments).items()
        for scene in scenes(bones, factors)
    ]
    for name, factor, value, scene in tqdm(wanted, unit="pair"):
        if (name, factor, value) not in known:
            found = measure(scene, model)
            stored.add([{"person": name, "factor": factor, "value": value, **found}])
    lines = table(stored.rows)
    write_into(arguments.output, STRESS, TABLE, rows_as_csv(lines))
    print(f"weights {model.name}, {len({row['person'] for row in stored.rows})} people, CPU\n")
    print(markdown_table(lines))


def _factors(names: list[str] | None) -> tuple:
    known = {factor.name: factor for factor in FACTORS}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InputError(f"There is no factor '{unknown[0]}'.", f"Use some of: {', '.join(known)}.")
    return tuple(known[name] for name in names) if names else FACTORS


def _people(arguments: argparse.Namespace) -> dict[str, dict]:
    people = {f"virtual-{k}": virtual_person(k) for k in range(arguments.virtual)}
    if arguments.held_out:
        shared = arguments.shared if arguments.shared.is_dir() else None
        if shared is None:
            print(f"skipped: the Visible Humans ({arguments.shared} is not there)")
        people |= {person.name: placed(person.bones, JOINT) for person in held_out_people(shared)}
    return people


if __name__ == "__main__":
    sys.exit(main())

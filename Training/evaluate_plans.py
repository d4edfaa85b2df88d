"""Measure whether an osteotomy's plan is that on the true tibia: a table of the README.

    python Training/evaluate_plans.py [--weights NAME_OR_PATH] [--shared ../shared] -o OUT

People 20 to 25 of LLP26 (bundled), both Visible Humans and the strangers (where --shared has them),
in three rigs that training never saw exactly, radiographs from a simulator that it never saw
(voxel). An opening and a closing wedge of 8 degrees by the same rules on both tibias, the cut
falling to the back as the medial plateau does, and by a chosen 8 degrees
(SSRKDLib/planning/same_plan.py says what is compared). OUT/rows.json gets a row for each; those
that are in it are not measured again.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from SSRKDLib.core.errors import InputError, script
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.evaluation.held_out_people import (
    RIGS,
    SIMULATORS,
    held_out_people,
    radiographs,
    strangers,
)
from SSRKDLib.evaluation.stored_rows import StoredRows
from SSRKDLib.evaluation.tables import markdown_table
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.planning.cut import KINDS, Choices
from SSRKDLib.planning.planner import Correction, Planner
from SSRKDLib.planning.same_plan import TARGETS, compare_plans, is_same
from SSRKDLib.reconstruction.radiographs import reconstruct

_ANGLE = 8.0

#: Kinds of osteotomies and fall of the cut, degrees; None: the medial slope.
_RULES = [(kind, fall) for kind in KINDS for fall in (None, 8.0)]
_SHOWN = (*TARGETS, "hinge_mm", "slope_deg", "mpta_deg")

ROWS = "rows.json"
PLANS = ResultKind("plans compared", partial(files_with, marks={ROWS: b'"kind": "'}))


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--people", nargs="+", help="names, default all")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    stored = StoredRows(arguments.output, PLANS, ROWS)
    torch.set_num_threads(1)
    model = KneeModel.load(arguments.weights)
    shared = arguments.shared if arguments.shared.is_dir() else None
    if shared is None:
        print(f"skipped: Visible Humans and strangers ({arguments.shared} is not there)")
    people = [*held_out_people(shared), *strangers(shared)]
    rigs = {name: make(laterality="L") for name, make in RIGS.items()}
    done = {(row["person"], row["rig"]) for row in stored.rows}
    for person in tqdm(people, unit="person"):
        if person.name not in (arguments.people or [person.name]):
            continue
        if all((person.name, rig) in done for rig in rigs):
            continue
        seed = sum(map(ord, person.name))
        exposures = radiographs(person.bones, rigs, SIMULATORS[0], seed)
        rows = []
        for name, rig in rigs.items():
            made = reconstruct(exposures[name], rig, model).bones
            about = {"group": person.group, "person": person.name, "rig": name}
            for kind, fall in _RULES:
                choices = Choices(kind, inclination=fall)
                found = _compared(made, person.bones, choices)
                rows.append({**about, "kind": kind, "fall": fall, **found})
        stored.add(rows)
    print("\n" + markdown_table(_table(stored.rows)))
    for row in stored.rows:
        if "failed" in row:
            print(f"{row['person']}, {row['rig']}, {row['kind']}: {row['failed']}")


def _compared(made: dict, truth: dict, choices: Choices) -> dict:
    planner = Planner("L", Correction(angle=_ANGLE), choices)
    try:
        differences, _, _ = compare_plans(made, truth, planner)
    except InputError as error:
        return {"failed": str(error)}
    return {**differences, "same": is_same(differences)}


def _table(rows: list[dict]) -> list[dict]:
    """Mean of the absolute differences and the largest, and the share within the targets."""
    lines = []
    groups = list(dict.fromkeys(row["group"] for row in rows))
    for kind, fall in _RULES:
        of_rule = [row for row in rows if (row["kind"], row["fall"]) == (kind, fall)]
        for group in [*groups, "all"]:
            chosen = [row for row in of_rule if group in (row["group"], "all")]
            found = [row for row in chosen if "failed" not in row]
            by = "slope" if fall is None else f"{fall:g}"
            line = {"people": group, "wedge": kind, "fall": by, "plans": len(chosen)}
            for name in _SHOWN:
                values = np.abs([row[name] for row in found])
                within = ""
                if name in TARGETS:
                    share = (values <= TARGETS[name]).sum() / len(chosen)
                    within = f", {100 * share:.0f} %"
                line[name] = f"{values.mean():.2f} ({values.max():.2f}){within}"
            same = sum(row.get("same", False) for row in chosen)
            lines.append({**line, "within all targets": f"{same} of {len(chosen)}"})
    return lines


if __name__ == "__main__":
    sys.exit(main())

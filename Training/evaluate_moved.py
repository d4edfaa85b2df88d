"""Measure weights on pairs between whose views the leg moved: a table of the README.

    python Training/evaluate_moved.py [--weights NAME_OR_PATH] [--shared ../shared] -o OUT
    python Training/evaluate_moved.py --motions rigid --told all -o OUT
    python Training/evaluate_moved.py --virtual 200 [--seed 1] [--stressed] -o OUT

People 20 to 25 of LLP26 (bundled), both Visible Humans and strangers (where --shared has them),
each rigid and with the knee bent 10, 20 and 30 degrees more in the lateral view, the leg turned by
5 degrees and moved by 10 mm. With --virtual, random knees instead, each rigid and moved, half of
these slightly (2 degrees, 3 mm): how many are called what they are; with --stressed, half of them
in radiographs of other dose, contrast, tissue or processing than usual. With --only frontal (or
lateral), people who did not move, from this radiograph alone. What the columns mean:
SSRKDLib/evaluation/moved_pairs.py. With --told, the same radiographs with a rig that is told
otherwise than it was (SSRKDLib/evaluation/told_rigs.py). With --rig four_views [--views 3], oblique
radiographs beside the two, the leg as in the lateral one. OUT/rows.json gets a row for each pair;
pairs that are in it are not measured again.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from SSRKDLib.core.errors import script
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.evaluation.held_out_people import RIGS, SIMULATORS, held_out_people, strangers
from SSRKDLib.evaluation.moved_pairs import (
    Pair,
    held_out_pairs,
    measure,
    summary,
    virtual_pairs,
    wrong_calls,
)
from SSRKDLib.evaluation.stored_rows import StoredRows
from SSRKDLib.evaluation.tables import markdown_table
from SSRKDLib.evaluation.told_rigs import TOLD
from SSRKDLib.geometry.rig_presets import four_views
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.choices import SURFACES, VIEW_NAMES
from SSRKDLib.reconstruction.radiographs import reconstruct

_RIGS = {**RIGS, "four_views": four_views}
ROWS = "rows.json"
PAIRS = ResultKind(
    "pairs between whose views the leg moved", partial(files_with, marks={ROWS: b'"pair": "'})
)


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--virtual", type=int, metavar="N", help="N pairs of random knees instead")
    parser.add_argument("--seed", type=int, default=0, help="of the random knees")
    parser.add_argument("--stressed", action="store_true", help="half of the virtual pairs")
    parser.add_argument("--people", nargs="+", help="names, default all")
    parser.add_argument("--motions", nargs="+", help="names, default all")
    parser.add_argument("--rig", default="orthogonal", choices=list(_RIGS))
    parser.add_argument(
        "--views", type=int, metavar="N", help="the first N of the rig, default all"
    )
    parser.add_argument("--simulator", default=SIMULATORS[0], choices=SIMULATORS)
    parser.add_argument("--surface", choices=SURFACES)
    parser.add_argument("--only", choices=VIEW_NAMES, help="this radiograph alone")
    parser.add_argument("--told", default=next(iter(TOLD)), choices=["all", *TOLD])
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.only is not None and arguments.told != next(iter(TOLD)):
        parser.error("--told is of two radiographs; omit it, or --only")
    stored = StoredRows(arguments.output, PAIRS, ROWS)
    torch.set_num_threads(1)
    model = KneeModel.load(arguments.weights)
    told = list(TOLD) if arguments.told == "all" else [arguments.told]
    rig = _RIGS[arguments.rig](laterality="L")
    rig = replace(rig, views=rig.views[: arguments.views])
    if arguments.only is not None:
        rig = replace(rig, views=(rig.views[VIEW_NAMES.index(arguments.only)],))
    for pair in tqdm(_pairs(arguments), unit="pair"):
        known = {row["pair"] for row in stored.rows}
        left = [name for name in told if _called(pair, name) not in known]
        taken = pair.exposures(rig, arguments.simulator) if left else []
        for name in left:
            as_told = TOLD[name](rig)
            exposures = [
                Exposure(view, one.line_integral, one.valid)
                for view, one in zip(as_told.views, taken)
            ]
            result = reconstruct(exposures, as_told, model, surface=arguments.surface)
            row = measure(pair, result)
            row["pair"] = _called(pair, name)
            if name != next(iter(TOLD)):
                row["motion"] = f"{pair.motion}, {name}"
            stored.add([row])
    rows = stored.rows
    print("\n" + markdown_table(summary(rows)))
    if arguments.virtual is not None and arguments.only is None:
        wrong = wrong_calls(rows)
        print(f"\n{len(rows) - len(wrong)} of {len(rows)} pairs are called what they are; not so:")
        print("\n" + markdown_table(wrong))


def _called(pair: Pair, told: str) -> str:
    return pair.name if told == next(iter(TOLD)) else f"{pair.name}, {told}"


def _pairs(arguments: argparse.Namespace) -> list:
    pairs, only = _all_pairs(arguments), arguments.only
    if only is None:
        return pairs
    return [replace(pair, motion=f"{only} only") for pair in pairs if pair.motions is None]


def _all_pairs(arguments: argparse.Namespace) -> list:
    if arguments.virtual is not None:
        return list(virtual_pairs(arguments.virtual, arguments.seed, arguments.stressed))
    shared = arguments.shared if arguments.shared.is_dir() else None
    if shared is None:
        print(f"skipped: the Visible Humans and strangers ({arguments.shared} is not there)")
    return [
        pair
        for pair in held_out_pairs([*held_out_people(shared), *strangers(shared)])
        if pair.person.name in (arguments.people or [pair.person.name])
        and pair.motion in (arguments.motions or [pair.motion])
    ]


if __name__ == "__main__":
    sys.exit(main())

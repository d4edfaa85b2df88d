"""Measure how well the given side is told from the other one, right and wrong sides given.

    python Training/calibrate_side.py [--weights NAME_OR_PATH] [--virtual 80] -o OUT

The held-out people 20 to 25 of LLP26 as in ``Training/evaluate.py`` (both sides, three rigs, two
simulators: 72 knees) and ``--virtual`` people who were never made before, each in a random rig as
in the training. Every knee is localised once with its own side given and once with the other. The
ratio is the misfit of the given side to that of the other (``localisation.Localisation``); a side
is doubted above ``explanations.SIDE_RATIO``. Writes OUT/rows.csv and prints a table.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from SSRKDLib.core.errors import script
from SSRKDLib.core.output_folder import grown_folder, write_into
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.core.processes import run_in_processes
from SSRKDLib.datasets.virtual_cohort import STORED_PIXEL_MM, random_views
from SSRKDLib.evaluation.held_out_people import (
    RIGS,
    SIMULATORS,
    Person,
    held_out_people,
    radiographs,
)
from SSRKDLib.evaluation.tables import rows_as_csv
from SSRKDLib.geometry.views import Rig
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure, best_pair
from SSRKDLib.reconstruction.explanations import SIDE_RATIO, looks_like_other_side
from SSRKDLib.reconstruction.localisation import locate, other_side
from SSRKDLib.simulation.population import shape_model
from SSRKDLib.simulation.random_radiograph import random_line_integral
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.simulation.surface_phantom import material_paths, random_leg

#: Of the virtual people; no cohort of the trainings is made with it.
SEED = 9001

#: What is written, and what begins the file.
_FILES = {"rows.csv": b"group,knee,simulator,rig,given,right,"}
SIDES = ResultKind("sides that were tried", partial(files_with, marks=_FILES))


@dataclass(frozen=True)
class Knee:
    """Radiographs of a knee whose side is known."""

    group: str
    name: str
    simulator: str
    rig_name: str
    rig: Rig
    exposures: list[Exposure]


def held_out_knees(
    person: Person, side: str, simulator: str, rig_names: tuple[str, ...] = tuple(RIGS)
) -> Iterator[Knee]:
    """One held-out person's knee in the score's rigs."""
    bones = person.bones if side == "L" else person.mirrored()
    rigs = {name: RIGS[name](laterality=side) for name in rig_names}
    exposures = radiographs(bones, rigs, simulator, seed=sum(map(ord, person.name)))
    for name, rig in rigs.items():
        yield Knee("held out", f"{person.name} {side}", simulator, name, rig, exposures[name])


def virtual_knee(index: int) -> Knee:
    """A virtual person in a random rig, the joint up to 20 mm off the origin along each axis."""
    rng = np.random.default_rng([SEED, index])
    bones, views = random_knee(rng), random_views(rng)
    leg = random_leg(bones, shape_model().faces, rng)
    images = [
        random_line_integral(
            material_paths(leg, view)[0], float(view.project(np.zeros(3))[1]), STORED_PIXEL_MM, rng
        )
        for view in views
    ]
    side = "LR"[index % 2]
    place = np.eye(4) if side == "L" else MIRROR.copy()
    place[:3, 3] = rng.uniform(-20, 20, 3)
    rig = Rig(tuple(view.transformed(place) for view in views), laterality=side)
    exposures = [
        Exposure(view, image, np.ones(image.shape, bool)) for view, image in zip(rig.views, images)
    ]
    return Knee("virtual", f"virtual {index} {side}", "mesh", "random", rig, exposures)


def measure(knee: Knee, model: KneeModel) -> list[dict]:
    """A row for each side that is given."""
    rows = []
    for given in "LR":
        pair = best_pair(knee.exposures)
        located = locate(pair, replace(knee.rig, laterality=given), model, given)
        other = other_side(pair, model, located)
        rows.append(
            {
                "group": knee.group, "knee": knee.name, "simulator": knee.simulator,
                "rig": knee.rig_name, "given": given, "right": given == knee.rig.laterality,
                "agreement": located.agreement, "other_agreement": other.agreement,
                "ratio": located.misfit / other.misfit,
                "doubted": looks_like_other_side(located, other),
            }
        )  # fmt: skip
    return rows


def _measure_all(job: tuple[Person | int, str | None]) -> list[dict]:
    """The rows of a held-out or a virtual person, in a process and a thread of their own."""
    person, weights = job
    torch.set_num_threads(1)
    model = KneeModel.load(weights)
    if isinstance(person, int):
        return measure(virtual_knee(person), model)
    return [
        row
        for side in "LR"
        for simulator in SIMULATORS
        for knee in held_out_knees(person, side, simulator)
        for row in measure(knee, model)
    ]


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--virtual", type=int, default=80, help="people, default 80")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    grown_folder(arguments.output, SIDES, _FILES)
    people = [*held_out_people(None), *range(arguments.virtual)]
    jobs = [(person, arguments.weights) for person in people]
    rows: list[dict] = []
    found = run_in_processes(_measure_all, jobs, arguments.processes)
    for of_one in tqdm(found, total=len(jobs), unit="person"):
        rows += of_one
        write_into(arguments.output, SIDES, "rows.csv", rows_as_csv(rows))
    print(f"a side is doubted above a ratio of {SIDE_RATIO}")
    print("group | simulator | rig | given side | knees | doubted | ratio: least, median, largest")
    keys = sorted({(row["group"], row["simulator"], row["rig"], row["right"]) for row in rows})
    for key in keys:
        chosen = [
            row for row in rows
            if (row["group"], row["simulator"], row["rig"], row["right"]) == key
        ]  # fmt: skip
        ratios = np.array([row["ratio"] for row in chosen])
        print(
            *key[:3], "right" if key[3] else "wrong", len(chosen),
            sum(row["doubted"] for row in chosen),
            f"{ratios.min():.2f}, {np.median(ratios):.2f}, {ratios.max():.2f}", sep=" | ",
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

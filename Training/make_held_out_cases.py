"""Write the held-out people as cases on disk, for ``python -m SSRKDLib evaluate``.

    python Training/make_held_out_cases.py [--shared ../shared] -o CASES

The knees, rigs and radiographs of ``Training/evaluate.py`` with the voxel simulator: people 20 to
25 of LLP26 (bundled) and both Visible Humans (where --shared has them), left and mirrored right, in
three rigs, the joint 27 mm off the origin. Each case is a folder ``person_side_rig`` with rig.json,
its images and the true bones in truth/. A run that was interrupted goes on where it ended.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from SSRKDLib.core.errors import script
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.datasets.evaluation_cases import RIG_CASE, write_truth
from SSRKDLib.evaluation.held_out_people import RIGS, Person, held_out_people
from SSRKDLib.simulation.voxel_phantom import voxel_knee
from SSRKDLib.simulation.writing import ExposureSettings, write_radiographs


def write_knee(person: Person, side: str, output: Path) -> None:
    """One knee's case in every rig, with the tissue and noise that evaluate.py gives it."""
    bones = person.bones if side == "L" else person.mirrored()
    folders = {name: output / f"{person.name}_{side}_{name}" for name in RIGS}
    if all(folder.is_dir() for folder in folders.values()):
        return
    rng = np.random.default_rng(sum(map(ord, person.name)))
    volume = voxel_knee(bones, rng)
    for name, folder in folders.items():
        rig = RIGS[name](laterality=side)
        with replaced_folder(folder, RIG_CASE) as fresh:
            volumes = [volume] * len(rig.views)
            write_radiographs(volumes, rig, fresh, ExposureSettings(), rng, lambda *_: None)
            write_truth(fresh, bones)
        print(folder, flush=True)


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--sides", default="LR")
    parser.add_argument("--people", nargs="+", help="names, default all")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    shared = arguments.shared if arguments.shared.is_dir() else None
    if shared is None:
        print(f"skipped: the Visible Humans ({arguments.shared} is not there)")
    for person in held_out_people(shared):
        if not arguments.people or person.name in arguments.people:
            for side in arguments.sides:
                write_knee(person, side, arguments.output)


if __name__ == "__main__":
    sys.exit(main())

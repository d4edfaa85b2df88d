"""Measure a teacher on CTs of the held-out people: the CT table of the README.

    python Training/evaluate_ct.py [--weights NAME_OR_PATH] [--shared ../shared]

People 20 to 25 of LLP26 (bundled) and both Visible Humans (where --shared has them), left and
mirrored right, each as a simulated CT of 1 mm voxels (bones, soft tissue and noise of the voxel
simulator) that shows 100 mm around the joint. Prints the mean distance to the true surfaces within
80 mm of the joint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.ct.hounsfield import to_hounsfield
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.evaluation.held_out_people import OFF_ORIGIN, Person, held_out_people
from SSRKDLib.evaluation.metrics import compare_meshes
from SSRKDLib.evaluation.regions import region_around
from SSRKDLib.models.loading import load_ct_model
from SSRKDLib.reconstruction.ct import reconstruct_ct
from SSRKDLib.simulation.voxel_phantom import voxel_knee

#: The CT's reach around the joint, mm.
HALF_EXTENT = 100.0


def scan_of(person: Person, side: str) -> CtScan:
    """The person's simulated CT, Hounsfield units."""
    bones = person.bones if side == "L" else person.mirrored()
    volume = voxel_knee(bones, np.random.default_rng(sum(map(ord, person.name))))
    hounsfield = to_hounsfield(volume.values.numpy())
    affine = volume.index_to_world.copy()
    joint = OFF_ORIGIN * ([1, 1, 1] if side == "L" else [-1, 1, 1])
    centre = (np.linalg.inv(affine) @ [*joint, 1])[:3]
    reach = HALF_EXTENT / np.linalg.norm(affine[:3, :3], axis=0)
    low = np.maximum(np.rint(centre - reach), 0).astype(int)
    high = np.rint(centre + reach).astype(int)
    affine[:3, 3] = (affine @ [*low, 1])[:3]
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1]))
    return CtScan(np.rint(hounsfield[part]).astype(np.int16), affine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--sides", default="LR")
    arguments = parser.parse_args()
    shared = arguments.shared if arguments.shared.is_dir() else None
    if shared is None:
        print(f"skipped: the Visible Humans ({arguments.shared} is not there)")
    model = load_ct_model(arguments.weights)
    print(" | ".join(["person", "side", *BONES, "DSC", "side found"]))
    found: dict[str, list[list[float]]] = {}
    for person in held_out_people(shared):
        for side in arguments.sides:
            bones = person.bones if side == "L" else person.mirrored()
            region = region_around(OFF_ORIGIN * ([1, 1, 1] if side == "L" else [-1, 1, 1]))
            result = reconstruct_ct(scan_of(person, side), model)
            rows = {row["bone"]: row for row in compare_meshes(result.bones, bones, region)}
            distances = [float(rows[bone]["assd_mm"]) for bone in BONES]
            overlap = np.mean([rows[bone]["dsc"] for bone in BONES])
            found.setdefault(person.group, []).append([*distances, overlap])
            cells = [f"{distance:.2f}" for distance in distances]
            words = [person.name, side, *cells, f"{overlap:.3f}", str(result.laterality)]
            print(" | ".join(words), flush=True)
    for group, rows in found.items():
        *distances, overlap = np.mean(rows, axis=0)
        cells = [f"{distance:.2f}" for distance in distances]
        mean = f"mean {np.mean(distances):.2f} mm"
        print(" | ".join([group, "all", *cells, f"{overlap:.3f}", mean]))


if __name__ == "__main__":
    main()

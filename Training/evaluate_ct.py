"""Measure a teacher on CTs of the held-out people: the CT table of the README.

    python Training/evaluate_ct.py [--weights NAME_OR_PATH] [--shared ../shared] [--turned 30]

People 20 to 25 of LLP26 (bundled) and both Visible Humans (where --shared has them), left and
mirrored right, each as a simulated CT of 1 mm voxels (bones, soft tissue and noise of the voxel
simulator) that shows 100 mm around the joint. Prints the mean distance to the true surfaces within
80 mm of the joint. --turned: a second row for each, from the same CT resampled on axes that are
turned by so many degrees, and a third with the distance between both results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

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


def turned(scan: CtScan, degrees: float) -> CtScan:
    """The same CT on voxels of 1 mm along axes that are turned about an oblique one."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(
        np.radians(degrees) / np.sqrt(3) * np.ones(3)
    ).as_matrix()  # fmt: skip
    size = np.array(scan.hounsfield.shape[::-1])
    middle = scan.index_to_lps[:3, :3] @ ((size - 1) / 2) + scan.index_to_lps[:3, 3]
    affine[:3, 3] = middle - affine[:3, :3] @ ((size - 1) / 2)
    matrix = np.linalg.inv(scan.index_to_lps) @ affine
    values = ndimage.affine_transform(
        scan.hounsfield.astype(np.float32), matrix[2::-1, 2::-1], matrix[2::-1, 3],
        order=1, mode="constant", cval=-1000,
    )  # fmt: skip
    return CtScan(np.rint(values).astype(np.int16), affine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--sides", default="LR")
    parser.add_argument("--turned", type=float, default=0.0, metavar="DEGREES")
    arguments = parser.parse_args()
    shared = arguments.shared if arguments.shared.is_dir() else None
    if shared is None:
        print(f"skipped: the Visible Humans ({arguments.shared} is not there)")
    model = load_ct_model(arguments.weights)
    print(" | ".join(["person", "side", "", *BONES, "DSC", "side found"]))
    found: dict[tuple[str, str], list[list[float]]] = {}
    for person in held_out_people(shared):
        for side in arguments.sides:
            bones = person.bones if side == "L" else person.mirrored()
            region = region_around(OFF_ORIGIN * ([1, 1, 1] if side == "L" else [-1, 1, 1]))
            scan = scan_of(person, side)
            results = {"": reconstruct_ct(scan, model)}
            if arguments.turned:
                results["turned"] = reconstruct_ct(turned(scan, arguments.turned), model)
            compared = {(person.group, name): (one, bones) for name, one in results.items()}
            if arguments.turned:
                key = person.group, "both results"
                compared[key] = results["turned"], results[""].bones
            for key, (result, truth) in compared.items():
                rows = {row["bone"]: row for row in compare_meshes(result.bones, truth, region)}
                distances = [float(rows[bone]["assd_mm"]) for bone in BONES]
                overlap = np.mean([rows[bone]["dsc"] for bone in BONES])
                found.setdefault(key, []).append([*distances, overlap])
                cells = [f"{distance:.2f}" for distance in distances]
                words = [person.name, side, key[1], *cells, f"{overlap:.3f}"]
                print(" | ".join([*words, str(result.laterality)]), flush=True)
    for (group, name), rows in found.items():
        *distances, overlap = np.mean(rows, axis=0)
        cells = [f"{distance:.2f}" for distance in distances]
        mean = f"mean {np.mean(distances):.2f} mm"
        print(" | ".join([group, "all", name, *cells, f"{overlap:.3f}", mean]))


if __name__ == "__main__":
    main()

"""Derive the bundled population from the LLP26 data set.

    python Training/make_population.py LLP26_FOLDER

Reads ``LLP26_dense_correspondence.npz`` and ``posed_translations_mm.csv``, opens the joint space as
that table says, moves the mean knee's joint to the origin, and writes the vertices as 16-bit
offsets from the mean (quantum 0.005 mm) to ``SSRKDLib/data/population/llp26.npz``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

BONES = ("patella", "femur", "fibula", "tibia")
QUANTUM_MM = 0.005


def main(folder: Path) -> None:
    raw = np.load(folder / "LLP26_dense_correspondence.npz")
    shifts = np.loadtxt(folder / "posed_translations_mm.csv", delimiter=",", comments="#")
    bones = {bone: raw[f"{bone}_v"].astype(np.float64) for bone in BONES}
    for bone in ("tibia", "fibula"):
        bones[bone] = bones[bone] + shifts[:, 1][:, None, None] * [0.0, 0.0, 1.0]
    bones["patella"] = bones["patella"] + shifts[:, 2][:, None, None] * [0.0, 1.0, 0.0]

    # Each bone was aligned to its own mean, so people's knees lie at different heights.
    for person in range(len(shifts)):
        femur, tibia = bones["femur"][person], bones["tibia"][person]
        height = (femur[:, 2].min() + np.percentile(tibia[:, 2], 99.5)) / 2
        condyles = femur[femur[:, 2] < height + 40]
        joint = np.array([condyles[:, 0].mean(), condyles[:, 1].mean(), height])
        for bone in BONES:
            bones[bone][person] -= joint

    arrays: dict[str, np.ndarray] = {"quantum_mm": np.float64(QUANTUM_MM)}
    for bone in BONES:
        mean = bones[bone].mean(0).astype(np.float32)
        offset = np.round((bones[bone] - mean) / QUANTUM_MM)
        if np.abs(offset).max() > 32767:
            raise SystemExit(f"{bone}: an offset does not fit in 16 bits; raise QUANTUM_MM.")
        arrays[f"{bone}_mean"] = mean
        arrays[f"{bone}_offset"] = offset.astype(np.int16)
        arrays[f"{bone}_faces"] = raw[f"{bone}_f"].astype(np.uint16)
    target = Path(__file__).parents[1] / "SSRKDLib" / "data" / "population" / "llp26.npz"
    np.savez_compressed(target, **arrays)
    print(f"{target}: {target.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="LLP26_FOLDER")
    main(parser.parse_args().folder)

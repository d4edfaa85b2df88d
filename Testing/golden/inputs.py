"""What is frozen from: files made once by today's code and kept (see ``freeze.py``)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

#: The people of the held-out cases with the side of the knee, and the rigs they are seen in.
KNEES = ("llp26-20_L", "llp26-22_R", "llp26-24_L")
RIGS = ("orthogonal", "c_arm", "oblique")

#: The case whose variants are reconstructed, and the two that ``evaluate`` gets.
CASE = "llp26-20_L_orthogonal"
EVALUATED = ("llp26-22_R_oblique", "llp26-24_L_c_arm")

#: A rotation for the rig whose axes are not the patient's: 50 degrees about (1, 2, 2) / 3.
AXIS, ANGLE = np.array([1.0, 2.0, 2.0]) / 3, np.deg2rad(50)

#: Seconds after which a command has failed.
PATIENCE = 1800


def environment(tree: Path) -> dict[str, str]:
    """The environment of the commands: the code in ``tree``, one thread, no GPU."""
    threads = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": "1" for name in threads},
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(tree),
        "PYTHONUTF8": "1",
    }


def run_python(
    tree: Path, arguments: Sequence[object], **variables: str
) -> subprocess.CompletedProcess:
    """Run Python with arguments in the root of a checkout; texts are captured."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=tree,
        env={**environment(tree), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE,
        check=False,
    )


def make_inputs(tree: Path, inputs: Path) -> None:
    """Make what is not there yet; a part appears as a whole or not at all."""
    parts = {
        "cases": make_cases,
        "tiny": make_bundle,
        "published": make_published,
        "variants": make_variants,
    }
    inputs.mkdir(parents=True, exist_ok=True)
    for name, make in parts.items():
        if not (inputs / name).is_dir():
            print(f"inputs: {name}", flush=True)
            unfinished = inputs / f".{name}.part"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(tree, inputs, unfinished)
            unfinished.rename(inputs / name)


def _training(tree: Path, script: str, *arguments: object) -> None:
    done = run_python(tree, [tree / "Training" / script, *arguments])
    if done.returncode:
        raise SystemExit(f"error: {script} failed with code {done.returncode}:\n{done.stderr}")


def make_cases(tree: Path, inputs: Path, folder: Path) -> None:
    """The held-out radiographs, simulated once."""
    for knee in KNEES:
        person, side = knee.split("_")
        _training(tree, "make_held_out_cases.py", "--people", person, "--sides", side, "-o", folder)


def make_bundle(tree: Path, inputs: Path, folder: Path) -> None:
    """A bundle that today's code trained and exported: segmenter, teacher and student."""
    _training(tree, "pipeline.py", "-o", folder / "training")
    (folder / "training" / "tiny.zip").rename(folder / "tiny.zip")
    shutil.rmtree(folder / "training")


def make_published(tree: Path, inputs: Path, folder: Path) -> None:
    """Published weights as the tests make them.

    ``bone_seg.pth`` has the keys and shapes of the published checkpoint, all zeros; ``small`` is a
    segmenter and a student of reduced size, drawn at random; ``bands.zip`` a teacher that tells the
    bones in ``bands.nrrd`` by their brightness. No command makes these, so this function (alone)
    uses the tests' helpers, from the checkout that this script stands in.
    """
    import torch

    from Testing.models.test_official_model import small_bundle
    from Testing.support.band_knee import write_band_bundle, write_band_ct
    from Testing.weights.test_official_import import small_state

    state = small_state("bone_seg")
    torch.save({"A": state, "B": state}, folder / "bone_seg.pth")
    small_bundle(folder)
    write_band_ct(folder / "bands.nrrd")
    sizes = {"width": 2, "head_channels": 4, "hidden": [8]}
    write_band_bundle(folder / "bands.zip", official=True, arguments=sizes)


def make_variants(tree: Path, inputs: Path, folder: Path) -> None:
    """The radiographs of :data:`CASE` as plain images; its rig without side and turned in space;
    two cases for ``evaluate``; the sample CT as ``prepare`` takes it."""
    case, images = inputs / "cases" / CASE, []
    for name in ("frontal", "lateral"):
        images.append(sitk.GetArrayFromImage(sitk.ReadImage(str(case / f"{name}.nrrd"))))
        shutil.copy(case / f"{name}.nrrd", folder)
    counts = np.rint(60000 * np.exp(-images[0])).astype(np.uint16)
    grey = np.rint(255 * (1 - np.clip(images[1] / images[1].max(), 0, 1))).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(counts), str(folder / "counts.png"))
    sitk.WriteImage(sitk.GetImageFromArray(grey), str(folder / "grey.png"))
    rig = json.loads((case / "rig.json").read_text())
    (folder / "no_side.json").write_text(json.dumps({**rig, "laterality": None}))
    x, y, z = AXIS
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.eye(3) + np.sin(ANGLE) * cross + (1 - np.cos(ANGLE)) * cross @ cross
    for view in rig["views"]:
        for key in ("source", "detector_origin", "column_direction", "row_direction"):
            view[key] = (turn @ view[key]).tolist()
    (folder / "no_pose.json").write_text(json.dumps({**rig, "frame": "lab"}))
    for name in EVALUATED:
        shutil.copytree(inputs / "cases" / name, folder / "evaluated" / name)
    samples = tree / "SSRKD" / "Resources" / "SampleData"
    (folder / "ct").mkdir()
    shutil.copy(samples / "SSRKD_CT.nrrd", folder / "ct" / "ct.nrrd")
    shutil.copy(samples / "SSRKD_CT.seg.nrrd", folder / "ct" / "bones.seg.nrrd")


def fingerprint(folder: Path) -> str:
    """SHA-256 of names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()

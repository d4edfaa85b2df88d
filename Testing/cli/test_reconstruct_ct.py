"""``reconstruct --ct`` from a file to a folder of surfaces, and in the worker; what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SSRKDLib.cli import main as cli
from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import Cancelled, DeviceMemoryError
from SSRKDLib.core.output_manifest import MANIFEST
from SSRKDLib.images.writing import write_image
from SSRKDLib.models import devices
from SSRKDLib.models import loading as models
from SSRKDLib.reconstruction import ct as ct_reconstruction
from SSRKDLib.reconstruction.ct import reconstruct_ct_file
from SSRKDLib.surfaces.mesh_files import read_meshes
from SSRKDLib.worker.tasks import all_tasks
from Testing.support.ball_knee import BALLS
from Testing.support.band_knee import BandModel, write_band_bundle, write_band_ct
from Testing.support.command_checks import refused, tree

#: A right knee somewhere in the scanner.
POSE = np.diag([-1.0, 1.0, 1.0, 1.0])
POSE[:3, 3] = [-150.0, 40.0, 700.0]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A CT and weights."""
    folder = tmp_path_factory.mktemp("ct")
    write_band_ct(folder / "ct.nii.gz", pose=POSE)
    write_band_bundle(folder / "bands.zip")
    return folder


def arguments(files, out, *more):
    return [
        "reconstruct", "--ct", str(files / "ct.nii.gz"), "--weights", str(files / "bands.zip"),
        "--device", "cpu", "-o", str(out), *map(str, more),
    ]  # fmt: skip


def is_the_knee(bones):
    assert list(bones) == list(BONES)
    for bone, (centre, radius) in BALLS.items():
        middle = POSE[:3, :3] @ centre + POSE[:3, 3]
        off = np.linalg.norm(bones[bone].vertices - middle, axis=1) - radius
        assert np.abs(off).mean() < 1.8, bone  # half a voxel
        assert bones[bone].volume() > 0


def test_ct_command_writes_surfaces_and_a_report(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(arguments(files, out, "--verbose")) == 0
    shown = capsys.readouterr()
    assert "femur" in shown.out and "on cpu" in shown.out
    assert "Segmenting the bones, part 2 of" in shown.err
    names = {*(f"{b}.ply" for b in BONES), "report.json", MANIFEST}
    assert {path.name for path in out.iterdir()} == names
    is_the_knee(read_meshes(out))
    report = json.loads((out / "report.json").read_text())
    assert report["weights"] == "bands" and len(report["weights_sha256"]) == 64
    assert list(report["seconds"]) == ["read", "field", "surface", "fit", "total"]
    assert report["laterality"] == "R" and report["spacing_mm"] == 3.6
    assert all(report["bones"][bone]["found"] for bone in BONES)
    assert report["note"] == "For research, not for diagnosis."
    # An earlier result is replaced; one that would be deleted with its input is not.
    assert cli.main(arguments(files, out)) == 0
    capsys.readouterr()
    before = tree(out)
    write_band_ct(out / "ct.nrrd")
    refused(["reconstruct", "--ct", out / "ct.nrrd", "-o", out], capsys, "contains the input")
    (out / "ct.nrrd").unlink()
    assert tree(out) == before


def test_ct_command_refuses_what_it_cannot_use(files, tmp_path, capsys):
    out = tmp_path / "out"
    ct, labels = files / "ct.nii.gz", tmp_path / "labels.nrrd"
    write_image(labels, np.ones((40, 40, 40), np.uint8), np.eye(4))
    plain = ["reconstruct", "--ct", ct, "-o", out]
    refused([*plain, "--frontal", "a.dcm"], capsys, "Both a CT and radiographs")
    refused([*plain, "rig.json"], capsys, "Both a CT and radiographs")
    refused([*plain, "--spacing", "1"], capsys, "Omit --spacing")
    refused([*plain, "--pose", "frontal"], capsys, "Omit --pose")
    refused([*plain, "--weights", "none-such"], capsys, "none-such")
    refused(arguments(files, out)[:1] + ["--ct", labels, *arguments(files, out)[3:]], capsys,
            "Hounsfield")  # fmt: skip
    refused(["reconstruct", "--ct", tmp_path / "no.nrrd", *arguments(files, out)[3:]], capsys,
            "was not found")  # fmt: skip
    (tmp_path / "empty").mkdir()
    refused(["reconstruct", "--ct", tmp_path / "empty", *arguments(files, out)[3:]], capsys,
            "no DICOM series")  # fmt: skip
    refused(["reconstruct", "-o", out], capsys, "or --ct")
    assert not out.exists()


def test_ct_command_cancelled_leaves_nothing(files, tmp_path, capsys, monkeypatch):
    model = BandModel()
    monkeypatch.setattr(models, "load_ct_model", lambda *about: model)
    ask = model.margins

    def interrupted(values):
        if model.asked:
            raise KeyboardInterrupt
        return ask(values)

    monkeypatch.setattr(model, "margins", interrupted)
    assert cli.main(arguments(files, tmp_path / "new" / "out")) == cli.CANCELLED
    assert len(model.asked) == 1
    assert not (tmp_path / "new").exists()


class OutOfMemoryError(RuntimeError):
    """Looks like torch's."""


def test_ct_too_small_a_gpu_is_left_for_the_cpu_or_said(files, monkeypatch):
    monkeypatch.setattr(devices, "resolve_device", lambda d: "cuda" if d == "auto" else d)
    loaded = []

    def load(weights, device):
        loaded.append(device)
        model = BandModel()
        if device == "cuda":
            monkeypatch.setattr(model, "margins", short_of_memory)
        return model

    def short_of_memory(values):
        raise OutOfMemoryError("CUDA out of memory")

    about = (files / "ct.nii.gz", files / "bands.zip")
    result = reconstruct_ct_file(*about, "auto", load=load)
    assert loaded == ["cuda", "cpu"]
    assert "CPU was used" in result.report["warnings"][0]
    with pytest.raises(DeviceMemoryError, match="Use the CPU"):
        reconstruct_ct_file(*about, "cuda", load=load)


# The worker's task


def request(files, tmp_path, **more):
    return {
        "do": "reconstruct_ct", "ct": str(files / "ct.nii.gz"), "device": "cpu",
        "weights": str(files / "bands.zip"), "output": str(tmp_path / "out"), **more,
    }  # fmt: skip


def test_ct_task_writes_surfaces_and_keeps_its_network(files, tmp_path, monkeypatch):
    task, steps = all_tasks()["reconstruct_ct"], []
    result = task(request(files, tmp_path), lambda *step: steps.append(step))
    is_the_knee(read_meshes(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == result["report"]
    assert list(dict.fromkeys(stage for stage, *_ in steps)) == [
        "read", "load", "resample", "field", "surface", "fit", "write",
    ]  # fmt: skip
    fractions = [fraction for _, fraction, _ in steps]
    assert fractions == sorted(fractions)
    # Loaded once, and told the side.
    monkeypatch.setattr(ct_reconstruction.loading, "load_ct_model", None)
    result = task(request(files, tmp_path, laterality="L"), lambda *step: None)
    assert result["report"]["laterality"] == "L"
    assert "check the side" in result["report"]["warnings"][0]


def test_ct_task_cancelled_leaves_nothing(files, tmp_path):
    def stop(stage, fraction, message):
        if "part 2 " in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        all_tasks()["reconstruct_ct"](request(files, tmp_path), stop)
    assert list(tmp_path.iterdir()) == []

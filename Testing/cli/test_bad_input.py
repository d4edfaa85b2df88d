"""Input that cannot be used: exit code 2, one sentence, nothing half written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from SSRKDLib.cli import main as cli
from SSRKDLib.cli import reconstruct
from SSRKDLib.core.errors import InputError, OutputError
from SSRKDLib.core.output_manifest import MANIFEST
from SSRKDLib.images import writing as image_writing
from SSRKDLib.models import devices
from SSRKDLib.models import loading as models
from SSRKDLib.radiographs.rig_file import read_rig
from Testing.support.ball_knee import BallModel, write_ball_case, write_image
from Testing.support.command_checks import refused, tree, write_earlier_result

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def case(tmp_path):
    """A rig that could be reconstructed."""
    return write_ball_case(tmp_path / "case")


@pytest.fixture
def balls(case, monkeypatch):
    """Networks that know the case."""
    monkeypatch.setattr(models, "load_model", lambda *_: BallModel(read_rig(case)))


def edit(case: Path, change) -> None:
    data = json.loads(case.read_text())
    change(data)
    case.write_text(json.dumps(data))


def frontal(case: Path) -> Path:
    return case.with_name("frontal.nrrd")


def every_length(data: dict, factor: float) -> None:
    for view in data["views"]:
        for key in ("source", "detector_origin", "pixel_spacing"):
            view[key] = (factor * np.array(view[key])).tolist()


def same_side(data: dict) -> None:
    data["views"][1] = {**data["views"][0], "name": "again", "image": "lateral.nrrd"}


def shift(view: dict, by: list[float]) -> None:
    for key in ("source", "detector_origin"):
        view[key] = (np.array(view[key]) + by).tolist()


def on_detector(data: dict) -> None:
    data["views"][0]["source"] = data["views"][0]["detector_origin"]


#: What is done to a good case, and a word that the sentence must hold.
SPOILT = {
    "no image": (lambda case: frontal(case).unlink(), "was not found"),
    "image cut short": (lambda case: frontal(case).write_bytes(b"NRRD0004\n"), "decoded"),
    "no image format": (lambda case: frontal(case).write_text("a radiograph"), "format"),
    "empty file": (lambda case: frontal(case).write_bytes(b""), "empty"),
    "zeros": (lambda case: write_image(frontal(case), np.zeros((64, 64))), "zeros"),
    "NaN": (lambda case: write_image(frontal(case), np.full((64, 64), np.nan)), "NaN"),
    "another size": (lambda case: write_image(frontal(case), np.eye(80)), "80 x 80"),
    "no view": (lambda case: edit(case, lambda d: d.update(views=[])), "no view"),
    "same side": (lambda case: edit(case, same_side), "degrees"),
    "source on detector": (lambda case: edit(case, on_detector), "source"),
    "metres": (lambda case: edit(case, lambda d: every_length(d, 1e-3)), "millimetres"),
    "spacing in metres": (
        lambda case: edit(case, lambda d: d["views"][0].update(pixel_spacing=[1e-3, 1e-3])),
        "millimetres",
    ),
    "no common place": (
        lambda case: edit(case, lambda d: shift(d["views"][1], [0, 0, 500.0])), "common place",
    ),
    "negative counts": (
        lambda case: (
            write_image(frontal(case), -1 - np.eye(64)),
            edit(case, lambda d: d["views"][0].update(values="intensity", air=100.0)),
        ),
        "positive",
    ),
    "nested too deeply": (lambda case: case.write_text("[" * 100_000), "JSON"),
    "a name too long": (
        lambda case: edit(case, lambda d: d["views"][0].update(image="x" * 5000)), "read",
    ),
    "no view names an image": (
        lambda case: edit(case, lambda d: d["views"][0].pop("image")), "has no image",
    ),
    "no JSON": (lambda case: case.write_text("{"), "JSON"),
    "no rig": (lambda case: case.unlink(), "no rig file"),
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILT)
def test_bad_input_is_refused_and_leaves_nothing(how, case, balls, tmp_path, capsys):
    spoil, word = SPOILT[how]
    spoil(case)
    before = tree(tmp_path)
    refused(["reconstruct", case, "-o", tmp_path / "new" / "deep" / "out"], capsys, word)
    assert tree(tmp_path) == before


def test_bad_input_leaves_an_earlier_result_alone(case, balls, tmp_path, capsys):
    out = tmp_path / "out"
    write_earlier_result(out)
    write_image(frontal(case), np.zeros((64, 64)))
    before = tree(tmp_path)
    refused(["reconstruct", case, "-o", out], capsys, "zeros")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("spoilt", ["absent", "cut short", "not a bundle", "no such name"])
def test_bad_input_weights(spoilt, case, tmp_path, capsys):
    pytest.importorskip("safetensors")
    weights = tmp_path / "weights.zip"
    if spoilt == "cut short":
        weights.write_bytes(b"PK\x03\x04" + bytes(100))
    elif spoilt == "not a bundle":
        weights.write_bytes(b"\x80\x02weights")
    name = "my-weights" if spoilt == "no such name" else weights
    before = tree(tmp_path)
    refused(["reconstruct", case, "-o", tmp_path / "out", "--weights", name], capsys, "eights")
    assert tree(tmp_path) == before


def test_bad_input_no_cuda(case, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(InputError, match="cpu"):
        devices.resolve_device("cuda")
    assert devices.resolve_device("auto") == "cpu"
    with pytest.raises(InputError, match="'gpu' is not a device: use auto, cpu, cuda"):
        devices.resolve_device("gpu")


def test_bad_input_output_not_writable(case, balls, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    for out in ("file", "file/out"):
        before = tree(tmp_path)
        refused(["reconstruct", case, "-o", tmp_path / out], capsys, "older")
        assert tree(tmp_path) == before

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    # As in a folder that one may not write to; root, as in containers, may write anywhere.
    monkeypatch.setattr(Path, "mkdir", denied)
    before = tree(tmp_path)
    refused(["reconstruct", case, "-o", tmp_path / "locked" / "out"], capsys, "written")
    assert tree(tmp_path) == before


def test_bad_input_output_holds_other_things(case, balls, tmp_path, capsys):
    home = tmp_path / "documents"
    home.mkdir()
    (home / "thesis.txt").write_text("ten years of work")
    before = tree(tmp_path)
    refused(["reconstruct", case, "-o", home], capsys, "thesis.txt")
    assert tree(tmp_path) == before
    (case.parent / "report.json").write_text("{}")
    before = tree(tmp_path)
    refused(["reconstruct", case, "-o", case.parent], capsys, "contains the input")
    assert tree(tmp_path) == before


def test_bad_input_command_line(case, tmp_path, capsys):
    image, out = frontal(case), tmp_path / "out"
    refused(["reconstruct", "-o", out], capsys, "Nothing")
    refused(["reconstruct", "--frontal", image, "-o", out], capsys, "--sdd")
    refused(["reconstruct", case, "--frontal", image, "-o", out], capsys, "RIG.json")
    refused(["reconstruct", case, "--spacing", "3", "-o", out], capsys, "--spacing")
    files = ["--frontal", image, "--lateral", image]
    refused(["reconstruct", *files, "-o", out], capsys, "--sdd", "DICOM")
    for images in ([image], [image, image], [tmp_path], [case, image]):
        refused(["reconstruct", *images, "-o", out], capsys, "--frontal", "--ct")
    refused(["reconstrukt", case], capsys, "reconstrukt")
    for empty in (["", "-o", out], [case, "-o", ""], [case, "--output="]):  # no working folder
        refused(["reconstruct", *empty], capsys, "arguments is empty")
    assert not out.exists()


def test_reconstruct_replaces_an_earlier_result_as_a_whole(case, balls, tmp_path, capsys):
    out = tmp_path / "out"
    write_earlier_result(out)
    assert cli.main(["reconstruct", str(case), "-o", str(out), "--spacing", "2"]) == cli.OK
    names = [MANIFEST, "femur.ply", "fibula.ply", "patella.ply", "report.json", "tibia.ply"]
    assert sorted(tree(out)) == names
    report = json.loads((out / "report.json").read_text())
    assert report["weights"] == "balls" and report["device"] == "cpu"
    volume = report["bones"]["femur"]["volume_mm3"]
    assert volume == pytest.approx(4 / 3 * np.pi * 32**3, rel=0.02)
    assert {"read", "locate", "field", "surface", "total"} <= set(report["seconds"])
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{out}: ") and shown.out.count("\n") == 1
    assert all(line.startswith("warning: ") for line in shown.err.splitlines())
    assert not list(tmp_path.glob(".*"))


def test_reconstruct_keeps_what_the_user_has_in_the_output_folder(case, balls, tmp_path, capsys):
    study, out = tmp_path / "study", tmp_path / "out"
    (study / "raw").mkdir(parents=True)
    (study / "report.json").write_text('{"tool": "other"}')
    (study / "raw" / "ct.nii.gz").write_text("ct")
    before = tree(tmp_path)
    refused(["reconstruct", case, "-o", study, "--spacing", "2"], capsys, "raw")
    (study / "raw" / "ct.nii.gz").rename(study / "femur.ply")
    (study / "raw").rmdir()
    refused(["reconstruct", case, "-o", study, "--spacing", "2"], capsys, "femur.ply")
    (study / "femur.ply").unlink()
    refused(["reconstruct", case, "-o", study, "--spacing", "2"], capsys, "report.json")
    assert tree(study) == {"report.json": before["study/report.json"]}
    # What is added to a result stays beside the next one.
    again = ["reconstruct", case, "-o", out, "--spacing", "2"]
    assert cli.main([str(word) for word in again]) == cli.OK
    (out / "notes.txt").write_text("mine")
    (out / "edited").mkdir()
    (out / "edited" / "femur.stl").write_text("mine too")
    assert cli.main([str(word) for word in again]) == cli.OK
    after = tree(out)
    assert (after["notes.txt"], after["edited/femur.stl"]) == (b"mine", b"mine too")
    capsys.readouterr()
    # A surface that was edited is no longer the program's to replace.
    (out / "femur.ply").write_text("smoothed")
    before = tree(tmp_path)
    refused(again, capsys, "femur.ply' was changed")
    refused(["compare", out, case.parent, "-o", out], capsys, "contains the input")
    refused(["simulate", "--person", "20", "-o", out], capsys, "another kind")
    assert tree(tmp_path) == before


def test_a_full_disk_leaves_the_earlier_result(case, balls, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    write_earlier_result(out)
    before = tree(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("SSRKDLib.surfaces.mesh_files.write_ply", full)
    refused(["reconstruct", case, "-o", out, "--spacing", "2"], capsys, "disk is full")
    assert tree(tmp_path) == before
    monkeypatch.undo()
    # SimpleITK does not tell why it failed.
    monkeypatch.setattr(Path, "write_bytes", full)
    image = tmp_path / "none" / "image.nrrd"
    with pytest.raises(OutputError, match="disk is full"):
        image_writing.write_image(image, np.zeros((4, 4), np.float32))
    monkeypatch.undo()
    with pytest.raises(OutputError, match="No such file"):
        image_writing.write_image(image, np.zeros((4, 4), np.float32))
    monkeypatch.setattr(models, "load_model", lambda *_: BallModel(read_rig(case)))
    monkeypatch.setattr(os, "fsync", full)
    refused(
        ["reconstruct", case, "-o", out, "--spacing", "2"],
        capsys,
        "disk is full",
        f"'{out}/report.json'",
    )
    monkeypatch.undo()
    assert tree(tmp_path) == before


def test_an_interrupt_between_the_renames_leaves_the_earlier_result(
    case, balls, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    assert cli.main(["reconstruct", str(case), "-o", str(out)]) == 0
    before = tree(tmp_path)
    rename = Path.rename

    def interrupted(path, target):
        if path.suffix == ".new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    assert cli.main(["reconstruct", str(case), "-o", str(out)]) == 130
    monkeypatch.undo()
    assert tree(tmp_path) == before


def test_a_gpu_that_is_too_small_is_replaced_by_the_cpu(case, tmp_path, capsys, monkeypatch):
    class OutOfMemoryError(RuntimeError):
        """As torch's."""

    class SmallGpu(BallModel):
        def read(self, radiographs):
            raise OutOfMemoryError

    def load(weights, device):
        return (BallModel if device == "cpu" else SmallGpu)(read_rig(case))

    monkeypatch.setattr(models, "load_model", load)
    monkeypatch.setattr(devices, "resolve_device", lambda d: "cuda" if d == "auto" else d)
    arguments = ["reconstruct", str(case), "-o", str(tmp_path / "out"), "--spacing", "2"]
    assert cli.main([*arguments, "--device", "cuda"]) == cli.FAILED
    assert "memory" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main(arguments) == cli.OK
    assert "the CPU was used" in capsys.readouterr().err


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError("tensors\nare odd")])
def test_what_is_nobodys_fault_leaves_nothing_and_a_log(
    raised, case, tmp_path, capsys, monkeypatch
):
    def fail(*_):
        raise raised

    monkeypatch.setattr(models, "load_model", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "logs"))
    (tmp_path / "logs").mkdir()
    before = tree(tmp_path)
    code = cli.main(["reconstruct", str(case), "-o", str(tmp_path / "out")])
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    if raised is KeyboardInterrupt:
        assert (code, shown.err) == (cli.CANCELLED, "Cancelled.\n")
        assert tree(tmp_path) == before
        return
    assert code == cli.FAILED and "RuntimeError: tensors are odd" in shown.err
    (log,) = (tmp_path / "logs").iterdir()
    assert str(log) in shown.err and "Traceback" in log.read_text()
    log.unlink()
    assert tree(tmp_path) == before


def test_bad_input_in_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "SSRKDLib", "reconstruct", "none.json", "-o", "out"]
    result = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: There is no rig file 'none.json'. Check the path.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="closed streams")
@pytest.mark.parametrize(
    ("redirected", "code"), [("weights list >&-", 0), ("worker <&-", 0), ("rig 2>&-", 2)]
)
def test_streams_that_are_closed_are_replaced_by_nothing(tmp_path, redirected, code):
    result = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m SSRKDLib {redirected}"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (code, "")
    assert not list(tmp_path.iterdir())


def test_without_torch_the_command_line_says_what_to_install(case, tmp_path):
    code = (
        "import sys\n"
        "sys.modules['torch'] = None  # importing it now fails\n"
        "from SSRKDLib.cli import main as cli\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "reconstruct", str(case), "-o", str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == cli.FAILED
    assert result.stderr.startswith("error: PyTorch is not installed.")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_plain_images_with_distances_make_a_rig(case):
    image = str(frontal(case))
    arguments = cli.build_parser().parse_args(
        ["reconstruct", "--frontal", image, "--lateral", image, "-o", "out", "--sdd", "1200",
         "--sod", "900", "--pixel-spacing", "4", "--values", "line_integral", "--laterality", "R"]
    )  # fmt: skip
    rig, _ = reconstruct._rig(arguments)
    assert rig.laterality == "R" and rig.views[0].source == pytest.approx([0, -900, 0])
    # Mediolateral: the source is at the inner side, which of a right knee is the patient's left.
    assert rig.views[1].source == pytest.approx([900, 0, 0])
    assert any("mediolateral" in sentence for sentence in rig.assumptions)
    # Or lateromedial, or mirrored: reconstruction tries that.
    known = rig.views[1].known
    assert (known.beam, known.orientation) == ("assumed", "assumed")

"""The commands that are not ``reconstruct``, the progress bar, and the demo's cases."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from SSRKDLib.cli import main as cli
from SSRKDLib.cli import reconstruct
from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.output_file import hidden
from SSRKDLib.core.output_manifest import MANIFEST
from SSRKDLib.core.progress import ProgressLine
from SSRKDLib.datasets import demo_cases
from SSRKDLib.datasets.demo_cases import DemoCase
from SSRKDLib.evaluation.regions import region_around
from SSRKDLib.models import devices
from SSRKDLib.models import loading as models
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh
from SSRKDLib.weights.catalogue import DEFAULT_NAME, SHIPPED_FOLDER
from Testing.structure.repository import ROOT
from Testing.support.ball_knee import BALLS, BallModel, ball, write_ball_case
from Testing.support.band_knee import write_band_bundle, write_band_ct
from Testing.support.command_checks import refused, tree
from Testing.support.few_points import few_points  # noqa: F401  (a fixture for every test)


@pytest.fixture
def folders(tmp_path):
    """A reconstruction and a reference whose femur is 1 mm larger."""
    for name, more in (("recon", 0.0), ("reference", 1.0)):
        (tmp_path / name).mkdir()
        for bone, (centre, radius) in BALLS.items():
            larger = radius + (more if bone == "femur" else 0.0)
            write_mesh(tmp_path / name / f"{bone}.ply", ball(centre, larger))
    return tmp_path


def test_compare_writes_a_row_per_bone_and_prints_them(folders, capsys):
    out = folders / "out"
    arguments = ["compare", str(folders / "recon"), str(folders / "reference"), "-o", str(out)]
    assert cli.main(arguments) == 0
    rows = {row["bone"]: row for row in csv.DictReader((out / "compare.csv").open())}
    assert list(rows) == ["patella", "femur", "fibula", "tibia", "mean"]
    assert {"assd_mm", "assd_paper_mm", "hd_mm", "hd95_mm", "dsc"} <= set(rows["femur"])
    assert float(rows["femur"]["assd_mm"]) == pytest.approx(1.0, abs=0.05)
    assert float(rows["tibia"]["assd_mm"]) == pytest.approx(0.0, abs=0.01)
    assert len(json.loads(rows["femur"]["region_mm"])) == 2
    shown = capsys.readouterr()
    assert all(bone in shown.out for bone in rows) and str(out / "compare.csv") in shown.out
    # A comparison may be replaced; a folder with anything else may not.
    assert cli.main(arguments) == 0
    capsys.readouterr()
    before = tree(folders)
    refused([*arguments[:3], "-o", folders / "recon"], capsys, "contains the input")
    refused(["compare", folders / "recon", folders / "none", "-o", out], capsys, "none")
    assert tree(folders) == before
    # A reconstruction that a killed process left aside is brought back.
    (folders / "recon").rename(hidden(folders / "recon", "old"))
    assert cli.main(arguments) == 0
    assert tree(folders) == before


def test_weights_list_import_verify(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SSRKD_WEIGHTS", str(tmp_path / "kept"))
    assert cli.main(["weights", "list"]) == 0
    assert str(tmp_path / "kept") in capsys.readouterr().out
    refused(["weights", "import", tmp_path / "none.zip"], capsys, "none.zip")
    refused(["weights", "verify", "none"], capsys, "none")
    shipped = SHIPPED_FOLDER / f"{DEFAULT_NAME}.zip"
    assert cli.main(["weights", "verify", DEFAULT_NAME]) == 0
    assert "sound" in capsys.readouterr().out
    # One of the user's own.
    own = write_band_bundle(tmp_path / "bands.zip")
    assert cli.main(["weights", "import", str(own)]) == 0
    assert cli.main(["weights", "list"]) == 0
    assert "bands" in capsys.readouterr().out
    assert tree(tmp_path / "kept")["bands.zip"] == own.read_bytes()
    # A bundle among the user's own that is damaged makes "verify" fail, and the list says why.
    data = shipped.read_bytes()
    name = "mi\x1b[31mne" if os.name == "posix" else "mi?[31mne"
    (tmp_path / "kept" / f"{name}.zip").write_bytes(data[: len(data) // 2])
    assert cli.main(["weights", "list"]) == 0
    assert cli.main(["weights", "verify"]) == 2
    shown = capsys.readouterr().out
    assert "\x1b" not in shown  # a terminal would obey it
    assert "mi?[31mne: damaged" in shown and f"{DEFAULT_NAME}: sound" in shown


def test_doctor_says_a_line_per_thing(capsys, monkeypatch):
    code = cli.main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert code == (1 if any(line.startswith("missing") for line in lines) else 0)
    for thing in ("Python", "torch", "device", "memory", "weights", "matplotlib"):
        assert any(thing in line for line in lines)
    monkeypatch.setattr("importlib.metadata.version", _not_installed)
    assert cli.main(["doctor"]) == 1
    assert "missing  torch (networks): python -m pip install torch" in capsys.readouterr().out


def test_a_package_that_does_not_load_is_told(tmp_path):
    """Without numpy there are no commands but doctor."""
    (tmp_path / "numpy.py").write_text("raise ImportError('DLL load failed')")
    for command, said in (
        ("doctor", "missing  numpy (arrays): does not load (DLL load failed)"),
        ("weights", "error: A package does not load (DLL load failed). See: "),
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "SSRKDLib", command], cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        )  # fmt: skip
        assert ran.returncode == 1 and said in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr


def _not_installed(name: str):
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


def test_progress_shows_a_bar_in_a_terminal_and_lines_when_asked():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, plain, quiet = Terminal(), io.StringIO(), io.StringIO()
    for stream, verbose in ((terminal, False), (plain, True), (quiet, False)):
        with ProgressLine(verbose, stream) as line:
            line.show("one", 0.5, "First")
            line.show("one", 0.6)
            line.show("two", 0.75, "Se\x1b]0;c\x07ond")
    assert "50%  First" in terminal.getvalue() and "#" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r") and "\n" not in terminal.getvalue()
    assert plain.getvalue().splitlines() == [" 50%  First", " 75%  Se?]0;c?ond"]
    assert "\x1b" not in terminal.getvalue()
    assert quiet.getvalue() == ""


def test_demo_cases_credit_their_sources_and_say_what_they_lack(monkeypatch, tmp_path):
    monkeypatch.setenv("SSRKD_SHARED", str(tmp_path))
    cases = {case.name: case for case in demo_cases.demo_cases()}
    assert list(cases) == ["llp26-20", "VHF_L", "VHM_L", "biplane-0180"]
    assert cases["llp26-20"].reason_to_skip is None
    for name in ("VHF_L", "VHM_L"):
        assert "CC BY 4.0" in cases[name].credit
        assert "SSRKD_SHARED" in cases[name].reason_to_skip


def test_demo_looks_for_the_shared_data_beside_the_checkout(monkeypatch):
    monkeypatch.delenv("SSRKD_SHARED", raising=False)
    assert demo_cases.shared_folder() == ROOT.parent / "shared"


def test_demo_goes_on_after_a_case_that_fails(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    source = write_ball_case(tmp_path / "case")
    truth = {bone: ball(*about) for bone, about in BALLS.items()}

    def good(folder: Path, report):
        report("copying")
        shutil.copytree(source.parent, folder, dirs_exist_ok=True)
        return read_rig(folder / "rig.json"), truth

    def bad(folder: Path, report):
        raise ImageError("The image is odd.", "Take another.")

    cases = [
        DemoCase("bad", "Fails", "", bad),
        DemoCase("good", "Balls", "Nobody", good),
        DemoCase("far", "Absent", "", good, tmp_path / "none"),
    ]
    monkeypatch.setattr(demo_cases, "demo_cases", lambda: cases)

    class OutOfMemoryError(RuntimeError):
        pass

    class OnDevice(BallModel):
        """The GPU's memory suffices for the weights, not for the work."""

        def __init__(self, weights, device):
            super().__init__(read_rig(source))
            self.device = device

        def locate(self, images):
            if self.device == "cuda":
                raise OutOfMemoryError("CUDA out of memory")
            return super().locate(images)

    for module in (devices, models):
        monkeypatch.setattr(module, "resolve_device", lambda d: "cuda" if d == "auto" else d)
    monkeypatch.setattr(models, "load_model", OnDevice)
    out = tmp_path / "out"
    assert cli.main(["demo", "-o", str(out), "--spacing", "2"]) == 1
    shown = capsys.readouterr().out
    assert "failed: The image is odd. Take another." in shown
    assert "Weights: Balls, on cuda." in shown
    assert "warning: The GPU's memory did not suffice; the CPU was used." in shown
    assert "skipped: there is no" in shown and "Failed: bad." in shown
    assert [path.name for path in out.iterdir()] == ["good"]
    names = {path.name for path in (out / "good").iterdir()}
    assert names == {*(f"{bone}.ply" for bone in BALLS), "report.json", "overview.png",
                     "compare.csv", "radiographs", MANIFEST}  # fmt: skip
    rows = {row["bone"]: row for row in csv.DictReader((out / "good" / "compare.csv").open())}
    assert float(rows["mean"]["assd_mm"]) < 0.3
    refused(["demo", "--case", "none"], capsys, "none", "good")


def test_plain_images_of_an_unknown_side_are_said_to_be_a_left_knees(tmp_path, monkeypatch):
    """As for DICOM files and in the panel, what was assumed is in the report (D18)."""
    rig = read_rig(write_ball_case(tmp_path))
    monkeypatch.setattr(models, "load_model", lambda *_: BallModel(rig))
    view = rig.views[0]
    sdd = view.source_to_detector_distance
    words = [
        "reconstruct", "--frontal", tmp_path / "frontal.nrrd", "--lateral",
        tmp_path / "lateral.nrrd", "--sdd", sdd, "--sod", -view.source[1], "--pixel-spacing",
        view.pixel_spacing[0], "--values", "line_integral", "--spacing", 2, "-o", tmp_path / "out",
    ]  # fmt: skip
    for side in (None, "L"):
        given = [] if side is None else ["--laterality", side]
        assert cli.main(list(map(str, [*words, *given]))) == 0
        warnings = json.loads((tmp_path / "out" / "report.json").read_text())["warnings"]
        assert any("side is unknown" in text for text in warnings) == (side is None)


def test_a_side_that_is_given_counts_more_than_that_of_a_rig_file(tmp_path):
    path, ct = write_ball_case(tmp_path), write_band_ct(tmp_path / "ct.nrrd", spacing=(8, 8, 8))
    assert read_rig(path).laterality == "L"
    parser = argparse.ArgumentParser()
    reconstruct.add_parser(parser.add_subparsers())
    for given, side in (("L", "L"), ("R", "R"), (None, "L")):
        words = [] if given is None else ["--laterality", given]
        arguments = parser.parse_args(["reconstruct", str(path), "-o", "out", *words])
        assert reconstruct._from_file(arguments).laterality == side
    words = ["simulate", "--ct", ct, "--rig", path, "--noise-free", "--side", "R", "-o"]
    assert cli.main(list(map(str, [*words, tmp_path / "out"]))) == 0
    assert read_rig(tmp_path / "out" / "rig.json").laterality == "R"


def test_cases_find_the_joint_between_femur_and_tibia():
    bones = load_person(3)
    joint = joint_centre(bones)
    femur, tibia = bones["femur"].bounds, bones["tibia"].bounds
    assert femur[0, 2] - 15 < joint[2] < tibia[1, 2] + 15
    moved = {b: Mesh(m.vertices + [200.0, -30.0, 5.0], m.faces) for b, m in bones.items()}
    assert joint_centre(moved) == pytest.approx(joint + [200.0, -30.0, 5.0], abs=1e-6)
    assert region_around(joint).tolist() == [(joint - 80).tolist(), (joint + 80).tolist()]

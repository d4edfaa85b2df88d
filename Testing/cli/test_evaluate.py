"""``python -m SSRKDLib evaluate``: a cohort of ball knees, measured without networks."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from SSRKDLib.cli import main as cli
from SSRKDLib.clinical.definitions import DEFINITIONS
from SSRKDLib.core import processes
from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import Cancelled, DeviceMemoryError, MeshError, MissingDependencyError
from SSRKDLib.core.output_manifest import MANIFEST
from SSRKDLib.evaluation import cohort as cohort_evaluation
from SSRKDLib.evaluation import comparison
from SSRKDLib.evaluation.cohort import evaluate_case
from SSRKDLib.evaluation.cohort_summary import STATISTICS
from SSRKDLib.evaluation.metrics import MEASURES
from SSRKDLib.models import devices
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.knee import JOINT_CENTRE
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh
from Testing.support.ball_knee import BALLS, BallModel, ball, write_ball_case
from Testing.support.command_checks import refused, tree
from Testing.support.one_process import in_this_process  # noqa: F401  (a fixture for every test)

BALL_MESHES = {bone: ball(*BALLS[bone]) for bone in BONES}


def write_bones(folder: Path, shift: float = 0.0, without: tuple[str, ...] = ()) -> None:
    folder.mkdir(parents=True)
    for bone, mesh in BALL_MESHES.items():
        if bone not in without:
            moved = Mesh(mesh.vertices + [shift, 0.0, 0.0], mesh.faces)
            write_mesh(folder / f"{bone}.ply", moved)


def write_case(folder: Path, shift: float = 0.0, without: tuple[str, ...] = ()) -> Path:
    """A case with a ready reconstruction, off by ``shift`` mm."""
    write_bones(folder / "truth")
    write_bones(folder / "reconstruction", shift, without)
    return folder


@pytest.fixture
def cases(tmp_path) -> Path:
    folder = tmp_path / "cases"
    for name, shift in (("a", 0.5), ("b", 1.0), ("c", 2.0)):
        write_case(folder / name, shift)
    (folder / "notes").mkdir()  # no case
    return folder


def evaluate(cases: Path, output: Path, *more: str) -> int:
    arguments = ["evaluate", cases, "-o", output, "--no-reconstruct", "--processes", "1", *more]
    return cli.main([str(argument) for argument in arguments])


def table(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """Names of the cases that are really evaluated."""
    done = []

    def count(case, output, settings):
        done.append(case.name)
        return evaluate_case(case, output, settings)

    monkeypatch.setattr(cohort_evaluation, "evaluate_case", count)
    return done


def test_a_row_per_bone_and_case(cases, tmp_path, capsys, quick, plotted):
    output = tmp_path / "out"
    assert evaluate(cases, output) == cli.OK
    rows = table(output / "metrics.csv")
    assert list(rows[0]) == ["case", "bone", *MEASURES, "note", "side", "seconds", "warnings"]
    assert [(row["case"], row["bone"]) for row in rows] == [(c, b) for c in "abc" for b in BONES]
    for row in rows:
        shift = {"a": 0.5, "b": 1.0, "c": 2.0}[row["case"]]
        # A ball moved by d: distances run from 0 to d, their mean over the sphere is d/2.
        # (The lower part of a shaft is not evaluated.)
        assert float(row["assd_mm"]) == pytest.approx(shift / 2, rel=0.1)
        assert float(row["hd_mm"]) == pytest.approx(shift, rel=0.05)
    assert {path.name for path in output.iterdir()} == {
        "evaluation.json", "cases", "metrics.csv", "clinical.csv", "summary.csv",
        "clinical_summary.csv", "summary.md", "metrics.png", "clinical.png", MANIFEST,
    }  # fmt: skip
    shown = capsys.readouterr().out
    assert "| | Average | Patella | Femur | Fibula | Tibia |" in shown
    assert "| *DSC (%), published by the authors* | 90.9 | 87.5 | 96.1 | 84.1 | 96.0 |" in shown
    assert "on their own data" in shown and "could not be evaluated" not in shown
    assert shown.startswith((output / "summary.md").read_text(encoding="utf-8"))


def test_the_summary_is_numpy_s(cases, tmp_path, quick):
    output = tmp_path / "out"
    assert evaluate(cases, output) == cli.OK
    by_bone = {bone: [] for bone in BONES}
    for row in table(output / "metrics.csv"):
        by_bone[row["bone"]].append(float(row["assd_mm"]))
    summary = {(r["measure"], r["bone"]): r for r in table(output / "summary.csv")}
    assert len(summary) == len(MEASURES) * 5
    by_bone["mean"] = np.mean([by_bone[bone] for bone in BONES], axis=0)
    for column, values in by_bone.items():
        row = {key: float(value) for key, value in summary["assd_mm", column].items()
               if key in STATISTICS}  # fmt: skip
        assert (row["n"], row["missing"]) == (3, 0)
        assert row["mean"] == pytest.approx(np.mean(values), abs=2e-4)
        assert row["sd"] == pytest.approx(np.std(values, ddof=1), abs=2e-4)
        assert row["median"] == pytest.approx(np.median(values), abs=2e-4)
        assert row["p95"] == pytest.approx(np.percentile(values, 95), abs=2e-4)
        assert row["ci95_low"] < row["mean"] < row["ci95_high"]


def test_a_case_that_fails_is_a_row_with_its_reason(cases, tmp_path, capsys, quick):
    write_bones(cases / "b2" / "reconstruction")
    write_case(cases / "c2", without=("fibula",))
    (cases / "c3" / "reconstruction").mkdir(parents=True)
    (cases / "c3" / "reconstruction" / "femur.obj").write_text("v 0 0 0\nf 1 1 999999999\n")
    write_bones(cases / "c3" / "truth")
    output = tmp_path / "out"
    assert evaluate(cases, output) == cli.OK
    rows = table(output / "metrics.csv")
    failed = {row["case"]: row for row in rows if not row["bone"]}
    assert set(failed) == {"b2", "c3"}
    assert "has no truth" in failed["b2"]["note"] and failed["b2"]["assd_mm"] == ""
    assert "femur.obj" in failed["c3"]["note"]
    lost = next(row for row in rows if (row["case"], row["bone"]) == ("c2", "fibula"))
    assert lost["note"] == "missing from the reconstruction" and lost["dsc"] == ""
    summary = {(r["measure"], r["bone"]): r for r in table(output / "summary.csv")}
    assert summary["dsc", "fibula"]["n"] == "3" and summary["dsc", "fibula"]["missing"] == "3"
    assert summary["dsc", "femur"]["missing"] == "2"
    assert summary["dsc", "mean"]["missing"] == "3"
    shown = capsys.readouterr().out
    assert "**9 of 24 bones could not be evaluated** (2 of 6 cases failed)" in shown
    assert "- b2: The case 'b2' has no truth." in shown


def test_an_accident_within_a_case_is_a_row_too(cases, tmp_path, monkeypatch, capsys, quick):
    def stumble(recon, reference, region=None, **options):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(comparison, "compare_meshes", stumble)
    assert evaluate(cases, tmp_path / "out", "--limit", "1") == cli.FAILED
    shown = capsys.readouterr()
    assert "Internal error (ZeroDivisionError: by zero)" in shown.out
    assert "Traceback" in shown.err


def test_an_interrupted_run_goes_on_and_repeats_nothing(
    cases, tmp_path, monkeypatch, counted, quick
):
    output = tmp_path / "out"
    write_bones(cases / "a2" / "reconstruction")  # fails, and that is a result as well

    def cancelled(case, **rest):
        if case.name == "b":
            raise Cancelled
        return evaluate_case(case, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(cohort_evaluation, "evaluate_case", cancelled)
        assert evaluate(cases, output) == cli.CANCELLED
    assert sorted(path.name for path in (output / "cases").iterdir()) == ["a.json", "a2.json"]
    assert not (output / "metrics.csv").exists()
    assert evaluate(cases, output) == cli.OK
    assert counted == ["b", "c"]
    assert [row["case"] for row in table(output / "metrics.csv")[::4]][:1] == ["a"]
    before = tree(output)
    assert evaluate(cases, output) == cli.OK
    assert counted == ["b", "c"]
    assert {k: v for k, v in tree(output).items() if not k.endswith(".png")} == {
        k: v for k, v in before.items() if not k.endswith(".png")
    }


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (MeshError("The surface is open."), True),
        (DeviceMemoryError("The computer's memory does not suffice."), False),
        (MissingDependencyError("torch is not installed."), False),
        (MemoryError(), False),
        (ZeroDivisionError("by zero"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_refusal_of_the_case_is_final(
    cases, tmp_path, monkeypatch, counted, quick, error, final
):
    def fail(*_about):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(cohort_evaluation, "measure_distances", fail)
        assert evaluate(cases, tmp_path / "out", "--limit", "1") == cli.FAILED
    counted.clear()
    assert (evaluate(cases, tmp_path / "out", "--limit", "1") == cli.FAILED) == final
    assert counted == ([] if final else ["a"])


@pytest.mark.parametrize(
    ("arguments", "device", "wanted"),
    [
        (["--no-reconstruct"], "cuda", 4),
        ([], "cpu", 2),
        ([], "cuda", 1),
        (["--processes", 3], "cuda", 3),
    ],
)
def test_as_many_processes_as_there_is_room_for(
    cases, tmp_path, monkeypatch, arguments, device, wanted
):
    """Four cores and memory for two that reconstruct, or one GPU."""
    found = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(processes, "_free_memory", lambda: 3.5e9)
    monkeypatch.setattr(devices, "resolve_device", lambda _: device)

    def stop(cases, output, settings, count, progress):
        found.append(count)
        raise Cancelled

    monkeypatch.setattr(cohort_evaluation, "evaluate_cases", stop)
    command = ["evaluate", cases, "-o", tmp_path / "out", *arguments]
    assert cli.main([str(argument) for argument in command]) == cli.CANCELLED
    assert found == [wanted]


def test_a_changed_case_is_done_again_and_half_a_result_too(cases, tmp_path, counted, quick):
    output = tmp_path / "out"
    assert evaluate(cases, output) == cli.OK
    (output / "cases" / "a.json").write_text('{"case": "a", "rows"')
    write_mesh(cases / "b" / "truth" / "femur.ply", ball(BALLS["femur"][0], 30.0))
    counted.clear()
    assert evaluate(cases, output) == cli.OK
    assert counted == ["a", "b"]


def test_a_result_around_another_joint_centre_is_done_again(cases, tmp_path, counted, quick):
    output = tmp_path / "out"
    assert evaluate(cases, output) == cli.OK
    path = output / "cases" / "c.json"
    result = json.loads(path.read_text())
    assert result.pop("joint_centre") == JOINT_CENTRE
    path.write_text(json.dumps(result))  # as it was written before the definition had a name
    counted.clear()
    assert evaluate(cases, output) == cli.OK
    assert counted == ["c"]


def test_the_output_folder_is_safe(cases, tmp_path, capsys, quick):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    base = ["evaluate", cases, "--no-reconstruct", "--processes", 1]
    refused([*base, "-o", foreign], capsys, "other things than an earlier evaluation")
    assert tree(foreign) == {"thesis.txt": b"years of work"}
    refused([*base, "-o", cases], capsys, "other things")
    refused([*base, "-o", foreign / "thesis.txt"], capsys, "not a folder")
    output = tmp_path / "out"
    assert evaluate(cases, output) == cli.OK
    before = tree(output)
    capsys.readouterr()
    refused([*base, "-o", output, "--align", "all"], capsys, "begun with another align")
    assert tree(output) == before


def test_what_the_user_has_in_the_output_folder_stays(cases, tmp_path, capsys, quick, plotted):
    base, output = ["evaluate", cases, "--no-reconstruct", "--processes", 1], tmp_path / "out"
    assert evaluate(cases, output) == cli.OK
    (output / "notes.txt").write_text("mine")
    (output / MANIFEST).unlink()  # as an evaluation of an earlier version
    assert evaluate(cases, output) == cli.OK
    (output / "metrics.csv").write_text("with a column more")
    capsys.readouterr()
    refused([*base, "-o", output], capsys, "metrics.csv' was changed")
    (output / "evaluation.json").write_text("[]")
    refused([*base, "-o", output], capsys, "evaluation.json' is damaged")
    assert (output / "notes.txt").read_text() == "mine"


def test_input_that_cannot_be_used_is_refused(cases, tmp_path, capsys, quick):
    output = tmp_path / "out"
    refused(["evaluate", tmp_path / "none", "-o", output], capsys, "does not exist")
    refused(["evaluate", cases / "notes", "-o", output], capsys, "contains no case")
    refused(
        ["evaluate", cases, "-o", output, "--limit", 0], capsys, "--limit must be 1 or more (got 0)"
    )
    refused(
        ["evaluate", cases, "-o", output, "--processes", -1],
        capsys,
        "--processes must be 1 or more (got -1)",
    )
    refused(["evaluate", cases, "-o", output, "--weights", tmp_path / "x"], capsys, "weights")
    assert not output.exists()


def test_networks_reconstruct_the_cases(tmp_path, monkeypatch, quick):
    cases = tmp_path / "cases"
    rig = read_rig(write_ball_case(cases / "balls"))
    write_bones(cases / "balls" / "truth")
    broken = write_ball_case(cases / "broken").parent
    write_bones(broken / "truth")
    (broken / "lateral.nrrd").unlink()
    loaded = []

    def load(weights, device):
        loaded.append((weights, device))
        return BallModel(rig)

    monkeypatch.setattr(
        "SSRKDLib.models.loading.ModelCache.load", lambda self, *about: load(*about)
    )
    output = tmp_path / "out"
    arguments = ["evaluate", cases, "-o", output, "--processes", 1, "--device", "cpu"]
    assert cli.main([str(argument) for argument in [*arguments, "--spacing", 2]]) == cli.OK
    rows = table(output / "metrics.csv")
    assert [row["bone"] for row in rows] == [*BONES, ""]
    assert all(float(row["assd_mm"]) < 0.2 for row in rows[:4])
    assert rows[0]["side"] == "L" and float(rows[0]["seconds"]) > 0
    assert "lateral.nrrd" in rows[4]["note"]
    assert loaded == [(None, "cpu")]
    settings = json.loads((output / "evaluation.json").read_text())
    assert settings["spacing"] == 2.0 and len(settings["weights_sha256"]) == 64


def test_several_processes_and_alignment_give_the_same(tmp_path):
    cases = tmp_path / "cases"
    for name, shift in (("a", 1.0), ("b", 2.0)):
        write_case(cases / name, shift, without=("femur", "fibula", "tibia"))
    assert evaluate(cases, tmp_path / "one", "--align", "all") == cli.OK
    arguments = ["evaluate", cases, "-o", tmp_path / "two", "--no-reconstruct", "--align", "all"]
    assert cli.main([str(argument) for argument in [*arguments, "--processes", 2]]) == cli.OK
    one, two = (tmp_path / name / "metrics.csv" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    patellae = [row for row in table(one) if row["bone"] == "patella"]
    assert [float(row["assd_mm"]) < 0.05 for row in patellae] == [True, True]


def test_clinical_measures_have_rows_and_a_summary(tmp_path, quick):
    case = tmp_path / "cases" / "person"
    person = load_person(3)
    # Scaled about the joint by 3 %: widths are off by 3 %, angles by nothing.
    for folder, factor in (("truth", 1.0), ("reconstruction", 1.03)):
        (case / folder).mkdir(parents=True)
        for bone, mesh in person.items():
            write_mesh(case / folder / f"left_{bone}.ply", Mesh(mesh.vertices * factor, mesh.faces))
    output = tmp_path / "out"
    assert evaluate(tmp_path / "cases", output) == cli.OK
    rows = {row["measure"]: row for row in table(output / "clinical.csv")}
    assert list(rows) == [definition.name for definition in DEFINITIONS]
    width = rows["tibial_plateau_width"]
    assert float(width["error"]) == pytest.approx(0.03 * float(width["reference"]), abs=0.1)
    assert float(width["reconstruction"]) == pytest.approx(1.03 * float(width["reference"]), 2e-3)
    assert abs(float(rows["tibiofemoral_angle"]["error"])) < 0.1
    summary = {row["measure"]: row for row in table(output / "clinical_summary.csv")}
    assert summary["tibial_plateau_width"]["mean_absolute_error"] == width["error"]
    assert summary["tibial_plateau_width"]["mean"] == width["error"]
    assert summary["tibial_plateau_width"]["reference_mean"] == width["reference"]


def test_a_side_that_nothing_tells_leaves_clinical_measures_out(cases, tmp_path, quick):
    assert evaluate(cases, tmp_path / "out", "--limit", "1") == cli.OK
    rows = table(tmp_path / "out" / "clinical.csv")
    assert len(rows) == len(DEFINITIONS)
    assert {row["reference"] for row in rows} == {""}
    assert {row["note"] for row in rows} == {"neither rig nor names tell the knee's side"}


def test_without_matplotlib_the_plots_are_left_out(
    cases, tmp_path, monkeypatch, capsys, quick, plotted
):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    assert evaluate(cases, tmp_path / "out") == cli.OK
    assert "The plots are left out. Matplotlib is not installed." in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.png"))
    assert (tmp_path / "out" / "summary.md").is_file()

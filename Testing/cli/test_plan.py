"""``plan``: files, numbers, differences to a reference, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SSRKDLib.cli import main as cli
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.mesh_files import read_mesh, write_mesh
from Testing.support.command_checks import refused, tree

BOX = np.array([[-np.inf, -np.inf, -110.0], [np.inf, np.inf, 110.0]])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for bone, mesh in load_person(20).items():
        write_mesh(folder / f"{bone}.ply", mesh.clipped(BOX))
    (folder / "report.json").write_text(json.dumps({"laterality": "L"}))
    return folder


def test_a_plan_is_written_and_replaced(models, tmp_path, capsys):
    out = tmp_path / "plan"
    assert cli.main(["plan", str(models), "-o", str(out), "--angle", "8", "--tubercle"]) == 0
    shown = capsys.readouterr().out
    assert "Correction" in shown and "8.0°" in shown and "plan.html" in shown
    about = json.loads((out / "plan.json").read_text())
    assert about["laterality"] == "L" and about["kind"] == "opening"
    assert about["after_deg"]["mpta"] - about["before_deg"]["mpta"] == pytest.approx(8.0, abs=0.4)
    distal, proximal = (read_mesh(out / f"tibia_{part}.ply") for part in ("distal", "proximal"))
    assert read_mesh(out / "wedge.ply").is_closed
    assert distal.bounds[0, 2] < proximal.bounds[0, 2]
    plane = json.loads((out / "cut_plane.mrk.json").read_text())["markups"][0]
    assert plane["normal"] == pytest.approx(about["plane"]["normal"])
    step = np.array(plane["center"]) - about["plane"]["origin"]
    assert step @ plane["normal"] == pytest.approx(0.0, abs=1e-6)
    page = (out / "plan.html").read_text()
    assert "high tibial osteotomy, medial opening wedge: left knee" in page.lower()
    # A reference, and Miniaci's construction; the earlier plan is replaced, other files stay.
    (out / "mine.txt").write_text("kept")
    command = ["plan", models, "-o", out, "--hka", "174", "--reference", models]
    assert cli.main([str(word) for word in command]) == 0
    about = json.loads((out / "plan.json").read_text())
    assert 6.0 < about["angle_deg"] < 12.0 and (out / "mine.txt").exists()
    assert all(abs(value) < 0.05 for value in about["reference"].values())
    assert "at most 0.5" in (out / "plan.html").read_text()


def test_bad_input_is_one_sentence_and_loses_nothing(models, tmp_path, capsys):
    out = tmp_path / "plan"
    out.mkdir()
    (out / "keep.txt").write_text("kept")
    before = tree(tmp_path)
    plan = ["plan", models, "-o", tmp_path / "new"]
    refused(plan, capsys, "How much to correct", "--angle")
    refused([*plan, "--angle", "8", "--hka", "172"], capsys, "Give one of")
    refused([*plan, "--angle", "40"], capsys, "would break the hinge")
    refused([*plan, "--angle", "8", "--hinge", "90"], capsys, "hinge is 90 mm")
    refused([*plan, "--angle", "8", "--tubercle", "60"], capsys, "tubercle 60 mm")
    refused([*plan, "--angle", "8", "--side", "R"], capsys, "look like those of a left")
    refused([*plan, "--weight-bearing-line", "70"], capsys, "no varus")
    refused(["plan", models, "-o", out, "--angle", "8"], capsys, "keep.txt")
    assert tree(tmp_path) == before


def test_models_without_a_tibia_or_a_side_are_refused(models, tmp_path, capsys):
    alone = tmp_path / "femur"
    alone.mkdir()
    write_mesh(alone / "left_femur.ply", read_mesh(models / "femur.ply"))
    refused(["plan", alone, "-o", tmp_path / "o", "--angle", "8"], capsys, "no tibia")
    (alone / "left_femur.ply").rename(alone / "femur.ply")
    refused(["plan", alone, "-o", tmp_path / "o", "--angle", "8"], capsys, "--side L or R")
    assert not (tmp_path / "o").exists()

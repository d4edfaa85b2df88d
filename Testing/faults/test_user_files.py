"""Whatever writes: only what this program wrote is replaced."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from SSRKDLib.cli import main as cli
from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.output_file import hidden
from SSRKDLib.core.output_folder import recover, replaced_folder, write_into
from SSRKDLib.core.output_manifest import MANIFEST
from SSRKDLib.datasets.case_folder import PREPARED_CASE
from SSRKDLib.evaluation.case_results import read_result, write_result
from SSRKDLib.evaluation.cohort import EVALUATION, Settings, prepare_output
from SSRKDLib.evaluation.cohort_summary import format_summary
from SSRKDLib.evaluation.metrics import MEASURES
from SSRKDLib.images.writing import write_image
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.surfaces.knee import JOINT_CENTRE
from Testing.support.command_checks import tree

ROOT = Path(__file__).resolve().parents[2]

#: Scripts and the files that they would write, with an entry of their own.
SCRIPTS = {
    "evaluate": ("rows.csv", "group,person,side,simulator,rig,agreement,assd_mm\n"),
    "calibrate_side": ("rows.csv", "group,knee,simulator,rig,given,right,ratio\n"),
    "evaluate_moved": ("rows.json", '[\n {\n  "pair": "a"\n }\n]\n'),
    "evaluate_measures": ("measures.json", '[\n {\n  "group": "llp26"\n }\n]\n'),
    "evaluate_plans": ("rows.json", '[\n {\n  "group": "llp26",\n  "kind": "opening"\n }\n]\n'),
    "stress": ("rows.json", '[\n {\n  "person": "p",\n  "factor": "gain"\n }\n]\n'),
    "calibrate_confidence": ("calibration.png", "PNG Matplotlib"),
    "ablation": ("table.md", "| network | IoU on test people, % |\n"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_training_s_script_replaces_only_its_own_files(script, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "Training"))
    module = importlib.import_module(script)
    name, own = SCRIPTS[script]
    (tmp_path / name).write_text("years of work")
    monkeypatch.setattr(sys, "argv", [script, "-o", str(tmp_path)])
    assert module.main() == 2
    assert f"{name}' was not written by this program" in capsys.readouterr().err
    assert tree(tmp_path) == {name: b"years of work"}
    (kind,) = (value for value in vars(module).values() if type(value).__name__ == "ResultKind")
    (tmp_path / name).write_text(own)  # as an earlier version wrote it
    write_into(tmp_path, kind, name, "new")
    assert (tmp_path / name).read_text() == "new"


@pytest.mark.parametrize("name", ["log.jsonl", "scores.json", "step-0000200.ckpt"])
def test_a_training_replaces_only_its_own_files(name, tmp_path):
    command = importlib.import_module("SSRKDLib.training.command")
    (tmp_path / name).write_text('{"mine": 1}\n')
    with pytest.raises(OutputError, match=f"{name}' was not written by"):
        command._check_output(tmp_path)
    assert tree(tmp_path) == {name: b'{"mine": 1}\n'}
    if name == "log.jsonl":
        (tmp_path / name).write_text("")  # every line was of steps that are done again
        command._check_output(tmp_path)
    own = {"log.jsonl": '{"step": 20, "rate": 1}\n{"st', "scores.json": '{\n "steps": 3\n}\n'}
    if name in own:
        (tmp_path / name).write_text(own[name])
        command._check_output(tmp_path)


def test_summaries_of_somebody_else_beside_an_evaluation_stay(tmp_path, capsys):
    (tmp_path / "evaluation.json").write_text(json.dumps(Settings().as_dict()))
    (tmp_path / "metrics.csv").write_text("case,bone,assd_mm\n")
    assert EVALUATION.earlier(tmp_path) == {"evaluation.json", "metrics.csv"}
    (tmp_path / "clinical.csv").write_text("patient,diagnosis\n")
    with pytest.raises(OutputError, match=r"clinical\.csv' was not written"):
        prepare_output(tmp_path, Settings())
    assert (tmp_path / "clinical.csv").read_text() == "patient,diagnosis\n"


RESULT = {
    "case": "k1", "error": "", "side": "L", "seconds": None, "warnings": [],
    "joint_centre": JOINT_CENTRE, "final": True,
    "rows": [{"bone": bone, **dict.fromkeys(MEASURES, 0.5), "note": ""} for bone in BONES],
    "clinical": [{"measure": "m", "unit": "mm", "reconstruction": 1.0, "reference": 1.0,
                  "error": 0.0, "note": ""}],
}  # fmt: skip


def mutations():
    """The result with each entry gone or of another kind."""

    def changed(value):
        if isinstance(value, dict):
            for key in value:
                yield {k: v for k, v in value.items() if k != key}
                yield from ({**value, key: other} for other in changed(value[key]))
        elif isinstance(value, list):
            yield from ([other, *value[1:]] for other in (changed(value[0]) if value else ()))
            yield from ([*value, other] for other in ([1, 2], "inf", 7, None))
        if not isinstance(value, (dict, list)):
            yield from (other for other in ([], {}, "x", True, 1e999) if other != value)

    return [m for m in changed(RESULT) if m.get("error") != "x" and m.get("final") is not None]


def test_a_damaged_result_of_a_case_is_made_again(tmp_path):
    case, out = tmp_path / "k1", tmp_path / "out"
    case.mkdir()
    (out / "cases").mkdir(parents=True)
    write_result(case, out, RESULT, [])
    assert read_result(case, out) == RESULT
    place, refused = out / "cases" / "k1.json", 0
    for damaged in mutations():
        place.write_text(json.dumps({"signature": [], **damaged}))
        found = read_result(case, out)
        if found is None:
            refused += 1
        else:  # another text, where any will do
            format_summary([found])
    assert refused > 60
    write_result(case, out, RESULT, [])
    assert [path.name for path in place.parent.iterdir()] == ["k1.json"]
    for own in ("years of work", "[1]", '{"case": "k1"}'):
        place.write_text(own)
        assert read_result(case, out) is None
        write_result(case, out, RESULT, [])
        kept = [path for path in place.parent.iterdir() if path != place]
        assert [path.read_text() for path in kept] == [own] and read_result(case, out) == RESULT
        kept[0].unlink()


@pytest.mark.skipif(os.name == "nt", reason="links there take an administrator")
def test_an_evaluation_writes_through_no_link(tmp_path):
    out, case = tmp_path / "out", tmp_path / "k1"
    case.mkdir()
    prepare_output(out, Settings())
    mine = tmp_path / "mine" / "k1.json"
    mine.parent.mkdir()
    mine.write_text(json.dumps({"signature": [], "case": "mine", "rows": []}))
    before = tree(mine.parent)
    (out / "cases" / "k1.json").symlink_to(mine)
    write_result(case, out, RESULT, [])
    assert tree(mine.parent) == before and read_result(case, out) == RESULT
    (out / "cases").rename(tmp_path / "moved")
    (out / "cases").symlink_to(mine.parent)
    with pytest.raises(OutputError, match="cases' was not written by this program"):
        prepare_output(out, Settings())
    assert tree(mine.parent) == before


def test_a_prepared_case_of_an_earlier_version_is_known_file_by_file(tmp_path):
    (tmp_path / "case.json").write_text('{"version": 1}')
    np.savez(tmp_path / "projs.npz", projs=np.zeros(1))
    assert set(PREPARED_CASE.earlier(tmp_path)) == {"case.json", "projs.npz"}
    (tmp_path / "sampling.npz").write_text("mine")
    refused = pytest.raises(OutputError, match=r"sampling\.npz")
    with refused, replaced_folder(tmp_path, PREPARED_CASE):
        pass
    assert (tmp_path / "sampling.npz").read_text() == "mine"


def test_files_of_others_with_the_names_of_locks_stay(tmp_path):
    for name in (".out.lock", ".out.0123abcd.lock", f".{MANIFEST}.lock"):
        (tmp_path / name).write_text("mine")
    before = tree(tmp_path)
    for _ in range(2):
        with replaced_folder(tmp_path / "out", PREPARED_CASE) as folder:
            (folder / "a").write_text("result")
    write_into(tmp_path, EVALUATION, "a", "new")
    assert before.items() <= tree(tmp_path).items()
    (tmp_path / ".in.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError), replaced_folder(tmp_path / "in", PREPARED_CASE):
        pass
    assert (tmp_path / ".in.lock").is_symlink() and not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.name == "nt", reason="links there take an administrator")
def test_a_link_to_a_rig_is_followed_as_one_to_a_folder_is(tmp_path, capsys):
    image, there = tmp_path / "film.png", tmp_path / "there"
    write_image(image, np.arange(4096, dtype=np.uint16).reshape(64, 64))
    there.mkdir()
    link, target = tmp_path / "rig.json", there / "mine.json"
    link.symlink_to(target)
    numbers = {"--sdd": "1100", "--sod": "900", "--spacing": "0.2", "--angle": "0"}
    words = ["rig", "--images", str(image), "--values", "display", "-o", str(link)]
    words += [word for pair in numbers.items() for word in pair]
    for _ in range(2):  # a new rig, and in the place of it
        assert cli.main(words) == 0, capsys.readouterr().err
        assert link.is_symlink() and not target.is_symlink()
        for place in (link, target):
            assert read_rig(place).images == [str(image)]
    target.write_text("mine")
    assert cli.main(words) == 2 and "would be replaced" in capsys.readouterr().err
    assert target.read_text() == "mine"


def test_doctor_brings_back_what_a_killed_process_left_aside(tmp_path, capsys):
    with replaced_folder(tmp_path / "out", PREPARED_CASE) as folder:
        (folder / "a").write_text("result")
    fresh = hidden(tmp_path / "out", "new")
    (tmp_path / "out").rename(fresh.with_suffix(".old"))
    fresh.mkdir()
    cli.main(["doctor", str(tmp_path)])
    assert f"result {tmp_path / 'out'}: what a killed process left" in capsys.readouterr().out
    assert sorted(tree(tmp_path)) == ["out", f"out/{MANIFEST}", "out/a"]


def test_doctor_leaves_the_user_s_folders_with_such_names(tmp_path, capsys):
    for name in (".model.20251101.new/a/w.bin", ".notes.20251101.old/n.txt", ".r.20251101.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name.split("/")[0], (0, 0))
    before = tree(tmp_path)
    cli.main(["doctor", str(tmp_path)])
    assert tree(tmp_path) == before and "what a killed process" not in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="links there take an administrator")
@pytest.mark.parametrize("linked", ["old", "new"])
@pytest.mark.parametrize("own", [True, False])
def test_links_with_the_names_of_leftovers_are_not_followed(tmp_path, linked, own):
    out, patient = tmp_path / "here" / "out", tmp_path / "patient"
    for path in (out, patient):
        with replaced_folder(path, PREPARED_CASE) as folder:
            (folder / "a").write_text("result")
    (patient / "notes.txt").write_text("mine")
    fresh = hidden(out, "new") if own else out.with_name(".out.deadbeef.new")
    fresh.with_suffix(f".{linked}").symlink_to(patient)
    if linked == "new":
        out.rename(fresh.with_suffix(".old"))
    before = tree(patient)
    recover(out)
    assert tree(patient) == before and sorted(tree(out)) == [MANIFEST, "a"]


def test_an_image_that_cannot_be_written_leaves_the_user_s(tmp_path, monkeypatch):
    import SimpleITK as sitk

    path = tmp_path / "knee_labels.nii.gz"
    path.write_text("mine")

    def fail(*_, **__):
        raise RuntimeError("ITK ERROR")

    with monkeypatch.context() as patch:
        patch.setattr(sitk, "WriteImage", fail)
        with pytest.raises(OutputError, match="SimpleITK cannot write it"):
            write_image(path, np.zeros((2, 2, 2), np.uint8), np.eye(4))
    assert tree(tmp_path) == {"knee_labels.nii.gz": b"mine"}


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 elsewhere")
def test_images_are_written_under_names_that_are_not_utf_8(tmp_path):
    folder = tmp_path / os.fsdecode(b"b\xff")
    folder.mkdir()
    write_image(folder / os.fsdecode(b"\xff.nii.gz"), np.zeros((2, 2, 2), np.uint8), np.eye(4))
    assert os.listdir(os.fsencode(folder)) == [b"\xff.nii.gz"]

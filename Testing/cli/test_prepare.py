"""``prepare``: many cases at once, again, in processes, on Dask, and what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from SSRKDLib.cli import main as cli
from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.core.errors import Cancelled
from SSRKDLib.core.output_manifest import MANIFEST
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.datasets.prepare import Settings
from SSRKDLib.datasets.prepare_many import Outcome, is_finished, run_job, run_jobs
from SSRKDLib.datasets.sources import Job, virtual_jobs
from SSRKDLib.datasets.splits import read_info
from SSRKDLib.surfaces.mesh_files import write_mesh
from Testing.support.ball_scan import ball_ct, ball_meshes
from Testing.support.command_checks import refused, tree
from Training import make_test_cases
from Training.experiment import every_case_prepared

FLAGS = ["--size", "32", "--detector", "48", "--angles", "5",
         "--surface-points", "200", "--uniform-points", "1000"]  # fmt: skip
SETTINGS = Settings(size=32, detector=48, angles=5, surface_points=200, uniform_points=1000)


def prepare(*arguments: object) -> int:
    return cli.main(["prepare", *map(str, arguments)])


@pytest.fixture(scope="module")
def virtual(tmp_path_factory) -> Path:
    """Two virtual people, one labelled, made in this process."""
    out = tmp_path_factory.mktemp("virtual") / "processed"
    assert prepare("--virtual", 2, "--labelled", 1, *FLAGS, "-o", out, "--workers", 0) == cli.OK
    return out


def test_virtual_people_are_labelled_and_unlabelled_cases(virtual):
    labelled, other = (CaseFolder(virtual / f"virtual-0-0000{n}") for n in (0, 1))
    assert labelled.labelled and not other.labelled
    assert labelled.missing() == other.missing() == []
    splits = read_info(virtual)
    assert splits["train"] == [labelled.case_id] and splits["unlabeled"] == [other.case_id]
    labels, volume = labelled.label_map(), labelled.volume(64)
    inner = ndimage.binary_erosion(np.isin(labels, (LABELS["femur"], LABELS["tibia"])))
    around = (labels == 0) & (volume > 60)
    assert volume[inner].mean() > volume[around].mean() + 30
    images, _ = labelled.line_integrals()
    masks, _ = labelled.masks()
    for image, mask in zip(images, masks):
        assert image[mask].mean() > image[~mask & (image > 0.5)].mean()


def test_dask_cluster_of_two_workers_prepares_the_same_bytes_as_one_process(virtual, tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    out = tmp_path / "processed"
    options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
    with distributed.LocalCluster(n_workers=2, **options) as cluster:
        address = cluster.scheduler_address
        code = prepare(
            "--virtual", 2, "--labelled", 1, *FLAGS, "-o", out, "--scheduler", address
        )  # fmt: skip
    assert code == cli.OK
    assert tree(out) == tree(virtual)


class Fatal:
    """A source that ends the process that reads it, as a lack of memory would."""

    labelled = False

    def load(self, settings: Settings) -> None:
        os._exit(1)


def test_a_case_that_ends_its_process_costs_no_other(virtual, tmp_path):
    jobs = [Job("fatal", Fatal(), "fatal"), *virtual_jobs(1, 1, 0)]
    fatal, good = run_jobs(jobs, tmp_path, SETTINGS, workers=1)
    assert "memory may not suffice" in fatal.reason and good.reason is None
    made = {k: v for k, v in tree(virtual).items() if k.startswith(good.case_id)}
    assert tree(tmp_path) == made
    # Where a process ended after it had finished, its case is not made anew.
    assert run_job(jobs[1], tmp_path, SETTINGS) == Outcome(good.case_id)


def test_dask_missing_or_silent_is_said(tmp_path, monkeypatch, capsys):
    command = ["--virtual", 1, *FLAGS, "-o", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9"]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dask.distributed", None)
        assert prepare(*command) == cli.FAILED
        assert "leave --scheduler out" in capsys.readouterr().err
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}):
        refused(["prepare", *command], capsys, "scheduler", "address")


def test_resume_repeats_nothing(virtual, tmp_path, monkeypatch, capsys):
    out = tmp_path / "processed"
    shutil.copytree(virtual, out)
    for path in out.glob("*/case.json"):  # as written before there was a choice of projector
        record = json.loads(path.read_text())
        assert record["settings"].pop("projector") == "joseph"
        path.write_text(json.dumps(record))
    before = {path: path.stat().st_mtime_ns for path in out.glob("virtual*/*")}
    monkeypatch.setattr(
        "SSRKDLib.datasets.prepare_many.run_jobs", lambda *_: pytest.fail("repeated")
    )
    assert prepare("--virtual", 2, "--labelled", 1, *FLAGS, "-o", out) == cli.OK
    assert "0 cases prepared, 2 there already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("virtual*/*")}


def test_an_interrupted_run_goes_on_where_it_stopped(virtual, tmp_path):
    jobs = virtual_jobs(2, 1, 0)

    def stop(stage: str, fraction: float, message: str) -> None:
        if fraction:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_jobs(jobs, tmp_path, SETTINGS, workers=0, progress=stop)
    assert [is_finished(job, tmp_path, SETTINGS) for job in jobs] == [True, False]
    # What a killed process leaves behind is no case.
    (tmp_path / ".virtual-0-00001.abc.new").mkdir()
    (tmp_path / ".virtual-0-00001.abc.new" / "case.json").write_text("{")
    command = ["--virtual", 2, "--labelled", 1, *FLAGS, "-o", tmp_path, "--workers", 0]
    assert prepare(*command) == cli.OK
    made = {k: v for k, v in tree(tmp_path).items() if not k.startswith(".virtual")}
    assert made == tree(virtual)


def test_a_case_that_gains_bones_is_prepared_again(virtual, tmp_path, capsys):
    out = tmp_path / "processed"
    shutil.copytree(virtual, out)
    assert prepare("--virtual", 2, *FLAGS, "-o", out, "--workers", 0) == cli.OK
    assert "1 cases prepared, 1 there already" in capsys.readouterr().out
    assert CaseFolder(out / "virtual-0-00001").labelled
    assert read_info(out)["unlabeled"] == []


def test_what_the_user_has_in_a_prepared_case_stays(virtual, tmp_path, capsys):
    out = tmp_path / "processed"
    shutil.copytree(virtual, out)
    case = out / "virtual-0-00001"
    (case / "notes.txt").write_text("mine")
    spacing = (case / "spacing.npz").read_bytes()
    (case / "spacing.npz").write_bytes(b"mine too")
    command = ["--virtual", 2, *FLAGS, "-o", out, "--workers", 0]
    before = tree(case)
    assert prepare(*command) == cli.FAILED
    assert "spacing.npz' was changed" in capsys.readouterr().err
    assert tree(case) == before
    (case / "spacing.npz").write_bytes(spacing)
    (case / MANIFEST).unlink()  # as a case of an earlier version, which had no notes beside it
    assert prepare(*command) == cli.FAILED
    assert "'notes.txt'" in capsys.readouterr().err
    (case / "notes.txt").unlink()
    assert prepare(*command) == cli.OK
    # Splits that were edited by hand are refused before any work.
    (out / "info.json").write_text('{"train": []}')
    before = tree(out)
    capsys.readouterr()
    refused(["prepare", *command], capsys, "info.json' was changed")
    assert tree(out) == before


def test_test_cases_replace_test_cases_alone(virtual, tmp_path, capsys, monkeypatch):
    thesis, out = tmp_path / "thesis", tmp_path / "cases"
    thesis.mkdir()
    (thesis / "thesis.docx").write_text("years")

    def make(output: Path) -> int:
        words = ["make_test_cases.py", virtual, "--split", "train", "-o", output]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        return make_test_cases.main()

    assert make(thesis) == 2 and "thesis.docx" in capsys.readouterr().err
    assert tree(thesis) == {"thesis.docx": b"years"}
    assert make(virtual) == 2 and "contains the input" in capsys.readouterr().err
    assert make(out) == 0
    made = tree(out)
    (out / MANIFEST).unlink()  # as an earlier version made them
    assert make(out) == 0 and tree(out) == made
    (out / "virtual-0-00000" / "notes.txt").write_text("mine")
    assert make(out) == 0
    assert tree(out) == {**made, "virtual-0-00000/notes.txt": b"mine"}


def test_a_broken_case_is_listed_and_does_not_end_the_run(tmp_path, capsys):
    knees = tmp_path / "knees"
    sizes = {"a_broken": None, "b_no_fibula": 3, "c_good": 4, "d_empty": 0}
    for name, count in sizes.items():
        (knees / name).mkdir(parents=True)
        if count is None:
            (knees / name / "ct.nii.gz").write_bytes(b"no image")
        elif count:
            sitk.WriteImage(ball_ct("L"), str(knees / name / "ct.nrrd"))
            (knees / name / "bones").mkdir()
            for bone in [b for b in BONES if b != "fibula" or count == 4]:
                write_mesh(knees / name / "bones" / f"{bone}.ply", ball_meshes("L")[bone])
    out = tmp_path / "out"
    command = [knees, *FLAGS, "--extent", 180, "-o", out, "--workers", 0, "--side", "L"]
    assert prepare(*command) == cli.FAILED
    shown = capsys.readouterr()
    assert "1 cases prepared, 0 there already, 3 failed" in shown.out
    failures = shown.err.strip().splitlines()
    assert [line.split(": ")[:2] for line in failures] == [
        ["failed", name] for name in ("a_broken", "b_no_fibula", "d_empty")
    ]
    assert "Internal error" not in shown.err
    assert "There is no fibula" in failures[1] and "DICOM" in failures[2]
    assert sorted(path.name for path in out.iterdir()) == [MANIFEST, "c_good", "info.json"]
    info = json.loads((out / "info.json").read_text())
    assert info["train"] == ["c_good"] and info["failed"] == ["a_broken", "b_no_fibula", "d_empty"]
    assert not every_case_prepared(out / "info.json")  # an experiment prepares again
    # Only the failed cases are prepared again.
    for bone in BONES:
        write_mesh(knees / "b_no_fibula" / "bones" / f"{bone}.ply", ball_meshes("L")[bone])
    assert prepare(*command) == cli.FAILED
    assert "1 cases prepared, 1 there already, 2 failed" in capsys.readouterr().out


def test_what_cannot_be_prepared_is_refused_before_any_work(virtual, tmp_path, capsys):
    out, two = tmp_path / "out", ["prepare", "--virtual", "2"]
    refused(["prepare", "-o", out], capsys, "nothing to prepare")
    refused([*two, "--labelled", "3", "-o", out], capsys, "3 of 2")
    refused([*two, "--workers", "-1", "-o", out], capsys, "workers")
    refused([*two, "--size", "4", "-o", out], capsys, "Size must be 8 to 1024 (got 4)")
    refused([*two, "--test-share", "1", "-o", out], capsys, "nothing to train on")
    refused([*two, "--seed", "-1", "-o", out], capsys, "Seed")
    refused(["prepare", tmp_path / "none", "-o", out], capsys, "was not found")
    (tmp_path / "empty").mkdir()
    refused([*two, tmp_path / "empty", "-o", out], capsys, "contains no CT")
    assert not out.exists()
    refused([*two, "--projector", "other", "-o", out], capsys, "joseph")
    other = [flag if flag != "48" else "64" for flag in FLAGS]
    refused([*two, *other, "-o", virtual], capsys, "another detector (48, now 64)")


def test_a_folder_that_is_no_prepared_case_is_left_alone(tmp_path, capsys):
    folder = tmp_path / "knee"
    folder.mkdir()
    sitk.WriteImage(ball_ct("L"), str(folder / "ct.nrrd"))
    before = tree(tmp_path)
    refused(["prepare", tmp_path, *FLAGS, "-o", tmp_path], capsys, "exists already", "another")
    assert tree(tmp_path) == before

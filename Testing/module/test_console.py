"""The examples of Docs/slicer.md, run as they stand there, one after the other."""

from __future__ import annotations

import re
import shutil

import pytest

from Testing.module.cases import ROOT, SAMPLES, loadSampleFiles, waitUntil

EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "Docs" / "slicer.md").read_text("utf-8"), re.M | re.S
)


def test_console_examples_run_as_documented(module, slicer, tmp_path, capsys):
    assert len(EXAMPLES) == 8
    for number in (1, 2):
        folder = tmp_path / "cases" / f"case {number}"
        folder.mkdir(parents=True)
        for view in ("frontal", "lateral"):
            shutil.copy(SAMPLES / f"SSRKD_{view}.dcm", folder / f"{view}.dcm")
    from SSRKDSlicer.radiographs.sample_data import loadRadiographs

    loadRadiographs()
    names = {
        "slicer": slicer,
        "cases": str(tmp_path / "cases"),
        "ctFile": str(SAMPLES / "SSRKD_CT.nrrd"),
    }
    for example in EXAMPLES:
        exec(compile(example, "Docs/slicer.md", "exec"), names)  # what a user would paste
        if "job" in names:
            job = names.pop("job")
            waitUntil(lambda job=job: job.finished)
            assert "Cancelled" in capsys.readouterr().out
    assert len(list((tmp_path / "cases").rglob("*.stl"))) == 8
    assert list(names["models"]) == ["patella", "femur", "fibula", "tibia"]
    assert names["placed"] == (names["frontal"], names["lateral"])


def test_console_errors_are_sentences(module, slicer):
    from SSRKDLib.core.errors import SSRKDError

    logic = module.SSRKDLogic()
    with pytest.raises(SSRKDError, match="No frontal radiograph"):
        logic.reconstruct(None, None)
    frontal, lateral = loadSampleFiles()
    with pytest.raises(SSRKDError, match="no weights called 'none-such'"):
        logic.reconstruct(frontal, lateral, weights="none-such")
    failures = []
    logic.reconstruct(frontal, lateral, weights="none-such", done=print, failed=failures.append)
    waitUntil(lambda: failures)
    assert "none-such" in str(failures[0])


def test_console_progress_is_told_in_order(module, slicer):
    steps = []
    module.SSRKDLogic().reconstruct(
        *loadSampleFiles(), spacing=2.0, progress=lambda *step: steps.append(step)
    )
    fractions = [fraction for _, fraction, _ in steps]
    assert fractions == sorted(fractions)
    stages = list(dict.fromkeys(stage for stage, _, _ in steps))
    assert stages[:3] == ["start", "read", "load"]
    assert stages[-1] == "write"

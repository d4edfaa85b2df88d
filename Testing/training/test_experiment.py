"""Training/experiment.py: which steps are finished, and what an evaluation amounts to."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import pytest

from SSRKDLib.core.errors import TrainingError
from Training import experiment

HEADER = "case,bone,dsc,assd_mm\n"
FOUND = "a,patella,0.8,1.0\na,femur,0.9,2.0\na,fibula,0.6,1.0\na,tibia,0.9,2.0\n"


def test_who_loses_bones_does_not_look_better(tmp_path, monkeypatch):
    (tmp_path / "metrics.csv").write_text(HEADER + FOUND)
    found = experiment.measured(tmp_path)
    assert (found["dsc"], found["assd_mm"], found["missing"]) == (pytest.approx(80), 1.5, 0)
    worst_lost = FOUND.replace("0.9,2.0", ",", 1)
    (tmp_path / "metrics.csv").write_text(HEADER + worst_lost + "b,,,\n")
    found = experiment.measured(tmp_path)
    assert found["dsc"] == pytest.approx(230 / 8) and found["missing"] == 5
    assert math.isnan(found["assd_mm"])
    monkeypatch.syspath_prepend(str(Path(experiment.__file__).parent))
    ablation = importlib.import_module("ablation")
    assert ablation.spread([1.5, found["assd_mm"]]) == "–" != ablation.spread([1.5, 2.5])


def test_a_step_is_a_command_that_is_not_repeated_and_whose_failure_is_said(tmp_path, capsys):
    result = tmp_path / "made"
    good = experiment.Step("good", ("-c", f"open({str(result)!r}, 'x'); print('hello')"), result)
    for _ in range(2):  # it could not make the file twice
        experiment.run_steps([good], tmp_path / "logs")
    assert (tmp_path / "logs" / "good.log").read_text() == "hello\n"
    assert "good: finished before" in capsys.readouterr().out
    bad = experiment.Step("bad", ("-c", "exit('no film')"), tmp_path / "never")
    with pytest.raises(TrainingError, match=r"bad ended with code 1 \(no film\)"):
        experiment.run_steps([bad], tmp_path / "logs")


def test_a_preparation_with_failed_cases_is_not_finished(tmp_path):
    step = experiment.prepare(tmp_path, ())
    assert not step.finished(step.result)
    step.result.write_text(json.dumps({"train": ["a"], "failed": ["b"]}))
    assert not step.finished(step.result)
    step.result.write_text(json.dumps({"train": ["a", "b"]}))
    assert step.finished(step.result)

"""Training/experiment.py: which steps are finished, and what an evaluation amounts to."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import pytest

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


def test_a_preparation_with_failed_cases_is_not_finished(tmp_path):
    step = experiment.prepare(tmp_path, ())
    assert not step.finished(step.result)
    step.result.write_text(json.dumps({"train": ["a"], "failed": ["b"]}))
    assert not step.finished(step.result)
    step.result.write_text(json.dumps({"train": ["a", "b"]}))
    assert step.finished(step.result)

"""The pipeline: every command of a training, one after the other."""

from __future__ import annotations

import importlib
import runpy
import sys

import pytest

pytest.importorskip("lightning")

from SSRKDLib.cli import main as cli  # noqa: E402
from Testing.support.small_trainings import ROOT  # noqa: E402


def test_one_command_leads_from_virtual_people_to_weights_that_reconstruct(tmp_path, monkeypatch):
    pipeline = ROOT / "Training" / "pipeline.py"
    monkeypatch.syspath_prepend(str(pipeline.parent))
    experiment = importlib.import_module("experiment")  # as the script names it
    monkeypatch.setattr(experiment, "run_steps", in_this_process)
    assert ended(pipeline, "-o", tmp_path / "tiny") == 0
    found = experiment.measured(tmp_path / "tiny" / "evaluation")
    assert found["dsc"] > 30 and found["missing"] <= 1, found
    rig = next((tmp_path / "tiny" / "cases").glob("*/rig.json"))
    output = tmp_path / "bones"
    weights = str(tmp_path / "tiny" / "tiny.zip")
    code = cli.main(
        ["reconstruct", str(rig), "-o", str(output), "--weights", weights, "--spacing", "2"]
    )
    assert code == cli.OK and len(list(output.glob("*.ply"))) >= 3


def in_this_process(steps, _logs) -> None:
    """Run the commands of an experiment's steps where Lightning is imported already."""
    for step in steps:
        assert not step.finished(step.result)
        assert ended(*step.command) == 0, step.name
        assert step.finished(step.result)


def ended(*command: object) -> int:
    """The exit code of ``python COMMAND``, which runs in this process."""
    words = [str(part) for part in command]
    if words[:2] == ["-m", "SSRKDLib"]:
        return cli.main(words[2:])
    given, sys.argv = sys.argv, words
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as left:
        return left.code
    finally:
        sys.argv = given
    raise AssertionError("a script ends with a code")

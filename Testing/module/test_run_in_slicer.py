"""The steps for the real application, run on the bench; and what they leave behind."""

from __future__ import annotations

import json

import pytest

from Testing.slicer import hosts, session
from Testing.slicer.session import Skip, Step
from Testing.slicer.steps import STEPS


def outcomes(report) -> dict[str, dict]:
    return {step["name"]: step for step in json.loads(report.read_text("utf-8"))["steps"]}


def test_run_in_slicer_smoke_passes_on_the_bench(module, slicer, tmp_path):
    host = hosts.Bench()
    status = session.run(host, "smoke", tmp_path / "report.json", pictures=False, fresh=False)
    host.quit(status)
    made = outcomes(tmp_path / "report.json")
    failed = {name: step["traceback"] for name, step in made.items() if step["outcome"] == "failed"}
    assert not failed, "\n".join(failed.values())
    assert status == 0
    assert list(made) == [step.name for step in STEPS if step.level == "smoke"]
    # The bench was used before in this process, so what start-up costs is not known any more.
    assert [name for name, step in made.items() if step["outcome"] == "skipped"] == ["start-up"]


def test_run_in_slicer_reports_failures_and_skips_and_goes_on(slicer, tmp_path, monkeypatch):
    def fails(_session):
        raise ValueError("torn film")

    def skips(_session):
        raise Skip("no light box")

    def breaks_a_slot(_session):
        from Testing.bench import faults

        faults.record(RuntimeError("in a slot"))

    kinds = {"tears": fails, "dark": skips, "slot": breaks_a_slot, "fine": lambda _: "all four"}
    steps = [Step(name, name.capitalize(), "smoke", run) for name, run in kinds.items()]
    steps.append(Step("long", "Not asked for", "full", fails))
    monkeypatch.setattr("Testing.slicer.steps.STEPS", steps)
    assert session.run(hosts.Bench(), "smoke", tmp_path / "out" / "report.json") == 1
    made = outcomes(tmp_path / "out" / "report.json")
    assert {name: step["outcome"] for name, step in made.items()} == {
        "tears": "failed", "dark": "skipped", "slot": "failed", "fine": "passed",
    }  # fmt: skip
    assert "torn film" in made["tears"]["traceback"]
    assert made["dark"]["detail"] == "no light box"
    assert "in a slot" in made["slot"]["detail"]
    assert made["fine"]["detail"] == "all four"
    assert "torn film" in (tmp_path / "out" / "python.log").read_text("utf-8")


@pytest.mark.parametrize("name", ["name", "title"])
def test_run_in_slicer_steps_are_told_apart(name):
    texts = [getattr(step, name) for step in STEPS]
    assert len(set(texts)) == len(texts)

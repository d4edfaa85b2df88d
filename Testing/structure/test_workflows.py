"""The workflows: pinned, with least permissions, and everything that they name is there."""

from __future__ import annotations

import argparse
import importlib
import re

import pytest
import yaml

from Testing.packaging import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SLICER = ROOT / ".github" / "workflows" / "slicer.yml"

#: Options of the application that the workflow uses, as Slicer's command line has them.
SLICER_OPTIONS = {
    "--no-splash", "--testing", "--no-main-window", "--additional-module-paths", "--python-script",
}  # fmt: skip

#: Paths that begin so are of the repository.
OURS = re.compile(r"(?<![\w./])(?:Testing|SSRKD|SSRKDLib|Training|Docs|requirements|\.ci)/[\w./-]+")
OUR_SCRIPT = re.compile(r"Testing[/.]slicer[/.](\w+)(?:\.py)?")


def steps_of(path) -> list[dict]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def commands_of(path) -> list[str]:
    """The lines that a workflow runs, continued ones joined, quotes and commas removed."""
    lines = []
    for step in steps_of(path):
        text = re.sub(r"[\\`]\n\s*", " ", step.get("run", ""))
        lines += re.sub(r"['\",]", " ", text).splitlines()
    return lines


def long_options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {text: action for action in parser._actions for text in action.option_strings}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_pinned_and_may_only_read(path):
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert text["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in text["jobs"].values())
    loose = [
        step["uses"]
        for step in steps_of(path)
        if "uses" in step and not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
    ]
    assert not loose, f"pin these by the commit's hash: {loose}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_name_only_what_is_there(path):
    text = path.read_text(encoding="utf-8").replace("\\SSRKD", "/SSRKD")
    missing = [
        name
        for name in OURS.findall("\n".join(commands_of(path)) + "\n" + text.partition("\njobs:")[0])
        if not (ROOT / name.rstrip(".")).exists()
    ]
    assert not missing, f"{path.name} names {missing}"


def test_the_scripts_of_the_workflow_know_its_options():
    used = set()
    for line in commands_of(SLICER):
        script = OUR_SCRIPT.search(line)
        if script is None:
            continue
        used.add(script.group(1))
        before, after = line[: script.start()], line[script.end() :]
        if "--python-script" in before:
            assert set(re.findall(r"--[a-z-]+", before)) <= SLICER_OPTIONS, before
        if script.group(1) == "install_pytorch":  # imports slicer, and knows no options
            assert "--" not in after, after
            continue
        known = long_options(importlib.import_module(f"Testing.slicer.{script.group(1)}").parser())
        for option, value in re.findall(r"(--[a-z-]+)(?:[ =]+(?!-)(\S+))?", after):
            assert option in known, f"{script.group(1)} has no {option}"
            choices = known[option].choices
            assert choices is None or value in choices, f"{option} {value}"
    assert used == {"run_in_slicer", "install_pytorch", "page"}


def test_the_workflow_runs_the_versions_that_are_promised():
    jobs = yaml.safe_load(SLICER.read_text(encoding="utf-8"))["jobs"]
    versions = [entry["slicer"] for entry in jobs["linux"]["strategy"]["matrix"]["include"]]
    assert versions == ["5.10", "5.12", "preview"]
    assert {"windows", "macos", "package"} <= jobs.keys()
    runs = "\n".join(commands_of(SLICER))
    assert "--level smoke" in runs
    assert "--level full" in runs
    assert "GITHUB_STEP_SUMMARY" in runs

"""``doctor`` names every package of the project."""

from __future__ import annotations

import re

import pytest

from SSRKDLib.cli import doctor
from SSRKDLib.core.output_file import hidden
from Testing.structure.repository import ROOT

_EARLIER = (".out.0a1b2c3d.new", ".out.20251101.old", ".report.json.deadbeef.part")

tomllib = pytest.importorskip("tomllib")


def test_doctor_names_the_packages_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements):
        return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}

    assert {name for name, _ in doctor._NEEDED} == names(project["dependencies"])
    training = names(project["optional-dependencies"]["training"])
    assert {name for name, _ in doctor._OPTIONAL} == training | {"pyTIGRE"}


def test_what_an_earlier_version_may_have_left_is_told_and_stays(tmp_path, capsys):
    for name in _EARLIER:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("perhaps somebody's")
    hidden(tmp_path / "out", "new").mkdir()  # of this version: removed
    (tmp_path / ".notes.2025.old").mkdir()
    doctor._results(tmp_path)
    told = [line for line in capsys.readouterr().out.splitlines() if "deleted by hand" in line]
    assert len(told) == 3 and all(any(name in line for line in told) for name in _EARLIER)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        (*_EARLIER, ".notes.2025.old")
    )
    assert all((tmp_path / name / "a.txt").is_file() for name in _EARLIER)

"""``doctor`` names every package of the project."""

from __future__ import annotations

import re

import pytest

from SSRKDLib.cli import doctor
from Testing.structure.repository import ROOT

tomllib = pytest.importorskip("tomllib")


def test_doctor_names_the_packages_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements):
        return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}

    assert {name for name, _ in doctor._NEEDED} == names(project["dependencies"])
    training = names(project["optional-dependencies"]["training"])
    assert {name for name, _ in doctor._OPTIONAL} == training | {"pyTIGRE"}

"""The modules of this repository stand in the order of the rooms; see ``layers.py``."""

from __future__ import annotations

import pytest

from Testing.structure import layers
from Testing.structure.loading import find_load_failures, find_loaded
from Testing.structure.repository import ROOT


@pytest.fixture(scope="module")
def violations() -> list[layers.Violation]:
    return layers.find_violations()


def test_the_rules_are_kept(violations):
    allowed = layers.read_allowed()
    broken = [str(violation) for violation in violations if violation.key not in allowed]
    assert not broken, "\n" + "\n".join(broken)


def test_what_is_allowed_still_occurs(violations):
    gone = layers.read_allowed() - {violation.key for violation in violations}
    assert not gone, f"take these lines out of {layers.ALLOWED.name}:\n" + "\n".join(sorted(gone))


@pytest.mark.parametrize(
    ("flag", "blocked"), [("torch_free", ["torch"]), ("vtk_free", ["vtk", "vtkmodules"])]
)
def test_rooms_load_without(flag, blocked):
    failures = find_load_failures(ROOT, layers.modules_without(flag), blocked)
    assert not failures, "\n" + "\n".join(failures)


def test_the_package_itself_loads_nothing_large():
    assert find_loaded(ROOT, "SSRKDLib", ["torch", "vtk", "vtkmodules", "scipy"]) == []

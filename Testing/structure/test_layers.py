"""The modules of this repository stand in the order of the rooms; see ``layers.py``."""

from __future__ import annotations

import re

from Testing.structure import layers
from Testing.structure.loading import find_load_failures, find_loaded
from Testing.structure.repository import ROOT

ROOMS = layers.LIBRARY.rooms


def test_the_rules_are_kept():
    broken = [str(violation) for violation in layers.find_violations()]
    assert not broken, "\n" + "\n".join(broken)


def test_torch_free_rooms_load_without_torch_but_for_the_modules_named_in_the_table():
    free = [name for room in ROOMS if room.torch_free for name in layers.room_modules(room)]
    failures = find_load_failures(ROOT, free, ["torch"])
    failed = {line.split(":")[0] for line in failures}
    exempt = set(layers.torch_modules())
    unexpected = [line for line in failures if line.split(":")[0] not in exempt]
    assert not unexpected, "\n" + "\n".join(unexpected)
    assert exempt <= failed, f"need no torch or are not there: {sorted(exempt - failed)}"


def test_vtk_free_rooms_load_without_vtk():
    free = [name for room in ROOMS if room.vtk_free for name in layers.room_modules(room)]
    failures = find_load_failures(ROOT, free, ["vtk", "vtkmodules"])
    assert not failures, "\n" + "\n".join(failures)


def test_the_package_itself_loads_nothing_large():
    assert find_loaded(ROOT, "SSRKDLib", ["torch", "vtk", "vtkmodules", "scipy"]) == []


def test_the_architecture_page_lists_the_rooms_in_their_order():
    text = (ROOT / "Docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \|$", text, re.MULTILINE)
    assert rows == [room.name for room in layers.LIBRARY.rooms]

"""Each rule of ``layers.py`` on a small tree that breaks it once."""

from __future__ import annotations

from pathlib import Path

import pytest

from Testing.structure import layers
from Testing.structure.imports import Import, read_imports
from Testing.structure.layers import Package, Room
from Testing.structure.loading import find_load_failures, find_loaded

SMALL = Package(
    "place/Lib",
    rooms=(
        Room("low", torch_modules=("network",)),
        Room("middle", subfolders=("inner",)),
        Room("high"),
    ),
    top=("__init__.py", "__main__.py", "CMakeLists.txt"),
)

#: A tree that keeps every rule, with an import of each permitted kind.
GOOD = {
    "__init__.py": "__version__ = '1'\n",
    "__main__.py": "from Lib.high import main\n",
    "CMakeLists.txt": "",
    "low/__init__.py": '"""Low."""\n',
    "low/tools.py": "import os\nfrom Lib import __version__\n",
    "middle/__init__.py": '"""Middle."""\n',
    "middle/inner/__init__.py": '"""Inner."""\n',
    "middle/inner/part.py": "from ...low import tools\n",
    "middle/whole.py": "import Lib.low.tools\nfrom .inner.part import tools\n",
    "high.py": "def main():\n    from Lib.middle import whole\n",
}

RULES = (
    layers.find_misplaced_files,
    layers.find_code_in_init,
    layers.find_imports_of_higher_rooms,
    layers.find_circles,
)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def broken_rules(root: Path, files: dict[str, str]) -> list[str]:
    """Violations of the good tree with some files changed."""
    write(root / SMALL.folder, {**GOOD, **files})
    return sorted(str(violation) for rule in RULES for violation in rule(root, SMALL))


def test_the_good_tree_breaks_no_rule(tmp_path):
    assert broken_rules(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("text", "line", "target"),
    [
        ("from Lib.middle.whole import f\n", 1, "Lib.middle.whole"),
        ("from Lib.middle import whole\n", 1, "Lib.middle.whole"),
        ("import os\nimport Lib.middle.whole as w\n", 2, "Lib.middle.whole"),
        ("from ..middle import whole\n", 1, "Lib.middle.whole"),
        ("from ..middle.whole import f\n", 1, "Lib.middle.whole"),
        ("from .. import high\n", 1, "Lib.high"),
        ("from Lib.middle.inner import part\n", 1, "Lib.middle.inner.part"),
        ("from Lib.middle import anything\n", 1, "Lib.middle"),
        ("def f():\n    from Lib import high\n", 2, "Lib.high"),
        ("if TYPE_CHECKING:\n    from Lib.high import main\n", 2, "Lib.high"),
        ("from Lib import (\n    __version__,\n    reconstruct,\n)\n", 1, "Lib"),
        ("from Lib import __main__\n", 1, "Lib.__main__"),
    ],
)
def test_an_arrow_up(tmp_path, text, line, target):
    assert broken_rules(tmp_path, {"low/other.py": text}) == [
        f"place/Lib/low/other.py:{line}: low must not import {target}, which stands above it"
    ]


def test_an_arrow_up_from_a_subfolder(tmp_path):
    found = broken_rules(tmp_path, {"middle/inner/other.py": "from Lib.high import main\n"})
    assert found == [
        "place/Lib/middle/inner/other.py:1: middle must not import Lib.high, which stands above it"
    ]


def test_a_circle_inside_a_room(tmp_path):
    files = {
        "low/a.py": "from Lib.low import tools\nfrom Lib.low.b import f\n",
        "low/b.py": "def f():\n    from .c import g\n",
        "low/c.py": "if TYPE_CHECKING:\n    import Lib.low.a\n",
    }
    assert broken_rules(tmp_path, files) == [
        "place/Lib/low/a.py:2: imports Lib.low.b in a circle "
        "(Lib.low.a -> Lib.low.b -> Lib.low.c -> Lib.low.a)",
        "place/Lib/low/b.py:2: imports Lib.low.c in a circle "
        "(Lib.low.b -> Lib.low.c -> Lib.low.a -> Lib.low.b)",
        "place/Lib/low/c.py:2: imports Lib.low.a in a circle "
        "(Lib.low.c -> Lib.low.a -> Lib.low.b -> Lib.low.c)",
    ]


TOP = "(only __init__.py, __main__.py, CMakeLists.txt may be here; the rooms are low, middle, high)"


def test_a_circle_through_a_higher_room_is_reported_once(tmp_path):
    assert broken_rules(tmp_path, {"low/tools.py": "import Lib.high\n"}) == [
        "place/Lib/low/tools.py:1: low must not import Lib.high, which stands above it"
    ]


def test_a_circle_of_modules_in_no_room(tmp_path):
    files = {"x/a.py": "from Lib.x import b\n", "x/b.py": "from Lib.x import a\n"}
    write(tmp_path / SMALL.folder, files)
    assert [str(found) for found in layers.find_circles(tmp_path, SMALL)] == [
        "place/Lib/x/a.py:1: imports Lib.x.b in a circle (Lib.x.a -> Lib.x.b -> Lib.x.a)",
        "place/Lib/x/b.py:1: imports Lib.x.a in a circle (Lib.x.b -> Lib.x.a -> Lib.x.b)",
    ]


def test_a_module_in_no_room(tmp_path):
    assert broken_rules(tmp_path, {"alone.py": ""}) == [
        f"place/Lib/alone.py:1: not in a room {TOP}"
    ]


def test_a_superfluous_file_at_the_top(tmp_path):
    assert broken_rules(tmp_path, {"notes.txt": ""}) == [
        f"place/Lib/notes.txt:1: a file at the top of Lib {TOP}"
    ]


@pytest.mark.parametrize(
    ("name", "room"),
    [("new/a.py", "new"), ("low/deep/a.py", "low/deep"), ("high/x/a.py", "high/x")],
)
def test_a_room_in_no_table(tmp_path, name, room):
    assert broken_rules(tmp_path, {name: ""}) == [
        f"place/Lib/{name}:1: the room {room} is in no table"
    ]


def test_a_folder_of_data_is_not_a_room(tmp_path):
    assert broken_rules(tmp_path, {"data/weights.zip": ""}) == []


def test_a_row_of_the_table_without_a_room(tmp_path):
    write(tmp_path / SMALL.folder, {k: v for k, v in GOOD.items() if k != "high.py"})
    assert [str(found) for found in layers.find_misplaced_files(tmp_path, SMALL)] == [
        "place/Lib:1: the table names the room high, which does not exist"
    ]


@pytest.mark.parametrize(
    ("text", "line"), [("", 1), ('"""Low."""\n\nfrom Lib.low.tools import f\n', 3)]
)
def test_code_in_a_room_s_init(tmp_path, text, line):
    assert broken_rules(tmp_path, {"low/__init__.py": text}) == [
        f"place/Lib/low/__init__.py:{line}: the __init__.py of a room consists of its docstring"
    ]


def test_a_file_that_is_too_long(tmp_path):
    write(tmp_path, {"Training/a.py": "x = 1\n" * 400, "Testing/b/c.py": "x = 1\n" * 401})
    assert [str(found) for found in layers.find_long_files(tmp_path)] == [
        "Testing/b/c.py:401: longer than 400 lines"
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("SSRKDLib/a.py", "def f():\n    import qt\n", ":2: SSRKDLib must not import qt"),
        ("SSRKDLib/a/b.py", "from ..slicer import x\nimport slicer.util\n",
         ":2: SSRKDLib must not import slicer.util"),
        ("SSRKDLib/a.py", "from SSRKDSlicer.scene import frames\n",
         ":1: SSRKDLib must not import SSRKDSlicer.scene"),
        ("SSRKD/SSRKDSlicer/a.py", "from .torch import x\nfrom torch import nn\n",
         ":2: SSRKD must not import torch"),
        ("Training/a.py", "from Testing.support import x\n",
         ":1: Training must not import Testing.support"),
    ],
)  # fmt: skip
def test_a_forbidden_import_between_top_folders(tmp_path, name, text, expected):
    write(tmp_path, {name: text})
    assert [str(found) for found in layers.find_forbidden_imports(tmp_path)] == [name + expected]


def test_all_rules_are_applied_to_the_repository_s_packages(tmp_path):
    files = {f"SSRKDLib/{room.name}/a.py": "" for room in layers.LIBRARY.rooms}
    files.update({f"SSRKD/SSRKDSlicer/{room.name}/a.py": "" for room in layers.MODULE.rooms})
    files["SSRKD/SSRKDSlicer/scene/a.py"] = "from SSRKDSlicer.panel import a\n"
    files["SSRKD/SSRKDSlicer/panel/a.py"] = "from . import a\n"
    files["SSRKDLib/core/a.py"] = "from SSRKDLib.cli.a import main\nimport slicer\n"
    files["SSRKDLib/cli/__init__.py"] = "main = 1\n"
    files["SSRKDLib/alone.py"] = "x = 1\n" * 401
    write(tmp_path, files)
    module, panel = "SSRKD/SSRKDSlicer", "SSRKDSlicer.panel.a"
    top, names = SMALL.top, (room.name for room in layers.LIBRARY.rooms)
    assert [str(violation) for violation in layers.find_violations(tmp_path)] == [
        f"{module}/panel/a.py:1: imports {panel} in a circle ({panel} -> {panel})",
        f"{module}/scene/a.py:1: scene must not import {panel}, which stands above it",
        f"SSRKDLib/alone.py:1: not in a room (only {', '.join(top)} may be here; "
        f"the rooms are {', '.join(names)})",
        "SSRKDLib/alone.py:401: longer than 400 lines",
        "SSRKDLib/cli/__init__.py:1: the __init__.py of a room consists of its docstring",
        "SSRKDLib/core/a.py:1: core must not import SSRKDLib.cli.a, which stands above it",
        "SSRKDLib/core/a.py:2: SSRKDLib must not import slicer",
    ]


def test_the_modules_of_a_room(tmp_path):
    write(tmp_path / SMALL.folder, GOOD)
    low, middle, high = (layers.room_modules(room, tmp_path, SMALL) for room in SMALL.rooms)
    assert low == ["Lib.low", "Lib.low.tools"]
    assert middle == ["Lib.middle", "Lib.middle.inner", "Lib.middle.inner.part", "Lib.middle.whole"]
    assert high == ["Lib.high"]
    assert layers.torch_modules(SMALL) == ["Lib.low.network"]


def test_modules_that_do_not_load_are_named(tmp_path):
    heavy = "import os\n\ndef f():\n    import large.part\n\nf()\n"
    write(tmp_path, {"low/heavy.py": heavy, "large/__init__.py": "", "large/part.py": ""})
    modules = ["low.tools", "low.heavy"]
    write(tmp_path, {"low/tools.py": "import os\n"})
    assert find_load_failures(tmp_path, modules, ["unused"]) == []
    (failure,) = find_load_failures(tmp_path, modules, ["large"])
    assert failure.startswith("low.heavy: ModuleNotFoundError: ")
    assert failure.endswith("(low/heavy.py:4)")


def test_loaded_packages_are_found(tmp_path):
    write(tmp_path, {"outer.py": "import inner\n", "inner.py": "", "other.py": ""})
    assert find_loaded(tmp_path, "outer", ["inner", "other"]) == ["inner"]


def test_imports_are_read_with_their_absolute_module_and_line(tmp_path):
    text = "import a.b as c\nfrom . import d\nfrom ..e import (\n    f,\n    g,\n)\n"
    write(tmp_path, {"Lib/room/module.py": text})
    assert read_imports(tmp_path / "Lib/room/module.py", tmp_path) == [
        Import("a.b", None, 1),
        Import("Lib.room", "d", 2),
        Import("Lib.e", "f", 3),
        Import("Lib.e", "g", 3),
    ]

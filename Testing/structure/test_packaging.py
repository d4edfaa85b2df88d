"""The extension as others get it: one description in three files, complete lists, and an
installation that works without the checkout."""

from __future__ import annotations

import ast
import json
import struct
import subprocess
from pathlib import Path

import pytest

from Testing.packaging import (
    INSTALLED_IN,
    LISTS,
    MODULES,
    ROOT,
    SHARE,
    WRITE,
    list_differences,
    listed,
    run_installed,
    shipped,
    write_lists,
)
from Testing.structure.imports import read_imports


def description(path: Path) -> dict[str, str]:
    """Keywords and values of an extension description (.s4ext)."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return {keyword: value.strip() for keyword, _, value in pairs}


def installed_description(installed: Path) -> dict[str, str]:
    """What the build made of the root CMakeLists.txt."""
    return description(installed.parents[2] / SHARE / "SSRKD.s4ext")


# One description in three files


def test_the_description_says_what_cmake_says(installed):
    committed = description(ROOT / "SSRKD.s4ext")
    scm = {key: committed.pop(key) for key in ("scm", "scmurl", "scmrevision")}
    assert committed == installed_description(installed)
    assert scm["scm"] == "git"
    assert scm["scmurl"] == committed["homepage"]


def test_the_catalogue_entry_says_what_the_description_says():
    entry = json.loads((ROOT / "SSRKD.json").read_text(encoding="utf-8"))
    committed = description(ROOT / "SSRKD.s4ext")
    assert entry["category"] == committed["category"]
    assert entry["scm_url"] == committed["scmurl"]
    assert entry["scm_revision"] == committed["scmrevision"]
    assert entry["build_dependencies"] == committed["depends"].split()
    assert entry["build_subdirectory"] == committed["build_subdirectory"]
    assert entry["tier"] == int(committed["tier"])


# Complete lists


def test_the_lists_contain_every_shipped_file_and_no_other():
    differences = list_differences()
    assert not differences, f"Run `{WRITE}`, which writes the lists:\n" + "\n".join(differences)


@pytest.fixture
def small_checkout(tmp_path) -> Path:
    """A git checkout with one module, one resource and empty lists."""
    for folder, names in LISTS.items():
        place = tmp_path / folder
        (place / "data").mkdir(parents=True)
        (place / "room.py").touch()
        (place / "data" / "picture.png").touch()
        lists = "".join(f"set({name}\n  gone.py\n  )\n" for name in names)
        (place / "CMakeLists.txt").write_text(f"# kept\n{lists}install(x)\n", encoding="utf-8")
    (tmp_path / "SSRKD" / "ignored.pyc").touch()
    (tmp_path / ".gitignore").write_text("*.pyc\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_writing_the_lists_brings_them_up_to_date_and_keeps_the_rest(small_checkout):
    assert [line for line in list_differences(small_checkout) if line.startswith("SSRKD/")] == [
        "SSRKD/CMakeLists.txt: MODULE_PYTHON_SCRIPTS lacks room.py",
        "SSRKD/CMakeLists.txt: MODULE_PYTHON_SCRIPTS lists gone.py, which is not shipped",
        "SSRKD/CMakeLists.txt: MODULE_PYTHON_RESOURCES lacks data/picture.png",
        "SSRKD/CMakeLists.txt: MODULE_PYTHON_RESOURCES lists gone.py, which is not shipped",
    ]
    write_lists(small_checkout)
    assert list_differences(small_checkout) == []
    assert listed("Training", small_checkout) == {"TRAINING_FILES": ["data/picture.png", "room.py"]}
    text = (small_checkout / "Training" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert text == "# kept\nset(TRAINING_FILES\n  data/picture.png\n  room.py\n  )\ninstall(x)\n"


def test_lists_out_of_order_are_reported(small_checkout):
    write_lists(small_checkout)
    path = small_checkout / "Training" / "CMakeLists.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("  data/picture.png\n  room.py", "  room.py\n  data/picture.png"))
    assert list_differences(small_checkout) == [
        "Training/CMakeLists.txt: TRAINING_FILES is not sorted, or lists a file twice"
    ]


def dotted_names(files: list[str]) -> set[str]:
    """Modules that a list of installed Python files gives."""
    return {
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in files
        if name.endswith(".py")
    }


def names_in(path: Path) -> set[str]:
    """What a file's top level binds."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        else:
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return names


def test_everything_that_is_imported_is_in_the_lists():
    sources = {name: ROOT / "SSRKD" / name for name in listed("SSRKD")["MODULE_PYTHON_SCRIPTS"]}
    for name in listed("SSRKDLib")["MODULE_PYTHON_SCRIPTS"]:
        sources[f"SSRKDLib/{name}"] = ROOT / "SSRKDLib" / name
    modules = dotted_names(list(sources))
    project = {module.split(".")[0] for module in modules} | {"SSRKD", "SSRKDLib", "SSRKDSlicer"}
    wrong = []
    for name, path in sources.items():
        if not path.is_file():
            continue  # the test above says so
        root = ROOT if name.startswith("SSRKDLib/") else ROOT / "SSRKD"
        for found in read_imports(path, root):
            module, thing = found.module, found.name
            if module.split(".")[0] not in project:
                continue
            if module not in modules:
                wrong.append(f"{name} imports {module}")
                continue
            package = sources.get(f"{module.replace('.', '/')}/__init__.py")
            if thing is None or package is None or f"{module}.{thing}" in modules:
                continue
            if thing not in names_in(package):
                wrong.append(f"{name} imports {thing} from {module}")
    assert not wrong, "not in CMake's lists:\n" + "\n".join(sorted(wrong))


# An installation that works


def test_the_installed_layout_is_exactly_this(installed):
    prefix = installed.parents[2]
    there = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
    there = {name for name in there if "__pycache__" not in name}  # from a test that ran modules
    share = f"{SHARE}/qt-scripted-modules/SSRKD"
    expected = {f"{SHARE}/SSRKD.s4ext", f"{share}/LICENSE.txt", f"{share}/THIRD_PARTY.md"}
    for folder, target in INSTALLED_IN.items():
        for names in shipped(folder).values():
            expected |= {f"{target}/{name}" for name in names}
    assert there == expected
    files = [path.name for path in (prefix / MODULES).iterdir() if path.is_file()]
    assert files == ["SSRKD.py"]  # Slicer takes every file here for a module


def test_the_command_line_runs_from_the_installation(installed, tmp_path):
    result = run_installed(installed, tmp_path, "-c", "import SSRKDLib; print(SSRKDLib.__file__)")
    assert Path(result.stdout.strip()).parents[1] == installed, result.stderr

    doctor = run_installed(installed, tmp_path, "-m", "SSRKDLib", "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "Everything that Reconstruct needs is there." in doctor.stdout

    weights = run_installed(installed, tmp_path, "-m", "SSRKDLib", "weights", "list")
    assert weights.returncode == 0, weights.stderr
    bundle = installed / "SSRKDLib" / "data" / "weights" / "virtual-knee.zip"
    assert f"[shipped, {bundle}]" in weights.stdout


def test_the_installed_training_scripts_run(installed, tmp_path):
    training = installed.parents[2] / INSTALLED_IN["Training"]
    result = run_installed(installed, tmp_path, training / "train.py", "--help")
    assert result.returncode == 0, result.stderr
    assert "--data.cohort" in result.stdout


# What the Extensions Index looks at


def test_the_icon_is_128_by_128_and_the_same_in_both_places():
    icon = (ROOT / "SSRKD.png").read_bytes()
    assert icon.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", icon[16:24]) == (128, 128)
    copy = ROOT / "SSRKD" / "Resources" / "Icons" / "SSRKD.png"
    assert copy.read_bytes() == icon, "copy SSRKD.png to SSRKD/Resources/Icons/SSRKD.png"


def test_pictures_are_in_true_colour():
    """A palette of 256 colours makes smooth surfaces patchy."""
    pictures = sorted((ROOT / "Docs" / "pictures").glob("*.png"))
    assert pictures
    palettes = [path.name for path in pictures if path.read_bytes()[25] == 3]
    assert not palettes, f"run make pictures: {', '.join(palettes)}"

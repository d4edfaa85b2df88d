"""The rules of the rooms: who may import whom, how long a file is, what is at the top."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.structure.repository import ROOT, repository_files

#: The rooms, and what each must never import (at any level, in any function).
FORBIDDEN = {
    "SSRKDLib": {"slicer", "qt", "ctk", "SSRKD", "Training", "Testing"},
    "SSRKD": {"torch", "Training", "Testing"},
    "Training": {"slicer", "qt", "ctk", "SSRKD", "Testing"},
}

#: What may be imported inside Slicer before torch is installed; a package stands for all
#: of its modules.
TORCH_FREE = (
    "alignment", "anatomy", "clinical", "closest_points", "cohort_evaluation", "cohort_plots",
    "cohort_summary", "comparison", "comparison_table", "ct_files", "ct_model", "errors",
    "framing", "geometry", "image_writing", "labelmaps", "meshes", "metrics", "nearest",
    "outlines", "ply", "radiographs", "reference", "regions", "report_html", "rig_file",
    "rig_presets", "rig_sources", "sampling", "simulation", "terminology", "virtual",
    "voxel_metrics", "weights", "worker",
)  # fmt: skip

TOP_LEVEL = {
    "SSRKD", "SSRKDLib", "Training", "Testing", "Docs", "requirements", ".ci", ".github",
    "CMakeLists.txt", "SSRKD.s4ext", "SSRKD.json", "SSRKD.png", "README.md", "LICENSE.txt",
    "THIRD_PARTY.md", "pyproject.toml", "Makefile", ".gitignore", ".gitattributes",
}  # fmt: skip

LONGEST_FILE = 400

#: Places that exist on one machine only, and registries a checkout must not depend on.
#: Pieces in brackets keep this file from matching itself.
MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|opt/(?:wheels|pypi[\w-]*))/"
    r"|/(?:home|Users)/[a-z]\w*/"
    r"|(?:files[.]pythonhosted|test[.]pypi|pypi|download[.]pytorch|conda[.]anaconda)[.]org"
)


def python_files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, wherever in the file it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_do_not_import_what_they_must_not(room):
    wrong = {
        str(path.relative_to(ROOT)): sorted(imported(path) & FORBIDDEN[room])
        for path in python_files(room)
        if imported(path) & FORBIDDEN[room]
    }
    assert not wrong


def test_torch_free_modules_load_without_torch():
    modules = ["SSRKDLib"]
    for name in TORCH_FREE:
        place = ROOT / "SSRKDLib" / name
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for file in files:
            dotted = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            modules.append(dotted.removesuffix(".__init__"))
    code = (
        "import importlib, sys\n"
        "sys.modules['torch'] = None  # importing it now fails\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "assert not [name for name in sys.modules if name.startswith('torch.')]\n"
    )
    command = [sys.executable, "-c", code, *modules]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_no_file_is_too_long():
    files = [path for room in (*FORBIDDEN, "Testing") for path in python_files(room)]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in files}
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE}


def test_no_file_names_a_machine_or_a_registry():
    wrong = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary data
        for number, line in enumerate(text.splitlines(), start=1):
            if MACHINE.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not wrong


def test_only_known_names_are_at_the_top():
    assert {path.relative_to(ROOT).parts[0] for path in repository_files()} <= TOP_LEVEL


def test_the_module_s_folder_does_not_shadow_the_module():
    assert not (ROOT / "SSRKD" / "__init__.py").exists()

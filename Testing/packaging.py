"""What CMake's lists say is shipped, and the extension installed as Slicer's build would do it.

Installing needs ``cmake`` and stand-ins for Slicer's build tree; what those leave out stands at the
head of ``Testing/cmake/SlicerConfig.cmake``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Below the installation's root; X.Y as in the stand-ins.
MODULES = "lib/Slicer-5.10/qt-scripted-modules"
SHARE = "share/Slicer-5.10"

SCRIPTS, RESOURCES, TRAINING = "MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES", "TRAINING_FILES"

#: The lists in each folder's CMakeLists.txt.
LISTS = {"SSRKD": (SCRIPTS, RESOURCES), "SSRKDLib": (SCRIPTS, RESOURCES), "Training": (TRAINING,)}

#: Where the files of a folder are installed.
INSTALLED_IN = {
    "SSRKD": MODULES,
    "SSRKDLib": f"{MODULES}/SSRKDLib",
    "Training": f"{SHARE}/qt-scripted-modules/SSRKD/Training",
}

#: Nothing is compiled, so a machine without a compiler will do.
_NO_COMPILER = tuple(
    option
    for language in ("C", "CXX")
    for option in (
        f"-DCMAKE_{language}_COMPILER={sys.executable}",
        f"-DCMAKE_{language}_COMPILER_FORCED=ON",
    )
)


def listed(folder: str) -> dict[str, list[str]]:
    """The lists in ``folder/CMakeLists.txt``: names relative to the folder, in their order."""
    text = (ROOT / folder / "CMakeLists.txt").read_text(encoding="utf-8")
    text = re.sub(r"#.*", "", text)
    lists = {}
    for variable in LISTS[folder]:
        found = re.search(rf"set\({variable}\s([^)]*)\)", text)
        assert found, f"{folder}/CMakeLists.txt has no list {variable}"
        lists[variable] = found.group(1).split()
    return lists


def list_for(folder: str, name: str) -> str:
    """The list that a file belongs to."""
    if folder == "Training":
        return TRAINING
    return SCRIPTS if name.endswith(".py") else RESOURCES


def install(build: Path, prefix: Path) -> None:
    """Configure, build and install the extension with the stand-ins.

    Args:
        build: folder for the build tree, outside the checkout.
        prefix: folder to install into.
    """
    if shutil.which("cmake") is None:
        pytest.fail(
            "The packaging cannot be tested without cmake. Install it (Debian: the package cmake).",
            pytrace=False,
        )
    _cmake(
        "-S", ROOT, "-B", build, f"-DSlicer_DIR={ROOT / 'Testing' / 'cmake'}",
        f"-DCMAKE_INSTALL_PREFIX={prefix}", *_NO_COMPILER,
    )  # fmt: skip
    _cmake("--build", build)
    _cmake("--install", build)


def _cmake(*arguments: object) -> None:
    command = ["cmake", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        pytest.fail(f"{' '.join(command)}\n{result.stdout}{result.stderr}", pytrace=False)


def run_installed(modules: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Run Python with the installed files on its path, as Slicer has them there.

    Args:
        modules: what the fixture :func:`installed` gives.
        folder: working folder, and home of imported weights.
        arguments: the interpreter's.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(modules),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SSRKD_WEIGHTS": str(folder / "weights"),
    }
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """The folder ``qt-scripted-modules`` of an installed extension.

    Installed once per session and shared: do not write into it.
    """
    folder = tmp_path_factory.mktemp("packaging")
    install(folder / "build", folder / "installed")
    return folder / "installed" / MODULES

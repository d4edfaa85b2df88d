"""CMake's lists of shipped files, and the extension installed as Slicer's build would do it.

Nobody edits the lists: ``python -m Testing.packaging`` writes them from the files that git tracks
or would add, ``python -m Testing.packaging --check`` only reports what it would change.

Installing needs ``cmake`` and stand-ins for Slicer's build tree; what those leave out stands at the
head of ``Testing/cmake/SlicerConfig.cmake``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from Testing import system_packages
from Testing.structure.repository import ROOT, repository_files
from Testing.support.made_once import made_once

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


#: The command that brings the lists up to date.
WRITE = "python -m Testing.packaging"


def listed(folder: str, root: Path = ROOT) -> dict[str, list[str]]:
    """The lists in ``folder/CMakeLists.txt``: names relative to the folder, in their order."""
    text = re.sub(r"#.*", "", _cmake_file(folder, root).read_text(encoding="utf-8"))
    return {name: _find_list(text, name, folder).group(1).split() for name in LISTS[folder]}


def shipped(folder: str, root: Path = ROOT) -> dict[str, list[str]]:
    """What the lists in ``folder/CMakeLists.txt`` must contain, taken from the files.

    Args:
        folder: a key of :data:`LISTS`.
        root: folder of the checkout.

    Returns:
        Per list the names relative to the folder, sorted.
    """
    lists: dict[str, list[str]] = {name: [] for name in LISTS[folder]}
    for path in repository_files(root):
        name = path.relative_to(root).as_posix()
        if name.startswith(f"{folder}/") and name != f"{folder}/CMakeLists.txt":
            name = name[len(folder) + 1 :]
            lists[_list_for(folder, name)].append(name)
    return {name: sorted(files) for name, files in lists.items()}


def list_differences(root: Path = ROOT) -> list[str]:
    """What has to change in CMake's lists, one line per file; empty where they are up to date."""
    differences = []
    for folder in LISTS:
        current = listed(folder, root)
        for name, wanted in shipped(folder, root).items():
            place = f"{folder}/CMakeLists.txt: {name}"
            missing = sorted(set(wanted) - set(current[name]))
            superfluous = sorted(set(current[name]) - set(wanted))
            differences += [f"{place} lacks {file}" for file in missing]
            differences += [f"{place} lists {file}, which is not shipped" for file in superfluous]
            if not missing and not superfluous and current[name] != wanted:
                differences.append(f"{place} is not sorted, or lists a file twice")
    return differences


def write_lists(root: Path = ROOT) -> None:
    """Write the lists of every ``CMakeLists.txt`` from the files; the rest of it stays."""
    for folder in LISTS:
        path = _cmake_file(folder, root)
        text = before = path.read_text(encoding="utf-8")
        for name, files in shipped(folder, root).items():
            found = _find_list(text, name, folder)
            lines = "".join(f"  {file}\n" for file in files)
            text = f"{text[: found.start()]}set({name}\n{lines}  ){text[found.end() :]}"
        if text != before:
            path.write_bytes(text.encode("utf-8"))


def _cmake_file(folder: str, root: Path) -> Path:
    return root / folder / "CMakeLists.txt"


def _find_list(text: str, name: str, folder: str) -> re.Match[str]:
    found = re.search(rf"^set\({name}\s([^)]*)\)", text, re.MULTILINE)
    assert found, f"{folder}/CMakeLists.txt has no list {name}"
    return found


def _list_for(folder: str, name: str) -> str:
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
        give_up = pytest.fail if system_packages.demanded() else pytest.skip
        give_up(f"{system_packages.LACKING}cmake, without which the packaging cannot be tested")
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
    """The folder ``qt-scripted-modules`` of an installed extension; do not write into it."""
    folder = made_once(
        tmp_path_factory, "packaging", lambda at: install(at / "build", at / "installed")
    )
    return folder / "installed" / MODULES


def main(arguments: list[str] | None = None) -> int:
    """Write CMake's lists, or with ``--check`` report what would change.

    Returns:
        1 where ``--check`` found differences, else 0.
    """
    parser = argparse.ArgumentParser(
        prog=WRITE, description="Write the lists of files in the CMakeLists.txt of shipped folders."
    )
    parser.add_argument("--check", action="store_true", help="change nothing, report differences")
    check = parser.parse_args(arguments).check
    differences = list_differences()
    for line in differences:
        print(line)
    if check:
        return int(bool(differences))
    write_lists()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What importing modules in a fresh interpreter loads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

_BLOCKED = """
import importlib, sys, traceback
root, blocked = sys.argv[1], sys.argv[2].split(",")
sys.modules.update(dict.fromkeys(blocked))  # importing them now fails
for name in sys.argv[3:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename.startswith(root)] or frames[-1:]
        place = own[-1].filename[len(root):].lstrip("/")
        print(f"{name}: {type(error).__name__}: {error} ({place}:{own[-1].lineno})")
"""


def find_load_failures(root: Path, modules: Sequence[str], blocked: Iterable[str]) -> list[str]:
    """Import modules where some packages are not installed.

    Args:
        root: folder that the modules are imported from.
        modules: dotted names.
        blocked: packages whose import fails.

    Returns:
        For each module that does not load, its name, the error and ``file:line``.
    """
    return _run(root, _BLOCKED, str(root), ",".join(blocked), *modules)


def find_loaded(root: Path, module: str, packages: Iterable[str]) -> list[str]:
    """Those of ``packages`` that ``import module`` loads."""
    code = "import importlib, sys\nimportlib.import_module(sys.argv[1])\nprint(*sys.modules)"
    loaded = set(" ".join(_run(root, code, module)).split())
    return sorted(loaded & set(packages))


def _run(root: Path, code: str, *arguments: str) -> list[str]:
    """Lines that the code prints in a fresh interpreter; ``root`` is first on its path."""
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"The fresh interpreter failed:\n{result.stderr}")
    return result.stdout.splitlines()

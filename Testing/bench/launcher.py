"""``PythonSlicer``, Slicer's launcher of its Python interpreter, found on PATH."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import folders

# Like Slicer's launcher: the interpreter is a child, and outlives a launcher that is killed.
_SCRIPT = """#!/bin/sh
"{python}" "$@"
exit $?
"""


def install() -> Path:
    """Write the launcher and put its folder first on PATH.

    Returns:
        The launcher.
    """
    folder = folders.inside("bin")
    launcher = folder / "PythonSlicer"
    if not launcher.exists():
        launcher.write_text(_SCRIPT.format(python=sys.executable), encoding="utf-8")
        launcher.chmod(0o755)
        os.environ["PATH"] = os.pathsep.join([str(folder), os.environ.get("PATH", "")])
    return launcher

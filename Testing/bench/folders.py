"""The bench's temporary folder: settings, caches, ``PythonSlicer`` and Slicer's home live there."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path


@functools.cache
def temporary() -> Path:
    """A folder for this process, removed when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="slicer-bench-"))
    owner = os.getpid()

    def remove():
        if os.getpid() == owner:  # not in a forked child
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def inside(name: str) -> Path:
    """A folder of that name in the temporary folder, made if need be."""
    folder = temporary() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder

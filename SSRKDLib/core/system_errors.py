"""What the system lacks or cannot do, or a package: which error a person is told."""

from __future__ import annotations

import errno
import os
import re
import shlex

from SSRKDLib.core.errors import (
    DeviceMemoryError,
    InputError,
    MissingDependencyError,
    SSRKDError,
)

_NAMES = {"torch": "PyTorch", "matplotlib": "Matplotlib"}

#: What PyTorch, and the loaders of Linux, macOS and Windows, say where memory is wanting.
_NO_MEMORY = re.compile(
    "allocate memory|not enough memory|failed to map|paging file is too small", re.IGNORECASE
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception is Python's, PyTorch's or a loader's word for too little memory."""
    # PyTorch's own class, by name: it moved between modules, and PyTorch may be absent.
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):
        return True
    return isinstance(error, (ImportError, RuntimeError)) and bool(_NO_MEMORY.search(str(error)))


def failed_call(error: BaseException) -> OSError | None:
    """The system's own error behind one that a library raised, or None."""
    while isinstance(error, OSError) and error.errno is None:  # pydicom wraps it
        error = error.__cause__
    return error if isinstance(error, OSError) else None


def of_the_system(error: BaseException) -> SSRKDError | None:
    """What the system lacks or cannot do, which is nobody's mistake in the program."""
    if is_out_of_memory(error):
        return DeviceMemoryError(
            "The computer's memory does not suffice.",
            "Close other programs, or choose a coarser resolution.",
        )
    if isinstance(error, ImportError) and not (error.name or "").startswith("SSRKD"):
        return missing_package((error.name or "A package").partition(".")[0], error)
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.EMFILE, errno.ENFILE):
        return SSRKDError(
            "Too many files are open.", "Close other programs, or raise the limit (ulimit -n)."
        )
    if code in (errno.ENOSPC, errno.EDQUOT):
        return SSRKDError("The disk, or whatever the output goes to, is full.", "Free some space.")
    if code in (errno.EACCES, errno.EPERM):
        return InputError(
            "'{path}' cannot be opened: permission is missing.",
            "Choose another, or have it made readable.",
            path=error.filename or "A file",
        )
    if code == errno.ENAMETOOLONG:
        return InputError("A path is longer than this system allows.", "Check the paths.")
    if code == errno.ENOENT:
        try:
            os.getcwd()
        except FileNotFoundError:
            return SSRKDError("The working folder was deleted.", "Change into another one (cd).")
    return None


def missing_package(package: str, error: ImportError) -> SSRKDError:
    """The error for a package that is not installed, or that does not load.

    Args:
        package: what is imported, and what pip is given.
        error: what the import raised.
    """
    if is_out_of_memory(error):
        return of_the_system(error)
    name = _NAMES.get(package, package)
    if isinstance(error, ModuleNotFoundError):
        return MissingDependencyError(
            "{name} is not installed.",
            "In Slicer, open the module's section Installation; elsewhere run: python -m "
            "pip install {package}",
            name=name,
            package=shlex.quote(package),
        )
    return MissingDependencyError(
        "{name} does not load ({reason}).",
        "Install it again. What else is missing, says: python -m SSRKDLib doctor",
        name=name,
        reason=" ".join(str(error).split())[:160],
    )

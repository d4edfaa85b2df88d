"""Packages that may be missing: the error for each, and from which version on they are safe."""

from __future__ import annotations

import re
import shlex

from SSRKDLib.core.errors import MissingDependencyError, SSRKDError, of_the_system

#: Older versions of PyTorch could be made to run code by a crafted checkpoint.
OLDEST_TORCH = (2, 10)

_NAMES = {"torch": "PyTorch", "matplotlib": "Matplotlib"}


#: What the loaders of Linux, macOS and Windows say where memory for a library is wanting.
_NO_MEMORY = re.compile("allocate memory|failed to map|paging file is too small", re.IGNORECASE)


def missing_package(package: str, error: ImportError) -> SSRKDError:
    """The error for a package that is not installed, or that does not load.

    Args:
        package: what is imported, and what pip is given.
        error: what the import raised.
    """
    if _NO_MEMORY.search(str(error)):
        return of_the_system(MemoryError())
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

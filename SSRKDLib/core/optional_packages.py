"""Packages that may be missing: the error for each, and from which version on they are safe."""

from __future__ import annotations

import shlex

from SSRKDLib.core.errors import MissingDependencyError

#: Older versions of PyTorch could be made to run code by a crafted checkpoint.
OLDEST_TORCH = (2, 10)

_NAMES = {"torch": "PyTorch", "matplotlib": "Matplotlib"}


def missing_package(package: str) -> MissingDependencyError:
    """The error for a package that is not installed.

    Args:
        package: what is imported, and what pip is given.
    """
    return MissingDependencyError(
        "{name} is not installed.",
        "In Slicer, open the module's section Installation; elsewhere run: python -m "
        "pip install {package}",
        name=_NAMES.get(package, package),
        package=shlex.quote(package),
    )

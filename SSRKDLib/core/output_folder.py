"""Writing a folder of results whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from SSRKDLib.core.errors import OutputError


@contextmanager
def replaced_folder(path: str | os.PathLike) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``path`` when the block ends well.

    The new folder lies beside ``path``, so that taking its place is a rename. An existing folder
    is replaced as a whole; where the block raises, it is left alone and nothing stays behind.

    Raises:
        OutputError: the place cannot be written to, or holds something that must not be replaced
            (a file, the working folder or one above it, the home folder or one above it).
    """
    path = Path(os.path.abspath(path))
    _check(path)
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    old = fresh.with_suffix(".old")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield fresh
        try:
            if path.exists():
                path.rename(old)
            fresh.rename(path)
        except OSError as error:
            raise _unwritable(path, error) from error
    finally:
        # Whatever came between the two renames, an interrupt included, the old folder comes back.
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _check(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise OutputError(f"'{path}' exists and is no folder.", "Choose another output folder.")
    for kept in (Path.cwd(), Path.home()):
        if path == kept or path in kept.parents:
            raise OutputError(
                f"The output folder '{path}' would be replaced as a whole.",
                "Choose a folder that holds nothing but results.",
            )


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"The folder '{path}' cannot be written ({error.strerror or error}).",
        "Choose a place that you may write to and that has space left.",
    )

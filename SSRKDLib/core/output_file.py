"""Writing a file completely or not at all, and locks among processes."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Union

from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.system_errors import failed_call, of_the_system

#: What a file is written from: its text, its bytes, or a function that writes into a stream.
Content = Union[str, bytes, Callable[[BinaryIO], object]]

_WINDOWS = os.name == "nt"


def write_file(path: str | os.PathLike, content: Content) -> None:
    """Write a file completely or not at all; one that is there is replaced. Text is UTF-8.

    Raises:
        OutputError: the file cannot be written; what was there before is left alone then.
    """
    path = resolved(path)
    if os.path.lexists(path) and not os.path.isfile(path):
        raise OutputError("'{path}' is not a file.", "Choose another name.", path=path)
    part = hidden(path, "part")
    try:
        _clear_parts(path)
        try:
            with open(acquire_lock(part), "wb") as stream:
                if callable(content):
                    content(stream)
                else:
                    stream.write(content.encode() if isinstance(content, str) else content)
                stream.flush()
                os.fsync(stream.fileno())
            if path.is_file():
                shutil.copymode(path, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: str | os.PathLike, error: OSError) -> OutputError:
    """What to raise where writing failed: a full disk and missing permission have own sentences."""
    error = failed_call(error) or error
    if error.errno in (errno.EMFILE, errno.ENFILE):  # no fault of the path
        told = of_the_system(error)
        return OutputError(told.cause, told.remedy)
    cause = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            "'{path}' cannot be written: the disk is full ({cause}).",
            "Make space on that disk, or choose a folder on another one.",
            path=path,
            cause=cause,
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            "'{path}' cannot be written: permission is missing ({cause}).",
            "Choose a folder that you may write to.",
            path=path,
            cause=cause,
        )
    return OutputError(
        "'{path}' cannot be written ({cause}).", "Choose another folder.", path=path, cause=cause
    )


def is_elsewhere(error: OSError, path: Path) -> bool:
    """Whether an error's file is neither in a place that is written to (resolved), nor hidden
    beside it, nor above it."""
    if not isinstance(error.filename, str):
        return False
    place = resolved(error.filename)
    if place in path.parents:
        return False
    inside = place.parts[len(path.parent.parts) :] if path.parent in place.parents else ("",)
    return inside[0] != path.name and not inside[0].startswith(f".{path.name}.")


def resolved(path: str | os.PathLike) -> Path:
    try:
        return Path(os.path.realpath(path))
    except OSError as error:  # of a relative path
        raise OutputError(
            "The working folder does not exist any more ({reason}).",
            "Change to a folder that exists.",
            reason=error.strerror or error,
        ) from error


def _clear_parts(path: Path) -> None:
    """Remove what killed processes left of a file."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]+\.part")
    for entry in os.scandir(path.parent):
        part = Path(entry.path)
        if name.fullmatch(entry.name) and is_hidden(part, path):
            with suppress(OSError):
                release_lock(part, acquire_lock(part, wait=False), whole=True)


def hidden(path: Path, ending: str) -> Path:
    """A name beside ``path`` that :func:`is_hidden` knows again."""
    return path.with_name(f".{path.name}.{_token(path.name, uuid.uuid4().hex[:8])}.{ending}")


def is_hidden(place: Path, path: Path) -> bool:
    """Whether :func:`hidden` made a name for ``path``; no date or word of somebody else is one."""
    token = place.suffixes[-2][1:]
    return token == _token(path.name, token[:8])


def maybe_half_written(folder: Path) -> list[str]:
    """Names in a folder as earlier versions gave them to what they were writing: eight digits by
    chance, as others' names may have, too, so that nothing may remove them."""
    name = re.compile(r"\..+\.[0-9a-f]{8}\.(?:new|old|part)")
    return sorted(entry.name for entry in os.scandir(folder) if name.fullmatch(entry.name))


def _token(name: str, chance: str) -> str:
    return chance + hashlib.sha256(os.fsencode(f"SSRKD {name} {chance}")).hexdigest()[:8]


def remove_scratch(folder: Path) -> None:
    """Remove a folder that this program made for itself, and everything in it. Nothing else in
    the program removes folders that are not empty."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_parents(path: Path) -> Iterator[None]:
    """Make the folders above a path; those that are new go again where the block raises.

    Raises:
        OutputError: they cannot be made.
    """
    missing = [folder for folder in path.parents if not os.path.exists(folder)]
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # not empty: someone else uses it by now
                folder.rmdir()
        raise


@contextmanager
def folder_lock(path: Path) -> Iterator[None]:
    """One process at a time replaces a folder."""
    place = path.with_name(f".{path.name}.lock")
    lock = None
    try:
        lock = acquire_lock(place)
        yield
    finally:
        release_lock(place, lock)


def acquire_lock(place: Path, wait: bool = True) -> int | None:
    """Make a file and lock it, where it is no link; None where someone else holds it and ``wait``
    is not set."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    while True:
        handle = os.open(place, flags, 0o666)
        try:
            taken = _take_lock(handle, wait)
            with suppress(FileNotFoundError):
                if taken and os.path.samestat(os.fstat(handle), os.stat(place)):
                    return handle
        except BaseException:  # a signal that ends the process, for one
            os.close(handle)
            raise
        os.close(handle)  # someone else holds it, or who held it before removed it
        if not taken:
            return None


def release_lock(place: Path, handle: int | None, whole: bool = False) -> None:
    """Unlock a file and remove it where it is empty, as locks are; ``whole``: whatever it holds.
    Without a handle, as where a signal came while it was taken, where nobody else holds it."""
    if handle is None:
        with suppress(OSError):
            handle = acquire_lock(place, wait=False)
    if handle is None:
        return
    status = os.fstat(handle)
    ours = stat.S_ISREG(status.st_mode) and (whole or status.st_size == 0)
    if _WINDOWS:  # open files cannot be removed there
        os.close(handle)
    with suppress(OSError):
        if ours:
            place.unlink()
    if not _WINDOWS:
        os.close(handle)


def _take_lock(handle: int, wait: bool) -> bool:
    """Lock an open file until it is closed or the process ends, however that comes.

    Where the file system has no locks, who waits goes on without and who does not gets none.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                if not wait or error.errno not in (errno.EACCES, errno.EDEADLK):
                    return wait
                time.sleep(0.05)
            else:
                return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return wait
    return True

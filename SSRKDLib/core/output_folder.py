"""Result folders: written completely or not at all, and nothing of the user's is lost.

The one rule is: delete or replace only what this program wrote and what is unchanged since. When a
folder is replaced, the files that its manifest names are, and nothing else: what the user added
stays, and where the user changed a file, the folder is left alone and the file is named.

A new result is written to a hidden folder beside its place, ``.NAME.xxxxxxxx.new``. To take its
place, the earlier one steps aside (``.NAME.xxxxxxxx.old``), what the user added to that moves over,
and the new one is renamed. Where a process is killed in between, the next one that uses the same
place brings the earlier result back (:func:`recover`). A process that is at work holds a lock on
``.NAME.xxxxxxxx.lock``, which the operating system releases however the process ends; who replaces
holds one on ``.NAME.lock`` meanwhile.

Only what has a name that this program made is cleared, and no link is followed. Earlier versions'
names had eight digits by chance, as a date has; of these, what a manifest names comes back.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.output_file import (
    Content,
    acquire_lock,
    cannot_write,
    folder_lock,
    hidden,
    is_elsewhere,
    is_hidden,
    new_parents,
    release_lock,
    remove_scratch,
    resolved,
    write_file,
)
from SSRKDLib.core.output_manifest import (
    MANIFEST,
    ResultKind,
    file_hash,
    file_hashes,
    foreign_names,
    not_written,
    own_files,
    read_manifest,
    recorded_files,
    unchanged_files,
    write_manifest,
)

#: The new folders of this process that have not taken their places, and these.
_begun: dict[Path, Path] = {}


@contextmanager
def replaced_folder(
    path: str | os.PathLike, kind: ResultKind, inputs: Iterable[str | os.PathLike] = ()
) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``path`` when the block ends well.

    What an earlier result of the same kind consists of is replaced; other files and folders stay
    where they are, also those that come into ``path`` while the block runs. Where the block raises,
    ``path`` is left alone and nothing stays behind, new parent folders included. A link to a folder
    is followed.

    Args:
        path: where the result belongs.
        kind: what is written.
        inputs: files and folders that must not lie in ``path``.

    Raises:
        OutputError: ``path`` cannot be written, or contains something that must not be replaced: no
            result of this kind, a result that was changed since, an input; or it is a file, the
            working folder, the home folder or a folder above one of these.
    """
    path = resolved(path)
    recover(path)
    _check_place(path, inputs)
    before = _own_files(path, kind)
    with new_parents(path), _new_folder(path) as fresh:
        try:
            yield fresh
            written = file_hashes(fresh)
            write_manifest(fresh, kind, written)
            _flush(fresh, written)
            with folder_lock(path):
                _recover_all(path)  # who held the lock before may have been killed
                try:
                    _take_place(fresh, path, kind, before, written)
                finally:
                    _settle(fresh, path)
        except OutputError as error:
            old = str(fresh.with_suffix(".old"))
            cause = error.cause.replace(str(fresh), str(path)).replace(old, str(path))
            raise OutputError(cause, error.remedy) from error
        except OSError as error:
            if is_elsewhere(error, path):  # an input of what is written
                raise
            raise cannot_write(path, error) from error


def _own_files(path: Path, kind: ResultKind) -> dict[str, str]:
    """As :func:`own_files`, while no other process replaces the folder: its manifest and its files
    are of the same result."""
    if not os.path.isdir(path):
        return {}
    try:
        with folder_lock(path):
            return own_files(path, kind)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside ``path``, held by a lock; it goes unless it took its place."""
    fresh = hidden(path, "new")
    lock = fresh.with_suffix(".lock")
    handle = None
    _begun[fresh] = path
    try:
        try:
            handle = acquire_lock(lock)
            fresh.mkdir()
        except OSError as error:
            raise cannot_write(path, error) from error
        yield fresh
    finally:
        _clear(fresh)
        release_lock(lock, handle)
        del _begun[fresh]


def abandon() -> None:
    """Remove what this process has begun, where it ends without unwinding."""
    for fresh, path in list(_begun.items()):
        with suppress(OSError), folder_lock(path):
            _settle(fresh, path)
            _clear(fresh)
            fresh.with_suffix(".lock").unlink(missing_ok=True)


def grown_folder(folder: Path, kind: ResultKind, names: Iterable[str]) -> None:
    """Make a folder that :func:`write_into` is to write these files into, and check that it may.

    Raises:
        OutputError: see :func:`check_files`; or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    check_files(folder, kind, names)


def write_into(folder: Path, kind: ResultKind, name: str, content: Content) -> None:
    """Write a file into a result folder that grows, completely or not at all.

    The folder must exist. Several processes may write into it.

    Raises:
        OutputError: see :func:`check_files`; or the file cannot be written.
    """
    buffer = BytesIO()
    if callable(content):
        content(buffer)
    else:
        buffer.write(content.encode() if isinstance(content, str) else content)
    try:
        with folder_lock(folder / MANIFEST):
            own = _own_in(folder, kind, [name])
            written = hashlib.sha256(buffer.getvalue()).hexdigest()
            before = {name: own[name]} if own.get(name, written) != written else {}
            write_manifest(folder, kind, {**own, name: written}, before)
            write_file(folder / name, buffer.getvalue())
    except OSError as error:
        raise cannot_write(folder, error) from error


def check_files(folder: Path, kind: ResultKind, names: Iterable[str]) -> None:
    """Whether :func:`write_into` could write these files, for checks before the work.

    Raises:
        OutputError: one of them was not written by this program, or was changed since; or the
            folder contains a result of another kind.
    """
    try:
        _own_in(folder, kind, names)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _own_in(folder: Path, kind: ResultKind, names: Iterable[str]) -> dict[str, str]:
    own = read_manifest(folder, kind, folder)
    if own is None:
        own = {name: digest for name in kind.earlier(folder) if (digest := file_hash(folder, name))}
    for name in names:
        found = file_hash(folder, name)
        if found is not None and name not in own:
            raise not_written(folder / name)
        unchanged_files(folder, {name: own.get(name, "")}, folder)
    return own


def recover(path: str | os.PathLike) -> None:
    """Bring to an end what processes that were killed left beside a result folder.

    An earlier result that had stepped aside comes back, and what they had begun is removed. What
    belongs to a process that is at work stays.

    Raises:
        OutputError: it cannot be brought back.
    """
    path = resolved(path)
    if not path.name or not os.path.isdir(path.parent):
        return
    try:
        if _begun_beside(path) or os.path.lexists(path.with_name(f".{path.name}.lock")):
            with folder_lock(path):
                _recover_all(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def recover_absent(paths: Iterable[str | Path]) -> None:
    """:func:`recover` those of the inputs that are not there: killed processes may have left them
    aside."""
    for path in paths:
        if not os.path.lexists(path):
            recover(path)


def recover_in(folder: Path) -> list[str]:
    """:func:`recover` every result folder in a folder; the names of those that needed it."""
    pattern = re.compile(r"\.(.+)\.[0-9a-f]+\.(?:new|old)")
    found = filter(None, (pattern.fullmatch(entry.name) for entry in os.scandir(folder)))
    names = {match.group(1) for match in found}
    begun = sorted(name for name in names if _begun_beside(folder / name))
    for name in begun:
        recover(folder / name)
    return begun


def _begun_beside(path: Path) -> list[Path]:
    """The new folders of this program, with or without earlier ones and locks, for ``path``."""
    name = re.compile(rf"\.{re.escape(path.name)}\.([0-9a-f]+)\.(?:new|old|lock)")
    found = [name.fullmatch(entry.name) for entry in os.scandir(path.parent)]
    tokens = {match.group(1) for match in found if match}
    begun = [path.with_name(f".{path.name}.{token}.new") for token in sorted(tokens)]
    return [fresh for fresh in begun if is_hidden(fresh, path) or _by_earlier_version(fresh, path)]


def _by_earlier_version(fresh: Path, path: Path) -> bool:
    """Whether an earlier version of this program left a result aside, and nothing replaced it."""
    with suppress(OSError, ValueError):
        recorded_files(fresh.with_suffix(".old"))
        return _is_folder(fresh.with_suffix(".old")) and not os.path.lexists(path / MANIFEST)
    return False


def _is_folder(path: Path) -> bool:
    """Links to folders are none: what is in there is somebody else's."""
    return path.is_dir() and not path.is_symlink()


def _recover_all(path: Path) -> None:
    for fresh in _begun_beside(path):
        _recover(fresh, path)


def _recover(fresh: Path, path: Path) -> None:
    lock = fresh.with_suffix(".lock")
    if (handle := acquire_lock(lock, wait=False)) is None:
        return  # its process is at work
    try:
        _settle(fresh, path)
        if is_hidden(fresh, path):
            _clear(fresh)
    finally:
        release_lock(lock, handle)


def _check_place(path: Path, inputs: Iterable[str | os.PathLike]) -> None:
    if os.path.lexists(path) and not os.path.isdir(path):
        raise OutputError("'{path}' is not a folder.", "Choose another output folder.", path=path)
    if os.path.ismount(path):
        raise OutputError(
            "'{path}' is the uppermost folder of a disk, which cannot be replaced.",
            "Choose a folder in it.",
            path=path,
        )
    kept = []
    with suppress(OSError):  # a working folder that was removed
        kept.append(Path.cwd().resolve())
    with suppress(RuntimeError, OSError):  # no home folder
        kept.append(Path.home().resolve())
    if any(path == folder or path in folder.parents for folder in kept):
        raise OutputError(
            "The output folder '{path}' is, or contains, the working folder or the home folder.",
            "Choose a folder that contains nothing but results.",
            path=path,
        )
    for source in inputs if os.path.isdir(path) else ():
        place = Path(os.path.realpath(source))
        if path == place or path in place.parents:
            raise OutputError(
                "The output folder '{path}' contains the input '{source}'.",
                "Choose another output folder.",
                path=path,
                source=source,
            )


def _take_place(
    fresh: Path, path: Path, kind: ResultKind, before: Mapping[str, str], written: Collection[str]
) -> None:
    """Put the new folder where ``path`` is; what is not this program's moves over.

    The old folder steps aside first and is looked at then, since nobody adds to it any more.
    """
    if _is_folder(path):
        old = fresh.with_suffix(".old")
        path.rename(old)
        recorded = read_manifest(old, kind, path)
        own = unchanged_files(old, before if recorded is None else recorded, path)
        foreign = foreign_names(old, own, written)
        for name in foreign:
            if any(other == name or other.startswith(f"{name}/") for other in written):
                raise not_written(path / name)
        if recorded is None:
            write_manifest(old, kind, own)
        fresh.chmod(stat.S_IMODE(old.stat().st_mode))
        for name in foreign:
            _move(old, fresh, name)
    fresh.rename(path)


def _settle(fresh: Path, path: Path) -> None:
    """Leave one folder at ``path``: the new one where it took its place, else the earlier one."""
    old = fresh.with_suffix(".old")
    if not _is_folder(old):
        return
    if _is_folder(fresh):
        if (fresh / MANIFEST).is_file():
            try:
                own = recorded_files(fresh)[1]
            except ValueError as error:  # what of it is the user's, nothing tells
                raise OSError(f"'{fresh / MANIFEST}' is damaged") from error
            for name in foreign_names(fresh, own, ()):
                _move(fresh, old, name)
    elif (path / MANIFEST).is_file():
        _remove_own(old)
    if _is_folder(old):
        # Somebody may have put something else there after the process was killed.
        taken = os.path.lexists(path)
        old.rename(path.with_name(f"{path.name}.earlier{old.suffixes[-2]}") if taken else path)


def _move(source: Path, target: Path, name: str) -> None:
    if os.path.lexists(target / name):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target / name))
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (source / name).rename(target / name)


def _remove_own(folder: Path) -> None:
    """Remove what a folder's manifest names and is unchanged; the folder too where that was all."""
    with suppress(ValueError):
        files = recorded_files(folder)[1] if (folder / MANIFEST).is_file() else {}
        for name, digest in files.items():
            if file_hash(folder, name) == digest:
                (folder / name).unlink()
        for place, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):  # not empty
                os.rmdir(place)
        # Last, so that a process that is killed in between leaves what the next one recognises.
        (folder / MANIFEST).unlink(missing_ok=True)
    with suppress(OSError):  # not empty
        folder.rmdir()


def _flush(folder: Path, names: Iterable[str]) -> None:
    """Have the disk hold the files, so that a power cut after the renames leaves no empty ones."""
    for name in names:
        with (folder / name).open("rb+") as stream:
            os.fsync(stream.fileno())


def _clear(fresh: Path) -> None:
    """Remove a new folder that did not take its place; everything in it is this process's."""
    if not os.path.lexists(fresh.with_suffix(".old")):
        remove_scratch(fresh)

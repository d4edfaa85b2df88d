"""Files written by several processes, over special files, and on systems without ``fcntl``."""

from __future__ import annotations

import errno
import os
import sys
from types import SimpleNamespace

import pytest

from SSRKDLib.core import output_file
from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.output_file import acquire_lock, cannot_write, release_lock, write_file


def test_another_writer_that_clears_up_takes_nothing_away(tmp_path, monkeypatch):
    """Between the making of the file and its lock, another process may hold it for abandoned."""
    real, path = output_file._take_lock, tmp_path / "file"

    def late(handle, wait):
        monkeypatch.setattr(output_file, "_take_lock", real)
        output_file._clear_parts(path)
        return real(handle, wait)

    monkeypatch.setattr(output_file, "_take_lock", late)
    write_file(path, "text")
    assert path.read_text() == "text" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("moment", ["os.open", "_take_lock"])
def test_a_signal_while_a_lock_is_taken_leaves_none(tmp_path, monkeypatch, moment):
    """Its handler raises between the call that made or locked the file and what follows."""
    folder, name = (os, "open") if moment == "os.open" else (output_file, moment)
    real = getattr(folder, name)

    def interrupted(*arguments):
        monkeypatch.setattr(folder, name, real)
        real(*arguments)
        raise SystemExit(143)

    monkeypatch.setattr(folder, name, interrupted)
    with pytest.raises(SystemExit), output_file.folder_lock(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no such files")
def test_what_is_not_a_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OutputError, match=f"{name}' is not a file"):
            write_file(tmp_path / name, "text")
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "folder").is_dir()


@pytest.fixture
def windows(monkeypatch):
    """Windows' locks: a file that is open cannot be removed. Errors to raise are in its list."""
    errors, unlink = [], os.unlink
    is_open = set()

    def locking(handle, mode, count):
        if errors:
            raise OSError(errors.pop(), "locking")
        is_open.add(handle)

    def refuse(path, *args, **kwargs):
        for handle in is_open:
            try:
                same = os.path.samestat(os.fstat(handle), os.stat(path))
            except OSError:  # closed, or gone
                continue
            if same:
                raise PermissionError(errno.EACCES, "in use")
        return unlink(path, *args, **kwargs)

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(output_file, "_WINDOWS", True)
    return errors


def test_what_killed_processes_left_is_removed_on_windows_too(tmp_path, windows):
    output_file.hidden(tmp_path / "file", "part").write_text("half")
    write_file(tmp_path / "file", "text")
    assert os.listdir(tmp_path) == ["file"]


def test_locks_of_windows(tmp_path, windows, monkeypatch):
    place, waits = tmp_path / "lock", []
    monkeypatch.setattr(output_file.time, "sleep", waits.append)
    windows += [errno.EACCES, errno.EDEADLK]
    release_lock(place, acquire_lock(place))  # waits for whoever holds it
    assert len(waits) == 2
    windows += [errno.EACCES]
    assert acquire_lock(place, wait=False) is None
    windows += [errno.EINVAL]
    release_lock(place, acquire_lock(place))  # a disk without locks
    assert len(waits) == 2


def test_a_full_disk_is_told_whoever_wraps_the_error(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped = OSError("With tag (7FE0,0010) got exception\nTraceback")  # as pydicom does
    wrapped.__cause__ = full
    assert str(cannot_write(tmp_path, wrapped)) == str(cannot_write(tmp_path, full))
    few = OSError(errno.EMFILE, "Too many open files")
    assert str(cannot_write(tmp_path, few)).startswith("Too many files are open. Close other")

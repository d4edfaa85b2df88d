"""Whatever a file does to its reader, the user gets a sentence and the next file is read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from SSRKDLib.core import reading_child
from SSRKDLib.core.errors import ImageError, MissingDependencyError
from Testing.support import ill_readers

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


def test_result_is_the_functions_own_and_libraries_are_not_heard(tmp_path, capfd):
    first, second = (ill_readers.good(tmp_path / "a", factor=factor) for factor in (1, 2))
    assert first["path"] == tmp_path / "a"
    assert first["array"].dtype == np.dtype(">u2") and first["array"].flags.writeable
    np.testing.assert_array_equal(second["array"], [[0, 2, 4], [6, 8, 10]])
    assert first["process"] == second["process"] != os.getpid()
    assert capfd.readouterr() == ("", "")


@POSIX
@pytest.mark.parametrize(
    ("reader", "said"),
    [
        ("crash", r"ended the process that reads it \(SIGSEGV\)"),
        ("leave", r"ended the process that reads it \(exit code 7\)"),
        ("spin", r"takes longer to read than a file of its size may \(1 s\)"),
        ("sleep", r"takes longer to read than a file of its size may \(1 s\)"),
        ("hog", "needs more memory, or space"),
        ("fill", "needs more memory, or space"),
        ("bar", r"cannot be read \(Permission denied\). Check that"),
        ("brim", r"temporary file cannot be written \(No space left on device\). Make space in /"),
        ("nest", r"cannot be read \(RecursionError\)"),
        ("refuse", "It is blue. Paint it grey."),
    ],
)
def test_what_a_file_does_to_its_reader_is_one_error(reader, said, tmp_path, monkeypatch):
    monkeypatch.setattr(reading_child, "_SECONDS", 1)
    monkeypatch.setattr(reading_child, "_CLOCK", 2)
    with pytest.raises(ImageError, match=said):
        getattr(ill_readers, reader)(tmp_path / "a")
    assert ill_readers.good(tmp_path / "b")["path"] == tmp_path / "b"


@POSIX
def test_a_child_that_is_killed_leaves_no_temporary_file(tmp_path):
    with pytest.raises(ImageError, match="SIGKILL"):
        ill_readers.drop(tmp_path / "name")
    left = Path((tmp_path / "name").read_text())
    assert left.suffix == ".dcm" and not left.exists() and not left.parent.exists()


def test_a_computer_without_a_temporary_folder_reads_what_needs_none(tmp_path, monkeypatch):
    def fail(**_):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(reading_child.tempfile, "mkdtemp", fail)
    assert ill_readers.good(tmp_path / "a")["path"] == tmp_path / "a"


def test_a_package_that_does_not_load_is_no_fault_of_the_file(tmp_path):
    with pytest.raises(MissingDependencyError, match=r"does not load \(DLL load failed\)"):
        ill_readers.lack(tmp_path / "a")


@POSIX
def test_memory_is_watched_where_the_system_does_not_limit_it(tmp_path, monkeypatch):
    pytest.importorskip("psutil")
    monkeypatch.setattr(reading_child.sys, "platform", "darwin")
    monkeypatch.setattr(reading_child, "_MEMORY", -1)
    with pytest.raises(ImageError, match="ended the process that reads it"):
        ill_readers.spin(tmp_path / "a")


def test_threads_take_turns(tmp_path):
    found = {}

    def read(n):
        found[n] = ill_readers.good(tmp_path / str(n), n)["array"][1, 2]

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: 5 * n for n in range(8)}


@POSIX
def test_the_child_goes_with_its_parent(tmp_path):
    code = (
        "import os, sys; from Testing.support import ill_readers\n"
        "print(ill_readers.good('a')['process'], flush=True); os.kill(os.getpid(), 9)"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    child = int(made.stdout)
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        with open(f"/proc/{child}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "Z":
                break
        time.sleep(0.1)
    else:
        raise AssertionError("the child is still there")
    assert not os.listdir(tmp_path)  # nor its temporary folder

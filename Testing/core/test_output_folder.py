"""Result folders: only what this program wrote and nobody changed since is replaced or removed."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from SSRKDLib.core import output_folder
from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.output_file import acquire_lock, hidden, write_file
from SSRKDLib.core.output_folder import (
    check_files,
    recover,
    recover_in,
    replaced_folder,
    write_into,
)
from SSRKDLib.core.output_manifest import MANIFEST, ResultKind
from Testing.support.command_checks import tree

ROOT = Path(__file__).resolve().parents[2]

KIND = ResultKind("test")
OLD = {"a.txt": "old a", "below/b.txt": "old b", "gone.txt": "not written again"}
NEW = {"a.txt": "new a", "below/b.txt": "new b"}


def write(path: Path, files: dict[str, str], kind: ResultKind = KIND) -> None:
    with replaced_folder(path, kind) as folder:
        fill(folder, files)


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    """The files in a folder but the manifest."""
    files = {name: data.decode() for name, data in tree(folder).items() if data is not None}
    files.pop(MANIFEST, None)
    return files


@pytest.fixture
def out(tmp_path) -> Path:
    """An earlier result, alone in its folder."""
    write(tmp_path / "here" / "out", OLD)
    return tmp_path / "here" / "out"


def alone(out: Path) -> bool:
    return [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_result_says_what_belongs_to_it(out):
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["written_by"].startswith("SSRKD ") and manifest["kind"] == "test"
    assert list(manifest["files"]) == sorted(OLD)
    assert all(len(digest) == 64 for digest in manifest["files"].values())
    write(out, NEW)
    assert contents(out) == NEW and alone(out)


def test_what_the_user_adds_stays(out):
    added = {
        "notes.txt": "mine", "below/notes.txt": "mine too", "edited/deep/femur.stl": "mine as well",
    }  # fmt: skip
    fill(out, added)
    (out / "empty").mkdir()
    (out / "link").symlink_to(out.parent)
    (out / "notes.txt").chmod(0o640)
    out.chmod(0o700)
    write(out, NEW)
    assert contents(out) == NEW | added and alone(out)
    assert (out / "empty").is_dir() and os.readlink(out / "link") == str(out.parent)
    assert (out / "notes.txt").stat().st_mode & 0o777 == 0o640
    assert out.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("how", ["changed", "a link", "a folder"])
def test_a_file_that_was_changed_is_refused_by_name(out, when, how):
    def change():
        place = out / "below" / "b.txt"
        place.unlink()
        if how == "changed":
            place.write_text("better")
        elif how == "a link":
            place.symlink_to(out / "a.txt")
        else:
            fill(out, {"below/b.txt/mine.txt": "mine"})

    if when == "before":
        change()
    changed = pytest.raises(OutputError, match=r"b\.txt' was changed")
    with changed, replaced_folder(out, KIND) as folder:
        assert when == "meanwhile", "refused before the work"
        fill(folder, NEW)
        change()
        before = tree(out)
    if when == "meanwhile":
        assert tree(out) == before
    assert (out / "a.txt").read_text() == "old a" and alone(out)


def test_what_the_user_moved_out_and_linked_back_stays(out):
    (out / "below").rename(out.parent / "kept")
    (out / "below").symlink_to(out.parent / "kept")
    with pytest.raises(OutputError, match="below' was not written"):
        write(out, NEW)
    assert (out.parent / "kept" / "b.txt").read_text() == "old b"
    write(out, {"a.txt": "new a"})
    assert (out / "below" / "b.txt").read_text() == "old b"


def test_what_comes_meanwhile_stays(tmp_path):
    out = tmp_path / "here" / "out"
    with replaced_folder(out, KIND) as folder:
        fill(folder, NEW)
        fill(out, {"users.txt": "mine", "below/users.txt": "mine too"})
    assert contents(out) == {**NEW, "users.txt": "mine", "below/users.txt": "mine too"}
    assert alone(out)


@pytest.mark.parametrize("taken", ["a.txt", "below"])
def test_a_file_of_the_user_with_a_name_of_ours_stays(tmp_path, taken):
    out = tmp_path / "here" / "out"
    refused = pytest.raises(OutputError, match=f"{taken}' was not written by this program")
    with refused, replaced_folder(out, KIND) as folder:
        fill(folder, NEW)
        fill(out, {taken: "mine", "other.txt": "mine too"})
    assert tree(out) == {taken: b"mine", "other.txt": b"mine too"} and alone(out)


def test_a_folder_of_somebody_else_s_is_refused(tmp_path, out):
    study = tmp_path / "study"
    fill(study, {"report.json": '{"tool": "other"}', "thesis.docx": "years", "raw/ct.nii": "ct"})
    fill(tmp_path / "damaged", {MANIFEST: "{", "a.txt": "mine"})
    fill(tmp_path / "lying", {MANIFEST: json.dumps({"kind": "test", "files": {"../x": "0"}})})
    before = tree(tmp_path)
    for path, word in (
        (study, "raw"), (tmp_path / "damaged", "damaged"), (tmp_path / "lying", "damaged"),
    ):  # fmt: skip
        with pytest.raises(OutputError, match=word):
            write(path, NEW)
    with pytest.raises(OutputError, match=r"another kind \(test, not other\)"):
        write(out, NEW, ResultKind("other"))
    assert tree(tmp_path) == before


def test_results_of_earlier_versions_count_only_where_they_are_alone(tmp_path):
    kind = ResultKind("test", lambda folder: {"a.txt", "below/b.txt"})
    out = tmp_path / "here" / "out"
    fill(out, {"a.txt": "old a", "c.txt": "not ours"})
    with pytest.raises(OutputError, match=r"c\.txt"):
        write(out, NEW, kind)
    (out / "c.txt").unlink()
    with pytest.raises(KeyboardInterrupt), replaced_folder(out, kind):
        raise KeyboardInterrupt
    assert tree(out) == {"a.txt": b"old a"}
    with pytest.raises(OutputError, match=r"a\.txt' was changed"), replaced_folder(out, kind):
        (out / "a.txt").write_text("mine")
    (out / "a.txt").write_text("old a")
    with replaced_folder(out, kind) as folder:
        fill(folder, NEW)
        (out / "c.txt").write_text("mine")
    assert contents(out) == {**NEW, "c.txt": "mine"} and alone(out)


def test_a_link_to_a_folder_is_followed(out, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(out)
    write(link, NEW)
    assert link.is_symlink() and contents(out) == NEW and alone(out)
    link.unlink()
    link.symlink_to(out / "a.txt")
    with pytest.raises(OutputError, match="not a folder"):
        write(link, NEW)


@pytest.mark.parametrize(
    ("number", "word"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "permission"), (errno.EIO, "Input/output")],
)
def test_a_full_disk_and_missing_permission_are_told_apart(out, monkeypatch, number, word):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    before = tree(out)
    for name in ("mkdir", "rename"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, fail)
            with pytest.raises(OutputError, match=word):
                write(out, NEW)
    assert tree(out) == before and alone(out)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError, match=rf"^'{out}\b.*{word}"):
            write(out, NEW)  # fails at its manifest
        with pytest.raises(OutputError, match=word):
            write_file(out.parent / "file", "text")
    assert alone(out)


def test_files_and_the_working_folder_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for place in (
        tmp_path / "file", tmp_path, tmp_path / "work", tmp_path / "file" / "below", Path("/"),
    ):  # fmt: skip
        with pytest.raises(OutputError), replaced_folder(place, KIND):
            pass
    with pytest.raises(KeyboardInterrupt), replaced_folder(tmp_path / "new", KIND) as folder:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "work"]


# Killed processes -------------------------------------------------------------------------

#: Writes NEW over OUT, and is killed at the n-th call of a method of Path, or waits in the middle.
PROCESS = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from Testing.core.test_output_folder import KIND, NEW, fill, replaced_folder

out, method, calls = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
real = getattr(Path, method)

def called(path, *words, **options):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(path, *words, **options)

setattr(Path, method, called)
with replaced_folder(out, KIND) as folder:
    fill(folder, NEW)
    if not calls:
        print("at work", flush=True)
        time.sleep(600)
"""


def process(out: Path, method: str, calls: int) -> subprocess.Popen:
    command = [sys.executable, "-c", PROCESS.format(root=str(ROOT)), str(out), method, str(calls)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


ADDED = {"notes.txt": "mine", "below/notes.txt": "mine too", "edited/femur.stl": "mine as well"}


#: The old folder steps aside, three things of the user's move over, the new one takes its place;
#: then the three old files are removed, their manifest, and what was their folder.
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(
    ("method", "calls"),
    [*(("rename", n) for n in range(1, 6)), *(("unlink", n) for n in range(3, 7)), ("rmdir", 1)],
)
def test_killed_at_any_point_one_result_is_there_and_nothing_hidden(out, method, calls):
    fill(out, ADDED)
    assert process(out, method, calls).wait() == -signal.SIGKILL
    recover(out)
    assert contents(out) == (OLD if method == "rename" else NEW) | ADDED and alone(out)
    write(out, NEW)
    assert contents(out) == NEW | ADDED and alone(out)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_who_waits_for_a_process_that_is_killed_recovers_first(out):
    fill(out, ADDED)
    with replaced_folder(out, KIND) as folder:
        fill(folder, NEW)
        assert process(out, "rename", 5).wait() == -signal.SIGKILL
        assert not out.exists()
    assert contents(out) == NEW | ADDED and alone(out)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_at_work_is_left_alone_and_cleared_up_after(out):
    with process(out, "rename", 0) as other:
        assert other.stdout.readline() == b"at work\n"
        (fresh,) = out.parent.glob(".out.*.new")
        write(out, {"a.txt": "mine"})
        assert fresh.is_dir()
        other.kill()
    write(out, {"a.txt": "newest"})
    assert contents(out) == {"a.txt": "newest"} and alone(out)


def test_a_folder_is_looked_at_while_nobody_replaces_it(out, monkeypatch):
    """Else the manifest of one result would be compared with the files of the next."""
    real, others = output_folder.own_files, []

    def look(path, kind):
        lock = path.with_name(f".{path.name}.lock")
        others.append(acquire_lock(lock, wait=False))
        return real(path, kind)

    monkeypatch.setattr(output_folder, "own_files", look)
    write(out, NEW)
    assert others == [None] and contents(out) == NEW and alone(out)


def test_what_earlier_versions_left_comes_back_and_what_nothing_names_stays(out):
    fresh = out.with_name(".out.20251101.new")
    out.rename(fresh.with_suffix(".old"))
    fill(fresh, {"half": ""})
    recover(out)
    assert contents(out) == OLD and contents(fresh) == {"half": ""}
    fill(fresh.with_suffix(".old"), {"mine": ""})
    fresh.with_suffix(".lock").touch()
    os.utime(fresh, (0, 0))
    before = tree(out.parent)
    recover(out)
    write(out, OLD)
    assert recover_in(out.parent) == [] and tree(out.parent) == before


def test_empty_folders_of_a_replaced_result_do_not_come_back(out):
    """Its process was killed when the files of the replaced result were gone."""
    (hidden(out, "old") / "below").mkdir(parents=True)
    recover(out)
    assert contents(out) == OLD and alone(out)


def test_what_the_user_put_in_the_place_of_a_hidden_result_stays(out):
    out.rename(hidden(out, "old"))
    fill(out, {"users.txt": "mine"})
    with pytest.raises(OutputError, match="users"):
        write(out, NEW)
    assert tree(out) == {"users.txt": b"mine"}
    # The result without what was recorded would be as good as lost: nothing replaced it.
    found = [path for path in out.parent.iterdir() if path != out]
    assert [contents(path) for path in found] == [OLD]
    assert not found[0].name.startswith(".")


def test_a_folder_grows_file_by_file(tmp_path, monkeypatch):
    write_into(tmp_path, KIND, "a.txt", "old a")
    write_into(tmp_path, KIND, "a.txt", "new a")
    (tmp_path / "b.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"b\.txt' was not written"):
        write_into(tmp_path, KIND, "b.txt", "ours")
    real = Path.replace

    def killed(path, target):
        if target.name == "a.txt":
            raise KeyboardInterrupt
        return real(path, target)

    # In between, the manifest knows both what the file is and what it was about to be.
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        write_into(tmp_path, KIND, "a.txt", "newer a")
    assert (tmp_path / "a.txt").read_text() == "new a"
    write_into(tmp_path, KIND, "a.txt", "newest a")
    (tmp_path / "a.txt").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"a\.txt' was changed"):
        write_into(tmp_path, KIND, "a.txt", "ours")
    with pytest.raises(OutputError, match="another kind"):
        check_files(tmp_path, ResultKind("other"), ["c.txt"])
    assert tree(tmp_path) == before


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"

    def fail(stream):
        stream.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, fail)
    assert not list(tmp_path.iterdir())
    hidden(path, "part").write_bytes(b"of a process that was killed")
    (tmp_path / ".file.20251101.part").write_bytes(b"mine")
    write_file(path, "text\n")
    path.chmod(0o600)
    write_file(path, lambda stream: np.save(stream, np.arange(3)))
    assert np.load(path).tolist() == [0, 1, 2] and path.stat().st_mode & 0o777 == 0o600
    assert set(os.listdir(tmp_path)) == {"file", ".file.20251101.part"}
    (tmp_path / "link").symlink_to(path)
    write_file(tmp_path / "link", b"bytes")
    assert path.read_bytes() == b"bytes" and (tmp_path / "link").is_symlink()

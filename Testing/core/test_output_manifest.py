"""Manifests and folders that are not what this program left: refused, and nothing is touched."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from SSRKDLib.core import output_manifest
from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.output_file import hidden
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.core.output_manifest import MANIFEST, ResultKind
from Testing.support.command_checks import tree

KIND = ResultKind("test", lambda folder: {"report.json"})


def write(path: Path) -> None:
    with replaced_folder(path, KIND) as folder:
        (folder / "report.json").write_text("new")


@pytest.mark.parametrize(
    "name",
    ["", ".", "../mine.txt", "sub/../../mine.txt", "/etc/passwd", "a\0b", "\ud800", MANIFEST],
)
def test_a_manifest_with_an_impossible_name_is_damaged(tmp_path, name):
    out = tmp_path / "here" / "out"
    out.mkdir(parents=True)
    files = {name: "0" * 64}
    (out / MANIFEST).write_text(json.dumps({"kind": "test", "files": files}))
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="damaged"):
        write(out)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "text",
    ["", "[]", "[" * 100_000, "\xff", '{"kind": 1, "files": {}}',
     '{"kind": "test", "files": {}, "replaced": [1]}'],
)  # fmt: skip
def test_a_manifest_that_is_none_is_damaged(tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(OutputError, match="damaged"):
        write(tmp_path / "out")


@pytest.mark.parametrize("digest", ["", "None", None, "0" * 63])
def test_a_folder_of_the_user_s_in_a_manifest_stays(tmp_path, digest):
    """What is not a file has no digest, and must not agree with a manifest without one."""
    out = tmp_path / "here" / "out"
    (out / "mine").mkdir(parents=True)
    (out / "mine" / "thesis.txt").write_text("years")
    (out / MANIFEST).write_text(json.dumps({"kind": "test", "files": {"mine": digest}}))
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="damaged"):
        write(out)
    assert tree(tmp_path) == before


def test_a_folder_of_somebody_else_s_is_not_read_through(tmp_path, monkeypatch):
    """Refusing a folder with 100 GB in it takes no longer than listing it."""
    (tmp_path / "report.json").write_text("as ours")
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "large.nii").write_text("not to be read")
    read = []
    real = output_manifest.file_hash
    monkeypatch.setattr(
        output_manifest, "file_hash", lambda folder, name: read.append(name) or real(folder, name)
    )
    with pytest.raises(OutputError, match=r"contains other things than an earlier result \('ct'\)"):
        write(tmp_path)
    assert read == ["report.json"]


def test_a_hidden_folder_with_a_damaged_manifest_stays(tmp_path):
    """The user's files may have moved into it before its process was killed."""
    fresh = hidden(tmp_path / "here" / "out", "new")
    for ending in ("new", "old"):
        folder = fresh.with_suffix(f".{ending}")
        folder.mkdir(parents=True)
        (folder / "mine.txt").write_text("mine")
        (folder / MANIFEST).write_text("{")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"\.new/.*' is damaged"):
        write(tmp_path / "here" / "out")
    assert tree(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="permissions")
@pytest.mark.parametrize("name", ["out", "new/out"])
def test_a_folder_that_may_not_be_entered_is_refused(tmp_path, name):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    user = os.geteuid()
    if user == 0:  # who may enter everything
        os.seteuid(65534)
    try:
        with pytest.raises(OutputError, match="permission is missing"):
            write(closed / name)
    finally:
        os.seteuid(user)
    closed.chmod(0o700)
    assert not list(closed.iterdir())

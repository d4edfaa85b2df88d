"""Files of a training that cannot be read or written are told as what they are."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

from SSRKDLib.training import command  # noqa: E402
from SSRKDLib.training.data import case_datasets  # noqa: E402
from Testing.support.small_trainings import arguments  # noqa: E402


def test_a_full_disk_leaves_no_torn_checkpoint(processed, tmp_path, monkeypatch, capsys):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert command.run(arguments("segmentation", processed, tmp_path / "run", 1)) == 2
    assert "ckpt' cannot be written: the disk is full" in capsys.readouterr().err
    assert not list((tmp_path / "run").rglob("*.ckpt*"))


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("data.npz", "A training's file cannot be opened ([Errno 2] Gone: 'data.npz')"),
        ("run/config.yaml", "'run/config.yaml' cannot be written (Gone)"),
    ],
)
def test_only_files_of_the_output_are_said_not_to_be_written(
    processed, tmp_path, monkeypatch, capsys, gone, told
):
    def vanished(folder):
        raise FileNotFoundError(errno.ENOENT, "Gone", gone)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(case_datasets, "read_radiographs", vanished)
    assert command.run(arguments("segmentation", processed, Path("run"), 1)) == 2
    assert told in capsys.readouterr().err

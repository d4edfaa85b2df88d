"""Removing imported weights: nothing that a person put into the weights folder goes with them."""

import errno
from pathlib import Path

import pytest

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.weights import catalogue
from SSRKDLib.weights.bundle import MANIFEST
from Testing.support.command_checks import tree
from Testing.support.weights_checks import use_only


def test_only_files_that_an_import_wrote_are_removed(tmp_path, monkeypatch):
    user = use_only(tmp_path, monkeypatch)
    by_hand = user / "mine"
    by_hand.mkdir(parents=True)
    (by_hand / MANIFEST).write_text("{}")
    (by_hand / "notes.txt").write_text("a year's work")
    (user / "imported.zip").write_bytes(b"PK\x03\x04".ljust(30, b"\0") + b"bundle.json, cut off")
    (user / "photos.zip").write_bytes(b"PK\x03\x04".ljust(30, b"\0") + b"holiday.jpg")
    before = tree(by_hand)
    removable = {info.name: info.removable for info in catalogue.list_bundles()}
    assert removable == {"mine": False, "imported": True, "photos": False}
    for name in ("mine", "photos", "none-such", user.name):
        with pytest.raises(WeightsError, match="by hand"):
            catalogue.remove_bundle(name)
    assert tree(by_hand) == before
    catalogue.remove_bundle("imported")
    assert not (user / "imported.zip").exists() and tree(by_hand) == before


def test_a_folder_that_may_not_be_opened_hides_no_other_weights(tmp_path, monkeypatch):
    user = use_only(tmp_path, monkeypatch)
    (user / "barred").mkdir(parents=True)
    (user / "good").mkdir()
    (user / "good" / MANIFEST).write_text("{}")
    is_file = Path.is_file

    def barred(path):
        if path.parent.name == "barred":
            raise PermissionError(errno.EACCES, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", barred)
    problems = {info.name: info.problem for info in catalogue.list_bundles()}
    assert problems.keys() == {"barred", "good"} and "Permission denied" in problems["barred"]

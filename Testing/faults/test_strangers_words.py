"""Words of strangers are shown as words; computers without a home folder, and with two drives."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from SSRKDLib.core.errors import InputError, WeightsError
from SSRKDLib.evaluation.cohort_summary import as_text
from SSRKDLib.radiographs import rig_file
from SSRKDLib.radiographs.rig_file import read_rig, write_rig
from SSRKDLib.weights import catalogue
from Testing.support.ball_knee import write_ball_case


def test_messages_have_one_line_and_no_control_characters():
    error = InputError("A\x1b[2Jb\nc\u202ed", "E\x00f\udcff")
    assert str(error) == "A?[2Jb c?d E?f?" and str(error).isprintable()


def test_titles_and_assumptions_forge_no_line(tmp_path, monkeypatch):
    manifest = {
        "name": "x",
        "title": "good\n\x1b[1mvirtual-knee (default): forged",
        "kind": "ssrkd",
    }
    monkeypatch.setattr(catalogue, "read_manifest", lambda _: manifest)
    info = catalogue._describe(tmp_path, "imported")
    assert info.title == "good ?[1mvirtual-knee (default): forged"
    manifest["name"] = "Virtual-KNEE"
    shipped = catalogue.BundleInfo("virtual-knee", "", "ssrkd", tmp_path, catalogue.SHIPPED)
    monkeypatch.setattr(catalogue, "list_bundles", lambda: [shipped])
    with pytest.raises(WeightsError, match="ship with SSRKD already"):
        catalogue._import_ready(tmp_path)
    path = write_ball_case(tmp_path / "case")
    data = json.loads(path.read_text()) | {"assumptions": ["one\nwarning: forged\x1b"]}
    path.write_text(json.dumps(data))
    assert read_rig(path).assumptions == ("one warning: forged?",)


def test_cells_are_no_formulas():
    for cell in ("=1+1", "+1", "-x", "@SUM(A1)"):
        assert as_text(cell) == f"'{cell}"
    assert as_text("\t=1\n\x1b[31m") == "'=1 ?[31m"
    text = io.StringIO()
    csv.writer(text).writerow([as_text("femur"), as_text(-1.5), as_text(None)])
    assert text.getvalue() == "femur,-1.5,\r\n"


def test_without_a_home_folder_weights_are_found(monkeypatch):
    monkeypatch.delenv("SSRKD_WEIGHTS", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert catalogue.user_folder() == Path(os.sep) / ".ssrkd" / "weights"
    assert catalogue.find_bundle().is_relative_to(catalogue.SHIPPED_FOLDER)


def test_an_image_on_another_drive_is_stored_with_its_whole_path(tmp_path, monkeypatch):
    path = write_ball_case(tmp_path / "case")
    rig = read_rig(path)

    def two_drives(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(rig_file.os.path, "relpath", two_drives)
    write_rig(rig, tmp_path / "rig.json")
    assert read_rig(tmp_path / "rig.json").images == rig.images

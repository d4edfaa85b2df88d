"""What a lateral radiograph's tags leave open, as the command reads them."""

from __future__ import annotations

import pydicom

from SSRKDLib.cli import reconstruct as command
from SSRKDLib.cli.main import build_parser
from Testing.radiographs.test_rig_sources import edit, plain_rig, written


def known(*words):
    arguments = build_parser().parse_args(["reconstruct", *map(str, words), "-o", "out"])
    one = command._rig(arguments)[0].views[1].known
    return one.beam, one.orientation


def test_what_the_tags_leave_open_is_marked_as_assumed(tmp_path):
    frontal, lateral = written(plain_rig(), tmp_path, modality="CR")
    words = ("--frontal", frontal, "--lateral", lateral)
    assert known(*words) == ("stated", "stated")
    edit(lateral, PatientOrientation=None)
    assert known(*words) == ("stated", "assumed")
    edit(lateral, ViewCodeSequence=None, ViewPosition="LAT STANDING")
    assert known(*words) == ("assumed", "assumed")
    dataset = pydicom.dcmread(lateral)
    dataset.PatientOrientation = ["A", "F"]
    dataset.save_as(lateral)
    assert known(*words) == ("assumed", "stated")

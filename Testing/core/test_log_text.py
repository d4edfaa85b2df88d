"""Logs keep what happened where in the program, and no name of a user's file."""

from __future__ import annotations

import pytest

from SSRKDLib.core.log_text import shortened


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("'/data/Doe, Jane/knee 1.dcm' is torn", "'<file>.dcm' is torn"),
        ("/data/Doe/Doe.nii.gz: torn", "<file>.nii.gz: torn"),
        (r"cannot open C:\Users\me\Doe.nrrd.", "cannot open <file>.nrrd."),
        (r"at \\host\share\Doe\LAT.DCM", "at <file>.DCM"),
        ("in cases/Doe/1962-04-01", "in <file>"),
        ('  File "/usr/lib/python3/ssrkd/a.py", line 3, in f', None),
        ("0.5 mm/px, 3/4 of it, and/or 1.5", None),
        ("ValueError: n must be < 3 / 4", None),
    ],
)
def test_paths_are_shortened_to_their_endings(text, wanted):
    assert shortened(text) == (text if wanted is None else wanted)


def test_names_of_the_command_line_are_shortened_without_a_folder_too():
    given = [
        "rig",
        "--frontal",
        "Doe.dcm",
        "--lateral=in/Doe2.dcm",
        "--sdd",
        "1200.5",
        "-o",
        "r/Doe",
    ]
    text = f"{given}\nOSError: Doe.dcm, Doe2.dcm at in/Doe2.dcm"
    said = shortened(text, given)
    assert "Doe" not in said
    assert "'--frontal', '<file>.dcm', '--lateral=<file>.dcm', '--sdd', '1200.5', '-o'" in said

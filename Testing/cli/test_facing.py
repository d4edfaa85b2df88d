"""A lateral radiograph that may lie either way round: which rigs are tried, and which result is
taken."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

from SSRKDLib.cli import reconstruct as command
from SSRKDLib.cli.main import build_parser
from SSRKDLib.core.errors import ImageError
from Testing.radiographs.test_rig_sources import edit, plain_rig, written


def rigs_of(*words) -> list:
    arguments = build_parser().parse_args(["reconstruct", *map(str, words), "-o", "out"])
    return [rig for rig, _ in command._rigs(arguments)]


def test_both_facings_are_tried_only_where_the_tags_leave_it_open(tmp_path):
    frontal, lateral = written(plain_rig(), tmp_path, modality="CR")
    words = ("--frontal", frontal, "--lateral", lateral)
    assert len(rigs_of(*words)) == 1
    edit(lateral, PatientOrientation=None)
    assert len(rigs_of(*words)) == 1  # the beam's direction is stated
    edit(lateral, ViewCodeSequence=None, ViewPosition="LAT STANDING")
    first, second = rigs_of(*words)
    np.testing.assert_allclose(first.views[1].axis, -second.views[1].axis, atol=1e-9)
    np.testing.assert_allclose(first.views[0].axis, second.views[0].axis)
    dataset = pydicom.dcmread(lateral)
    dataset.PatientOrientation = ["A", "F"]
    dataset.save_as(lateral)
    assert len(rigs_of(*words)) == 1


def result(agreement: float):
    return SimpleNamespace(report={"locating": {"agreement": agreement}, "warnings": []})


@pytest.mark.parametrize(
    ("agreements", "taken"),
    [((0.9, 0.95), 0), ((0.5, 0.9), 1), ((0.6, 0.5), 0), ((None, 0.4), 1), ((0.5, None), 0)],
)
def test_the_facing_that_agrees_better_is_taken_and_said(agreements, taken):
    """The other one is not tried where the first agrees well; None finds no bone."""
    tried, results = [], [None if a is None else result(a) for a in agreements]

    def run(index, _):
        tried.append(index)
        if results[index] is None:
            raise ImageError("No bone.", "Look.")
        return results[index]

    found = command._better_facing([(0, None), (1, None)], run)
    assert found is results[taken]
    assert len(tried) == (1 if agreements[0] == 0.9 else 2)
    assert any("agree better" in w for w in found.report["warnings"]) == (taken == 1)
    with pytest.raises(ImageError):
        results[:] = [None, None]
        command._better_facing([(0, None), (1, None)], run)

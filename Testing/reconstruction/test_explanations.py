"""What else radiographs may show than the knee that was asked for: the side, how images lie."""

import dataclasses

import numpy as np
import pytest

from SSRKDLib.evaluation.held_out_people import RIGS, held_out_people
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.explanations import find_explanation, looks_like_other_side
from SSRKDLib.reconstruction.localisation import locate, other_side
from Testing.support.bundled import model, plain_case
from Training.calibrate_side import held_out_knees, measure


@pytest.mark.parametrize("number", range(6))
def test_every_wrong_side_is_doubted_and_no_right_one(number):
    """Of the 72 knees that Training/calibrate_side.py measures, both sides of each person, in each
    rig, and (it takes seconds to make one) two from the voxel simulator. Between the ratios of
    right and wrong sides there is a gap, in which the limit lies."""
    person = held_out_people(None)[number]
    for offset, side in enumerate("LR"):
        simulator = "voxel" if (number, side) in ((0, "L"), (3, "R")) else "mesh"
        rig_name = list(RIGS)[(number + offset) % 3]
        (knee,) = held_out_knees(person, side, simulator, (rig_name,))
        for row in measure(knee, model()):
            assert row["doubted"] == (not row["right"]), row
            assert row["ratio"] < 0.7 if row["right"] else row["ratio"] > 1.4, row


def test_an_unknown_side_is_decided_as_a_given_one_is_doubted():
    (knee,) = held_out_knees(held_out_people(None)[3], "R", "mesh", ("orthogonal",))
    pair = tuple(knee.exposures)
    located = locate(pair, dataclasses.replace(knee.rig, laterality=None), model(), None)
    assert located.laterality == "R"
    assert not looks_like_other_side(located, other_side(pair, model(), located))


@pytest.mark.parametrize(
    ("reversed_axes", "changed", "sentence"),
    [
        ((1,), (1,), "The lateral radiograph appears to be mirrored left to right"),
        ((0,), (0, 1), "Both radiographs appear to be upside down"),
        ((0, 1), (0,), "The frontal radiograph appears to be turned by 180 degrees"),
        ((1,), (0,), "check the side, and that no image is mirrored"),
    ],
)
def test_radiographs_that_lie_wrong_are_named(reversed_axes, changed, sentence):
    """A mirrored frontal radiograph looks like the other side."""
    _, rig, exposures = plain_case()
    pair = tuple(
        Exposure(e.view, np.flip(e.line_integral, reversed_axes), np.flip(e.valid, reversed_axes))
        if index in changed
        else e
        for index, e in enumerate(exposures)
    )
    located = locate(pair, rig, model(), "L")
    warnings = find_explanation(pair, model(), located, other_side(pair, model(), located))
    assert len(warnings) == 1 and sentence in warnings[0], warnings

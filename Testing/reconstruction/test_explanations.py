"""What else radiographs may show than the knee that was asked for: the side, how images lie."""

import dataclasses
from functools import lru_cache

import numpy as np
import pytest

from SSRKDLib.evaluation.held_out_people import RIGS, held_out_people
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.explanations import find_explanation, looks_like_other_side
from SSRKDLib.reconstruction.frame_quality import FrameQuality
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
    warnings = find_explanation(pair, rig, model(), located, other_side(pair, model(), located))
    assert len(warnings) == 1 and sentence in warnings[0], warnings


@lru_cache(maxsize=1)
def _poorly_located():
    """A pair's own knee, as if it agreed poorly with both."""
    _, rig, exposures = plain_case()
    located = locate(tuple(exposures), rig, model(), "L")
    return rig, exposures, dataclasses.replace(located, quality=FrameQuality(0.6, 0.1))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda first, second: (first, second), "check that both are of the same person"),
        (
            lambda first, second: (first, Exposure(second.view, first.line_integral, first.valid)),
            "The lateral radiograph looks like a frontal one",
        ),
        (
            lambda first, second: (
                first,
                Exposure(
                    second.view, second.line_integral.max() - second.line_integral, second.valid
                ),
            ),
            "In the lateral radiograph bone appears to be dark where it is taken to be bright",
        ),
        (
            lambda first, second: (
                first,
                Exposure(second.view, np.zeros_like(second.line_integral), second.valid),
            ),
            "No knee is recognised in the lateral radiograph",
        ),
    ],
)
def test_what_each_radiograph_shows_by_itself_is_named(change, sentence):
    """Knees that do not fit each other, one view twice, bone taken for air, and no knee."""
    rig, exposures, located = _poorly_located()
    assert sentence in "".join(find_explanation(change(*exposures), rig, model(), located, None))

"""What else radiographs may show than the knee that was asked for: the side, how images lie."""

import dataclasses
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest

from SSRKDLib.evaluation.held_out_people import RIGS, held_out_people
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction import explanations, explanations_of_one
from SSRKDLib.reconstruction.doubted_rig import FittedRig
from SSRKDLib.reconstruction.explanations import find_explanation, looks_like_other_side
from SSRKDLib.reconstruction.explanations_of_one import doubts_of_one, no_knee_in
from SSRKDLib.reconstruction.fitting.motion import Measured
from SSRKDLib.reconstruction.frame_quality import FrameQuality
from SSRKDLib.reconstruction.localisation import (
    localise_alone,
    locate,
    other_side,
    start_alone,
)
from SSRKDLib.reconstruction.radiographs import rig_doubts
from Testing.support.bundled import model, plain_case
from Training.calibrate_side import held_out_knees, measure


@lru_cache(maxsize=1)
def people():
    return held_out_people(None)


@pytest.mark.parametrize("number", range(6))
def test_every_wrong_side_is_doubted_and_no_right_one(number):
    """Of the 72 knees that Training/calibrate_side.py measures, both sides of each person, in each
    rig, and (it takes seconds to make one) two from the voxel simulator. Between the ratios of
    right and wrong sides there is a gap, in which the limit lies."""
    person = people()[number]
    for offset, side in enumerate("LR"):
        simulator = "voxel" if (number, side) in ((0, "L"), (3, "R")) else "mesh"
        rig_name = list(RIGS)[(number + offset) % 3]
        (knee,) = held_out_knees(person, side, simulator, (rig_name,))
        for row in measure(knee, model()):
            assert row["doubted"] == (not row["right"]), row
            assert row["ratio"] < 0.7 if row["right"] else row["ratio"] > 1.4, row


def test_an_unknown_side_is_decided_as_a_given_one_is_doubted():
    (knee,) = held_out_knees(people()[3], "R", "mesh", ("orthogonal",))
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


@lru_cache(maxsize=1)
def _first_alone():
    """The knee in the radiograph that every one of these tests leaves as it is."""
    rig, (first, _), located = _poorly_located()
    return localise_alone(first, rig, model(), located)


def _turned(exposure, rows, every=1):
    """The middle rows of a radiograph, turned by 90 degrees: portrait where they are few.
    Of several rows one is kept, and the view states the pixels' edges as before the turn. It has
    the name of a calibration's."""
    view, k = exposure.view, (exposure.view.size[1] - rows) // 2
    size = (rows // every, view.size[0])
    spacing = (view.pixel_spacing[0], every * view.pixel_spacing[1])
    corner = [(n - 1) / 2 * mm for n, mm in zip(size, spacing)]
    said = dataclasses.replace(
        view,
        name="view 2",
        size=size,
        pixel_spacing=spacing,
        detector_origin=view.detector_centre
        - corner[0] * view.column_direction
        - corner[1] * view.row_direction,
    )
    image, valid = (
        np.rot90(one[k : k + rows : every]) for one in (exposure.line_integral, exposure.valid)
    )
    return Exposure(said, image, valid)


def _imaged(exposure, line_integral):
    return Exposure(exposure.view, line_integral, exposure.valid)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda first, second: second, "check that both are of the same person"),
        (
            lambda first, second: _imaged(second, first.line_integral),
            "The lateral radiograph looks like a frontal one",
        ),
        (
            lambda first, second: _imaged(
                second, second.line_integral.max() - second.line_integral
            ),
            "In the lateral radiograph bone appears to be dark where it is taken to be bright",
        ),
        (
            lambda first, second: _imaged(second, np.zeros_like(second.line_integral)),
            "No knee is recognised in the lateral radiograph",
        ),
        (
            lambda first, second: _turned(second, second.view.size[1]),
            "The lateral radiograph appears to be turned by 90 degrees",
        ),
        (
            lambda first, second: _turned(second, 150, every=2),
            "The lateral radiograph appears to be turned by 90 degrees",
        ),
    ],
)
def test_what_each_radiograph_shows_by_itself_is_named(monkeypatch, change, sentence):
    """Knees that do not fit each other, one view twice, bone taken for air, no knee, and images
    that lie across."""
    rig, (first, second), located = _poorly_located()
    pair = (first, change(first, second))

    def once(exposure, *about):
        return _first_alone() if exposure is first else localise_alone(exposure, *about)

    monkeypatch.setattr(explanations, "localise_alone", once)
    assert sentence in "".join(find_explanation(pair, rig, model(), located, None))


def test_what_bones_say_of_the_rig_is_left_out_where_a_radiograph_shows_none():
    shift = np.array([0.0, 0.0, 20.0])
    fitted = FittedRig(orthogonal(), (), shift, (900.0,), (Measured(950.0, 9.0),))
    assert len(rig_doubts(fitted, ["The patella was not found."])) == 2
    assert rig_doubts(fitted, ["The patella was not found.", no_knee_in("lateral")]) == []


@pytest.mark.parametrize(
    ("name", "misfit", "other", "sentence"),
    [
        ("frontal", 10.0, 1.0, "The radiograph looks like one of a right knee"),
        ("frontal", 1.0, 10.0, None),
        ("lateral", 10.0, 1.0, None),
        ("lateral", 1.0, None, "A lateral radiograph by itself tells little of the side"),
        ("frontal", np.inf, None, "The radiograph agrees poorly with a knee"),
    ],
)
def test_what_one_radiograph_is_doubted_for(name, misfit, other, sentence):
    """Only a frontal one tells the side."""
    view = SimpleNamespace(name=name)
    cameras = (SimpleNamespace(view=view),)
    located = SimpleNamespace(
        radiographs=SimpleNamespace(input=SimpleNamespace(cameras=cameras)),
        misfit=misfit, agreement=1.0, good=True, estimate=SimpleNamespace(spread=1.0),
    )  # fmt: skip
    mirrored = None if other is None else SimpleNamespace(misfit=other, laterality="R")
    said = doubts_of_one(None, None, located, mirrored)
    assert [one.startswith(sentence or "") for one in said] == [True] * (sentence is not None)


def test_every_way_that_an_image_may_lie_shows_the_knee_in_its_place(monkeypatch):
    rig, (_, second), located = _poorly_located()
    portrait = _turned(second, 150)
    knee = start_alone(portrait, rig, located)[:3, 3]
    seen = []

    def looked_at(exposures, *about):
        seen.append(exposures[0].view.project(knee))
        return located

    monkeypatch.setattr(explanations_of_one, "localise_from", looked_at)
    explanations_of_one.looks_like(portrait, "lateral", rig, None, located, located)
    assert len(seen) == 8
    np.testing.assert_allclose(seen, 8 * [portrait.view.project(knee)], atol=1e-6)

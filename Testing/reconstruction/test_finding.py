"""Radiographs of which the rig leaves open how they lie: what is tried, and what is taken."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from SSRKDLib.geometry.known import Known
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction import finding
from SSRKDLib.reconstruction.localisation import GOOD_AGREEMENT

OPEN = Known("typed", "typed", "assumed", "assumed")


def rig_of(known: Known):
    rig = orthogonal(pixels=32, laterality="L")
    return replace(rig, views=tuple(replace(view, known=known) for view in rig.views))


def found(known: Known, quality, monkeypatch, **changes):
    """What is found where ``quality(views)`` gives agreement and misfit."""
    rig, tried = replace(rig_of(known), **changes), []

    def locate(pair, _rig, _model, _side):
        tried.append([exposure.view for exposure in pair])
        agreement, misfit = quality(tried[-1])
        good = agreement >= GOOD_AGREEMENT
        return SimpleNamespace(agreement=agreement, misfit=misfit, good=good)

    monkeypatch.setattr(finding, "locate", locate)
    nothing = np.zeros((32, 32), np.float32)
    exposures = [Exposure(view, nothing, nothing > -1) for view in rig.views]
    return finding.find_knee(exposures, rig, None), rig, tried


def lies(view, truth) -> tuple[bool, bool]:
    """Whether the source, and the columns, are where they truly were."""
    source, first = view.source, view.detector_origin[1]
    return np.allclose(source, truth.source), np.isclose(first, truth.detector_origin[1])


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("moved", [None, (5.0, 0.0, 30.0)])
def test_a_lateral_that_may_lie_in_any_way_is_found(turned, mirrored, moved, monkeypatch):
    """From the other side of the patient's axis, wherever the patient is in the rig."""
    changes = {}
    if moved is not None:
        matrix = np.eye(4)
        matrix[:3, 3] = moved
        moved_rig = rig_of(OPEN).transformed(matrix)
        names = ("views", "frame", "patient_to_rig")
        changes = {name: getattr(moved_rig, name) for name in names}
    truth = changes.get("views", rig_of(OPEN).views)[1]
    if turned:
        x = 2 * (moved or (0.0, 0.0, 0.0))[0]
        source, origin = truth.source.copy(), truth.detector_origin.copy()
        source[0], origin[0] = x - source[0], x - origin[0]
        origin[1] = -origin[1] if moved is None else 2 * moved[1] - origin[1]
        truth = replace(
            truth, source=source, detector_origin=origin, column_direction=-truth.column_direction
        )
    truth = truth.reversed(mirrored, False)

    def quality(views):
        beam, columns = lies(views[1], truth)
        return (0.93 if columns else 0.5) - 0.01 * beam, 0.1 if beam and columns else 0.2

    knee, rig, tried = found(OPEN, quality, monkeypatch, **changes)
    if turned == mirrored:  # the picture is as assumed: only perspective differs
        assert len(tried) == 1 and knee.rig is rig and knee.notes == ()
        return
    assert len(tried) == 4
    assert lies(knee.rig.views[1], truth) == (True, True)
    np.testing.assert_allclose(knee.rig.views[1].column_direction, truth.column_direction)
    assert knee.rig.views[0] is rig.views[0]
    (sentence,) = knee.notes
    assert ("other side of the knee" in sentence) == turned
    assert ("mirrored" in sentence) == mirrored
    assert "lateral" in sentence and "orientation" in sentence


@pytest.mark.parametrize(
    ("beam", "orientation", "ways"),
    [("assumed", "assumed", 3), ("stated", "assumed", 1), ("assumed", "stated", 1),
     ("typed", "stated", 0), ("calibrated", "calibrated", 0)],
)  # fmt: skip
def test_what_is_known_is_not_tried_otherwise(beam, orientation, ways, monkeypatch):
    known = Known("stated", "stated", beam, orientation)
    knee, rig, tried = found(known, lambda views: (0.5, 0.2), monkeypatch)
    assert knee.rig is rig
    assert len(tried) == 1 + ways
    columns = {round(float(views[1].column_direction[1])) for views in tried}
    assert len(columns) == (2 if orientation == "assumed" else 1)
    sources = {round(float(views[1].source[0])) for views in tried}
    assert len(sources) == (2 if beam == "assumed" else 1)


def test_without_the_patients_axes_nothing_is_turned(monkeypatch):
    _, _, tried = found(OPEN, lambda views: (0.4, 0.2), monkeypatch, frame="lab")
    assert len(tried) == 1

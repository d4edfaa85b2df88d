"""Films of both knees: two legs of known place, on films of either direction of columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances
from SSRKDLib.geometry.rig_presets import orthogonal, slot
from SSRKDLib.radiographs.both_knees import need_bones_of_one_leg, one_knee
from SSRKDLib.radiographs.exposure import Exposure

SIZE = (300, 200)


def rig_of(side: str | None):
    plain = {"sdd": 1200.0, "sod": 900.0, "pixel_spacing": (1.5, 1.5), "size": SIZE}
    angles = {"frontal": 0.0, "lateral": -90.0}
    views = [PlainView(angle=angle, name=name, **plain) for name, angle in angles.items()]
    return rig_from_distances(views, side)


def film(rig, places, k=0) -> Exposure:
    """View k of legs of 50 mm radius, at distances to the patient's left (lateral: back), mm."""
    view = rig.views[k]
    ray = view.points_on_detector(np.stack([np.arange(SIZE[0]), np.full(SIZE[0], 99.5)], 1))
    ray = (ray - view.source) @ view.column_direction * 900 / 1200
    beside = ray * np.sign(view.column_direction[k])
    leg = sum(2 * np.sqrt(np.maximum(50.0**2 - (beside - place) ** 2, 0)) for place in places)
    line = np.tile(0.02 * leg, (SIZE[1], 1)).astype(np.float32)
    return Exposure(view, line, np.ones(line.shape, bool))


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize(("side", "place"), [("L", 95.0), ("R", -105.0)])
def test_the_wanted_knee_is_taken_and_stands_at_the_origin(side, place, flipped):
    rig = rig_of(side)
    if flipped:  # columns towards the patient's right
        view = rig.views[0]
        last = view.points_on_detector(np.array([SIZE[0] - 1.0, 0.0]))
        turned = replace(view, detector_origin=last, column_direction=-view.column_direction)
        rig = replace(rig, views=(turned, rig.views[1]))
    both = film(rig, (95.0, -105.0))
    lateral = film(rig, (0.0,))
    moved, (frontal, untouched) = one_knee(rig, [both, lateral])
    assert untouched is lateral and moved.views[1] is rig.views[1]
    shift = moved.views[0].source - rig.views[0].source
    np.testing.assert_allclose(shift, [-place, 0, 0], atol=3)
    np.testing.assert_allclose(
        moved.views[0].detector_origin - rig.views[0].detector_origin, shift, atol=1e-9
    )
    assert frontal.view is moved.views[0]
    alone = film(rig, (place,)).line_integral
    np.testing.assert_allclose(np.where(frontal.valid, both.line_integral, 0), alone, atol=1e-5)
    assert f"the {'left' if side == 'L' else 'right'} one is taken" in moved.assumptions[-1]


def test_one_leg_is_left_alone():
    rig = rig_of("L")
    for places in ((0.0,), (70.0,), (-60.0,)):
        exposures = [film(rig, places), film(rig, (0.0,))]
        assert one_knee(rig, exposures) == (rig, exposures)


def test_what_is_dense_at_the_border_is_no_leg():
    """A blade that lets some radiation through, and air that is taken for bone."""
    rig = rig_of("L")
    one = film(rig, (20.0,))
    bladed, inverted = one.line_integral.copy(), one.line_integral.max() - one.line_integral
    bladed[:, :25] += 2.0
    for line in (bladed, inverted):
        exposures = [Exposure(one.view, line, one.valid), film(rig, (0.0,))]
        assert one_knee(rig, exposures) == (rig, exposures)


def test_two_knees_of_unknown_side_are_refused():
    rig = rig_of(None)
    with pytest.raises(GeometryError, match="shows both knees.*L or R"):
        one_knee(rig, [film(rig, (95.0, -105.0)), film(rig, (0.0,))])


@pytest.mark.parametrize("known", ["simultaneous", "moved before"])
def test_a_rig_that_states_where_the_knees_are_is_believed(known):
    """The other knee goes; the view stays where it is."""
    rig = rig_of("L")
    exposures = [film(rig, (95.0, -105.0)), film(rig, (0.0,))]
    if known == "simultaneous":
        rig = replace(rig, simultaneous=True)
    else:
        rig, _ = one_knee(rig, exposures)
    again, (frontal, _) = one_knee(rig, exposures)
    assert again.views == rig.views and not frontal.valid.all()
    assert again.assumptions[-1].endswith("the left one is taken.")


@pytest.mark.parametrize("apart", [0.0, 45.0, 130.0])
def test_two_legs_in_both_views_of_one_moment_are_refused(apart):
    """Whether they cover each other or not; a field around one of them is enough."""
    rig = replace(rig_of("R"), simultaneous=True)
    frontal = film(rig, (95.0, -105.0))
    lateral = film(rig, (-apart / 2, apart / 2), k=1)
    with pytest.raises(GeometryError, match="shows both legs, too.*Crop it to the right leg") as no:
        one_knee(rig, [frontal, lateral])
    assert "from the frontal radiograph alone" in str(no.value)
    if apart > 100.0:
        half = np.arange(SIZE[0]) < SIZE[0] // 2
        # Of values for display each image has a scale of its own.
        cropped = Exposure(lateral.view, 3 * lateral.line_integral, lateral.valid & half)
        _, (taken, other) = one_knee(rig, [frontal, cropped])
        assert other is cropped and not taken.valid.all()


def test_of_one_film_of_both_knees_the_wanted_one_is_taken_where_it_is():
    rig = rig_of("L")
    alone = replace(rig, views=rig.views[:1])
    taken, (frontal,) = one_knee(alone, [film(rig, (95.0, -105.0))])
    assert taken.views == alone.views and not frontal.valid.all()
    assert taken.assumptions[-1].endswith("the left one is taken.")


@pytest.mark.parametrize(
    ("what", "worst", "refused"),
    [
        ("touching", 0.88, True), ("touching", 0.92, False), ("one leg", 0.4, False),
        ("cropped", 0.4, False), ("cone", 0.4, False),
    ],
)  # fmt: skip
def test_bones_that_may_be_of_two_legs_are_refused_where_there_is_room_for_two(
    what, worst, refused
):
    """Legs that touch show no gap between them: only that no knee fits tells of them."""
    rig = replace((orthogonal if what == "cone" else slot)(), simultaneous=True)
    columns = 180 if what == "cropped" else 300
    views = tuple(replace(view, size=(columns, 256)) for view in rig.views)
    pair = []
    for view, wide in zip(views, (False, True) if what == "one leg" else (True, False)):
        line = np.zeros((256, columns), np.float32)
        line[:, 20 : 160 if wide else 140] = 1.0
        pair.append(Exposure(view, line, line >= 0))
    # Also what was left out as the other leg's counts.
    pair[0].valid[:, 140:] = False
    pair = pair[:: -1 if what == "cone" else 1]
    agreement = {"femur": [0.97, 0.96], "patella": [0.95, worst], "fibula": [None, 0.91]}
    if not refused:
        need_bones_of_one_leg(rig, pair, agreement)
        return
    with pytest.raises(GeometryError, match=r"The patella agrees poorly .*0\.88.*both legs.*Crop"):
        need_bones_of_one_leg(rig, pair, agreement)

"""Other explanations of radiographs that do not look like the knee that was asked for: the other
side, swapped radiographs, mirrored or turned ones, another scale.

Each explanation changes the pair of radiographs (or the side). Where the locator's rays then meet
best, the knee is localised again and judged by what
:func:`~SSRKDLib.reconstruction.frame_quality.frame_quality` finds there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.geometry.views import Rig, View, triangulate
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.localisation import (
    GOOD_AGREEMENT,
    Localisation,
    localise_alone,
    localise_from,
    refine_frame,
    start_alone,
)

#: The other side is reported where the given one has more than this many times its misfit.
#: ``Training/calibrate_side.py`` measures the gap that this lies in.
SIDE_RATIO = 1.05

#: Another explanation must agree better by this much (Dice).
_CLEARLY = 0.06

#: A mirrored frontal radiograph and the other side differ in perspective only: the misfit of the
#: one was 0.8 to 10 times that of the other where the side was wrong, 0.1 to 1.3 times where the
#: radiograph was mirrored. The other side is reported, which speaks of both, unless another
#: explanation has so many times less misfit.
_BETTER_THAN_SIDE = 1.5

#: Of the explanations of one kind, so many are judged in full: those with the least spread after so
#: many rounds of the locator. Of 30 pairs of virtual people that lay or were scaled wrongly, the
#: explanation with the least misfit of all sixteen had the least spread, too, in 28. A round takes
#: 0.03 s, the full judgement 0.45 s.
_JUDGED, _ROUNDS = 3, 2

_SCALES = (0.25, 0.5, 0.7, 1.4, 2.0, 4.0)

#: How an image can lie in its rectangle: whether columns and rows are reversed, and its name.
_ORIENTATIONS = {
    (True, False): "mirrored left to right",
    (False, True): "upside down",
    (True, True): "turned by 180 degrees",
}

#: The other side is reported of one frontal radiograph where it has so many times less misfit:
#: right sides have 0.07 to 0.99 times that of the wrong ones. A lateral one does not tell.
_SIDE_OF_ONE = 1.3

#: One radiograph is tried otherwise where the mean knee agrees with it less (Dice), and doubted
#: where the locator's marks lie further from any knee's, mm: right ones reach 2.1, a lateral
#: radiograph that is taken for a frontal one 3.8.
_SURE_OF_ONE, _MARKED_MM = 0.8, 3.0

#: A radiograph of a pair shows, by itself, the view that it is said to be where it has less misfit
#: than the first, and its marks lie as in one radiograph: right ones of virtual people reach 0.011
#: and 1.9 mm, others have 0.015 or 4.9 mm and more. It looks otherwise where that has less misfit
#: than the second.
_KNEE_BY_ITSELF, _KNEE_OTHERWISE = 0.012, 0.02

#: Its leg stands upright as the rig says, but for less than 45 degrees (cosine).
_UPRIGHT = 0.7

#: Explanations of two radiographs neither of which shows a knee by itself agree at least so well.
_CREDIBLE = 0.75

Pair = tuple[Exposure, Exposure]


@dataclass(frozen=True)
class Explanation:
    """What the radiographs may be instead, for a user, and the pair and the frame to start from."""

    sentence: str
    pair: tuple[Exposure, Exposure]
    start: np.ndarray


def looks_like_other_side(located: Localisation, other: Localisation) -> bool:
    """Whether the radiographs show the other side than the one that was given."""
    return located.misfit > SIDE_RATIO * other.misfit


def find_explanation(
    pair: tuple[Exposure, Exposure],
    rig: Rig,
    model: KneeModel,
    located: Localisation,
    other: Localisation | None,
    explained: bool = False,
) -> list[str]:
    """The sentence of the explanation with the least misfit; none where the radiographs look like
    the knee that was located; what each of them looks like by itself where nothing explains both.

    Args:
        pair: the radiographs.
        rig: how they were taken.
        model: the networks.
        located: the knee that was found in them.
        other: the same radiographs as a knee of the other side, or None where the side was not
            given.
        explained: whether bones were found that agree with the radiographs, so that nothing but
            the side is in doubt.
    """
    side = None
    if other is not None and looks_like_other_side(located, other):
        side = Message(
            "The radiographs look like a {side} knee; check the side, and that no image "
            "is mirrored.",
            side=SIDES[other.laterality],
        )
    if explained or located.agreement >= GOOD_AGREEMENT:
        return [side] if side else []

    # Numbers only: a localisation holds the networks' features.
    def tried(explanations: Iterator[Explanation]) -> list[tuple[float, float, str]]:
        found = []
        for explanation in _likeliest(explanations, model):
            knee = localise_from(explanation.pair, model, explanation.start, located.laterality)
            if knee.agreement > located.agreement + _CLEARLY:
                found.append((knee.misfit, knee.agreement, explanation.sentence))
        return found

    alone = [localise_alone(exposure, rig, model, located) for exposure in pair]
    known = [
        _is_known(knee, start_alone(exposure, rig, located)) for exposure, knee in zip(pair, alone)
    ]
    if sum(known) == 1:
        index = known.index(False)
        return [_looks_like(pair[index], rig, model, located, alone[index], side)]
    found = [] if all(known) else tried(_otherwise_arranged(pair, located.frame))
    if side is not None:
        found = [entry for entry in found if entry[0] < other.misfit / _BETTER_THAN_SIDE]
        found.append((other.misfit, other.agreement, side))
    if not all(known) and not any(agreement >= GOOD_AGREEMENT for _, agreement, _ in found):
        found += tried(_otherwise_scaled(pair, located.frame))
    if not any(known):
        found = [entry for entry in found if entry[1] >= _CREDIBLE]
    if found:
        return [min(found)[2]]
    if all(known):
        return [
            "Each radiograph by itself looks like one of a knee, but the two do not fit each "
            "other; check that both are of the same person and side, and the distances."
        ]
    return [_looks_like(one, rig, model, located, knee) for one, knee in zip(pair, alone)]


def _is_known(alone: Localisation, start: np.ndarray) -> bool:
    # The locator follows a leg that lies across the image.
    upright = alone.frame[:3, 2] @ start[:3, 2] > _UPRIGHT
    return upright and alone.misfit < _KNEE_BY_ITSELF and alone.estimate.spread < _MARKED_MM


def _looks_like(
    exposure: Exposure, rig: Rig, model: KneeModel, located: Localisation, alone: Localisation,
    side: Message | None = None,
) -> Message:  # fmt: skip
    """What one radiograph of a pair looks like by itself, for a user, where not like what it is
    said to be.

    Args:
        exposure: the radiograph.
        rig, model, located: as for :func:`find_explanation`.
        alone: the knee that was located in it by itself.
        side: the sentence of a mirrored frontal one, where the sides are in doubt.
    """
    view, name = exposure.view, exposure.view.name
    frame = start_alone(exposure, rig, located)
    lateral = abs(view.axis @ frame[:3, 0]) > abs(view.axis @ frame[:3, 1])
    ways = [
        (_seen_by(changed, exposure), sentence)
        for changed, sentence in _otherwise_taken(view, frame, lateral)
    ]
    if side is not None and not lateral:
        ways.append(
            (_seen_by(_about(frame[:3, 3], view, view.reversed(True, False)), exposure), side)
        )
    # A slot scanner's rows are the patient's heights.
    for reversal in () if view.travel.any() else ((True, False), (False, True)):
        turned = replace(
            view, column_direction=view.row_direction, row_direction=view.column_direction
        ).reversed(*reversal)
        sentence = Message(
            "The {view} radiograph appears to be turned by 90 degrees; check how it lies.",
            view=name,
        )
        ways.append((_seen_by(turned, exposure), sentence))
    dark = exposure.line_integral[exposure.valid].max() - exposure.line_integral
    sentence = Message(
        "In the {view} radiograph bone appears to be dark where it is taken to be bright, or the "
        "other way round; check the kind of its pixel values.",
        view=name,
    )
    ways.append((Exposure(view, dark, exposure.valid), sentence))
    found = (
        (localise_from((one,), model, frame, located.laterality).misfit, sentence)
        for one, sentence in ways
    )
    misfit, sentence = min(found, key=itemgetter(0))
    if alone.misfit < _KNEE_BY_ITSELF:  # turned, or its marks lie as in no radiograph
        limit = _KNEE_BY_ITSELF
    else:
        limit = min(_KNEE_OTHERWISE, alone.misfit / _SIDE_OF_ONE)
    if misfit < limit:
        return sentence
    return Message(
        "No knee is recognised in the {view} radiograph; check what it shows, how it lies, how far "
        "the knee is bent, and the distances.",
        view=name,
    )


def _likeliest(explanations: Iterator[Explanation], model: KneeModel) -> list[Explanation]:
    """Those whose radiographs look most like a knee to the locator, from where it saw it."""
    near = []
    for explanation in explanations:
        estimate = refine_frame(explanation.pair, model, explanation.start, _ROUNDS)
        if estimate.spread is not None:
            near.append((estimate.spread, replace(explanation, start=estimate.frame)))
    return [explanation for _, explanation in sorted(near, key=itemgetter(0))[:_JUDGED]]


def doubts_of_one(
    exposure: Exposure, model: KneeModel, located: Localisation, other: Localisation | None
) -> list[str]:
    """Sentences on one radiograph that does not look like the knee that was located.

    Args:
        exposure: the radiograph.
        model, located, other: as for :func:`find_explanation`.
    """
    lateral = located.radiographs.input.cameras[0].view.name == "lateral"
    said = []
    if other is None and lateral:
        said.append(Message("A lateral radiograph by itself tells little of the side; state it."))
    tried = []
    if other is not None and not lateral and other.misfit * _SIDE_OF_ONE < located.misfit:
        sentence = Message(
            "The radiograph looks like one of a {side} knee; check the side, and that it is not "
            "mirrored.",
            side=SIDES[other.laterality],
        )
        tried.append((other.misfit, sentence))
    if located.agreement < _SURE_OF_ONE:
        for view, sentence in _otherwise_taken(exposure.view, located.frame, lateral):
            changed = (_seen_by(view, exposure),)
            knee = localise_from(changed, model, located.frame, located.laterality)
            if knee.misfit * _SIDE_OF_ONE < located.misfit:
                tried.append((knee.misfit, sentence))
    if tried:
        said.append(min(tried)[1])
    elif not located.good or located.misfit == np.inf or located.estimate.spread > _MARKED_MM:
        said.append(
            Message(
                "The radiograph agrees poorly with a knee; check which view it is, how it lies, "
                "and the distances."
            )
        )
    return said


def _otherwise_taken(view: View, frame: np.ndarray, lateral: bool) -> Iterator[tuple[View, str]]:
    """As the other view of the same knee, and reversed; of a frontal one left and right are its
    side's question."""
    turn = np.eye(4)
    turn[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    name = "frontal" if lateral else "lateral"
    for matrix in (turn, turn.T):
        moved = frame @ matrix @ np.linalg.inv(frame)
        sentence = Message(
            "The {said} radiograph looks like a {view} one; check which view it is.",
            said="lateral" if lateral else "frontal",
            view=name,
        )
        yield view.transformed(moved), sentence
    for reversal, name in _ORIENTATIONS.items():
        if lateral or reversal != (True, False):
            yield (
                _about(frame[:3, 3], view, view.reversed(*reversal)),
                Message(
                    "The {view} radiograph appears to be {way}; check how it lies.",
                    view="lateral" if lateral else "frontal",
                    way=name,
                ),
            )


def _about(centre: np.ndarray, view: View, changed: View) -> View:
    """A changed view that shows a point where it lies in the image by the view as it was."""
    ends = changed.points_on_detector(view.project(centre))
    source = changed.focal_spots(ends)
    on_ray = source + float(view.depths(centre)) * (ends - source)
    shift = np.eye(4)
    shift[:3, 3] = centre - on_ray
    return changed.transformed(shift)


def _otherwise_arranged(pair: Pair, frame: np.ndarray) -> Iterator[Explanation]:
    """Swapped, and one or both of them reversed."""
    first, second = pair
    yield Explanation(
        "The frontal and the lateral radiograph seem to be swapped; exchange them.",
        (
            _seen_by(_with_detector_of(first.view, second.view), second),
            _seen_by(_with_detector_of(second.view, first.view), first),
        ),
        frame,
    )
    for reversal, name in _ORIENTATIONS.items():
        turned = tuple(_seen_by(exposure.view.reversed(*reversal), exposure) for exposure in pair)
        for changed in ((turned[0], second), (first, turned[1]), turned):
            if changed[0] is turned[0] and changed[1] is turned[1]:
                subject = "Both radiographs appear"
            else:
                index = 0 if changed[0] is turned[0] else 1
                subject = Message("The {view} radiograph appears", view=pair[index].view.name)
            yield Explanation(
                Message(
                    "{subject} to be {name}; check how the image lies.", subject=subject, name=name
                ),
                changed,
                _recentred(frame, pair, changed),
            )


def _otherwise_scaled(pair: Pair, frame: np.ndarray) -> Iterator[Explanation]:
    """All lengths of the rig times a factor."""
    for scale in _SCALES:
        try:
            resized = tuple(
                _seen_by(_resized(exposure.view, scale, frame[:3, 3]), exposure)
                for exposure in pair
            )
        except GeometryError:
            continue  # no rig is of that size
        yield Explanation(
            Message(
                "The knee looks {scale:.2g} times the size of a human knee; check the pixel "
                "spacing and the distances.",
                scale=1 / scale,
            ),
            resized,
            frame,
        )


def _seen_by(view: View, exposure: Exposure) -> Exposure:
    """The exposure's image, taken by another view."""
    return Exposure(view, exposure.line_integral, exposure.valid)


def _recentred(frame: np.ndarray, pair: Pair, changed: Pair) -> np.ndarray:
    """The frame moved to where its centre's places in the images lie by the changed views."""
    places = np.stack([exposure.view.project(frame[:3, 3]) for exposure in pair])
    moved = frame.copy()
    moved[:3, 3] = triangulate([exposure.view for exposure in changed], places)[0]
    return moved


def _with_detector_of(view: View, other: View) -> View:
    """The view with the other's pixels on its own detector plane, about the same middle."""
    across, down = ((n - 1) / 2 * mm for n, mm in zip(other.size, other.pixel_spacing))
    return replace(
        view,
        detector_origin=view.detector_centre
        - across * view.column_direction
        - down * view.row_direction,
        pixel_spacing=other.pixel_spacing,
        size=other.size,
    )


def _resized(view: View, scale: float, centre: np.ndarray) -> View:
    """The view with every length times ``scale`` about ``centre``."""
    return replace(
        view,
        source=centre + (view.source - centre) * scale,
        detector_origin=centre + (view.detector_origin - centre) * scale,
        pixel_spacing=(view.pixel_spacing[0] * scale, view.pixel_spacing[1] * scale),
    )

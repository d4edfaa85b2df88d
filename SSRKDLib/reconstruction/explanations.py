"""Other explanations of radiographs that do not look like the knee that was asked for: the other
side, swapped radiographs, mirrored or turned ones, another scale.

Each explanation changes the pair of radiographs (or the side). Where the locator's rays then meet
best, the knee is localised again and judged by what
:func:`~SSRKDLib.reconstruction.frame_quality.frame_quality` finds there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter

import numpy as np

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.geometry.views import Rig, View, triangulate
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.explanations_of_one import (
    ORIENTATIONS,
    is_known,
    looks_like,
    seen_by,
)
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

    cameras = sorted(located.radiographs.input.cameras, key=attrgetter("index"))
    names = [camera.view.name for camera in cameras]
    alone = [localise_alone(exposure, rig, model, located) for exposure in pair]
    known = [
        is_known(knee, start_alone(exposure, rig, located)) for exposure, knee in zip(pair, alone)
    ]
    if sum(known) == 1:
        index = known.index(False)
        return [looks_like(pair[index], names[index], rig, model, located, alone[index], side)]
    found = [] if all(known) else tried(_otherwise_arranged(pair, names, located.frame))
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
    return [
        looks_like(one, name, rig, model, located, knee)
        for one, name, knee in zip(pair, names, alone)
    ]


def _likeliest(explanations: Iterator[Explanation], model: KneeModel) -> list[Explanation]:
    """Those whose radiographs look most like a knee to the locator, from where it saw it."""
    near = []
    for explanation in explanations:
        estimate = refine_frame(explanation.pair, model, explanation.start, _ROUNDS)
        if estimate.spread is not None:
            near.append((estimate.spread, replace(explanation, start=estimate.frame)))
    return [explanation for _, explanation in sorted(near, key=itemgetter(0))[:_JUDGED]]


def _otherwise_arranged(pair: Pair, names: list[str], frame: np.ndarray) -> Iterator[Explanation]:
    """Swapped, and one or both of them reversed."""
    first, second = pair
    yield Explanation(
        "The frontal and the lateral radiograph seem to be swapped; exchange them.",
        (
            seen_by(_with_detector_of(first.view, second.view), second),
            seen_by(_with_detector_of(second.view, first.view), first),
        ),
        frame,
    )
    for reversal, way in ORIENTATIONS.items():
        turned = tuple(seen_by(exposure.view.reversed(*reversal), exposure) for exposure in pair)
        for changed in ((turned[0], second), (first, turned[1]), turned):
            if changed[0] is turned[0] and changed[1] is turned[1]:
                subject = "Both radiographs appear"
            else:
                index = 0 if changed[0] is turned[0] else 1
                subject = Message("The {view} radiograph appears", view=names[index])
            yield Explanation(
                Message(
                    "{subject} to be {name}; check how the image lies.", subject=subject, name=way
                ),
                changed,
                _recentred(frame, pair, changed),
            )


def _otherwise_scaled(pair: Pair, frame: np.ndarray) -> Iterator[Explanation]:
    """All lengths of the rig times a factor."""
    for scale in _SCALES:
        try:
            resized = tuple(
                seen_by(_resized(exposure.view, scale, frame[:3, 3]), exposure) for exposure in pair
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

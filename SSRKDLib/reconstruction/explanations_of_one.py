"""What one radiograph shows: the knee that was located, or something else, such as another view,
an image that lies otherwise, or no knee."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

import numpy as np

from SSRKDLib.core.messages import Message
from SSRKDLib.core.terminology import SIDES
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction.choices import VIEW_NAMES
from SSRKDLib.reconstruction.localisation import Localisation, localise_from, start_alone

#: How an image can lie in its rectangle: whether columns and rows are reversed, and its name.
ORIENTATIONS = {
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
#: than the second. These misfits are measured with the bundled weights, whose uncertainties they
#: contain.
_KNEE_BY_ITSELF, _KNEE_OTHERWISE = 0.012, 0.02

#: Its leg stands upright as the rig says, but for less than 45 degrees (cosine).
_UPRIGHT = 0.7


def no_knee_in(name: str) -> Message:
    """That nothing in a radiograph looks like a knee, however it lies; ``name`` is the view's."""
    return Message(
        "No knee is recognised in the {view} radiograph; check what it shows, how it lies, how far "
        "the knee is bent, and the distances.",
        view=name,
    )


def is_known(alone: Localisation, start: np.ndarray) -> bool:
    """Whether a radiograph of a pair, in which the knee was located by itself, shows the view that
    it is said to be; ``start`` is :func:`start_alone`'s frame of it."""
    # The locator follows a leg that lies across the image.
    upright = alone.frame[:3, 2] @ start[:3, 2] > _UPRIGHT
    return upright and alone.misfit < _KNEE_BY_ITSELF and alone.estimate.spread < _MARKED_MM


def looks_like(
    exposure: Exposure, name: str, rig: Rig, model: KneeModel, located: Localisation,
    alone: Localisation, side: Message | None = None,
) -> Message:  # fmt: skip
    """What one radiograph of a pair looks like by itself, for a user, where not like what it is
    said to be.

    Args:
        exposure: the radiograph.
        name: one of :data:`VIEW_NAMES`, as which the pair is read.
        rig, model, located: as for
            :func:`~SSRKDLib.reconstruction.explanations.find_explanation`.
        alone: the knee that was located in it by itself.
        side: the sentence of a mirrored frontal one, where the sides are in doubt.
    """
    view, frame = exposure.view, start_alone(exposure, rig, located)
    ways = [
        (seen_by(changed, exposure), sentence)
        for changed, sentence in _otherwise_taken(view, frame, name)
    ]
    if side is not None and name == "frontal":
        ways.append(
            (seen_by(_about(frame[:3, 3], view, view.reversed(True, False)), exposure), side)
        )
    # A slot scanner's rows are the patient's heights.
    for reversal in () if view.travel.any() else ((True, False), (False, True)):
        turned = replace(
            view,
            column_direction=view.row_direction,
            row_direction=view.column_direction,
            pixel_spacing=view.pixel_spacing[::-1],
        ).reversed(*reversal)
        sentence = Message(
            "The {view} radiograph appears to be turned by 90 degrees; check how it lies.",
            view=name,
        )
        ways.append((seen_by(_about(frame[:3, 3], view, turned), exposure), sentence))
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
    return no_knee_in(name)


def doubts_of_one(
    exposure: Exposure, model: KneeModel, located: Localisation, other: Localisation | None
) -> list[str]:
    """Sentences on one radiograph that does not look like the knee that was located.

    Args:
        exposure: the radiograph.
        model, located, other: as for
            :func:`~SSRKDLib.reconstruction.explanations.find_explanation`.
    """
    name = located.radiographs.input.cameras[0].view.name
    lateral = name == "lateral"
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
        for view, sentence in _otherwise_taken(exposure.view, located.frame, name):
            changed = (seen_by(view, exposure),)
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


def _otherwise_taken(view: View, frame: np.ndarray, name: str) -> Iterator[tuple[View, str]]:
    """As the other view of the same knee, and reversed; of a frontal one left and right are its
    side's question."""
    turn = np.eye(4)
    turn[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    other = VIEW_NAMES[1 - VIEW_NAMES.index(name)]
    for matrix in (turn, turn.T):
        moved = frame @ matrix @ np.linalg.inv(frame)
        sentence = Message(
            "The {said} radiograph looks like a {view} one; check which view it is.",
            said=name,
            view=other,
        )
        yield view.transformed(moved), sentence
    for reversal, way in ORIENTATIONS.items():
        if name == "lateral" or reversal != (True, False):
            yield (
                _about(frame[:3, 3], view, view.reversed(*reversal)),
                Message(
                    "The {view} radiograph appears to be {way}; check how it lies.",
                    view=name,
                    way=way,
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


def seen_by(view: View, exposure: Exposure) -> Exposure:
    """The exposure's image, taken by another view."""
    return Exposure(view, exposure.line_integral, exposure.valid)

"""The knee in radiographs of which not everything is known: what tags leave open is tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.messages import Message
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure, best_pair
from SSRKDLib.reconstruction.localisation import (
    Localisation,
    known_rotation,
    locate,
)

#: Of candidates that agree as well but for this (Dice), the one with the least misfit is taken.
_AS_GOOD = 0.05

#: A view along the patient's left and right, as the cosine.
_LATERAL = 0.7


@dataclass(frozen=True)
class FoundKnee:
    """A knee, and the rig in which it was found.

    Attributes:
        located: where; its radiographs are the pair that is used, or the only one.
        rig: how they were taken, what was open decided.
        indices: which of the rig's views they are.
        notes: a sentence on what was decided otherwise than assumed.
    """

    located: Localisation
    rig: Rig
    indices: tuple[int, ...]
    notes: tuple[str, ...] = ()


def find_knee(exposures: list[Exposure], rig: Rig, model: KneeModel) -> FoundKnee:
    """The knee of a rig's radiographs (of more than two, of the pair nearest to perpendicular).

    Where it does not agree well with them, lateral radiographs are tried from the other side and
    mirrored, as far as the rig only assumes how they lie; sides that are not known are tried by
    :func:`~SSRKDLib.reconstruction.localisation.locate`. A mirrored frontal radiograph is not
    tried: it and the knee's other side are one question, which its laterality has answered.

    Args:
        exposures: one per view of the rig.
        rig: how they were taken.
        model: the networks.

    Raises:
        GeometryError: the radiographs show no common place.
    """
    pair = best_pair(exposures) if len(exposures) > 1 else tuple(exposures)
    indices = tuple(exposures.index(exposure) for exposure in pair)
    as_said = FoundKnee(locate(pair, rig, model, rig.laterality), rig, indices)
    if as_said.located.good:
        return as_said
    tried = [(as_said, "")]
    for words, changed in _other_ways(rig, indices):
        views = changed.views
        turned = tuple(
            Exposure(views[k], exposures[k].line_integral, exposures[k].valid) for k in indices
        )
        try:
            located = locate(turned, changed, model, rig.laterality)
        except GeometryError:
            continue  # from there, the two show nothing in common
        tried.append((FoundKnee(located, changed, indices), words))
    most = max(found.located.agreement for found, _ in tried)
    found, words = min(
        (one for one in tried if one[0].located.agreement >= most - _AS_GOOD),
        key=lambda one: one[0].located.misfit,
    )
    if found is as_said:
        return as_said
    note = Message(
        "{words}, which its orientation leaves open: so it agrees better with the bones (Dice "
        "{agreement:.2f}) than as assumed ({as_said:.2f}).",
        words=words,
        agreement=found.located.agreement,
        as_said=as_said.located.agreement,
    )
    return replace(found, notes=(note,))


#: How a radiograph is taken that is (turned, mirrored).
_TAKEN = {
    (True, False): "The {view} radiograph is taken from the other side of the knee",
    (False, True): "The {view} radiograph is taken as mirrored",
    (True, True): "The {view} radiograph is taken from the other side of the knee and as mirrored",
}


def _other_ways(rig: Rig, indices: tuple[int, ...]) -> Iterator[tuple[str, Rig]]:
    """Rigs whose lateral views lie as their origins leave open, and words for what is taken."""
    rotation = known_rotation(rig)
    if rotation is None:
        return
    for index in indices:
        view = rig.views[index]
        if abs(view.axis @ rotation[:, 0]) < _LATERAL:
            continue
        for turned, mirrored in ((True, False), (False, True), (True, True)):
            beam, orientation = (view.known.beam, view.known.orientation)
            if (turned and beam != "assumed") or (mirrored != turned and orientation != "assumed"):
                continue
            views = list(rig.views)
            views[index] = _from_behind(view, rig) if turned else view
            views[index] = views[index].reversed(mirrored, False)
            yield (
                Message(_TAKEN[turned, mirrored], view=view.name),
                replace(rig, views=tuple(views)),
            )


def _from_behind(view: View, rig: Rig) -> View:
    """The view turned by half about the patient's axis: the rig's iso-centre is the patient's
    origin."""
    to_rig = np.eye(4) if rig.patient_to_rig is None else rig.patient_to_rig
    return view.transformed(to_rig @ np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.linalg.inv(to_rig))

"""The fit: from bone masks of two or more views to shapes, poses, and whether anything moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.geometry.views import View
from SSRKDLib.reconstruction.fitting.gauss_newton import (
    DOUBTED_STEPS,
    FINEST,
    STEPS,
    Evidence,
    assembled,
    descend,
)
from SSRKDLib.reconstruction.fitting.outlines import depth_inside, mask_outline
from SSRKDLib.reconstruction.fitting.residuals import (
    EDITED_SHARE,
    Knee,
    NormalEquations,
    OutlineTerm,
)
from SSRKDLib.reconstruction.fitting.rig_doubt import RigDoubt
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.state import PAIR, FitState

#: Poses of their own are believed where they fit the outlines this many times better and the
#: network's field, asked with each bone's own rig, agrees this many times better with the surfaces.
#: The two err for other reasons. On virtual people, pairs in which nothing moved reach 1.03 and
#: 1.01, pairs whose motion matters 1.18 and 1.12 and more.
MOVED_BY, FIELD_AGREES_BY = 1.12, 1.06

#: Where there is no field to ask, or the outlines leave no doubt.
MOVED_ALONE, MOVED_SURELY = 1.17, 1.5

#: Steps with own poses from the best single ones, and the gain below which more are not tried.
_PROBE, _PROMISING = 5, 1.04

#: In a further view the bones lay as in another one unless poses of its own fit this many times
#: better. Of virtual knees those that lay alike reach 1.02, others 1.3 and more.
_ALIKE = 1.1

#: Steps when further evidence joined.
_AGAIN = 5


@dataclass(frozen=True, eq=False)
class Views:
    """What views show of a knee.

    Attributes:
        views: frontal, lateral and further ones, in the world that poses refer to, mm.
        masks: ``[views, 4, rows, columns]``, 0 to 1, on the views' pixels.
        valid: ``[views, rows, columns]`` bool, where the radiographs show anything.
        edited: per view, whether a user drew its masks; None: of none.
        film_normals: per view the unit normal of the film that the leg was laid along; None where
            it may lie in any way.
        simultaneous: whether nothing can have moved between the views; of one view, nothing has.
        doubt: what of the rig may be wrong; None where nothing is.
    """

    views: tuple[View, ...]
    masks: np.ndarray
    valid: np.ndarray
    edited: tuple[bool, ...] | None = None
    film_normals: tuple[np.ndarray, ...] | None = None
    simultaneous: bool = False
    doubt: RigDoubt | None = None


class SurfaceEvidence(Protocol):
    """What else says where the surfaces lie, such as a network's field."""

    def add_to(self, equations: NormalEquations, knee: Knee) -> None:
        """Add its residuals, see :class:`SSRKDLib.reconstruction.fitting.gauss_newton.Evidence`."""

    def misfits(self, state: FitState) -> dict[str, float]:
        """By bone, how far the surfaces lie from where it says they do, mm."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted knee.

    Attributes:
        state: shape and poses.
        cost: mean distance of the masks' outlines from the bones', mm.
        evidence: what it was fitted to.
        ratio: how many times better poses of their own fit the outlines; None where they were not
            tried.
        field_ratio: how many times better the further evidence agrees with them; None where it was
            not asked.
    """

    state: FitState
    cost: float
    evidence: Evidence
    ratio: float | None = None
    field_ratio: float | None = None

    @property
    def moved(self) -> bool:
        """Whether the bones lay otherwise in the two views."""
        return not self.state.one_pose

    def equations(self, others: bool = True) -> NormalEquations:
        """The normal equations at the fit, for its uncertainty; without what else than outlines it
        was fitted to, if not ``others``."""
        evidence = self.evidence if others else replace(self.evidence, others=())
        return assembled(Knee(self.state), evidence, FINEST)[0]

    def seen(self, bone: str) -> tuple[bool, ...]:
        """In which of the views a mask shows the bone."""
        return tuple(outlines[bone].seen for outlines in self.evidence.outlines.outlines)

    def with_term(self, term: SurfaceEvidence, step: Callable[[], None]) -> Fit:
        """Fitted on, with further evidence."""
        evidence = replace(self.evidence, others=(term,))
        state = descend(self.state, evidence, [FINEST] * _AGAIN, step)
        return replace(self, state=state, cost=_cost(state, evidence), evidence=evidence)


#: Gives the further evidence for a fit: its poses say how to ask.
Ask = Callable[[Fit], SurfaceEvidence]


class _Steps:
    """Counts the steps of a fit, and tells the share that is done."""

    def __init__(self, told: Callable[[float], None], views: int) -> None:
        self._told, self._done = told, 0
        # With own poses in full, of which each further view's may be those of any one before it.
        shared = sum(range(len(PAIR), views))
        self._most = (2 + shared) * len(STEPS) + _PROBE + _AGAIN

    def __call__(self) -> None:
        self._told(self._done / self._most)
        self._done += 1


def fit_knee(
    seen: Views, ask: Ask | None = None, told: Callable[[float], None] = lambda share: None
) -> Fit:
    """Fit shapes and poses to the outlines of masks, and to what else there is.

    One pose per bone is kept unless poses of their own fit the outlines clearly better: those
    always fit a little better, and invent motion where there was none. So is one pose for a further
    view and another one before it.

    Args:
        seen: what the views show; the mean knee in its own place is where the fit starts from, so
            the world is to be about the knee's canonical frame.
        ask: gives further evidence; it joins when the outlines are fitted.
        told: before each step, the share that is done, 0 to 1; what it raises ends the fit.
    """
    step = _Steps(told, len(seen.views))
    evidence = _evidence(seen)
    alone = len(seen.views) == 1
    doubted = seen.doubt is not None and not alone
    start = FitState.mean(knee_shape_model(), len(seen.views), doubted)
    still = _fitted(start, evidence, step)
    if seen.simultaneous or alone:
        return still if ask is None else still.with_term(ask(still), step)
    probe = descend(still.state.with_own_poses(), evidence, [FINEST] * _PROBE, step)
    ratio = still.cost / _cost(probe, evidence)
    own = None
    # Where two of three views agree, a few steps do not bring the third where it belongs.
    if ratio >= _PROMISING or len(seen.views) > len(PAIR):
        own = _fitted(start.with_own_poses(), evidence, step)
        ratio = still.cost / own.cost
        if ratio >= MOVED_BY:
            own = _sharing(own, step)
    still = replace(still, ratio=ratio)
    if ask is None:
        return replace(own, ratio=ratio) if own is not None and ratio >= MOVED_ALONE else still
    one_term = ask(still)
    if own is None or ratio < MOVED_BY:
        return still.with_term(one_term, step)
    own_term = ask(own)
    field_ratio = _times_better(one_term.misfits(still.state), own_term.misfits(own.state))
    if ratio >= MOVED_SURELY or field_ratio >= FIELD_AGREES_BY:
        return replace(own, ratio=ratio, field_ratio=field_ratio).with_term(own_term, step)
    return replace(still, field_ratio=field_ratio).with_term(one_term, step)


def _sharing(own: Fit, step: Callable[[], None]) -> Fit:
    """The fit with one pose for each further view and another one before it, where they lay alike:
    only so do the two tell together how deep the bones lie."""
    for slot in own.state.slots[len(PAIR) :]:
        tried = [
            _fitted(own.state.with_shared_poses(slot, other), own.evidence, step)
            for other in own.state.own_slots
            if other < slot
        ]
        best = min(tried, key=lambda fit: fit.cost)
        if best.cost < _ALIKE * own.cost:
            own = best
    return own


def _times_better(before: dict[str, float], after: dict[str, float]) -> float:
    """Ratio of two misfits, over the bones that both know; 1 where there are none."""
    bones = [bone for bone in before if bone in after]
    if not bones:
        return 1.0
    return sum(before[bone] for bone in bones) / max(sum(after[bone] for bone in bones), 1e-9)


def _fitted(start: FitState, evidence: Evidence, step: Callable[[], None]) -> Fit:
    plan = STEPS if evidence.doubt is None else DOUBTED_STEPS
    state = descend(start, evidence, plan, step)
    return Fit(state, _cost(state, evidence), evidence)


def _cost(state: FitState, evidence: Evidence) -> float:
    return assembled(Knee(state), evidence, FINEST)[1]


def _evidence(seen: Views) -> Evidence:
    inner = tuple(depth_inside(valid) for valid in seen.valid)
    outlines = tuple(
        {bone: mask_outline(masks[k], depth) for k, bone in enumerate(BONES)}
        for masks, depth in zip(seen.masks, inner)
    )
    edited = seen.edited or (False,) * len(seen.views)
    shares = np.where(edited, EDITED_SHARE, 1.0)
    return Evidence(OutlineTerm(seen.views, inner, outlines, shares), seen.film_normals, seen.doubt)

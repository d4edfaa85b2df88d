"""The fit: from bone masks of two or more views to shapes, poses, and whether anything moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.geometry.views import View
from SSRKDLib.reconstruction.fitting.gauss_newton import (
    DOUBTED_STEPS,
    FAR_STEPS,
    FINEST,
    STEPS,
    Evidence,
    assembled,
    descend,
)
from SSRKDLib.reconstruction.fitting.outlines import depth_inside, mask_outline
from SSRKDLib.reconstruction.fitting.radiograph_term import EdgeImage, RadiographTerm
from SSRKDLib.reconstruction.fitting.residuals import (
    EDITED_SHARE,
    OUTLINE_SD_MM,
    Knee,
    Matching,
    NormalEquations,
    OutlineTerm,
)
from SSRKDLib.reconstruction.fitting.rig_doubt import RigDoubt
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.state import PAIR, FitState

#: Poses of their own are believed where they fit the outlines of all bones but the one that gains
#: most so many times better, no point counting as farther than so many mm, two standard deviations
#: of a mask's border. A leg moves as a whole: one bone that gains by itself has a shape that the
#: population lacks, and a piece of a mask that is far off is wrong.
MOVED_BY, NEAR_MM = 1.1, 2 * OUTLINE_SD_MM

#: Or where all bones together gain as much, and the network's field, asked with each bone's own
#: rig, agrees this many times better with the surfaces.
FIELD_AGREES_BY = 1.15

# Calibrated on 99 pairs of virtual people (seeds 0 to 5 of evaluation.moved_pairs, two in five with
# other dose, contrast, tissue, detector or processing than usual). Of 53 in which nothing moved
# none gains 1.09 in all, or 1.06 without the bone that gains most; of 22 that bent by 5 degrees and
# more all but one are found, two of them by the field. Of 24 motions of 2 degrees and 3 mm two in
# three look like knees that did not move, and lose hardly any shape when taken for such, while
# poses that nothing moved are off by some mm: so the limits are high. The prior, the motion against
# its own uncertainty, and squared distances did not tell them apart better.

#: Steps with own poses from the best single ones. More are tried where they gain this much, or
#: where the single ones fit worse than so many mm: those may be far from the best, and so may be
#: whatever is found from there.
_PROBE, _PROMISING, _POOR_MM = 5, 1.03, 0.6

#: Distances of outlines beyond this count as this, mm.
_FAR_MM = 5.0

#: In a further view the bones lay as in another one unless poses of its own fit this many times
#: better. Of virtual knees those that lay alike reach 1.02, others 1.3 and more.
_ALIKE = 1.1

#: Steps when further evidence joined, and when the radiographs themselves did.
_AGAIN, _BY_RADIOGRAPHS = 5, 5

#: The radiographs themselves are not believed where they make the outlines so many times worse. Of
#: ten moved virtual pairs they make them 0.99 to 1.05 times as far (1.05 where they bend the knee
#: by 5 degrees to where it was): more is a fit that went astray.
_WORSE = 1.08


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
        edges: makes the edges of the radiograph itself of one of the views, which takes long and
            only moved knees need; None: masks are all there is.
    """

    views: tuple[View, ...]
    masks: np.ndarray
    valid: np.ndarray
    edited: tuple[bool, ...] | None = None
    film_normals: tuple[np.ndarray, ...] | None = None
    simultaneous: bool = False
    doubt: RigDoubt | None = None
    edges: Callable[[int], EdgeImage] | None = None


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
        near: by bone the sum of these distances, none of them more than :data:`NEAR_MM`, and how
            many there are.
        evidence: what it was fitted to.
        ratio: how many times better poses of their own fit the outlines, by ``near``; None where
            they were not tried.
        others_ratio: the same without the bone that gains most.
        field_ratio: how many times better the further evidence agrees with them; None where it was
            not asked.
    """

    state: FitState
    cost: float
    near: dict[str, np.ndarray]
    evidence: Evidence
    ratio: float | None = None
    others_ratio: float | None = None
    field_ratio: float | None = None

    def near_cost(self, but: str | None = None) -> float:
        """Mean of ``near`` over all bones but one, mm; NaN where there is none."""
        total, count = sum(part for bone, part in self.near.items() if bone != but)
        return float(total / count) if count else np.nan

    @property
    def moved(self) -> bool:
        """Whether the bones lay otherwise in the two views."""
        return not self.state.one_pose

    def equations(self, others: bool = True) -> NormalEquations:
        """The normal equations at the fit, for its uncertainty; without what else than outlines it
        was fitted to, if not ``others``. The radiograph itself is in neither: an edge may have been
        taken for another one."""
        evidence = replace(self.evidence, radiographs=())
        if not others:
            evidence = replace(evidence, others=())
        return assembled(Knee(self.state), evidence, FINEST)[0]

    def seen(self, bone: str) -> tuple[bool, ...]:
        """In which of the views a mask shows the bone."""
        return tuple(outlines[bone].seen for outlines in self.evidence.outlines.outlines)

    def with_term(self, term: SurfaceEvidence, step: Callable[[], None]) -> Fit:
        """Fitted on, with further evidence."""
        evidence = replace(self.evidence, others=(term,))
        again = _descended(self.state, evidence, [FINEST] * _AGAIN, step)
        return replace(self, state=again.state, cost=again.cost, near=again.near, evidence=evidence)


#: Gives the further evidence for a fit: its poses say how to ask.
Ask = Callable[[Fit], SurfaceEvidence]


class _Steps:
    """Counts the steps of a fit, and tells the share that is done."""

    def __init__(self, told: Callable[[float], None], views: int) -> None:
        self._told, self._done = told, 0
        # With own poses in full, of which each further view's may be those of any one before it.
        shared = sum(range(len(PAIR), views))
        self._most = (3 + shared) * len(STEPS) - FAR_STEPS + _PROBE + _BY_RADIOGRAPHS + _AGAIN

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
    own = _descended(still.state.with_own_poses(), evidence, [FINEST] * _PROBE, step)
    # Where two of three views agree, a few steps do not bring the third where it belongs.
    if _ratio(still, own) >= _PROMISING or still.cost > _POOR_MM or len(seen.views) > len(PAIR):
        own = _fitted(start.with_own_poses(), evidence, step)
    if _ratio(still, own) >= MOVED_BY:
        # Single poses may have ended in a worse place only: once more, with the better shape.
        shaped = replace(still.state, coefficients=own.state.coefficients)
        again = _fitted(shaped, evidence, step, FAR_STEPS)
        still = min(still, again, key=Fit.near_cost)
    ratio = _ratio(still, own)
    bones = [bone for bone, (_, count) in still.near.items() if count]
    others = min(_ratio(still, own, bone) for bone in bones) if len(bones) > 1 else ratio
    still = replace(still, ratio=ratio, others_ratio=others)
    if max(ratio, others) < MOVED_BY:
        return still if ask is None else still.with_term(ask(still), step)
    own = replace(_sharing(own, step), ratio=ratio, others_ratio=others)
    moved = others >= MOVED_BY
    if moved:
        own = _by_radiographs(own, seen, step)
    if ask is None:
        return own if moved else still
    term, own_term = ask(still), ask(own)
    field_ratio = _times_better(term.misfits(still.state), own_term.misfits(own.state))
    if not moved and field_ratio < FIELD_AGREES_BY:
        return replace(still, field_ratio=field_ratio).with_term(term, step)
    if not moved:
        own = _by_radiographs(own, seen, step)
        own_term = ask(own)
    return replace(own, field_ratio=field_ratio).with_term(own_term, step)


def _by_radiographs(own: Fit, seen: Views, step: Callable[[], None]) -> Fit:
    """Fitted on, with the pair's radiographs themselves. Only where bones moved: of those that did
    not the other view's outlines tell the turns out of a view's plane. Whether they moved is told
    before, without them."""
    if seen.edges is None:
        return own
    terms = tuple(RadiographTerm(seen.edges(slot), slot) for slot in PAIR)
    evidence = replace(own.evidence, radiographs=terms)
    again = _descended(own.state, evidence, [FINEST] * _BY_RADIOGRAPHS, step)
    if again.near_cost() > _WORSE * own.near_cost():
        return own
    return replace(own, state=again.state, cost=again.cost, near=again.near, evidence=evidence)


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


def _ratio(still: Fit, own: Fit, but: str | None = None) -> float:
    return still.near_cost(but) / own.near_cost(but)


def _times_better(before: dict[str, float], after: dict[str, float]) -> float:
    """Ratio of two misfits, over the bones that both know; 1 where there are none."""
    bones = [bone for bone in before if bone in after]
    if not bones:
        return 1.0
    return sum(before[bone] for bone in bones) / max(sum(after[bone] for bone in bones), 1e-9)


def _fitted(start: FitState, evidence: Evidence, step: Callable[[], None], first: int = 0) -> Fit:
    """In all steps of a plan from the ``first`` on."""
    plan = STEPS if evidence.doubt is None else DOUBTED_STEPS
    return _descended(start, evidence, plan[first:], step)


def _descended(
    start: FitState, evidence: Evidence, plan: Sequence[Matching], step: Callable[[], None]
) -> Fit:
    state = descend(start, evidence, plan, step)
    far = assembled(Knee(state), replace(evidence, radiographs=()), FINEST)[1]
    every = np.concatenate(list(far.values()))
    cost = float(np.minimum(every, _FAR_MM).mean()) if len(every) else np.nan
    near = {b: np.array([np.minimum(one, NEAR_MM).sum(), len(one)]) for b, one in far.items()}
    return Fit(state, cost, near, evidence)


def _evidence(seen: Views) -> Evidence:
    inner = tuple(depth_inside(valid) for valid in seen.valid)
    outlines = tuple(
        {bone: mask_outline(masks[k], depth) for k, bone in enumerate(BONES)}
        for masks, depth in zip(seen.masks, inner)
    )
    edited = seen.edited or (False,) * len(seen.views)
    shares = np.where(edited, EDITED_SHARE, 1.0)
    return Evidence(OutlineTerm(seen.views, inner, outlines, shares), seen.film_normals, seen.doubt)

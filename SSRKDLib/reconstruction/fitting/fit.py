"""The fit: from bone masks of two views to shapes, poses, and whether anything moved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.geometry.views import View
from SSRKDLib.reconstruction.fitting.gauss_newton import (
    COARSE,
    FINE,
    FINEST,
    Evidence,
    assembled,
    descend,
)
from SSRKDLib.reconstruction.fitting.outlines import depth_inside, mask_outline
from SSRKDLib.reconstruction.fitting.residuals import EDITED_SHARE, NormalEquations, OutlineTerm
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.state import SLOTS, FitState

#: Poses of their own are believed where they fit the outlines this many times better.
MOVED_BY = 1.17

#: Steps with own poses from the best single ones, and the gain below which more are not tried.
_PROBE, _PROMISING = 5, 1.04

#: Steps when further evidence joined.
_AGAIN = 5


@dataclass(frozen=True, eq=False)
class Views:
    """What two views show of a knee.

    Attributes:
        views: frontal and lateral, in the world that poses refer to, mm.
        masks: ``[2, 4, rows, columns]``, 0 to 1, on the views' pixels.
        valid: ``[2, rows, columns]`` bool, where the radiographs show anything.
        edited: per view, whether a user drew its masks.
        film_normals: per view the unit normal of the film that the leg was laid along; None where
            it may lie in any way.
        simultaneous: whether nothing can have moved between the views.
    """

    views: tuple[View, View]
    masks: np.ndarray
    valid: np.ndarray
    edited: tuple[bool, bool] = (False, False)
    film_normals: tuple[np.ndarray, np.ndarray] | None = None
    simultaneous: bool = False


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted knee.

    Attributes:
        state: shape and poses.
        cost: mean distance of the masks' outlines from the bones', mm.
        ratio: how many times better poses of their own fit the outlines; None where they were not
            tried.
        evidence: what it was fitted to.
    """

    state: FitState
    cost: float
    ratio: float | None
    evidence: Evidence

    @property
    def moved(self) -> bool:
        """Whether the bones lay otherwise in the two views."""
        return not self.state.one_pose

    def equations(self) -> NormalEquations:
        """The normal equations at the fit, for its uncertainty."""
        return assembled(self.state, self.evidence, FINEST)[0]

    def seen(self, bone: str) -> tuple[bool, bool]:
        """In which of the views a mask shows the bone."""
        return tuple(self.evidence.outlines.outlines[slot][bone].seen for slot in SLOTS)

    def with_terms(self, *terms) -> Fit:
        """Fitted on, with further evidence (see :class:`Evidence`)."""
        evidence = replace(self.evidence, others=terms)
        state = descend(self.state, evidence, [FINEST] * _AGAIN)
        return replace(self, state=state, cost=_cost(state, evidence), evidence=evidence)


def fit_knee(seen: Views) -> Fit:
    """Fit shapes and poses to the outlines of masks.

    One pose per bone is kept unless poses of their own fit the outlines clearly better: those
    always fit a little better, and invent motion where there was none.

    Args:
        seen: what the views show; the mean knee in its own place is where the fit starts from, so
            the world is to be about the knee's canonical frame.
    """
    evidence = _evidence(seen)
    start = FitState.mean(knee_shape_model(), one_pose=True)
    still = descend(start, evidence, (*COARSE, *FINE))
    cost = _cost(still, evidence)
    if seen.simultaneous:
        return Fit(still, cost, None, evidence)
    probe = descend(still.with_own_poses(), evidence, [FINEST] * _PROBE)
    ratio = cost / _cost(probe, evidence)
    if ratio < _PROMISING:
        return Fit(still, cost, ratio, evidence)
    own = descend(start.with_own_poses(), evidence, (*COARSE, *FINE))
    own_cost = _cost(own, evidence)
    ratio = cost / own_cost
    if ratio < MOVED_BY:
        return Fit(still, cost, ratio, evidence)
    return Fit(own, own_cost, ratio, evidence)


def _cost(state: FitState, evidence: Evidence) -> float:
    return assembled(state, evidence, FINEST)[1]


def _evidence(seen: Views) -> Evidence:
    inner = tuple(depth_inside(valid) for valid in seen.valid)
    outlines = tuple(
        {bone: mask_outline(seen.masks[slot, k], inner[slot]) for k, bone in enumerate(BONES)}
        for slot in SLOTS
    )
    shares = np.where(seen.edited, EDITED_SHARE, 1.0)
    return Evidence(OutlineTerm(seen.views, inner, outlines, shares), seen.film_normals)

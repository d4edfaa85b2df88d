"""Gauss and Newton's steps: outlines are matched anew in every one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SSRKDLib.reconstruction.fitting.joints import prior_rows
from SSRKDLib.reconstruction.fitting.residuals import (
    Knee,
    Matching,
    NormalEquations,
    OutlineTerm,
    add_contacts,
)
from SSRKDLib.reconstruction.fitting.state import FitState

#: Poses only: from wherever the knee was located to near the outlines.
COARSE = (
    *4 * (Matching(0, 20.0, 60.0, 12.0, every=3),),
    *2 * (Matching(0, 8.0, 30.0, 8.0, every=3),),
)

#: Shape and poses, down to the masks' precision.
FINE = (
    *3 * (Matching(40, 6.0, 20.0, 6.0, every=2),),
    *3 * (Matching(120, 3.0, 10.0, 5.0, every=2),),
    *5 * (Matching(120, 1.5, 6.0, 4.0),),
)

#: The last of them.
FINEST = FINE[-1]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a knee is fitted to.

    Attributes:
        outlines: of the masks.
        film_normals: see :func:`SSRKDLib.reconstruction.fitting.joints.prior_rows`.
        others: further terms, each with ``add_to(equations, knee)``.
    """

    outlines: OutlineTerm
    film_normals: tuple[np.ndarray, np.ndarray] | None = None
    others: tuple = ()


def assembled(knee: Knee, evidence: Evidence, how: Matching) -> tuple[NormalEquations, float]:
    """The normal equations at a knee's state, and the mean distance of its outlines, mm."""
    state = knee.state
    equations = NormalEquations(state, how.components)
    cost = evidence.outlines.add_to(equations, knee, how)
    equations.add_rows(prior_rows(state, evidence.film_normals))
    add_contacts(equations, knee)
    if how.components:
        equations.add_shape()
    for term in evidence.others:
        term.add_to(equations, knee)
    return equations, cost


def descend(state: FitState, evidence: Evidence, plan: Sequence[Matching]) -> FitState:
    """The state after the steps of a plan."""
    knee = Knee(state)
    for how in plan:
        equations, _ = assembled(knee, evidence, how)
        knee = Knee(knee.state.stepped(*equations.solution()), knee)
    return knee.state

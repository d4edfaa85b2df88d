"""Gauss and Newton's steps: outlines are matched anew in every one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.reconstruction.fitting.joints import prior_rows
from SSRKDLib.reconstruction.fitting.radiograph_term import RadiographTerm
from SSRKDLib.reconstruction.fitting.residuals import (
    Far,
    Knee,
    Matching,
    NormalEquations,
    OutlineTerm,
    add_contacts,
)
from SSRKDLib.reconstruction.fitting.rig_doubt import RigDoubt
from SSRKDLib.reconstruction.fitting.state import FitState

#: Poses only: from far, and from near; then shape, too, first in its strongest components, down to
#: the masks' precision.
_FAR = Matching(0, 20.0, 60.0, 12.0, every=3)
_NEAR = Matching(0, 8.0, 30.0, 8.0, every=3)
_ROUGH = Matching(40, 6.0, 20.0, 6.0, every=2)
_FINE = Matching(120, 3.0, 10.0, 5.0, every=2)
FINEST = Matching(120, 1.5, 6.0, 4.0)

#: Steps from wherever the knee was located, and how many of them are for knees that are far off.
FAR_STEPS = 4
STEPS = (*FAR_STEPS * (_FAR,), *2 * (_NEAR,), *3 * (_ROUGH,), *3 * (_FINE,), *5 * (FINEST,))

#: The same where distances are in doubt: a knee larger than the mean would else be brought nearer,
#: and stay there.
DOUBTED_STEPS = tuple(replace(how, components=max(how.components, 12)) for how in STEPS)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a knee is fitted to.

    Attributes:
        outlines: of the masks.
        film_normals: see :func:`SSRKDLib.reconstruction.fitting.joints.prior_rows`.
        doubt: what of the rig may be wrong; None where nothing is.
        others: further terms, each with ``add_to(equations, knee)``.
        radiographs: the last of all terms, since each asks what those before it leave open; none
            where outlines tell the poses.
    """

    outlines: OutlineTerm
    film_normals: tuple[np.ndarray, ...] | None = None
    doubt: RigDoubt | None = None
    others: tuple = ()
    radiographs: tuple[RadiographTerm, ...] = ()


def assembled(knee: Knee, evidence: Evidence, how: Matching) -> tuple[NormalEquations, Far]:
    """The normal equations at a knee's state, and how far the masks are from the bones."""
    state = knee.state
    equations = NormalEquations(state, how.components)
    far = evidence.outlines.add_to(equations, knee, how)
    doubt = evidence.doubt
    equations.add_rows(prior_rows(state, evidence.film_normals, doubt and doubt.centred_mm))
    if doubt is not None:
        equations.add_rows(doubt.rows(state))
    add_contacts(equations, knee)
    if how.components:
        equations.add_shape()
    for term in evidence.others:
        term.add_to(equations, knee)
    for term in evidence.radiographs:
        term.add_to(equations, knee)
    return equations, far


def descend(
    state: FitState, evidence: Evidence, plan: Sequence[Matching], step: Callable[[], None]
) -> FitState:
    """The state after the steps of a plan; ``step`` is called before each, and may end the fit."""
    knee = Knee(state)
    for how in plan:
        step()
        equations, _ = assembled(knee, evidence, how)
        knee = Knee(knee.state.stepped(*equations.solution()), knee)
    return knee.state

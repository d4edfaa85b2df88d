"""How far a fitted bone may lie from the real one, in mm: as a whole, and at each vertex.

It is of the shape: what is left after the bone was laid on the real one. What a pair of views does
not tell about where a bone lay is the uncertainty of its poses
(:mod:`SSRKDLib.reconstruction.fitting.motion`).

How good a bone is as a whole is told by what disagrees: its outlines with the masks, the network's
field with its surface, and whether it moved. How much they tell was learnt on virtual people over
good and bad input (``Training/calibrate_confidence.py``, which prints the numbers below). Where on
the bone it is better and worse, the fit's normal matrix says: the deviations that it leaves to the
shape, along the normals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.reconstruction.fitting.fit import Fit
from SSRKDLib.reconstruction.fitting.template import CutBone

#: Logarithm of a bone's mean error, mm: what it is of each bone, and what is added per unit of the
#: logarithms of :func:`covariates`, and where bones moved.
CONSTANTS = {"patella": 0.62, "femur": 0.88, "fibula": 0.50, "tibia": 0.92}
RATES = np.array([0.49, 0.28, 0.42, 0.13])

#: Nine of ten vertices lie within so many times their share of the mean error.
WITHIN = 2.45

#: The constants of one radiograph, by which one it is.
ONE_VIEW = {
    "frontal": {"patella": 1.10, "femur": 1.26, "fibula": 1.01, "tibia": 1.25},
    "lateral": {"patella": 1.23, "femur": 1.56, "fibula": 0.81, "tibia": 1.38},
}

#: Vertices share the error by this power of their deviations: the normal matrix knows what outlines
#: tell, not where the shape model is wrong.
SHARE_POWER = 0.4

#: What a bone is taken for that has no field to compare with, mm, or no mask.
_NO_FIELD_MM, _NO_AGREEMENT = 1.5, 0.5


@dataclass(frozen=True, eq=False)
class Confidence:
    """How good one bone is.

    Attributes:
        expected_mm: mean distance from the real surface that is to be expected.
        within_mm: ``[V]`` of the delivered vertices: nine of ten lie within it.
    """

    expected_mm: float
    within_mm: np.ndarray


def covariates(
    agreement: tuple[float | None, ...], field_mm: float | None, outline_mm: float, moved: bool
) -> np.ndarray:
    """What :data:`RATES` are multiplied with.

    Args:
        agreement: of the bone's outlines with the masks, per view (Dice; None: not seen).
        field_mm: median distance of the field from the bone's surface; None where not asked.
        outline_mm: mean distance of all bones' outlines from the masks'.
        moved: whether the bones have a pose of their own in each view.
    """
    known = [value for value in agreement if value is not None]
    agree = np.mean(known) if known else _NO_AGREEMENT
    apart = _NO_FIELD_MM if field_mm is None else field_mm
    return np.array(
        [np.log(0.3 + apart), np.log(1.01 - agree), np.log(max(outline_mm, 0.1)), float(moved)]
    )


def confidences(
    fit: Fit,
    cuts: Mapping[str, CutBone],
    agreement: Mapping[str, list[float | None]],
    field_mm: Mapping[str, float | None],
    only: str | None = None,
) -> dict[str, Confidence]:
    """By bone.

    Args:
        fit: of the knee.
        cuts: what is delivered of each bone.
        agreement, field_mm: by bone, see :func:`covariates`.
        only: ``"frontal"`` or ``"lateral"`` where it was fitted to this radiograph alone.
    """
    constants = CONSTANTS if only is None else ONE_VIEW[only]
    deviations = vertex_deviations(fit)
    found = {}
    for bone, cut in cuts.items():
        told = covariates(tuple(agreement[bone]), field_mm[bone], fit.cost, fit.moved)
        expected = float(np.exp(constants[bone] + RATES @ told))
        shares = _delivered(fit, bone, cut, deviations[bone]) ** SHARE_POWER
        found[bone] = Confidence(expected, WITHIN * expected * shares / shares.mean())
    return found


def vertex_deviations(fit: Fit) -> dict[str, np.ndarray]:
    """Standard deviations ``[N]`` mm of each bone's vertices along their normals, which outlines,
    field and the population leave; poses are marginalised. The radiograph itself is left out, as it
    was when :data:`SHARE_POWER` was chosen."""
    state, equations = fit.state, fit.equations()
    count = equations.components
    covariance = equations.covariance()
    root = np.linalg.cholesky(covariance[:count, :count] + 1e-9 * np.eye(count)).astype(np.float32)
    found = {}
    for bone in BONES:
        part = state.model.bones[bone]
        normals = part.normals(part.shape(state.coefficients)).astype(np.float32)
        rows = (normals[:, None] @ part.modes[:, :, :count])[:, 0] @ root
        found[bone] = np.sqrt((rows**2).sum(axis=1))
    return found


def _delivered(fit: Fit, bone: str, cut: CutBone, values: np.ndarray) -> np.ndarray:
    """Values of the template's vertices at those that are delivered; the cut's own vertices have
    those of the nearest."""
    part = fit.state.model.bones[bone]
    kept = values[np.searchsorted(part.vertices, cut.kept)]
    points, own = cut.mesh.vertices[: len(kept)], cut.mesh.vertices[len(kept) :]
    return np.concatenate([kept, kept[cKDTree(points).query(own)[1]]]) if len(own) else kept

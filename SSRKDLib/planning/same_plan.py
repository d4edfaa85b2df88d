"""Whether the plan on a reconstruction is that on the true tibia."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.evaluation.alignment import align
from SSRKDLib.planning.cut import Cut
from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.planning.osteotomy import Plan
from SSRKDLib.surfaces.mesh import Mesh

#: What a difference may be for the plans to be called the same.
TARGETS = {"height_mm": 0.5, "plane_mm": 1.5, "plane_deg": 2.0, "slope_change_deg": 0.5}

Planner = Callable[[Mapping[str, Mesh]], tuple[Landmarks, Plan]]


def compare_plans(
    recon: Mapping[str, Mesh], reference: Mapping[str, Mesh], planner: Planner
) -> tuple[dict[str, float], Plan, Plan]:
    """Plan on both by the same rules, lay the true tibia on the reconstructed one, and compare.

    A plan goes with its bone: only how the bones look counts, not where they lay.

    Args:
        recon, reference: bones by name, each set in a frame of its own.
        planner: called with either.

    Returns:
        Differences, reconstruction less reference where they have a sign: ``plane_mm`` (distance of
        the reference's plane from the middle of the cut, between entry and hinge), ``plane_deg``
        (between the planes' normals), ``hinge_mm`` and ``hinge_deg`` (distance and angle of the
        hinges), ``angle_deg``, ``height_mm``, ``height_posterior_mm``, ``depth_mm``,
        ``mpta_deg`` (before), ``slope_deg`` (medial, before), ``slope_change_deg``,
        ``residual_mm`` (distance of the tibias' surfaces); and both plans, the reference's in its
        own frame.

    Raises:
        InputError: what ``planner`` raises, the reference's named as such; the reference is of the
            other side.
    """
    shins = [
        {bone: bones[bone] for bone in ("tibia", "fibula") if bone in bones}
        for bones in (reference, recon)
    ]
    landmarks, mine = planner(recon)
    try:
        _, truth = planner(reference)
    except InputError as error:
        raise type(error)(Message("Reference: {cause}", cause=error.cause), error.remedy) from error
    laid = align(*shins, "bone")
    there = _moved(truth.cut, laid.matrices["tibia"])
    middle = mine.cut.hinge + mine.cut.frame(landmarks)[0] * mine.depth / 2.0
    differences = {
        "plane_mm": float(abs((middle - there.hinge) @ there.normal)),
        "plane_deg": _between(mine.cut.normal, there.normal),
        "hinge_mm": _apart(mine.cut, there),
        "hinge_deg": _between(mine.cut.axis, there.axis),
        "angle_deg": mine.angle - truth.angle,
        "height_mm": mine.height - truth.height,
        "height_posterior_mm": mine.height_posterior - truth.height_posterior,
        "depth_mm": mine.depth - truth.depth,
        "mpta_deg": mine.before.mpta - truth.before.mpta,
        "slope_deg": mine.before.slope_medial - truth.before.slope_medial,
        "slope_change_deg": mine.slope_change - truth.slope_change,
        "residual_mm": laid.residual_mm["tibia"],
    }
    return differences, mine, truth


def is_same(differences: Mapping[str, float]) -> bool:
    """Whether all of :data:`TARGETS` are met."""
    return all(abs(differences[name]) <= limit for name, limit in TARGETS.items())


def _moved(cut: Cut, matrix: np.ndarray) -> Cut:
    turn = matrix[:3, :3]
    return Cut(cut.kind, moved_points(matrix, cut.hinge), turn @ cut.axis, turn @ cut.normal)


def _between(one: np.ndarray, other: np.ndarray) -> float:
    """Degrees between two unit vectors."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other)), one @ other)))


def _apart(one: Cut, other: Cut) -> float:
    """Distance of one hinge's middle from the other's line, mm."""
    step = one.hinge - other.hinge
    return float(np.linalg.norm(step - (step @ other.axis) * other.axis))

"""From bones to a plan by rule: what the command, the panel and the comparison call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.messages import Message
from SSRKDLib.planning.correction import (
    TARGET_PERCENT,
    Knee,
    LongLeg,
    knee_angles,
    miniaci,
    to_mpta,
)
from SSRKDLib.planning.cut import Choices, Cut, standard_cut
from SSRKDLib.planning.landmarks import Landmarks, find_landmarks
from SSRKDLib.planning.osteotomy import Plan, alignment, plan_osteotomy
from SSRKDLib.surfaces.mesh import Mesh

#: Convergence of the joint line from which soft tissue is said to matter, degrees.
_CONVERGENT = 2.0


@dataclass(frozen=True)
class Correction:
    """How much to correct: exactly one of the first three.

    Attributes:
        angle: degrees.
        mpta: the medial proximal tibial angle wanted, degrees.
        leg: of a long-leg radiograph, for Miniaci's construction.
        target: of that, percent of the plateaus' width.
    """

    angle: float | None = None
    mpta: float | None = None
    leg: LongLeg | None = None
    target: float = TARGET_PERCENT

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.angle, self.mpta, self.leg)) != 1:
            raise InputError(
                "How much to correct is not known.",
                "Give one of --angle, --mpta, --hka and --weight-bearing-line.",
            )

    def degrees(self, landmarks: Landmarks, cut: Cut, knee: Knee) -> float:
        """The correction of one tibia; raises InputError where there is none."""
        if self.angle is not None:
            return self.angle
        if self.mpta is not None:
            return to_mpta(alignment(landmarks, np.eye(3)).mpta, self.mpta)
        return miniaci(landmarks, cut, self.leg, self.target, knee.flexion)


@dataclass(frozen=True)
class Planner:
    """Plans by the same rules on any knee.

    Attributes:
        laterality: of all of them, "L" or "R".
        correction: how much.
        choices: where.
    """

    laterality: str
    correction: Correction
    choices: Choices = field(default_factory=Choices)

    def __call__(self, bones: Mapping[str, Mesh]) -> tuple[Landmarks, Plan]:
        """Landmarks and plan of a knee.

        Args:
            bones: surfaces by name, one frame, mm; tibia and fibula are needed, the femur tells
                whether the knee is bent.

        Raises:
            InputError: see :func:`find_landmarks`, :func:`standard_cut`, :func:`miniaci` and
                :func:`plan_osteotomy`.
        """
        landmarks = find_landmarks(bones, self.laterality)
        cut = standard_cut(bones["tibia"], landmarks, self.choices)
        knee = (
            knee_angles(bones, landmarks) if self.correction.leg is not None else Knee(None, None)
        )
        angle = self.correction.degrees(landmarks, cut, knee)
        return landmarks, plan_osteotomy(bones["tibia"], landmarks, cut, angle)


def knee_notes(knee: Knee) -> list[str]:
    """Sentences on what the joint adds to the bone's deformity."""
    if knee.convergence is None:
        return []
    said = Message(
        "The joint line converges by {angle:+.1f} degrees in these models", angle=knee.convergence
    )
    if abs(knee.convergence) < _CONVERGENT:
        return [Message("{said}: the deformity is in the bones.", said=said)]
    return [
        Message(
            "{said}, not standing: part of the leg's deformity may lie in the joint, and "
            "correcting it in the bone too would correct too much.",
            said=said,
        )
    ]

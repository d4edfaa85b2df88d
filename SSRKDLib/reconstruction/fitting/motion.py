"""What moved between two views, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.messages import Message
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.reconstruction.fitting.fit import Fit
from SSRKDLib.reconstruction.fitting.joints import flexion
from SSRKDLib.reconstruction.fitting.state import PAIR, PIVOTS, FitState

#: Legs are not turned further between two exposures, degrees.
_LARGEST_TURN = 25.0

#: Less is not worth a sentence: degrees and mm.
_REPORTED_DEGREES, _REPORTED_MM = 2.0, 3.0


@dataclass(frozen=True)
class Measured:
    """A number and its standard deviation."""

    value: float
    deviation: float

    def rounded(self) -> list[float]:
        """``[value, deviation]`` for a report."""
        return [round(self.value, 2), round(self.deviation, 2)]


@dataclass(frozen=True)
class Motion:
    """How the bones moved from the frontal to the lateral view.

    Attributes:
        degrees: per bone the angle that it turned by.
        mm: per bone how far its middle moved.
        flexion: degrees that the knee is bent more in the lateral view.
    """

    degrees: dict[str, Measured]
    mm: dict[str, Measured]
    flexion: Measured

    @property
    def likely(self) -> bool:
        """Whether a leg may have moved so; else views are swapped, or lie otherwise than said."""
        return self.degrees["femur"].value <= _LARGEST_TURN

    def sentences(self) -> list[str]:
        """The motion in words, for a user."""
        said = []
        more = round(self.flexion.value)
        if abs(more) >= _REPORTED_DEGREES:
            name = "lateral" if more > 0 else "frontal"
            said.append(
                Message(
                    "The knee is bent {more} degrees more in the {name} view.",
                    more=abs(more),
                    name=name,
                )
            )
        turned, shifted = self.degrees["femur"].value, self.mm["femur"].value
        if turned >= _REPORTED_DEGREES or shifted >= _REPORTED_MM:
            said.append(
                Message(
                    "The leg was turned by {turned:.0f} degrees and moved by {shifted:.0f} mm "
                    "between the views.",
                    turned=turned,
                    shifted=shifted,
                )
            )
        return said or ["The poses of the bones differ slightly between the two views."]

    def report(self) -> dict:
        """Plain JSON values: ``[value, standard deviation]``."""
        return {
            "flexion_degrees": self.flexion.rounded(),
            "bones": {
                bone: {
                    "degrees": self.degrees[bone].rounded(),
                    "mm": self.mm[bone].rounded(),
                }
                for bone in BONES
            },
        }


def motion_of(fit: Fit) -> Motion:
    """The motion between the views of a fit that has poses of their own.

    Its uncertainty is what the normal matrix leaves: what outlines and priors do not tell. The
    network's field is left out: it was asked where the fit had put each bone, so it is no evidence
    of where that is. So is the radiograph itself: an edge may be taken for another one, and a fit
    that was is off by as much as outlines alone would be.
    """
    equations = fit.equations(others=False)
    poses = slice(equations.motions, equations.shifts)
    covariance = equations.covariance()[poses, poses]
    degrees, mm = {}, {}
    for bone in BONES:
        degrees[bone], mm[bone] = _bone_motion(fit.state, bone, covariance)
    (first, d_first), (second, d_second) = (flexion(fit.state, slot) for slot in PAIR)
    rate = d_second - d_first
    bent = Measured(second - first, float(np.sqrt(rate @ covariance @ rate)))
    return Motion(degrees, mm, bent)


def _bone_motion(state: FitState, bone: str, covariance: np.ndarray) -> tuple[Measured, Measured]:
    first, second = (state.poses[slot][bone] for slot in PAIR)
    rotation = second[:3, :3] @ first[:3, :3].T
    turn = Rotation.from_matrix(rotation).as_rotvec()
    shift = moved_points(second, PIVOTS[bone]) - moved_points(first, PIVOTS[bone])
    # Small changes of both poses change the turn and the shift by their difference.
    rates = np.zeros((6, len(covariance)))
    at = [6 * state.block(slot, bone) for slot in PAIR]
    rates[:3, at[0] : at[0] + 3], rates[3:, at[0] + 3 : at[0] + 6] = -rotation, -np.eye(3)
    rates[:, at[1] : at[1] + 6] = np.eye(6)
    spread = rates @ covariance @ rates.T
    angle = _length(turn, spread[:3, :3])
    return Measured(np.rad2deg(angle.value), np.rad2deg(angle.deviation)), _length(
        shift, spread[3:, 3:]
    )


def _length(vector: np.ndarray, covariance: np.ndarray) -> Measured:
    """Length of a vector, and its deviation along it."""
    length = float(np.linalg.norm(vector))
    along = vector / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
    return Measured(length, float(np.sqrt(along @ covariance @ along)))

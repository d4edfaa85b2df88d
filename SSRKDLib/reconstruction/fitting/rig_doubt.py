"""What of a rig may be wrong, and how far: unknowns and priors of the fit.

Distances are what somebody typed or a device noted, and two films taken one after the other need
not be centred on the same point. Outlines cannot tell a wrong source-to-detector distance from a
knee that lies nearer to the source: both magnify, and what differs in perspective is less than a
mask's border. So all of it is said by two things: how far along each beam the knee lies, and a
shift of each further view against the first. The angle between the views stays as it was given: the
outlines do not tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SSRKDLib.core.rigid import moved_points
from SSRKDLib.geometry.views import View
from SSRKDLib.reconstruction.fitting.joints import Rows
from SSRKDLib.reconstruction.fitting.state import PIVOTS, FitState

#: Standard deviations by where a number came from: of the source-to-detector distance, as a share,
#: and of the source-to-knee distance, mm.
DETECTOR_SHARE = {"calibrated": 0.0, "stated": 0.005, "typed": 0.02, "assumed": 0.06}
KNEE_MM = {"calibrated": 0.0, "stated": 10.0, "typed": 20.0, "assumed": 50.0}

#: Of one radiograph nothing else tells the distance, and no knee lies exactly where it is said to:
#: the least standard deviation, mm.
_LEAST_OF_ONE_MM = 15.0

#: Two films are centred on the same point, but for the first, or anywhere, the second, mm: the
#: further apart they turn out to be, the less that is held against it.
_CENTRED_MM, _ANYWHERE_MM = 8.0, 20.0

#: The knee lies where its joint does: midway between the pivots of these.
_JOINT = ("femur", "tibia")
_MIDDLE = np.mean([PIVOTS[bone] for bone in _JOINT], axis=0)


@dataclass(frozen=True, eq=False)
class RigDoubt:
    """Priors of the views' geometry, in the fit's world.

    Attributes:
        axes: ``[views, 3]`` unit, along each view's beam.
        centres: ``[views, 3]`` mm, where each view says that the knee lies.
        depths: ``[views]`` standard deviation of where it lies along the beam, mm; infinite where
            the view is calibrated and says nothing of the knee.
        applied: ``[views - 1, 3]`` mm of shift that further views were corrected by before.
    """

    axes: np.ndarray
    centres: np.ndarray
    depths: np.ndarray
    applied: np.ndarray

    def rows(self, state: FitState) -> Rows:
        """Residuals in standard deviations, and their Jacobian by motions of poses and, last, by
        the shifts: ``[R, 6 * blocks + 3 * (views - 1)]``, or without the latter."""
        motions = 6 * state.blocks
        width = motions + state.free
        residuals, rows = [], []
        for slot in state.slots:
            if np.isfinite(self.depths[slot]):
                residuals.append(self.depth(state, slot) / self.depths[slot])
                rows.append(self.depth_rates(state, slot) / self.depths[slot])
        if state.free:
            apart = state.shifts + self.applied
            deviations = [self.centred_mm(float(np.linalg.norm(one))) for one in apart]
            shares = 1 / np.repeat(deviations, 3)
            residuals.extend(shares * apart.ravel())
            rows.extend(shares[:, None] * np.eye(state.free, width, motions))
        return Rows(np.array(residuals), np.array(rows).reshape(-1, width))

    def depth(self, state: FitState, slot: int) -> float:
        """How much farther from the source the knee lies than a view says, mm."""
        return float(self.axes[slot] @ (_MIDDLE + joint_shift(state, slot) - self.centres[slot]))

    def depth_rates(self, state: FitState, slot: int) -> np.ndarray:
        """Its Jacobian, see :meth:`rows`."""
        motions = 6 * state.blocks
        rates = np.zeros(motions + state.free)
        for bone in _JOINT:
            at = 6 * state.block(slot, bone) + 3
            rates[at : at + 3] += self.axes[slot] / len(_JOINT)
        if slot and state.free:
            at = motions + 3 * (slot - 1)
            rates[at : at + 3] = self.axes[slot]
        return rates

    @staticmethod
    def centred_mm(apart: float) -> float:
        """Standard deviation of how far apart two films are centred, given how far they are."""
        return float(_CENTRED_MM * np.sqrt(1 + (apart / _ANYWHERE_MM) ** 2))


def joint_shift(state: FitState, slot: int) -> np.ndarray:
    """``(3,)`` mm from where the mean knee's joint lies in its own place to where it lies in a
    view, world."""
    placed = [moved_points(state.poses[slot][bone], PIVOTS[bone]) for bone in _JOINT]
    return np.mean(placed, axis=0) - _MIDDLE


def rig_doubt(
    views: Sequence[View], centre: np.ndarray, frame: np.ndarray, corrections: np.ndarray
) -> RigDoubt | None:
    """Priors of views whose distances may be wrong; None where all are calibrated.

    Args:
        views: the frontal, the lateral and further ones, rig coordinates.
        centre: ``(3,)`` mm, where they were said to look, rig coordinates.
        frame: of the fit's world, canonical to rig, 4x4.
        corrections: ``[views - 1, 3]`` mm that further views were moved by since, rig coordinates.
    """
    depths = np.array([_depth_mm(view, centre) for view in views])
    if not np.isfinite(depths).any():
        return None
    back = np.linalg.inv(frame)
    centres = moved_points(back, centre + np.concatenate([np.zeros((1, 3)), corrections]))
    axes = np.stack([view.axis for view in views]) @ back[:3, :3].T
    return RigDoubt(axes, centres, depths, -(corrections @ back[:3, :3].T))


def distance_doubt(view: View, centre: np.ndarray, frame: np.ndarray) -> RigDoubt:
    """How far away the knee of a single radiograph may be; arguments as for :func:`rig_doubt`."""
    told, back = _depth_mm(view, centre), np.linalg.inv(frame)
    deviation = max(told, _LEAST_OF_ONE_MM) if np.isfinite(told) else _LEAST_OF_ONE_MM
    return RigDoubt(
        (back[:3, :3] @ view.axis)[None],
        moved_points(back, centre)[None],
        np.array([deviation]),
        np.zeros((0, 3)),
    )


def _depth_mm(view: View, centre: np.ndarray) -> float:
    known = view.known
    share = DETECTOR_SHARE[known.detector]
    if not share and known.knee == "calibrated":
        return np.inf
    distance = float(view.axis @ (centre - view.source))
    return float(np.hypot(KNEE_MM[known.knee], share * distance))

"""Fitting bones to radiographs whose rig may be wrong, and the rig that they fit best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.core.messages import Message
from SSRKDLib.geometry.views import Rig
from SSRKDLib.geometry.virtual_cameras import Camera
from SSRKDLib.models.interface import BoneField
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import FramedRadiographs
from SSRKDLib.reconstruction.choices import VIEW_NAMES
from SSRKDLib.reconstruction.edited_masks import segmented_anew
from SSRKDLib.reconstruction.finding import FoundKnee
from SSRKDLib.reconstruction.fitted_bones import MISPLACED_MM, FittedBones, fit_bones
from SSRKDLib.reconstruction.fitting.motion import Measured
from SSRKDLib.reconstruction.fitting.rig_doubt import (
    RigDoubt,
    distance_doubt,
    joint_shift,
    rig_doubt,
)
from SSRKDLib.reconstruction.fitting.state import moved_by
from SSRKDLib.reconstruction.further_views import of_pair

#: Shorter corrections are not worth a sentence: mm, and share of the source-to-knee distance.
_REPORTED_MM, _REPORTED_SHARE = 8.0, 0.015


@dataclass(frozen=True, eq=False)
class FittedRig:
    """What a fit says of a rig in doubt.

    Attributes:
        rig: with the lateral view where the bones fit it.
        cameras: the virtual cameras of the masks, the lateral one moved likewise.
        shift: ``(3,)`` mm by which the lateral view was moved, rig coordinates.
        said: per view of the pair the distance from source to knee that was given, mm.
        found: as the bones fit it.
    """

    rig: Rig
    cameras: tuple[Camera, ...]
    shift: np.ndarray
    said: tuple[float, ...]
    found: tuple[Measured, ...]

    def sentences(self) -> list[str]:
        """What differs from what was given, for a user."""
        said = []
        apart = float(np.linalg.norm(self.shift))
        if apart > _REPORTED_MM:
            said.append(
                Message(
                    "The two radiographs were not centred on the same point: the bones fit them "
                    "when the lateral view is moved by {apart:.0f} mm. Sizes then rest on the "
                    "distances from source to knee and are known to about {percent:.0f} %.",
                    apart=apart,
                    percent=self._percent(),
                )
            )
        for name, given, found in zip(VIEW_NAMES, self.said, self.found):
            if abs(found.value - given) > max(_REPORTED_SHARE * given, 2 * found.deviation):
                said.append(
                    Message(
                        "The bones fit a distance of {found:.0f} mm from source to knee in the "
                        "{view} view, not the {given:.0f} mm given; check the distances.",
                        found=found.value,
                        view=name,
                        given=given,
                    )
                )
        return said

    def report(self) -> dict:
        """Plain JSON values, mm: ``[value, standard deviation]`` of what was found."""
        return {
            "lateral_moved_mm": [round(float(mm), 2) for mm in self.shift],
            "source_to_knee_mm": {
                name: {"given": round(given, 1), "found": found.rounded()}
                for name, given, found in zip(VIEW_NAMES, self.said, self.found)
            },
        }

    def _percent(self) -> float:
        shares = [found.deviation / found.value for found in self.found]
        return max(1.0, 100 * min(shares))


@dataclass(frozen=True, eq=False)
class Fitting:
    """Fitted bones, and what they were fitted to.

    Attributes:
        bones: None where no mask shows any.
        knee: in the rig that the radiographs were read in.
        framed: the pair, as the fit saw it.
        field: as read of them.
        rig: what the fit says of a rig in doubt; None where there was no doubt, or bones moved,
            so that the views' places are part of the motion.
    """

    bones: FittedBones | None
    knee: FoundKnee
    framed: FramedRadiographs
    field: BoneField
    rig: FittedRig | None = None


def fit_in_doubt(
    knee: FoundKnee,
    framed: FramedRadiographs,
    field: BoneField,
    model: KneeModel,
    told: Callable[[float], None],
) -> Fitting:
    """Fit the bones and, where the rig is in doubt, where the lateral view stands. If that is
    notably elsewhere, the radiographs are read and fitted anew in the corrected rig.

    Args:
        knee: located.
        framed: its radiographs, with a user's masks where there are any; further views, too, where
            all are calibrated.
        field: what the model reads of them.
        model: the networks.
        told: the share that is done, 0 to 1; what it raises ends the fit.
    """
    centre = _iso_centre(knee.rig)
    if len(framed.input.cameras) == 1:
        doubt = distance_doubt(framed.pair[0].view, centre, framed.frame)
        return Fitting(fit_bones(framed, knee.rig, field, model, told, doubt), knee, framed, field)
    start, moved = knee, np.zeros(3)
    doubt = _doubt(knee, framed, centre, moved)
    fitted = fit_bones(framed, knee.rig, field, model, lambda share: told(share / 2), doubt)
    shift = _shift(fitted, framed.frame)
    if shift is None:
        return Fitting(fitted, knee, of_pair(framed), field)
    if np.linalg.norm(shift) > MISPLACED_MM:
        moved = moved - shift
        knee, framed = _read_anew(start, framed, fitted, moved, model)
        field = model.read(framed)
        doubt = _doubt(knee, framed, centre, moved)
        again = fit_bones(
            framed, knee.rig, field, model, lambda share: told((1 + share) / 2), doubt
        )  # fmt: skip
        fitted, shift = again, _shift(again, framed.frame)
        if shift is None:
            return Fitting(fitted, knee, framed, field)
    rig = _fitted_rig(start, framed, fitted, doubt, moved - shift, centre)
    return Fitting(fitted, knee, framed, field, rig)


def _doubt(
    knee: FoundKnee, framed: FramedRadiographs, centre: np.ndarray, moved: np.ndarray
) -> RigDoubt | None:
    views = tuple(framed.pair[camera.index].view for camera in framed.input.cameras)
    return rig_doubt(views, centre, framed.frame, moved[None])


def _iso_centre(rig: Rig) -> np.ndarray:
    """Where views whose distances are not calibrated are said to look: the patient's origin."""
    if rig.patient_to_rig is not None:
        return rig.patient_to_rig[:3, 3]
    return np.zeros(3) if rig.frame == "LPS" else rig.central_point()


def _shift(fitted: FittedBones | None, frame: np.ndarray) -> np.ndarray | None:
    """What the fit shifted the lateral view's knee by, rig coordinates, mm."""
    if fitted is None or fitted.fit.state.shifts is None:
        return None
    return frame[:3, :3] @ fitted.fit.state.shifts[0]


def _moved_rig(knee: FoundKnee, framed: FramedRadiographs, moved: np.ndarray) -> Rig:
    """The rig with its lateral view moved."""
    index = knee.indices[framed.input.cameras[1].index]
    views = list(knee.rig.views)
    views[index] = views[index].transformed(moved_by(moved))
    return replace(knee.rig, views=tuple(views))


def _read_anew(
    knee: FoundKnee, framed: FramedRadiographs, fitted: FittedBones, moved: np.ndarray,
    model: KneeModel,
) -> tuple[FoundKnee, FramedRadiographs]:  # fmt: skip
    """The radiographs in the corrected rig, the frame about where the fit has put the knee."""
    rig = _moved_rig(knee, framed, moved)
    pair = tuple(
        Exposure(rig.views[index], exposure.line_integral, exposure.valid)
        for index, exposure in zip(knee.indices, framed.pair)
    )
    frame = framed.frame @ moved_by(joint_shift(fitted.fit.state, 0))
    seen = segmented_anew(framed, pair, frame, model)
    located = replace(
        knee.located, estimate=replace(knee.located.estimate, frame=frame), radiographs=seen
    )
    return replace(knee, located=located, rig=rig), seen


def _fitted_rig(
    start: FoundKnee, framed: FramedRadiographs, fitted: FittedBones, doubt: RigDoubt,
    moved: np.ndarray, centre: np.ndarray,
) -> FittedRig:  # fmt: skip
    # The field was read in this rig, so it is no evidence of it.
    state, equations = fitted.fit.state, fitted.fit.equations(others=False)
    covariance = equations.covariance()
    first, lateral, *others = framed.input.cameras
    back = moved_by(-state.shifts[0])
    lateral = replace(
        lateral, view=lateral.view.transformed(back), real=lateral.real.transformed(back)
    )
    said, found = [], []
    for slot, camera in enumerate(framed.input.cameras):
        view = start.rig.views[start.indices[camera.index]]
        given = float(view.axis @ (centre - view.source))
        rate = doubt.depth_rates(state, slot)
        at = equations.motions + np.arange(len(rate))
        spread = float(np.sqrt(rate @ covariance[np.ix_(at, at)] @ rate))
        said.append(given)
        found.append(Measured(given + doubt.depth(state, slot), spread))
    rig = _moved_rig(start, framed, moved)
    return FittedRig(rig, (first, lateral, *others), moved, tuple(said), tuple(found))

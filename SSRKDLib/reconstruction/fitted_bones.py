"""Bones of the population's shape model, fitted to two located radiographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.messages import Message
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.geometry.views import Rig
from SSRKDLib.geometry.virtual_cameras import REACH
from SSRKDLib.models.interface import BoneField
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.network_input import FramedRadiographs
from SSRKDLib.reconstruction.agreement import Agreement, mean_agreement, silhouettes_agreement
from SSRKDLib.reconstruction.choices import FURTHER_NAMES, VIEW_NAMES
from SSRKDLib.reconstruction.fitting.confidence import Confidence, confidences
from SSRKDLib.reconstruction.fitting.fit import Fit, Views, fit_knee
from SSRKDLib.reconstruction.fitting.motion import Motion, motion_of
from SSRKDLib.reconstruction.fitting.own_rig import FieldTerm, common_field, own_fields
from SSRKDLib.reconstruction.fitting.radiograph_term import edge_image
from SSRKDLib.reconstruction.fitting.rig_doubt import RigDoubt
from SSRKDLib.reconstruction.fitting.state import PAIR
from SSRKDLib.reconstruction.fitting.template import CutBone, cut_bone
from SSRKDLib.reconstruction.further_views import of_pair, of_slots
from SSRKDLib.reconstruction.region import shown_margin
from SSRKDLib.surfaces.mesh import Mesh

#: No edge of a template is longer.
_LONGEST_EDGE_MM = 32

#: What the network read is no evidence where a view stands farther from where it was said to, mm.
MISPLACED_MM = 8.0

#: Where half of the asked vertices lie further than the first from the field's surface, or one in
#: twenty further than the second, the two part, mm.
_PARTED_MM = (2.5, 6.5)

#: A further view whose outlines agree less with its masks (mean Dice) is not fitted to: where it
#: stood, or how it lies, is not what the rig says. Good ones reach 0.96 and more.
_FURTHER_AGREES = 0.9


@dataclass(frozen=True, eq=False)
class FittedBones:
    """What the fit delivers.

    Attributes:
        seen: the radiographs that it is fitted to.
        fit: shape and poses; its world is the located canonical frame.
        cuts: per bone what lies in the reconstructed region, the model's own coordinates.
        motion: between the views, None where nothing moved.
        field_distances: per bone how far asked vertices lie inside the field's surface, mm.
        left_out: sentences on radiographs that were left out.
    """

    seen: FramedRadiographs
    fit: Fit
    cuts: dict[str, CutBone]
    motion: Motion | None
    field_distances: dict[str, np.ndarray]
    left_out: tuple[str, ...] = ()

    @cached_property
    def agreement(self) -> Agreement:
        """Of the bones, as they lay in each view, with its masks."""
        bones = [self.drawn(slot) for slot in self.fit.state.slots]
        return silhouettes_agreement(bones, self.seen.input, self.seen.masks)

    @property
    def only(self) -> str | None:
        """The view that it was fitted to where that is one, ``"frontal"`` or ``"lateral"``."""
        cameras = self.seen.input.cameras
        return cameras[0].view.name if len(cameras) == 1 else None

    def bones(self, slot: int) -> dict[str, Mesh]:
        """Surfaces as they lay in a view, canonical coordinates, mm."""
        return self.drawn(slot if self.fit.moved else 0)

    def drawn(self, slot: int) -> dict[str, Mesh]:
        """Surfaces where a view's camera, which stands where the fit was told, shows them."""
        poses = self.fit.state.poses[slot]
        return {bone: cut.mesh.transformed(poses[bone]) for bone, cut in self.cuts.items()}

    def between(self, shown: int, slot: int, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Per bone the 4x4, rig coordinates, from where it lay in one view to where in another."""
        back, there = np.linalg.inv(frame), self.fit.state.poses
        return {
            bone: frame @ there[slot][bone] @ np.linalg.inv(there[shown][bone]) @ back
            for bone in self.cuts
        }

    def field_report(self, bone: str) -> dict[str, float] | None:
        """Median and 95th percentile of the distance from the field's surface, mm."""
        if bone not in self.field_distances:
            return None
        median, high = np.percentile(np.abs(self.field_distances[bone]), [50, 95])
        return {"median": round(float(median), 2), "p95": round(float(high), 2)}

    def confidence(self) -> dict[str, Confidence]:
        """How good each bone is."""
        apart = {bone: self.field_report(bone) for bone in self.cuts}
        medians = {bone: one["median"] if one else None for bone, one in apart.items()}
        return confidences(self.fit, self.cuts, self.agreement, medians, self.only)

    def warnings(self) -> list[str]:
        """Sentences on what is uncertain about the fit."""
        said = [*self.left_out]
        for bone in self.cuts:
            seen = self.fit.seen(bone)
            if sum(seen) == 1 < len(seen):
                name = (*VIEW_NAMES, *FURTHER_NAMES)[seen.index(True)]
                said.append(
                    Message(
                        "The {bone} was segmented in the {view} radiograph only; its depth there "
                        "is uncertain.",
                        bone=bone,
                        view=name,
                    )
                )
            apart = self.field_report(bone)
            if apart and (apart["median"] > _PARTED_MM[0] or apart["p95"] > _PARTED_MM[1]):
                said.append(
                    Message(
                        "The fitted {bone} lies {median:.1f} mm from the network's own surface "
                        "(95 % of it within {p95:.1f} mm); compare the two surfaces.",
                        bone=bone,
                        median=apart["median"],
                        p95=apart["p95"],
                    )
                )
        return said


def fit_bones(
    framed: FramedRadiographs,
    rig: Rig,
    field: BoneField,
    model: KneeModel,
    told: Callable[[float], None],
    doubt: RigDoubt | None = None,
) -> FittedBones | None:
    """Fit the shape model to two radiographs, and to those further ones that agree with it, or to
    one.

    Args:
        framed: located and segmented.
        rig: how they were taken.
        field: what the model reads of the pair; of one radiograph it is not asked.
        model: the networks.
        told: see :func:`SSRKDLib.reconstruction.fitting.fit.fit_knee`.
        doubt: what of the rig may be wrong; None where nothing is, or there are further views.

    Returns:
        None where no mask shows a bone.
    """
    pair, one = of_pair(framed), len(framed.input.cameras) == 1

    def ask(fit: Fit) -> FieldTerm:
        shifts = fit.state.shifts
        if shifts is not None and np.linalg.norm(shifts, axis=1).max() > MISPLACED_MM:
            return FieldTerm({})
        return own_fields(fit, pair, model) if fit.moved else common_field(fit, field)

    left_out = []
    while True:
        fit = fit_knee(_views(framed, rig, doubt), None if one else ask, told)
        cuts = _cut(fit, framed)
        if not cuts:
            return None
        terms = fit.evidence.others  # none of one radiograph
        fitted = FittedBones(
            framed,
            fit,
            cuts,
            motion_of(fit) if fit.moved else None,
            terms[0].distances(fit.state) if terms else {},
            tuple(left_out),
        )
        further = fit.state.slots[len(PAIR) :]
        agree = {slot: mean_agreement(_of_view(fitted.agreement, slot)) for slot in further}
        worst = min(further, key=agree.get, default=None)
        if worst is None or agree[worst] >= _FURTHER_AGREES:
            return fitted
        name = framed.pair[framed.input.cameras[worst].index].view.name
        left_out.append(
            Message(
                "The {view} radiograph does not agree with the others (Dice {dice:.2f}) and is "
                "left out; check how it lies, and its distances.",
                view=name, dice=agree[worst],
            )
        )  # fmt: skip
        framed = of_slots(framed, [slot for slot in fit.state.slots if slot != worst])


def _of_view(agreement: Agreement, slot: int) -> Agreement:
    return {bone: [values[slot]] for bone, values in agreement.items()}


def _views(framed: FramedRadiographs, rig: Rig, doubt: RigDoubt | None) -> Views:
    cameras = framed.input.cameras
    return Views(
        views=tuple(camera.view for camera in cameras),
        masks=framed.masks,
        valid=framed.input.valid,
        edited=tuple(framed.edited[camera.index] is not None for camera in cameras),
        film_normals=(
            tuple(camera.real.normal for camera in cameras) if rig.frame == "LPS" else None
        ),
        simultaneous=rig.simultaneous,
        doubt=doubt,
        edges=partial(edge_image, framed),
    )


def _cut(fit: Fit, framed: FramedRadiographs) -> dict[str, CutBone]:
    """The bones that a mask shows, cut where the region ends and where a view of the pair does not
    show them, as they lay in it."""
    shown = [
        shown_margin(framed.pair[camera.index], framed.frame, _LONGEST_EDGE_MM)
        for camera in framed.input.cameras[: len(PAIR)]
    ]
    cuts = {}
    for bone in BONES:
        if not any(fit.seen(bone)):
            continue
        part = fit.state.model.bones[bone]
        points = part.shape(fit.state.coefficients)
        margins = (REACH - np.abs(points))[:, 2]
        for inside, poses in zip(shown, fit.state.poses):
            margins = np.minimum(margins, inside(moved_points(poses[bone], points)))
        cut = cut_bone(part, points, margins)
        if cut is not None:
            cuts[bone] = cut
    return cuts

"""One to four radiographs in, four bones out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import ImageError, InputError
from SSRKDLib.core.messages import Message, joined
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.geometry.views import Rig
from SSRKDLib.geometry.virtual_cameras import Camera
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.models.official_model import OfficialKneeModel
from SSRKDLib.radiographs.both_knees import need_bones_of_one_leg
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.rig_file import described
from SSRKDLib.reconstruction.agreement import Agreement, mean_agreement, silhouettes_agreement
from SSRKDLib.reconstruction.choices import (
    FURTHER_NAMES,
    POSES,
    VIEW_NAMES,
    chosen_surface,
    pose_sentence,
)
from SSRKDLib.reconstruction.doubted_rig import FittedRig, fit_in_doubt
from SSRKDLib.reconstruction.explanations_of_one import no_knee_in
from SSRKDLib.reconstruction.field_bones import FieldBones, extract_bones
from SSRKDLib.reconstruction.finding import FoundKnee, find_knee
from SSRKDLib.reconstruction.fitted_bones import FittedBones
from SSRKDLib.reconstruction.fitting.confidence import Confidence
from SSRKDLib.reconstruction.fitting.template import correspondence
from SSRKDLib.reconstruction.further_views import all_views, of_pair
from SSRKDLib.reconstruction.region import region_margin
from SSRKDLib.reconstruction.report import report_of
from SSRKDLib.reconstruction.sanity_checks import find_warnings
from SSRKDLib.reconstruction.stages import Stages
from SSRKDLib.reconstruction.whole_legs import knee_region, places_in_whole_legs
from SSRKDLib.surfaces.mesh import Mesh

#: A fit whose outlines agree less than this with the masks (mean Dice) is compared with the field's
#: surfaces; good ones reach 0.97 and more.
_DOUBTED_AGREEMENT = 0.93

#: Where the locator's rays of both views miss each other by more, mm, a motion explains too much:
#: pairs that moved reach 5.4, swapped ones 9.9.
_MET_MM = 8.0


@dataclass
class Reconstruction:
    """What came out.

    Attributes:
        bones: closed-except-at-the-region's-border surfaces in rig coordinates, mm; a bone that
            was not found is absent. Where bones moved between the views, as they lay in ``pose``.
        frame: canonical to rig, 4x4 (mirrored for a right knee).
        laterality: ``"L"`` or ``"R"``.
        masks: per view of the pair, bone probabilities ``[4, rows, columns]`` on the network's
            image; see ``cameras``.
        cameras: the virtual cameras of ``masks``, frontal and lateral.
        report: plain JSON values, as written to report.json.
        surface: one of :data:`SURFACES`: what the bones are.
        views: which of the rig's views was taken as ``"frontal"``, which as ``"lateral"``, and
            which others (``"third"``, ``"fourth"``) fitted bones were fitted to.
        pose: the view whose pose the bones are delivered in; None where nothing moved.
        within_mm: per fitted bone and vertex a distance in mm within which nine of ten vertices lie
            from the real bone, its shape laid on it; empty where the bones are the field's.
        poses: per view (as in ``views``) and bone the rigid 4x4, rig coordinates, from
            ``bones`` to where the bone lay in that view; empty where nothing moved.
    """

    bones: dict[str, Mesh]
    frame: np.ndarray
    laterality: str
    masks: np.ndarray
    cameras: tuple[Camera, ...]
    report: dict = field(default_factory=dict)
    surface: str = "field"
    views: dict[str, int] = field(default_factory=dict)
    pose: str | None = None
    poses: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    within_mm: dict[str, np.ndarray] = field(default_factory=dict)

    def bones_in(self, view: str) -> dict[str, Mesh]:
        """The bones as they lay in one of ``views``, rig coordinates."""
        if view not in self.views:
            raise ValueError(f"'{view}' is none of {', '.join(self.views)}")
        if view == self.pose or not self.poses:
            return self.bones
        return {bone: m.transformed(self.poses[view][bone]) for bone, m in self.bones.items()}


def reconstruct(
    exposures: list[Exposure],
    rig: Rig,
    model: KneeModel | OfficialKneeModel,
    spacing: float = 1.0,
    masks: list[np.ndarray | None] | None = None,
    progress: Progress = no_progress,
    surface: str | None = None,
    pose: str = POSES[0],
) -> Reconstruction:
    """Reconstruct the four bones.

    Args:
        exposures: one per view of the rig. What one by itself does not tell is what the population
            leads to expect. Of more than two, the networks read the pair nearest to
            perpendicular; surfaces are fitted to two further ones, too.
        rig: how they were taken.
        model: the networks.
        spacing: of the grid that the field's surfaces are extracted from, mm; fitted ones have
            none.
        masks: bone masks to use in place of the segmenter's, one entry per exposure: None, or
            ``[4, rows, columns]`` on the radiograph's own pixels.
        progress: called with stage, fraction done and message; what it raises ends the job.
        surface: one of :data:`SURFACES`; None: ``model.surface``, fitted for the project's own
            networks and the field's for imported ones, whose outlines are not what they see.
        pose: one of :data:`POSES`: of bones that moved between the views.

    Raises:
        ImageError: no bone is found at all.
        GeometryError: the radiographs show no common place.
        InputError: fitted surfaces are asked of weights that cannot give them, or others of one
            radiograph.
    """
    alone = len(exposures) == 1
    surface = _chosen(surface, model, alone)
    stages = Stages(progress)
    finder = model.finder.watched(stages.repeat)
    with stages.stage("locate", 0.05, "Finding the knee"):
        knee = find_knee(exposures, rig, finder)

    located, rig = knee.located, knee.rig
    if alone and located.estimate.spread is None and not located.good:
        raise _nothing_found()
    framed = located.radiographs
    pair = framed.pair
    with stages.stage("segment", 0.3, "Segmenting the bones in the radiographs"):
        further = exposures if surface == "fitted" else []
        seen = all_views(knee, further, finder, masks)
        if masks is not None:
            framed = of_pair(seen.framed)

    with stages.stage("encode", 0.4, "Reading the radiographs"):
        # Localisation has read what its model reads of the segmenter's masks; of one radiograph it
        # reads nothing.
        known = framed is located.radiographs and model is model.finder
        bone_field = located.field if known or alone else model.read(framed)

    fitted, fitted_rig, doubts = None, None, []
    if surface == "fitted":
        with stages.stage("fit", 0.45, "Fitting the bones to their outlines"):
            fitting = fit_in_doubt(
                knee, seen.framed, bone_field, finder,
                lambda share: stages.report("fit", 0.45 + 0.5 * share),
            )  # fmt: skip
        fitted, knee, framed, bone_field = (
            fitting.bones, fitting.knee, fitting.framed, fitting.field
        )  # fmt: skip
        fitted_rig = fitting.rig
        located, pair = knee.located, framed.pair
    found, agreement = None, {}
    if fitted is not None:
        agreement = {bone: values[: len(VIEW_NAMES)] for bone, values in fitted.agreement.items()}
    elif alone:
        raise _nothing_found()
    if not alone and (fitted is None or mean_agreement(agreement) < _DOUBTED_AGREEMENT):
        region = region_margin(pair, located.frame, bone_field)
        found = extract_bones(bone_field, region, spacing, stages)
        of_field = silhouettes_agreement((found.bones, found.bones), framed.input, framed.masks)
        if fitted is not None and mean_agreement(of_field) < mean_agreement(agreement):
            found = None
        else:
            doubts = _fit_refused(fitted, agreement, of_field) if surface == "fitted" else []
            fitted, fitted_rig, agreement = None, None, of_field

    if not alone:
        need_bones_of_one_leg(knee.rig, pair, agreement)
    cameras = framed.input.cameras
    if fitted_rig is not None:
        knee, cameras = replace(knee, rig=fitted_rig.rig), fitted_rig.cameras

    shown = 0 if alone else VIEW_NAMES.index(pose)
    with stages.stage("check", 0.95, "Checking against the radiographs"):
        bones = found.bones if fitted is None else fitted.bones(shown)
        motion = None if fitted is None else fitted.motion
        spread = located.estimate.spread
        met = spread is not None and spread < _MET_MM
        explained = motion is not None and motion.likely and met
        warnings = find_warnings(
            pair, knee.rig, finder, located, bones, agreement, explained=explained
        )
        if fitted_rig is not None:
            doubts = rig_doubts(fitted_rig, warnings)
    confidence, names = {}, (*VIEW_NAMES, *FURTHER_NAMES)
    if fitted is not None:
        confidence = fitted.confidence()
        agreement = fitted.agreement
        warnings = [*_motion_warnings(fitted, pose), *fitted.warnings(), *warnings]
        if fitted.only is not None:
            names = (fitted.only,)
            warnings.insert(0, _alone_warning(fitted, confidence))
    result = Reconstruction(
        {bone: mesh.transformed(located.frame) for bone, mesh in bones.items()},
        located.frame,
        located.laterality,
        framed.masks,
        cameras,
        surface="field" if fitted is None else "fitted",
        views={
            name: seen.indices[camera.index]
            for name, camera in zip(
                names, (framed if fitted is None else fitted.seen).input.cameras
            )
        },
        within_mm={bone: one.within_mm for bone, one in confidence.items()},
    )
    if fitted is not None and fitted.motion is not None:
        result.pose = pose
        result.poses = {
            name: fitted.between(shown, slot, located.frame)
            for slot, name in enumerate(result.views)
        }
    warnings = [
        *knee.rig.assumptions, *knee.notes, *places_in_whole_legs(knee.rig.views, located.frame),
        *bone_field.notes, *seen.notes, *doubts, *warnings,
    ]  # fmt: skip
    details = {**_details(result, knee, spacing), **_evidence(result, fitted, found)}
    details["fitted_rig"] = None if fitted_rig is None else fitted_rig.report()
    details["warnings"] = warnings
    by_bone = {
        bone: {
            "agreement": dict(zip(names, agreement[bone])),
            "field_distance_mm": None if fitted is None else fitted.field_report(bone),
            "expected_error_mm": (
                round(confidence[bone].expected_mm, 2) if bone in confidence else None
            ),
        }
        for bone in BONES
    }
    result.report = report_of(model, result.bones, stages.seconds, details, by_bone)
    return result


def _nothing_found() -> ImageError:
    return ImageError(
        "No knee is found in the radiograph.",
        "Check that it shows one, which view it is, and the distances.",
    )


def _chosen(surface: str | None, model: KneeModel | OfficialKneeModel, alone: bool) -> str:
    if alone and "field" in (surface, model.surface):
        raise InputError(
            "The network reads two radiographs, and one is given.",
            "Add a second one, or use fitted surfaces and the weights that come with SSRKD.",
        )
    surface = chosen_surface(surface, model.surface)
    if surface == "fitted" and model.surface != "fitted":
        raise InputError(
            "The weights '{model}' give no bone's own outline, which surfaces are fitted to.",
            "Use --surface field, or the weights that come with SSRKD.",
            model=model.name,
        )
    return surface


def rig_doubts(fitted: FittedRig, warnings: list[str]) -> list[str]:
    """What the bones say of the rig; nothing where a radiograph shows none."""
    unseen = {no_knee_in(name) for name in VIEW_NAMES}
    return [] if unseen & set(warnings) else fitted.sentences()


def _fit_refused(
    fitted: FittedBones | None, agreement: Agreement, of_field: Agreement
) -> list[str]:
    if fitted is None:
        return ["No bone was segmented, so the network's own surfaces are delivered."]
    return [
        Message(
            "The shape model fits the outlines of these bones less well than the "
            "network's own surfaces do (agreement {mean_agreement:.2f} against "
            "{field:.2f}), so those are delivered.",
            mean_agreement=mean_agreement(agreement),
            field=mean_agreement(of_field),
        )
    ]


def _alone_warning(fitted: FittedBones, confidence: dict[str, Confidence]) -> Message:
    """What a single radiograph leaves open."""
    errors = [
        Message("{mm:.1f} mm ({bone})", mm=one.expected_mm, bone=bone)
        for bone, one in confidence.items()
    ]
    (deviation,) = fitted.fit.evidence.doubt.depths
    return Message(
        "Only the {view} radiograph is given: what it does not show is what the population leads "
        "to expect. Shapes are expected to be off by {errors} on average, and the knee may lie "
        "{distance:.0f} mm nearer to the source or farther from it.",
        view=fitted.only,
        errors=joined(errors, ", "),
        distance=2 * deviation,
    )


def _motion_warnings(fitted: FittedBones, pose: str) -> list[str]:
    if fitted.motion is None:
        return []
    return [*fitted.motion.sentences(), pose_sentence(pose)]


def _details(result: Reconstruction, knee: FoundKnee, spacing: float) -> dict:
    located, spread = knee.located, knee.located.estimate.spread
    return {
        "spacing_mm": spacing,
        "laterality": located.laterality,
        "rig": described(knee.rig),
        "canonical_to_rig": located.frame.tolist(),
        "locating": {
            "agreement": round(located.agreement, 4),
            "spread_mm": None if spread is None else round(spread, 3),
            "regions": [knee_region(view, located.frame) for view in knee.rig.views],
        },
        "surface": result.surface,
        "views": result.views,
        "pose": result.pose,
        "poses": {
            view: {bone: matrix.tolist() for bone, matrix in poses.items()}
            for view, poses in result.poses.items()
        },
    }


def _evidence(result: Reconstruction, fitted: FittedBones | None, found: FieldBones | None) -> dict:
    """What the report says of the fit, or of the field's grid."""
    if fitted is None:
        return {
            "field": {"visited": found.visited, "total": found.total},
            "outline_distance_mm": None,
            "motion": None,
            "correspondence": None,
        }
    asked = sum(len(distances) for distances in fitted.field_distances.values())
    ratios = {name: getattr(fitted.fit, name) for name in ("ratio", "others_ratio", "field_ratio")}
    motion = {
        "moved": fitted.motion is not None,
        **{name: None if value is None else round(value, 3) for name, value in ratios.items()},
        "sentences": [] if fitted.motion is None else fitted.motion.sentences(),
    }
    if fitted.motion is not None:
        motion.update(fitted.motion.report())
    return {
        "field": {"visited": asked, "total": asked},
        "outline_distance_mm": round(fitted.fit.cost, 3),
        "motion": motion,
        "correspondence": correspondence(fitted.cuts),
    }

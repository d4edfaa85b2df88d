"""Clinical measures of a knee, from its bones' surfaces.

The shape model's template is fitted to every surface first, so that each landmark and patch is the
same one in everybody (:mod:`SSRKDLib.clinical.marks`); surfaces that were fitted when they were
reconstructed are met exactly. Everything is measured in frames that the bones themselves give
(:mod:`SSRKDLib.clinical.frames`), so that neither the pose in the world nor the size of the region
matters. What a cut shaft or a missing bone does not allow has no value and a note that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from SSRKDLib.clinical.coverage import Unmeasurable, need_joint, need_shaft, shaft_is_estimated
from SSRKDLib.clinical.definitions import DEFINITIONS, Definition
from SSRKDLib.clinical.femur import femur_landmarks
from SSRKDLib.clinical.frames import Frame, femur_frame, tibia_frame
from SSRKDLib.clinical.patella import articular_surface
from SSRKDLib.clinical.tibia import Plateau, plateaus, tibia_landmarks
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.messages import Message, joined
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.reconstruction.fitting.surface_fit import SurfaceFit, fit_surfaces
from SSRKDLib.surfaces.mesh import Mesh

#: A template that lies a mm from a surface makes measures as uncertain as bones that lie so many mm
#: from the real ones (virtual people, whose true vertices are known).
_MISMATCH = 0.6

#: Past this flexion, degrees, measures made for an extended knee are marked.
_FLEXED = 30.0


@dataclass(frozen=True)
class Measure:
    """One measure of one knee.

    Attributes:
        name: identifier, e.g. ``tibial_slope_medial``.
        title: for people.
        value: in ``unit``; None where it cannot be measured.
        unit: ``mm``, ``deg``, or "" for a ratio.
        landmarks: points (3,) it was measured from, mm, in the bones' frame.
        lines: polylines ``[K, 3]`` mm that show it, in the bones' frame.
        definition: how it is measured, and what its sign says.
        source: where the definition comes from.
        note: why there is no value, or what to mind; "" otherwise.
        expected_error: how far the value is to be expected from the real bones', on average, in
            ``unit``; None where it is not known how good the surfaces are.
    """

    name: str
    title: str
    value: float | None
    unit: str
    landmarks: dict[str, np.ndarray]
    lines: tuple[np.ndarray, ...]
    definition: str
    source: str
    note: str = ""
    expected_error: float | None = None


def measure(
    bones: Mapping[str, Mesh],
    laterality: str,
    errors: Mapping[str, float] | None = None,
    pose: str | None = None,
) -> list[Measure]:
    """All measures of :data:`~SSRKDLib.clinical.definitions.DEFINITIONS`, in their order.

    Args:
        bones: surfaces by name, one frame, mm, right-handed axes; shafts cut anywhere. Frame and
            pose are free.
        laterality: ``"L"`` or ``"R"``.
        errors: mean distance in mm from the real bones that is to be expected, by bone; bones that
            are not named are taken for real. None: nobody knows.
        pose: the view as in which bones lie that moved between the radiographs, for notes.

    Raises:
        InputError: another laterality.
    """
    if laterality not in ("L", "R"):
        raise InputError("'{laterality}' is not a side: use L or R.", laterality=laterality)
    bones = {bone: mesh for bone, mesh in bones.items() if mesh.area() > 0}
    if laterality == "R":
        bones = {bone: mesh.transformed(MIRROR) for bone, mesh in bones.items()}
    needed = {bone: bones[bone] for bone in ("patella", "femur", "tibia") if bone in bones}
    fits = fit_surfaces(needed) if "femur" in needed and "tibia" in needed else {}
    results = measure_templates({bone: fits.get(bone) for bone in needed}, errors, pose)
    return results if laterality == "L" else [_mirrored(result) for result in results]


def measure_templates(
    fits: Mapping[str, SurfaceFit | None],
    errors: Mapping[str, float] | None = None,
    pose: str | None = None,
) -> list[Measure]:
    """All measures of a left knee.

    Args:
        fits: the template of patella, femur and tibia on each's surface, by bone; None where there
            is too little of it.
        errors, pose: see :func:`measure`.
    """
    knee: _Knee | Unmeasurable
    try:
        knee = _Knee(fits)
    except Unmeasurable as reason:
        knee = reason
    results = []
    for definition in DEFINITIONS:
        result = _one(definition, knee)
        if result.value is not None:
            result = replace(result, expected_error=_expected(definition, fits, errors))
            if pose is not None and definition.of_joint:
                words = Message("as the knee lay in the {pose} radiograph", pose=pose)
                result = replace(result, note=joined(filter(None, (result.note, words))))
        results.append(result)
    return results


def _expected(
    definition: Definition, fits: Mapping[str, SurfaceFit], errors: Mapping[str, float] | None
) -> float | None:
    if errors is None:
        return None
    # Where the template does not meet the surface, patches lie a little elsewhere.
    each = [max(errors.get(b, 0.0), _MISMATCH * fits[b].distance) for b in definition.bones]
    return definition.per_mm * float(np.mean(each))


def _one(definition: Definition, knee: _Knee | Unmeasurable) -> Measure:
    about = (definition.name, definition.title)
    words = (definition.definition, definition.source)
    try:
        if isinstance(knee, Unmeasurable):
            raise knee
        value, landmarks, lines, note = _METHODS[definition.name](knee)
    except Unmeasurable as reason:
        return Measure(*about, None, definition.unit, {}, (), *words, str(reason))
    return Measure(*about, float(value), definition.unit, landmarks, lines, *words, note)


def _mirrored(result: Measure) -> Measure:
    flip = MIRROR.diagonal()[:3]
    return replace(
        result,
        landmarks={name: point * flip for name, point in result.landmarks.items()},
        lines=tuple(line * flip for line in result.lines),
    )


class _Knee:
    """A left knee's frames and landmarks, found once for all measures."""

    def __init__(self, fits: Mapping[str, SurfaceFit | None]) -> None:
        absent = [bone for bone in ("femur", "tibia") if bone not in fits]
        if absent:
            raise Unmeasurable(Message("There is no {absent}.", absent=" and no ".join(absent)))
        self.fits = fits
        for bone in ("femur", "tibia"):
            need_joint(bone, fits[bone])
        femur, tibia = fits["femur"].points, fits["tibia"].points
        self.femur, self.tibia = femur_frame(femur), tibia_frame(tibia)
        self.points = femur_landmarks(femur, self.femur)
        self.points_tibia = tibia_landmarks(tibia, self.tibia)
        self.plateaus = plateaus(tibia, self.tibia)

    def patella(self) -> np.ndarray:
        """The patella's vertices; raises Unmeasurable where there is no whole one."""
        if "patella" not in self.fits:
            raise Unmeasurable("There is no patella.")
        need_joint("patella", self.fits["patella"])
        return self.fits["patella"].points

    @property
    def flexion(self) -> float:
        """Angle of the tibia's long axis to the femur's, seen along the femur's x, degrees."""
        _, y, z = self.femur.axes @ self.tibia.axes[2]
        return float(np.degrees(np.arctan2(y, z)))

    @property
    def valgus(self) -> float:
        """Angle of the tibia's long axis out of the femur's sagittal plane, degrees."""
        lateral_lean = self.femur.axes[0] @ self.tibia.axes[2]
        return -float(np.degrees(np.arcsin(np.clip(lateral_lean, -1.0, 1.0))))

    def need_shaft(self, *names: str) -> None:
        """Raises Unmeasurable where the shaft of a bone named is not visible."""
        for name in names:
            need_shaft(name, self.fits[name])

    def estimated(self, *names: str) -> str:
        """A note where a long axis is only estimated, else ""."""
        hidden = [name for name in names if shaft_is_estimated(name, self.fits[name])]
        if not hidden:
            return ""
        return Message(
            "the shaft of the {bones} is cut short: axis estimated", bones=" and ".join(hidden)
        )

    def flexed(self) -> str:
        """A note where the knee is bent, else ""."""
        if abs(self.flexion) <= _FLEXED:
            return ""
        return Message(
            "defined for an extended knee; this one is bent by {flexion:.0f} degrees",
            flexion=abs(self.flexion),
        )


_Found = tuple[float, dict[str, np.ndarray], tuple[np.ndarray, ...], str]


def _line(*points: np.ndarray) -> np.ndarray:
    return np.stack(points)


def _tilt(frame: Frame, direction: np.ndarray) -> float:
    """How far a direction (medial to lateral) rises laterally in the frame's frontal plane, deg."""
    x, _, z = frame.axes @ direction
    return float(np.degrees(np.arctan2(z, x)))


def _slope(side: int) -> Callable[[_Knee], _Found]:
    def of(knee: _Knee) -> _Found:
        knee.need_shaft("tibia")
        plateau: Plateau = knee.plateaus[side]
        landmarks = {"front_rim": plateau.front, "back_rim": plateau.back}
        lines = (_line(plateau.front, plateau.back), knee.tibia.shaft)
        return plateau.slope, landmarks, lines, knee.estimated("tibia")

    return of


def _extent(medial: np.ndarray, lateral: np.ndarray, frame: Frame, note: str) -> _Found:
    reach = frame.axes[0] @ (lateral - medial)
    end = medial + reach * frame.axes[0]
    return reach, {"medial_side": medial, "lateral_side": lateral}, (_line(medial, end),), note


def _plateau_width(knee: _Knee) -> _Found:
    sides = (knee.points_tibia[f"{side}_side"] for side in ("medial", "lateral"))
    return _extent(*sides, knee.tibia, knee.estimated("tibia"))


def _condylar_width(knee: _Knee) -> _Found:
    sides = (knee.points[f"{side}_side"] for side in ("medial", "lateral"))
    return _extent(*sides, knee.femur, knee.estimated("femur"))


def _posterior_condylar_angle(knee: _Knee) -> _Found:
    knee.need_shaft("femur")  # seen along a guessed axis, other parts of the condyles stand out
    names = ("medial_posterior", "lateral_posterior", "medial_epicondyle", "lateral_epicondyle")
    landmarks = {name: knee.points[name] for name in names}
    back_medial, back_lateral, medial, lateral = landmarks.values()
    # The frame's x is the posterior condylar line; the epicondylar one turns out when its lateral
    # end lies further back.
    x, y, _ = knee.femur.axes @ (lateral - medial)
    lines = (_line(back_medial, back_lateral), _line(medial, lateral))
    return float(np.degrees(np.arctan2(y, x))), landmarks, lines, ""


def _tangents(knee: _Knee) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The joint lines' landmarks, and both lines from medial to lateral: femur, tibia."""
    medial, lateral = knee.plateaus
    landmarks = {
        "medial_distal": knee.points["medial_distal"],
        "lateral_distal": knee.points["lateral_distal"],
        "medial_plateau": medial.centre,
        "lateral_plateau": lateral.centre,
    }
    points = list(landmarks.values())
    return landmarks, (_line(*points[:2]), _line(*points[2:]))


def _convergence(knee: _Knee) -> _Found:
    knee.need_shaft("femur", "tibia")
    landmarks, (femoral, tibial) = _tangents(knee)
    # Each line in its own bone's frontal plane, and these joined by the tibiofemoral angle: seen
    # in one common plane, rotation and slope of the tibia would pass for convergence.
    value = (
        _tilt(knee.femur, femoral[1] - femoral[0])
        - _tilt(knee.tibia, tibial[1] - tibial[0])
        - knee.valgus
    )
    return value, landmarks, (femoral, tibial), knee.flexed()


def _caton_deschamps(knee: _Knee) -> _Found:
    upper, lower = articular_surface(knee.patella())
    x = knee.femur.axes[0]
    corner = knee.points_tibia["front_corner"]
    # As on a lateral radiograph: what lies along the femur's x is not seen.
    seen = np.eye(3) - np.outer(x, x)
    height, length = (np.linalg.norm(seen @ d) for d in (lower - corner, upper - lower))
    landmarks = {"articular_upper": upper, "articular_lower": lower, "tibia_front_corner": corner}
    return (
        height / length,
        landmarks,
        (_line(upper, lower), _line(lower, corner)),
        (knee.estimated("femur")),
    )


def _tibiofemoral_angle(knee: _Knee) -> _Found:
    knee.need_shaft("femur", "tibia")
    landmarks = _shaft_ends("femur", knee.femur) | _shaft_ends("tibia", knee.tibia)
    lines = (knee.femur.shaft, knee.tibia.shaft)
    return knee.valgus, landmarks, lines, ""


def _angle_to_shaft(bone: str, line: int, ends: str) -> Callable[[_Knee], _Found]:
    """The angle between a bone's own joint line, one of :func:`_tangents`, and its shaft.

    Args:
        bone: "femur" or "tibia".
        line: which of the two joint lines.
        ends: what its landmarks end with.
    """

    def found(knee: _Knee) -> _Found:
        knee.need_shaft(bone)
        frame = {"femur": knee.femur, "tibia": knee.tibia}[bone]
        landmarks, lines = _tangents(knee)
        points = {f"{side}_{ends}": landmarks[f"{side}_{ends}"] for side in ("medial", "lateral")}
        own = lines[line]
        value = 90.0 - _tilt(frame, own[1] - own[0])
        return value, points | _shaft_ends(bone, frame), (own, frame.shaft), ""

    return found


def _shaft_ends(bone: str, frame: Frame) -> dict[str, np.ndarray]:
    return {f"{bone}_shaft_lower": frame.shaft[0], f"{bone}_shaft_upper": frame.shaft[1]}


_METHODS: dict[str, Callable[[_Knee], _Found]] = {
    "tibial_slope_medial": _slope(0),
    "tibial_slope_lateral": _slope(1),
    "tibial_plateau_width": _plateau_width,
    "femoral_condylar_width": _condylar_width,
    "posterior_condylar_angle": _posterior_condylar_angle,
    "joint_line_convergence": _convergence,
    "caton_deschamps": _caton_deschamps,
    "tibiofemoral_angle": _tibiofemoral_angle,
    "distal_femoral_angle": _angle_to_shaft("femur", 0, "distal"),
    "proximal_tibial_angle": _angle_to_shaft("tibia", 1, "plateau"),
}

"""Finding the knee: its canonical frame in a rig, from the radiographs.

The joint may lie anywhere in the common field of view, and in a ``lab`` frame the leg may lie in
any direction. Starting frames are drawn from what is known (patient axes, or the direction that the
leg's outlines take in each view); the locator pulls each onto the knee; the frame is kept whose
bones, reconstructed coarsely, project best onto the bones that the segmenter sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.rigid import rigid_fit
from SSRKDLib.geometry.views import Rig, View, triangulate
from SSRKDLib.geometry.virtual_cameras import FRAME_POINTS, MIRROR
from SSRKDLib.models.interface import BoneField
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import FramedRadiographs, network_input
from SSRKDLib.reconstruction.frame_quality import NOT_SHOWN, FrameQuality, frame_quality
from SSRKDLib.reconstruction.one_view import (
    marked_points,
    mean_knee_field,
    middle_of_one,
    step_of_one,
)

#: Frames closer to each other than this, mm and degrees, are one.
_SAME_MM, _SAME_DEGREES = 4.0, 2.0

#: Where along the leg a knee is looked for, mm from the middle; the far ones until one is found.
_ALONG_MM = tuple(sign * 110.0 * step for step in range(1, 6) for sign in (-1, 1))

#: A frame whose bones agree this well with the radiographs (Dice) is taken without looking further.
GOOD_AGREEMENT = 0.85

#: The same of one radiograph, whose mean knee is compared: right ones reach 0.54 to 0.84.
_GOOD_OF_ONE = 0.5


@dataclass(frozen=True)
class FrameEstimate:
    """A frame and its quality, which stand and fall together.

    Attributes:
        frame: canonical to rig, 4x4 (mirrored for a right knee).
        spread: rms distance between the points where the locator's rays meet (of one radiograph:
            its marks) and the rigid frame points, mm; None for a starting frame that the locator
            could not refine.
    """

    frame: np.ndarray
    spread: float | None = None


#: Spreads below are as good as none.
_LEAST_SPREAD_MM = 0.1


@dataclass(frozen=True)
class Localisation:
    """A knee found in a rig.

    Attributes:
        estimate: its frame and how well the locator's rays meet there.
        laterality: ``"L"`` or ``"R"``.
        quality: how well the radiographs agree with a knee there.
        radiographs: images and masks in that frame; None where no view can show it.
        field: what the model reads of them: its features; None likewise.
    """

    estimate: FrameEstimate
    laterality: str
    quality: FrameQuality
    radiographs: FramedRadiographs | None = None
    field: BoneField | None = None

    @property
    def frame(self) -> np.ndarray:
        """Canonical to rig, 4x4 (mirrored for a right knee)."""
        return self.estimate.frame

    @property
    def agreement(self) -> float:
        """Dice, see :class:`FrameQuality`."""
        return self.quality.agreement

    @property
    def good(self) -> bool:
        """Whether it agrees so well that nothing else is to be looked for."""
        one = self.radiographs is not None and len(self.radiographs.pair) == 1
        return self.agreement >= (_GOOD_OF_ONE if one else GOOD_AGREEMENT)

    @property
    def misfit(self) -> float:
        """How far the radiographs are from what the networks were trained on, left knees: grows
        with what every one of them finds wrong. Only ratios of it have a meaning, or limits
        that were measured with the same weights, as
        :mod:`~SSRKDLib.reconstruction.explanations_of_one` has of the bundled ones; infinite where
        the locator found no knee.

        ``1 - agreement``, times the segmenter's and the student's uncertainty, times the root of
        the locator's spread. The root keeps a spread, which varies from knee to knee by as much as
        between the sides, from outweighing the others.
        """
        if self.estimate.spread is None:
            return np.inf
        spread = max(self.estimate.spread, _LEAST_SPREAD_MM)
        return (1 - self.agreement) * self.quality.uncertainty * spread**0.5


def locate(
    exposures: tuple[Exposure, ...], rig: Rig, model: KneeModel, laterality: str | None
) -> Localisation:
    """The knee's frame, and what the networks read there.

    Args:
        exposures: two radiographs, or one.
        rig: their rig (its frame and ``patient_to_rig`` say what is known of the pose).
        model: the networks.
        laterality: ``"L"``, ``"R"`` or None to find out: the side of less misfit.

    Raises:
        GeometryError: the radiographs show no common place.
    """
    best = _most_agreeing(exposures, rig, model, laterality)
    if laterality is None:
        other = other_side(exposures, model, best)
        best = min(best, other, key=lambda side: side.misfit)
    if best.field is None and len(exposures) == 1:
        raise GeometryError(
            "The radiograph shows nothing where the knee has to lie.",
            "Check where source and detector are, and that all lengths are millimetres.",
        )
    if best.field is None:
        raise _nothing_common()
    return best


def other_side(
    exposures: tuple[Exposure, ...], model: KneeModel, located: Localisation
) -> Localisation:
    """The same radiographs as a knee of the other side, from the mirrored frame on.

    Of a knee and its mirror image, the right one has less misfit: how many times less,
    ``Training/calibrate_side.py`` measures.
    """
    side = "R" if located.laterality == "L" else "L"
    return localise_from(exposures, model, located.frame @ MIRROR, side)


def localise_alone(
    exposure: Exposure, rig: Rig, model: KneeModel, located: Localisation
) -> Localisation:
    """The knee in one radiograph of a pair, by itself: from where it was located in both, or from
    :func:`start_alone`, whichever has less misfit."""
    starts = (located.frame, start_alone(exposure, rig, located))
    found = (localise_from((exposure,), model, start, located.laterality) for start in starts)
    return min(found, key=attrgetter("misfit"))


def start_alone(exposure: Exposure, rig: Rig, located: Localisation) -> np.ndarray:
    """A frame in the middle of what a radiograph shows, turned as the rig says that the patient is;
    the located one where it does not say so, or puts the knee elsewhere."""
    rotation = known_rotation(rig)
    if rotation is None:
        return located.frame
    try:
        return _start(rotation, middle_of_one(exposure, rig), located.laterality)
    except GeometryError:
        return located.frame


def _most_agreeing(
    exposures: tuple[Exposure, ...], rig: Rig, model: KneeModel, laterality: str | None
) -> Localisation:
    """The frame with the best agreement of all that are tried (see :func:`locate`)."""
    sides = ("L", "R") if laterality is None else (laterality,)
    rotation = known_rotation(rig)
    one = len(exposures) == 1
    middle = middle_of_one(exposures[0], rig) if one else common_middle(exposures)
    if rotation is not None:
        starts = [_start(rotation, middle, side) for side in sides]
        found = (localise_from(exposures, model, *start) for start in zip(starts, sides))
        best = max(found, key=attrgetter("agreement"))
        if best.good:
            return best
        for shift in _ALONG_MM:
            wanted = abs(shift) <= 220.0 or not best.good
            centre = middle + rotation @ [0.0, 0.0, shift]
            if wanted and all(e.view.inside(centre) for e in exposures):
                for side in sides:
                    start = _start(rotation, centre, side)
                    found = localise_from(exposures, model, start, side, known=best)
                    best = max(best, found, key=attrgetter("agreement"))
        return best

    candidates = []
    for turn in leg_rotations(exposures):
        for side in sides:
            candidates.append(
                (refine_frame(exposures, model, _start(turn, middle, side), rounds=2), side)
            )
    candidates.sort(key=lambda candidate: np.inf if (s := candidate[0].spread) is None else s)
    found = (
        localise_from(exposures, model, estimate.frame, side) for estimate, side in candidates[:8]
    )
    return max(found, key=attrgetter("agreement"))


def known_rotation(rig: Rig) -> np.ndarray | None:
    """Patient axes in the rig, 3x3, or None where nothing is known."""
    if rig.patient_to_rig is not None:
        return rig.patient_to_rig[:3, :3]
    return np.eye(3) if rig.frame == "LPS" else None


def common_middle(exposures: tuple[Exposure, ...]) -> np.ndarray:
    """Where the rays through the middles of the exposed areas meet, ``(3,)`` mm; where one view
    does not reach that far, the middle of what both see.

    Raises:
        GeometryError: they see nothing in common.
    """
    middles = [np.argwhere(e.valid).mean(0)[::-1] for e in exposures]
    middle = triangulate([e.view for e in exposures], np.stack(middles))[0]
    ticks = np.linspace(-600, 600, 25)
    around = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3) + middle
    for points in (middle[None], around):
        seen = np.all([e.view.inside(points) for e in exposures], axis=0)
        if seen.any():
            return points[seen].mean(0)
    raise _nothing_common()


def _nothing_common() -> GeometryError:
    return GeometryError(
        "The two radiographs show no common place.",
        "Check the positions of sources and detectors, and that all lengths are millimetres.",
    )


def _start(rotation: np.ndarray, centre: np.ndarray, side: str) -> np.ndarray:
    frame = np.eye(4)
    frame[:3, :3] = rotation
    frame[:3, 3] = centre
    return frame @ MIRROR if side == "R" else frame


def localise_from(
    exposures: tuple[Exposure, ...],
    model: KneeModel,
    start: np.ndarray,
    side: str,
    known: Localisation | None = None,
) -> Localisation:
    """The knee near a starting frame: refined by the locator, or the start as it is where the
    locator leads out of what both views show (nothing there looks like a knee).

    Args:
        exposures, model: as for :func:`locate`.
        start: canonical to rig, 4x4.
        side: ``"L"`` or ``"R"``, the side of ``start``.
        known: returned where the locator leads to its frame again.
    """
    estimate = refine_frame(exposures, model, start)
    if known is not None and known.laterality == side:
        shift, angle = _size(np.linalg.inv(known.frame) @ estimate.frame)
        if shift < _SAME_MM and angle < _SAME_DEGREES:
            return known
    if not all(exposure.view.inside(estimate.frame[:3, 3]) for exposure in exposures):
        estimate = FrameEstimate(start)
    framing, frame = model.framing, estimate.frame
    try:
        detail = network_input(exposures, frame, framing.near_pixels, framing.near_pixel_mm)
    except GeometryError:
        return Localisation(estimate, side, NOT_SHOWN)
    radiographs = FramedRadiographs(exposures, frame, detail, model.segment(detail.images))
    field = mean_knee_field() if len(exposures) == 1 else model.read(radiographs)
    return Localisation(estimate, side, frame_quality(radiographs, field), radiographs, field)


def refine_frame(
    exposures: tuple[Exposure, ...], model: KneeModel, start: np.ndarray, rounds: int = 5
) -> FrameEstimate:
    """Pull a frame onto the knee with the locator until it stays.

    Args:
        exposures, model: as for :func:`locate`.
        start: canonical to rig, 4x4.
        rounds: how often at most.

    Returns:
        The refined frame; the start, without a spread, where the locator's rays lead to a place
        that no view can show.
    """
    framing = model.framing
    estimate = FrameEstimate(start)
    for _ in range(rounds):
        frame = estimate.frame
        try:
            overview = network_input(exposures, frame, framing.wide_pixels, framing.wide_pixel_mm)
        except GeometryError:
            return FrameEstimate(start)
        views = [camera.view for camera in overview.cameras]
        image_points = marked_points(model, overview)
        if len(views) == 1:
            step, spread = step_of_one(views[0], image_points[0], np.linalg.inv(frame) @ start)
        else:
            step, spread = _step(views, image_points)
        estimate = FrameEstimate(frame @ step, spread)
        shift, angle = _size(step)
        if shift < 0.5 and angle < 0.5:
            break
    return estimate


def _step(views: list[View], image_points: np.ndarray) -> tuple[np.ndarray, float]:
    """The rigid 4x4 that takes the frame points to where the rays of their marks meet, and their
    rms distance from there, mm."""
    points = np.stack([triangulate(views, image_points[:, k])[0] for k in range(len(FRAME_POINTS))])
    step = rigid_fit(FRAME_POINTS, points)
    residual = points - FRAME_POINTS @ step[:3, :3].T - step[:3, 3]
    return step, float(np.sqrt((residual**2).sum(1).mean()))


def _size(motion: np.ndarray) -> tuple[float, float]:
    """How far a rigid 4x4 moves its origin, mm, and how far it turns, degrees."""
    angle = Rotation.from_matrix(motion[:3, :3]).magnitude()
    return float(np.linalg.norm(motion[:3, 3])), float(np.rad2deg(angle))


def leg_rotations(exposures: tuple[Exposure, ...]) -> list[np.ndarray]:
    """Rotations that the leg may have in a ``lab`` frame: along the direction that outlines take in
    both views, either way up, at twelve rolls.

    Raises:
        GeometryError: one radiograph does not tell.
    """
    if len(exposures) == 1:
        raise GeometryError(
            "One radiograph alone, in a rig whose axes are not the patient's, does not tell how "
            "the leg lies.",
            'Give "patient_to_rig", or a second radiograph.',
        )
    normals = []
    for exposure in exposures:
        view = exposure.view
        along = outline_direction(exposure)
        middle = np.array(view.size) / 2
        rays = view.rays(np.stack([middle - 20 * along, middle + 20 * along]))
        normals.append(np.cross(rays[0], rays[1]))
    axis = np.cross(*normals)
    axis /= np.linalg.norm(axis)
    # Rolls count from the first view's direction: the leg seen from the front.
    back = exposures[0].view.axis
    back = back - (back @ axis) * axis
    back /= np.linalg.norm(back)
    rotations = []
    for up in (axis, -axis):
        first = np.stack([np.cross(back, up), back, up], axis=1)
        for degrees in range(0, 360, 30):
            rotations.append(first @ Rotation.from_euler("z", degrees, degrees=True).as_matrix())
    return rotations


def outline_direction(exposure: Exposure) -> np.ndarray:
    """Unit (column, row) along which the image changes least: along the leg.

    The eigenvector of the mean structure tensor over the exposed area, its rim left out (Bigun and
    Granlund, ICCV 1987); for a bent knee it is the bisector.
    """
    small = exposure.reduced(3.0, exposure.view.detector_centre)
    image = ndimage.gaussian_filter(small.line_integral, 1.5)
    inner = ndimage.binary_erosion(small.valid, iterations=8)
    down, across = np.gradient(image)
    down, across = down[inner], across[inner]
    tensor = np.array([[(across**2).sum(), (across * down).sum()],
                       [(across * down).sum(), (down**2).sum()]])  # fmt: skip
    return np.linalg.eigh(tensor)[1][:, 0]

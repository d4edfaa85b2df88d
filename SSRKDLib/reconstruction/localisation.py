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
from SSRKDLib.geometry.views import Rig, triangulate
from SSRKDLib.geometry.virtual_cameras import FRAME_POINTS, MIRROR
from SSRKDLib.models.interface import BoneField
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import FramedRadiographs, network_input

#: Coarse grid on which a frame is judged: half edge and pitch, mm.
_JUDGED_REACH, _JUDGED_PITCH = 80.0, 5.0

#: Frames closer to each other than this, mm and degrees, are one.
_SAME_MM, _SAME_DEGREES = 4.0, 2.0

#: A frame is judged where, in both views, a mask is at least so sure within so many blocks of six
#: pixels (some 20 mm). Elsewhere the field says that all bones are farther than the last, mm.
_LEAST_BONE, _NEAR_BLOCKS, _FAR_MM = 0.05, 3, 12.0

#: Where along the leg a knee is looked for, mm from the middle; the far ones until one is found.
_ALONG_MM = tuple(sign * 110.0 * step for step in range(1, 6) for sign in (-1, 1))

#: A frame whose bones agree this well with the radiographs (Dice) is taken without looking further.
GOOD_AGREEMENT = 0.85


@dataclass(frozen=True)
class FrameEstimate:
    """A frame and its quality, which stand and fall together.

    Attributes:
        frame: canonical to rig, 4x4 (mirrored for a right knee).
        spread: rms distance between the points where the locator's rays meet and the rigid frame
            points, mm; None for a starting frame that the locator could not refine.
    """

    frame: np.ndarray
    spread: float | None = None


@dataclass(frozen=True)
class FrameQuality:
    """How well radiographs and networks go together in a frame.

    Attributes:
        agreement: Dice of the coarse bones' projections with the segmenter's masks, 0 to 1, mean
            over views and bones.
        uncertainty: entropy of the segmenter's masks per pixel of bone, times the entropy of the
            coarse field per voxel of bone (of the field's sigmoid: a distance in mm is the logit
            that the student was trained with).
    """

    agreement: float
    uncertainty: float


#: Spreads below are as good as none.
_LEAST_SPREAD_MM = 0.1

#: Of a frame that no view can show.
_NOT_SHOWN = FrameQuality(0.0, np.inf)


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
    def misfit(self) -> float:
        """How far the radiographs are from what the networks were trained on, left knees: grows
        with what every one of them finds wrong. Only ratios of it have a meaning; infinite where
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
    exposures: tuple[Exposure, Exposure], rig: Rig, model: KneeModel, laterality: str | None
) -> Localisation:
    """The knee's frame, and what the networks read there.

    Args:
        exposures: two radiographs.
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
    if best.field is None:
        raise _nothing_common()
    return best


def other_side(
    exposures: tuple[Exposure, Exposure], model: KneeModel, located: Localisation
) -> Localisation:
    """The same radiographs as a knee of the other side, from the mirrored frame on.

    Of a knee and its mirror image, the right one has less misfit: how many times less,
    ``Training/calibrate_side.py`` measures.
    """
    side = "R" if located.laterality == "L" else "L"
    return localise_from(exposures, model, located.frame @ MIRROR, side)


def _most_agreeing(
    exposures: tuple[Exposure, Exposure], rig: Rig, model: KneeModel, laterality: str | None
) -> Localisation:
    """The frame with the best agreement of all that are tried (see :func:`locate`)."""
    sides = ("L", "R") if laterality is None else (laterality,)
    rotation = known_rotation(rig)
    middle = common_middle(exposures)
    if rotation is not None:
        starts = [_start(rotation, middle, side) for side in sides]
        found = (localise_from(exposures, model, *start) for start in zip(starts, sides))
        best = max(found, key=attrgetter("agreement"))
        if best.agreement >= GOOD_AGREEMENT:
            return best
        for shift in _ALONG_MM:
            wanted = abs(shift) <= 220.0 or best.agreement < GOOD_AGREEMENT
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


def common_middle(exposures: tuple[Exposure, Exposure]) -> np.ndarray:
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
    exposures: tuple[Exposure, Exposure],
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
        return Localisation(estimate, side, _NOT_SHOWN)
    radiographs = FramedRadiographs(exposures, frame, detail, model.segment(detail.images))
    field = model.read(radiographs)
    return Localisation(estimate, side, frame_quality(radiographs, field), radiographs, field)


def refine_frame(
    exposures: tuple[Exposure, Exposure], model: KneeModel, start: np.ndarray, rounds: int = 5
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
        image_points = model.locate(overview.images)
        views = [camera.view for camera in overview.cameras]
        points = np.stack(
            [triangulate(views, image_points[:, k])[0] for k in range(len(FRAME_POINTS))]
        )
        step = rigid_fit(FRAME_POINTS, points)
        residual = points - FRAME_POINTS @ step[:3, :3].T - step[:3, 3]
        estimate = FrameEstimate(frame @ step, float(np.sqrt((residual**2).sum(1).mean())))
        shift, angle = _size(step)
        if shift < 0.5 and angle < 0.5:
            break
    return estimate


def _size(motion: np.ndarray) -> tuple[float, float]:
    """How far a rigid 4x4 moves its origin, mm, and how far it turns, degrees."""
    angle = Rotation.from_matrix(motion[:3, :3]).magnitude()
    return float(np.linalg.norm(motion[:3, 3])), float(np.rad2deg(angle))


def frame_quality(radiographs: FramedRadiographs, field: BoneField) -> FrameQuality:
    """How well coarsely reconstructed bones project onto the segmenter's masks, and how sure the
    networks are. A bone that is in neither counts as one that does not agree; a frame of which a
    view shows nothing has no agreement and an infinite uncertainty. The field is asked where both
    views' masks are near."""
    detail, masks = radiographs.input, radiographs.masks
    ticks = np.arange(-_JUDGED_REACH, _JUDGED_REACH + 1, _JUDGED_PITCH)
    points = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3)

    # The projected grid has a pitch of about five pixels; blocks of six have no holes.
    cells = masks.shape[-1] // 6
    blocks = masks[:, :, : cells * 6, : cells * 6].reshape(2, 4, cells, 6, cells, 6)
    means, shown = blocks.mean((3, 5)), blocks.max((1, 3, 5)) > _LEAST_BONE
    near, where, within = np.ones(len(points), bool), [], []
    for slot, camera in enumerate(detail.cameras):
        image_points = camera.view.project(points)
        inside = camera.view.inside(points)
        cell = np.clip((np.nan_to_num(image_points) + 0.5) / 6, 0, cells - 1e-3).astype(int)
        around = ndimage.maximum_filter(shown[slot], 2 * _NEAR_BLOCKS + 1)
        near &= around[cell[:, 1], cell[:, 0]] | ~inside
        within.append(inside & (np.abs(points[:, 2]) < _JUDGED_REACH))
        if not within[slot].any():
            return _NOT_SHOWN
        limits = image_points[within[slot], 1]
        rows = slice(int(limits.min() // 6) + 1, int(limits.max() // 6))
        where.append((cell, rows))
    distances = np.full((len(points), 4), -_FAR_MM, np.float32)
    distances[near] = field.query(points[near])

    scores = []
    for slot, (cell, rows) in enumerate(where):
        judged = np.zeros((cells, cells), bool)
        judged[rows] = True
        judged &= detail.valid[slot, : cells * 6 : 6, : cells * 6 : 6]
        for bone in range(4):
            drawn = np.zeros((cells, cells), bool)
            chosen = cell[within[slot] & (distances[:, bone] > 0)]
            drawn[chosen[:, 1], chosen[:, 0]] = True
            seen = means[slot, bone] * judged
            drawn &= judged
            total = drawn.sum() + seen.sum()
            scores.append(2 * (drawn * seen).sum() / total if total > 2 else 0.0)
    agreement = float(np.mean(scores))
    in_field = 1 / (1 + np.exp(-distances.astype(np.float64)))
    return FrameQuality(agreement, _entropy(masks) * _entropy(in_field))


def _entropy(probabilities: np.ndarray) -> float:
    """Binary entropy of probabilities of bone, nats, per pixel or voxel of bone."""
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).sum() / max(p.sum(), 1.0))


def leg_rotations(exposures: tuple[Exposure, Exposure]) -> list[np.ndarray]:
    """Rotations that the leg may have in a ``lab`` frame: along the direction that outlines take in
    both views, either way up, at twelve rolls."""
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

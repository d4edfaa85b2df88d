"""How well radiographs and networks go together in a frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from SSRKDLib.models.interface import BoneField
from SSRKDLib.radiographs.network_input import FramedRadiographs

#: Coarse grid on which a frame is judged: half edge and pitch, mm.
_JUDGED_REACH, _JUDGED_PITCH = 80.0, 5.0

#: A frame is judged where, in all views, a mask is at least so sure within so many blocks of six
#: pixels (some 20 mm). Elsewhere the field says that all bones are farther than the last, mm.
_LEAST_BONE, _NEAR_BLOCKS, _FAR_MM = 0.05, 3, 12.0


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


#: Of a frame that no view can show.
NOT_SHOWN = FrameQuality(0.0, np.inf)


@lru_cache(maxsize=1)
def judged_points() -> np.ndarray:
    """Where a frame is judged, ``[N, 3]`` mm in its coordinates."""
    ticks = np.arange(-_JUDGED_REACH, _JUDGED_REACH + 1, _JUDGED_PITCH)
    return np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3)


def frame_quality(radiographs: FramedRadiographs, field: BoneField) -> FrameQuality:
    """How well coarsely reconstructed bones project onto the segmenter's masks, and how sure the
    networks are. A bone that is in neither counts as one that does not agree; a frame of which a
    view shows nothing has no agreement and an infinite uncertainty. The field is asked where the
    masks of all views are near."""
    detail, masks, points = radiographs.input, radiographs.masks, judged_points()

    # The projected grid has a pitch of about five pixels; blocks of six have no holes.
    cells = masks.shape[-1] // 6
    blocks = masks[:, :, : cells * 6, : cells * 6].reshape(len(masks), 4, cells, 6, cells, 6)
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
            return NOT_SHOWN
        limits = image_points[within[slot], 1]
        rows = slice(int(limits.min() // 6) + 1, int(limits.max() // 6))
        where.append((cell, rows))
    distances = np.full((len(points), 4), -_FAR_MM, np.float32)
    known = field.where_judged
    distances[near] = field.query(points[near]) if known is None else known[near]

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

"""Outlines of bone masks, and where a posed bone's own outline lies in a view.

A surface's outline is the projection of its contour generator, the curve on which the surface turns
away from the source (Forsyth and Ponce, Computer Vision, ch. 13), less what the bone itself hides:
folds that project inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from SSRKDLib.core.rigid import moved_points
from SSRKDLib.geometry.rasterise import within_curves
from SSRKDLib.geometry.views import View
from SSRKDLib.reconstruction.fitting.shape_model import BoneModel
from SSRKDLib.surfaces.outlines import iso_curves

#: Curves with fewer points are specks.
_SPECK = 12

#: Within this many pixels of where a radiograph ends, a mask's border need not be a bone's.
BORDER_PIXELS = 3.0

#: The slope of a sure border, probability per pixel of the smoothed mask; less is trusted less.
_SURE_SLOPE = 0.15

#: A point of the contour generator is on the outline where this many pixels further out nothing of
#: the bone is drawn.
_OUTSIDE_PIXELS = 2.2


@dataclass(frozen=True, eq=False)
class MaskOutline:
    """The border of a bone's mask.

    Attributes:
        points: ``[N, 2]`` (column, row), about a pixel apart.
        normals: ``[N, 2]`` unit, outward.
        weights: ``[N]``, 0 to 1: how sharp the border is.
    """

    points: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    _trees: dict[tuple[float, int], cKDTree] = field(default_factory=dict)

    @property
    def seen(self) -> bool:
        """Whether there is enough to fit to."""
        return len(self.points) >= 20

    def tree(self, bend: float, every: int) -> cKDTree:
        """Points, only one in every so many, with their normals, which are ``bend`` pixels long."""
        if (bend, every) not in self._trees:
            both = np.concatenate([self.points, bend * self.normals], axis=1)[::every]
            self._trees[bend, every] = cKDTree(both)
        return self._trees[bend, every]


def mask_outline(mask: np.ndarray, inner: np.ndarray) -> MaskOutline:
    """The border of a mask.

    Args:
        mask: ``[rows, columns]``, 0 to 1.
        inner: depth of each pixel inside what the radiograph shows, see :func:`depth_inside`.
    """
    curves = [curve for curve in iso_curves(mask, 0.5) if len(curve) > _SPECK]
    points = np.concatenate([_resampled(curve) for curve in curves] or [np.empty((0, 2))])
    points = points[_at(inner, points) > BORDER_PIXELS]
    down, across = np.gradient(ndimage.gaussian_filter(mask.astype(np.float64), 1.0))
    slope = -np.stack([_at(across, points), _at(down, points)], axis=1)
    size = np.linalg.norm(slope, axis=1)
    return MaskOutline(
        points,
        slope / np.maximum(size, 1e-6)[:, None],
        np.clip(size / _SURE_SLOPE, 0.05, 1.0),
    )


def depth_inside(valid: np.ndarray) -> np.ndarray:
    """Distance of each pixel from where a radiograph ``[rows, columns]`` ends, pixels."""
    return ndimage.distance_transform_edt(np.pad(valid, 1))[1:-1, 1:-1]


def _resampled(curve: np.ndarray) -> np.ndarray:
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()])
    ticks = np.arange(0.5, along[-1], 1.0)
    return np.stack([np.interp(ticks, along, curve[:, k]) for k in (0, 1)], axis=1)


def _at(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(image, points.T[::-1], order=1, mode="nearest")


@dataclass(frozen=True, eq=False)
class Contour:
    """Points of a posed bone's outline in a view.

    Attributes:
        start, end: ``[N]`` the vertices between which each lies.
        share: ``[N]`` how far from start to end.
        points: ``[N, 3]`` mm, world.
        image: ``[N, 2]`` (column, row) pixels.
        normals: ``[N, 2]`` unit, outward in the image.
        pixels_per_mm: ``[N]`` that the outline moves in the image, along its normal, when the
            surface moves along its own.
        directions: ``[N, 3]``: how far the outline moves along its normal, in mm of the surface,
            per mm that the point moves, world.
    """

    start: np.ndarray
    end: np.ndarray
    share: np.ndarray
    points: np.ndarray
    image: np.ndarray
    normals: np.ndarray
    pixels_per_mm: np.ndarray
    directions: np.ndarray

    def between(self, values: np.ndarray) -> np.ndarray:
        """What vertices have ``[V, ...]`` at the contour's points ``[N, ...]``."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
        return values[self.start] * (1 - share) + values[self.end] * share


def bone_contour(
    bone: BoneModel, shape: np.ndarray, normals: np.ndarray, pose: np.ndarray, view: View
) -> Contour:
    """The outline of a bone, without points that the bone itself hides.

    Args:
        bone: whose edges.
        shape: ``[V, 3]`` its vertices, mm, model coordinates.
        normals: ``[V, 3]`` theirs.
        pose: model to world.
        view: in the world.
    """
    sources = view.transformed(np.linalg.inv(pose)).focal_spots(shape)
    facing = np.einsum("ni,ni->n", shape - sources, normals)
    away = facing > 0
    first, second, third = away[bone.faces].T  # some times as fast as a sum along the short axis
    corners = first.astype(np.int8) + second + third
    crossed = bone.faces[(corners == 1) | (corners == 2)]
    # Turned so that the corner that stands alone comes first.
    odd = away[crossed] == (away[crossed].sum(1) == 1)[:, None]
    crossed = np.take_along_axis(crossed, (odd.argmax(1)[:, None] + [0, 1, 2]) % 3, axis=1)
    pairs = crossed[:, [0, 1, 0, 2]].reshape(-1, 2)
    number, which = np.unique(pairs.min(1) * len(shape) + pairs.max(1), return_inverse=True)
    start, end = np.divmod(number, len(shape))
    share = (facing[start] / (facing[start] - facing[end]))[:, None]
    points = moved_points(pose, shape[start] * (1 - share) + shape[end] * share)
    outward = (normals[start] * (1 - share) + normals[end] * share) @ pose[:3, :3].T
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)

    image, slopes = view.project(points), view.slopes(points)
    moves = np.einsum("nij,nj->ni", slopes, outward)
    rate = np.maximum(np.linalg.norm(moves, axis=1), 1e-9)
    in_image = moves / rate[:, None]
    directions = np.einsum("ni,nij->nj", in_image, slopes) / rate[:, None]

    # What turns away from the source is hidden by what faces it: the part of the surface within
    # the contour generator and the rim.
    which = which.reshape(-1, 2)
    which[away[crossed[:, 0]]] = which[away[crossed[:, 0]], ::-1]
    rim = _facing_rim(bone.rim_edges, facing, shape)
    rim = view.project(moved_points(pose, rim.reshape(-1, 3))).reshape(-1, 2, 2)
    columns, rows = view.size
    curves = np.concatenate([image[which], rim]).transpose(1, 0, 2)
    drawn = within_curves(*np.nan_to_num(curves), columns, rows)
    beyond = np.rint(image + _OUTSIDE_PIXELS * in_image).astype(np.int64)
    kept = (beyond >= 0).all(1) & (beyond[:, 0] < columns) & (beyond[:, 1] < rows)
    kept[kept] = ~drawn[beyond[kept, 1], beyond[kept, 0]]
    kept &= ~(bone.rim[start] | bone.rim[end])
    return Contour(
        start[kept], end[kept], share[kept, 0], points[kept], image[kept], in_image[kept],
        rate[kept], directions[kept],
    )  # fmt: skip


def _facing_rim(edges: np.ndarray, facing: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Of directed edges ``[R, 2]`` the parts ``[P, 2, 3]`` that face the source."""
    edges = edges[(facing[edges] <= 0).any(1)]
    first, second = facing[edges].T
    ends = shape[edges]
    crossing = first > 0, second > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (first / (first - second))[:, None]
    between = ends[:, 0] * (1 - share) + ends[:, 1] * share
    return np.stack([np.where(crossing[k][:, None], between, ends[:, k]) for k in (0, 1)], axis=1)

"""Views, rigs and the projection between the world and a detector.

Frame and units: world points are LPS millimetres (or the rig's own ``lab`` frame), radiographs are
indexed ``[row, column]``.

The one half-pixel convention of this project: pixel ``(0, 0)`` is the *centre* of the first pixel,
so an image of ``size`` columns covers the continuous column interval ``[-0.5, size - 0.5]``.
:func:`to_grid_sample` is the only place that converts to another convention.

Image points are ``(column, row)`` pairs, in pixels, in that order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.known import CALIBRATED, Known
from SSRKDLib.geometry.rigid_transform import FARTHEST_MM, rigid_matrix

#: View axes closer together than this are refused (opposite directions count as parallel).
MINIMUM_AXES_ANGLE_DEGREES = 20.0

#: Distance between pixels above which no detector is meant, mm.
LARGEST_PIXEL = 10.0


def check_spacing(name: str, spacing: Sequence[float]) -> None:
    """Raise :class:`~SSRKDLib.core.errors.GeometryError` for a pixel spacing, mm, (between columns,
    between rows), that no detector has; ``name`` is the view's."""
    if len(spacing) != 2 or not all(0.01 <= mm <= LARGEST_PIXEL for mm in spacing):
        raise GeometryError(
            "View '{name}': a pixel spacing of {spacing} mm is impossible.",
            "Give it in millimetres, between 0.01 and 10.",
            name=name,
            spacing=list(spacing),
        )


@dataclass(frozen=True)
class View:
    """One radiograph's geometry: an X-ray source and a flat detector, posed anywhere.

    This is a cone beam's; a slot scanner's is :class:`~SSRKDLib.geometry.slot_view.SlotView`. Both
    answer where the focal spot is for a point, how deep the point lies, where it projects to, and
    how that moves with it. Where a view's pixels are and what they mean is a
    :class:`~SSRKDLib.radiographs.exposure.Source`.

    Attributes:
        name: label only.
        source: focal spot, ``(3,)`` mm.
        detector_origin: centre of pixel row 0, column 0, ``(3,)`` mm.
        column_direction: unit vector along which the column index grows.
        row_direction: unit vector along which the row index grows.
        pixel_spacing: mm on the detector, (between columns, between rows).
        size: pixels, (columns, rows).
        known: where the rest came from.
    """

    name: str
    source: np.ndarray
    detector_origin: np.ndarray
    column_direction: np.ndarray
    row_direction: np.ndarray
    pixel_spacing: tuple[float, float]
    size: tuple[int, int]
    known: Known = CALIBRATED

    _POINTS: ClassVar = ("source", "detector_origin")
    _DIRECTIONS: ClassVar = ("column_direction", "row_direction")

    def __post_init__(self) -> None:
        for key in (*self._POINTS, *self._DIRECTIONS):
            vector = np.asarray(getattr(self, key), dtype=np.float64)
            if vector.shape != (3,) or not (np.abs(vector) <= FARTHEST_MM).all():
                raise GeometryError(
                    "View '{name}': {key} is not three finite numbers within {farthest:g}.",
                    "Give it as [x, y, z] in millimetres.",
                    name=self.name,
                    key=key,
                    farthest=FARTHEST_MM,
                )
            object.__setattr__(self, key, vector)
        self._check_detector()

    def _check_detector(self) -> None:
        at = f"View '{self.name}':"
        for key in self._DIRECTIONS:
            if abs(np.linalg.norm(getattr(self, key)) - 1) > 1e-3:
                raise GeometryError(
                    "{at} {key} is not a unit vector.", "Normalise it.", at=at, key=key
                )
        if abs(self.column_direction @ self.row_direction) > 1e-3:
            raise GeometryError(
                "{at} column_direction and row_direction are not perpendicular.",
                "Give the two edges of the detector as perpendicular unit vectors.",
                at=at,
            )
        check_spacing(self.name, self.pixel_spacing)
        if len(self.size) != 2 or not all(int(s) == s and 8 <= s <= 20000 for s in self.size):
            raise GeometryError(
                "{at} an image size of {size} is impossible.",
                "Give [columns, rows] as whole numbers between 8 and 20000.",
                at=at,
                size=list(self.size),
            )
        distance = self.source_to_detector_distance
        if distance < 1:
            raise GeometryError(
                "{at} the source lies on the detector.",
                "Check source and detector_origin: they are points in millimetres.",
                at=at,
            )
        if not 100 <= distance <= 10000:
            raise GeometryError(
                "{at} a source-to-detector distance of {distance:.4g} mm is impossible.",
                "Check that all lengths are millimetres (not metres or centimetres).",
                at=at,
                distance=distance,
            )

    @property
    def travel(self) -> np.ndarray:
        """Unit vector ``(3,)`` along which the source travels while the image is taken, either way;
        zero where it rests."""
        return np.zeros(3)

    @property
    def normal(self) -> np.ndarray:
        """Unit normal of the detector, pointing away from the source, ``(3,)``."""
        normal = np.cross(self.column_direction, self.row_direction)
        return normal if normal @ (self.detector_origin - self.source) >= 0 else -normal

    @property
    def source_to_detector_distance(self) -> float:
        """Distance from the source to the detector plane, mm."""
        normal = np.cross(self.column_direction, self.row_direction)
        return float(abs(normal @ (self.detector_origin - self.source)))

    @property
    def detector_centre(self) -> np.ndarray:
        """Centre of the detector's area, ``(3,)`` mm."""
        columns, rows = self.size
        return self.points_on_detector(np.array([(columns - 1) / 2, (rows - 1) / 2]))

    @property
    def axis(self) -> np.ndarray:
        """Unit vector from the source to the centre of the detector's area."""
        centre = self.detector_centre
        axis = centre - self.focal_spots(centre)
        return axis / np.linalg.norm(axis)

    @property
    def ray_matrix(self) -> np.ndarray:
        """``A`` (3x3) with ``point on detector - source = A @ (column, row, 1)``."""
        return np.stack(
            [
                self.pixel_spacing[0] * self.column_direction,
                self.pixel_spacing[1] * self.row_direction,
                self.detector_origin - self.source,
            ],
            axis=1,
        )

    @cached_property
    def projection_matrix(self) -> np.ndarray:
        """``P`` (3x4) with ``P @ (x, y, z, 1) = w * (column, row, 1)``.

        ``w`` is the point's depth as a fraction of the source-to-detector distance: 1 on the
        detector, ``1 / w`` is the magnification, and ``w <= 0`` lies behind the source.
        """
        inverse = np.linalg.inv(self.ray_matrix)
        matrix = np.concatenate([inverse, -(inverse @ self.source)[:, None]], axis=1)
        matrix.flags.writeable = False
        return matrix

    def focal_spots(self, points: np.ndarray) -> np.ndarray:
        """Where the focal spot is when world points ``[..., 3]`` are exposed, ``[..., 3]`` mm."""
        return np.broadcast_to(self.source, np.shape(points))

    def depths(self, points: np.ndarray) -> np.ndarray:
        """Depth ``[...]`` of world points ``[..., 3]`` before the source, as a fraction of the
        source-to-detector distance."""
        points = np.asarray(points, dtype=np.float64)
        return points @ self.projection_matrix[2, :3] + self.projection_matrix[2, 3]

    def pixel_size(self, depth: float) -> tuple[float, float]:
        """Edges of a pixel, mm, (between columns, between rows), where :meth:`depths` are this."""
        return self.pixel_spacing[0] * depth, self.pixel_spacing[1] * depth

    def project(self, points: np.ndarray) -> np.ndarray:
        """Image points (column, row) of world points ``[..., 3]`` mm, as ``[..., 2]`` pixels.

        Points at or behind the source come out as NaN.
        """
        homogeneous = np.asarray(points, dtype=np.float64) @ self.projection_matrix[:, :3].T
        homogeneous = homogeneous + self.projection_matrix[:, 3]
        depth = homogeneous[..., 2:]
        return homogeneous[..., :2] / np.where(depth > 1e-9, depth, np.nan)

    def slopes(self, points: np.ndarray) -> np.ndarray:
        """How :meth:`project` moves with world points ``[..., 3]``: ``[..., 2, 3]``, pixels per mm;
        column and row first, the world's axes last."""
        matrix = self.projection_matrix
        homogeneous = np.asarray(points, dtype=np.float64) @ matrix[:, :3].T + matrix[:, 3]
        image = homogeneous[..., :2] / homogeneous[..., 2:]
        slopes = matrix[:2, :3] - image[..., None] * matrix[2, :3]
        return slopes / homogeneous[..., 2, None, None]

    def rays(self, image_points: np.ndarray) -> np.ndarray:
        """Unit directions ``[..., 3]`` from the focal spot through image points ``[..., 2]``."""
        ends = self.points_on_detector(image_points)
        directions = ends - self.focal_spots(ends)
        return directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def points_on_detector(self, image_points: np.ndarray) -> np.ndarray:
        """World points ``[..., 3]`` mm of image points (column, row) ``[..., 2]`` pixels."""
        image_points = np.asarray(image_points, dtype=np.float64)
        return (
            self.detector_origin
            + image_points[..., :1] * self.pixel_spacing[0] * self.column_direction
            + image_points[..., 1:] * self.pixel_spacing[1] * self.row_direction
        )

    def inside(self, points: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Whether world points ``[..., 3]`` project inside the image, ``margin`` pixels in."""
        image_points = self.project(points)
        columns, rows = self.size
        low = -0.5 + margin
        with np.errstate(invalid="ignore"):
            return (
                (image_points[..., 0] >= low)
                & (image_points[..., 1] >= low)
                & (image_points[..., 0] <= columns - 0.5 - margin)
                & (image_points[..., 1] <= rows - 0.5 - margin)
            )

    def cropped(self, left: int, top: int, columns: int, rows: int) -> View:
        """The view of a part of the image: ``columns`` x ``rows`` pixels from (left, top) on.

        Raises:
            GeometryError: the part is empty, too small or reaches over the image's edge.
        """
        inside = 0 <= left <= left + columns <= self.size[0]
        if not inside or not 0 <= top <= top + rows <= self.size[1]:
            raise GeometryError(
                "View '{name}': the crop region reaches over the image's edge.",
                "Move it into the image.",
                name=self.name,
            )
        return replace(
            self,
            detector_origin=self.points_on_detector(np.array([left, top])),
            size=(columns, rows),
        )

    def reversed(self, columns: bool, rows: bool) -> View:
        """The view with its columns, rows or both counted from the other end."""
        across, down = ((n - 1) * mm for n, mm in zip(self.size, self.pixel_spacing))
        return replace(
            self,
            detector_origin=self.detector_origin
            + (across * self.column_direction if columns else 0)
            + (down * self.row_direction if rows else 0),
            column_direction=self.column_direction * (-1 if columns else 1),
            row_direction=self.row_direction * (-1 if rows else 1),
        )

    def transformed(self, matrix: np.ndarray) -> View:
        """This view moved by a 4x4 matrix (rotation or reflection, and translation; mm)."""
        rotation, translation = matrix[:3, :3], matrix[:3, 3]
        moved = {key: rotation @ getattr(self, key) + translation for key in self._POINTS}
        turned = {key: rotation @ getattr(self, key) for key in self._DIRECTIONS}
        return replace(self, **moved, **turned)


@dataclass(frozen=True)
class Rig:
    """How a set of radiographs was taken.

    Attributes:
        views: at least one.
        frame: ``"LPS"`` when the axes are the patient's, ``"lab"`` when they are not.
        laterality: ``"L"``, ``"R"`` or None (unknown).
        patient_to_rig: 4x4 rigid, ``p_rig = M @ p_patient`` (mm), or None.
        assumptions: sentences on what was not known when the rig was made and was assumed.
        simultaneous: whether the views were exposed at one moment, so that nothing moved between
            them.
    """

    views: tuple[View, ...]
    frame: str = "LPS"
    laterality: str | None = None
    patient_to_rig: np.ndarray | None = None
    assumptions: tuple[str, ...] = field(default=())
    simultaneous: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", tuple(self.views))
        if not self.views:
            raise GeometryError("The rig has no view.", "Describe a radiograph, or better two.")
        if self.frame not in ("LPS", "lab"):
            raise GeometryError("'{name}' is not a frame.", 'Use "LPS" or "lab".', name=self.frame)
        if self.laterality not in ("L", "R", None):
            raise GeometryError(
                "'{side}' is not a side.", 'Use "L", "R" or null (unknown).', side=self.laterality
            )
        if self.patient_to_rig is not None:
            object.__setattr__(self, "patient_to_rig", rigid_matrix(self.patient_to_rig))
        widest = max(
            (axes_angle(a.axis, b.axis) for i, a in enumerate(self.views) for b in self.views[:i]),
            default=0.0,
        )
        if len(self.views) > 1 and widest < MINIMUM_AXES_ANGLE_DEGREES:
            raise GeometryError(
                "The view axes are only {widest:.1f} degrees apart (same side, or opposite).",
                "Give two views at least {least:.0f} degrees apart.",
                widest=widest,
                least=MINIMUM_AXES_ANGLE_DEGREES,
            )

    def transformed(self, matrix: np.ndarray) -> Rig:
        """This rig, and the patient with it, moved by a rigid 4x4 matrix (mm)."""
        pose = self.patient_to_rig
        if pose is None and self.frame == "LPS":
            pose = np.eye(4)
        return replace(
            self,
            frame="lab",
            views=tuple(view.transformed(matrix) for view in self.views),
            patient_to_rig=None if pose is None else matrix @ pose,
        )

    def source_to_object_distance(self, view: View) -> float:
        """Distance from a view's source to :meth:`central_point` along the view's axis, mm."""
        return float(view.axis @ (self.central_point() - view.source))

    def central_point(self) -> np.ndarray:
        """The point nearest to all view axes, ``(3,)`` mm: the middle of the common field. Of one
        view, the point of its axis nearest to the patient's origin, on which distances are told."""
        if len(self.views) == 1:
            (view,) = self.views
            origin = np.zeros(3) if self.patient_to_rig is None else self.patient_to_rig[:3, 3]
            along = view.axis @ (origin - view.detector_centre)
            return view.detector_centre + along * view.axis
        normal_matrix, right_side = np.zeros((3, 3)), np.zeros(3)
        for view in self.views:
            across = np.eye(3) - np.outer(view.axis, view.axis)
            normal_matrix += across
            right_side += across @ view.detector_centre
        return np.linalg.solve(normal_matrix, right_side)


def axes_angle(first: np.ndarray, second: np.ndarray) -> float:
    """Angle between two lines along unit vectors, degrees, 0 to 90."""
    return math.degrees(math.acos(min(1.0, abs(float(first @ second)))))


def triangulate(views: list[View], image_points: np.ndarray) -> tuple[np.ndarray, float]:
    """The world point nearest to one ray per view.

    Args:
        views: n views.
        image_points: ``[n, 2]`` (column, row) pixels.

    Returns:
        The point ``(3,)`` in mm and the root mean square distance to the rays in mm.
    """
    directions = np.stack([view.rays(point) for view, point in zip(views, image_points)])
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    ends = [view.points_on_detector(np.asarray(one)) for view, one in zip(views, image_points)]
    sources = np.stack([view.focal_spots(end) for view, end in zip(views, ends)])
    point = np.linalg.solve(across.sum(0), np.einsum("nij,nj->i", across, sources))
    residual = np.einsum("nij,nj->ni", across, point - sources)
    return point, float(np.sqrt((residual**2).sum(1).mean()))


def to_grid_sample(image_points, size: tuple[int, int]):
    """Image points in this project's convention as torch ``grid_sample`` coordinates.

    Args:
        image_points: ``[..., 2]`` (column, row) pixels, tensor or array.
        size: (columns, rows) of the *full* image that the points refer to. Feature maps made by
            strided convolutions of it share these coordinates.

    Returns:
        ``[..., 2]`` for ``align_corners=False``, where -1 and 1 are the outer edges of the image.
    """
    scale = [2.0 / size[0], 2.0 / size[1]]
    if isinstance(image_points, np.ndarray):
        return (image_points + 0.5) * np.array(scale, image_points.dtype) - 1
    return (image_points + 0.5) * image_points.new_tensor(scale) - 1

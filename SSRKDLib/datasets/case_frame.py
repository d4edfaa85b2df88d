"""Where a prepared case lies: its cube, its views, and the way back to the patient.

**The case frame.** Millimetres, origin in the middle of a cube, axes LPS; a right knee is mirrored
in x, so that every case looks like a left one. Files hold points as ``(z, y, x)`` in ``[-1, 1]``,
-1 and 1 being the cube's outer faces: voxel ``i`` of ``n`` has its centre at
``(2 i + 1) / n - 1``. The published code mixes this convention with two others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from SSRKDLib.core.boxes import box_corners
from SSRKDLib.core.errors import GeometryError, InputError
from SSRKDLib.geometry.centred_views import view_from_angles
from SSRKDLib.geometry.views import LARGEST_PIXEL, View


@dataclass(frozen=True, eq=False)
class CaseFrame:
    """A case's cube and how it is looked at.

    Attributes:
        half_edge: half the cube's edge, mm.
        to_world: 4x4, patient LPS mm of case mm; a reflection for a mirrored (right) knee.
        angles: as stored, degrees about +z; the source is at the left (+x) at 0 and behind (+y)
            at 90 (see :func:`azimuth`).
        sod: source to the cube's middle, mm.
        sdd: source to detector, mm.
        detector: pixels along each edge of the square detector.
        pixel: mm on the detector.
    """

    half_edge: float
    to_world: np.ndarray
    angles: tuple[float, ...]
    sod: float
    sdd: float
    detector: int
    pixel: float

    @property
    def mirrored(self) -> bool:
        """Whether the case is the patient's mirror image."""
        return bool(np.linalg.det(self.to_world[:3, :3]) < 0)

    def views(self) -> tuple[View, ...]:
        """One view per angle, in the case frame: columns grow along +y at angle 0, rows down."""
        return case_views(self.angles, self.sod, self.sdd, self.detector, self.pixel)

    def index_to_case(self, size: int) -> np.ndarray:
        """4x4: case mm of the voxel index ``(i, j, k, 1)`` of a volume of ``size`` per edge."""
        spacing = 2 * self.half_edge / size
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = spacing / 2 - self.half_edge
        return affine

    def normalised(self, points: np.ndarray) -> np.ndarray:
        """Case mm ``[..., 3]`` (x, y, z) as stored: (z, y, x), the cube being -1 to 1."""
        return np.asarray(points, dtype=np.float64)[..., ::-1] / self.half_edge

    def millimetres(self, stored: np.ndarray) -> np.ndarray:
        """Stored points ``[..., 3]`` (z, y, x) as case mm (x, y, z)."""
        return np.asarray(stored, dtype=np.float64)[..., ::-1] * self.half_edge

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes."""
        return {
            "half_edge_mm": self.half_edge,
            "to_world": self.to_world.tolist(),
            "angles_degrees": list(self.angles),
            "source_to_centre_mm": self.sod,
            "source_to_detector_mm": self.sdd,
            "detector_pixels": self.detector,
            "pixel_mm": self.pixel,
        }

    @classmethod
    def from_json(cls, data: Any) -> CaseFrame:
        """Raises :class:`~SSRKDLib.core.errors.InputError` where something is missing or
        impossible."""
        try:
            frame = cls(
                half_edge=float(data["half_edge_mm"]),
                to_world=np.array(data["to_world"], dtype=np.float64).reshape(4, 4),
                angles=tuple(float(angle) for angle in data["angles_degrees"]),
                sod=float(data["source_to_centre_mm"]),
                sdd=float(data["source_to_detector_mm"]),
                detector=int(data["detector_pixels"]),
                pixel=float(data["pixel_mm"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"The case's geometry is damaged ({error}).", "Prepare it again."
            ) from error
        numbers = [frame.half_edge, frame.sod, frame.sdd, frame.pixel, *frame.to_world.flat]
        if (
            not np.isfinite(numbers).all()
            or min(numbers[:4]) <= 0
            or (not 1 <= frame.detector <= 20_000 or not np.isfinite(frame.angles).all())
        ):
            raise InputError("The case's geometry is impossible.", "Prepare it again.")
        return frame


#: The frame of cases prepared by the published code: every CT was stretched to this cube, so
#: lengths are nominal; ``spacing.npz`` holds the millimetres per unit along (z, y, x).
PUBLISHED_FRAME = CaseFrame(
    half_edge=128.0,
    to_world=np.eye(4),
    angles=tuple(float(angle) for angle in range(0, 361, 10)),
    sod=1000.0,
    sdd=2000.0,
    detector=512,
    pixel=0.575,
)


def azimuth(angle: float) -> float:
    """Azimuth of the source (see :mod:`SSRKDLib.geometry.centred_views`), degrees, of a case's
    stored angle: those count from the x axis, as the published code does."""
    return angle + 90.0


def case_views(
    angles: tuple[float, ...], sod: float, sdd: float, detector: int, pixel: float
) -> tuple[View, ...]:
    """Views from a circle around the origin: see :class:`CaseFrame`."""
    size, spacing = (detector, detector), (pixel, pixel)
    return tuple(
        view_from_angles(f"{angle:g}", azimuth(angle), sdd, sod, size, spacing) for angle in angles
    )


def fitting_pixel(
    box: np.ndarray, angles: tuple[float, ...], sod: float, sdd: float, detector: int
) -> float:
    """The smallest pixel, mm, with which every view's square detector sees the whole box.

    Args:
        box: ``[2, 3]`` lowest and highest corner, case mm.
        angles, sod, sdd, detector: as in :class:`CaseFrame`.

    Raises:
        GeometryError: the sources would be inside the box, or the pixels larger than any.
    """
    corners = box_corners(box)
    reach = 0.0
    for view in case_views(angles, sod, sdd, detector, 1.0):
        depth = (corners - view.source) @ view.axis
        if depth.min() < 0.05 * sod:
            raise GeometryError(
                f"The CT is too large to be looked at from {sod:g} mm.",
                "Give the edge of a cube around the knee (--extent).",
            )
        reach = max(reach, np.abs(view.project(corners) - (detector - 1) / 2).max())
    pixel = float(2 * reach / detector)
    if pixel > LARGEST_PIXEL:
        raise GeometryError(
            f"With {detector} pixels across, each would be {pixel:.0f} mm wide, for radiographs of "
            "the whole cube.",
            "Give more pixels (--detector), or a smaller cube (--extent).",
        )
    return pixel

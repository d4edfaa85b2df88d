"""The view of a slot scanner, whose fan of rays is one row of the image high.

Tube and detector line travel along the patient together while the image is taken row by row. So
rays spread across the patient, as a cone beam's do, and are parallel along: a row's height is the
patient's own and only columns are magnified. That is the "linear pushbroom" camera (Gupta and
Hartley, IEEE TPAMI 19(9), 1997) with the focal spot's travel parallel to the detector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.views import View


@dataclass(frozen=True)
class SlotView(View):
    """One radiograph of a slot scanner.

    ``source`` is any point that the focal spot passes; ``pixel_spacing`` between rows is both that
    on the detector and the patient's own.

    Attributes:
        scan_direction: unit vector along which tube and detector travel, either way, parallel to
            the detector's plane; default: ``row_direction``.
    """

    scan_direction: np.ndarray | None = None

    _DIRECTIONS: ClassVar = (*View._DIRECTIONS, "scan_direction")

    def __post_init__(self) -> None:
        if self.scan_direction is None:
            object.__setattr__(self, "scan_direction", self.row_direction)
        super().__post_init__()
        if abs(self.scan_direction @ self.normal) > 1e-3:
            raise GeometryError(
                "View '{name}': tube and detector travel towards each other.",
                "Give a scan_direction that is parallel to the detector.",
                name=self.name,
            )

    @property
    def travel(self) -> np.ndarray:
        """See :attr:`View.travel`."""
        return self.scan_direction

    def focal_spots(self, points: np.ndarray) -> np.ndarray:
        """See :meth:`View.focal_spots`: at the height of each point."""
        return self.source + self._height(points)[..., None] * self.scan_direction

    def pixel_size(self, depth: float) -> tuple[float, float]:
        """See :meth:`View.pixel_size`: only what lies across the travel is magnified."""
        edges = (self.column_direction, self.row_direction)
        along = [min(1.0, abs(float(edge @ self.scan_direction))) for edge in edges]
        return tuple(
            mm * np.hypot(depth * np.sqrt(1 - share**2), share)
            for mm, share in zip(self.pixel_spacing, along)
        )

    def project(self, points: np.ndarray) -> np.ndarray:
        """See :meth:`View.project`."""
        return super().project(self._spread(points))

    def slopes(self, points: np.ndarray) -> np.ndarray:
        """See :meth:`View.slopes`."""
        along = self.scan_direction
        depths, fall = self.depths(points), self.projection_matrix[2, :3]
        height = self._height(points)[..., None]
        spread = along[:, None] * ((depths - 1)[..., None] * along + height * fall)[..., None, :]
        return super().slopes(self._spread(points)) @ (np.eye(3) + spread)

    def _height(self, points: np.ndarray) -> np.ndarray:
        return (np.asarray(points, dtype=np.float64) - self.source) @ self.scan_direction

    def _spread(self, points: np.ndarray) -> np.ndarray:
        """Where points ``[..., 3]`` would have to be for a cone beam from ``source`` to show them
        where the scanner does: so much nearer to the source's height as they are to the source."""
        shift = self._height(points) * (self.depths(points) - 1)
        return np.asarray(points, dtype=np.float64) + shift[..., None] * self.scan_direction

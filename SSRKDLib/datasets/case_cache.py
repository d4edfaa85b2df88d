"""Parts of prepared cases that samples are made of; the last ones stay in memory.

Reading is by functions of the case's folder, so that every process of a data loader keeps its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.forms import misfit
from SSRKDLib.datasets.case_folder import PROJECTIONS, CaseFolder
from SSRKDLib.datasets.case_frame import CaseFrame
from SSRKDLib.datasets.memory_cache import cached
from SSRKDLib.datasets.npz import mapped_npz
from SSRKDLib.datasets.point_sampling import Sampling
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.geometry.views import View
from SSRKDLib.radiographs.published_input import NETWORK_UNITS
from SSRKDLib.surfaces.mesh import Mesh


@dataclass(frozen=True)
class CaseRadiographs:
    """A case's radiographs.

    Attributes:
        frame: where the case lies.
        angles: degrees of the views, whole numbers where they were prepared so.
        views: case frame, mm.
        images: ``[views, rows, columns]``, mapped from the disk; times ``unit`` they are natural
            line integrals, without noise where this project prepared the case.
        unit: see there.
        bits: uint8 ``[rows, columns]`` of each view, bit k set where the ray meets ``BONES[k]``;
            None for unlabelled cases.
    """

    frame: CaseFrame
    angles: tuple[float, ...]
    views: tuple[View, ...]
    images: np.ndarray
    unit: float
    bits: Sequence[np.ndarray] | None

    def index(self, angle: float) -> int:
        """Which view was taken at an angle, to a tenth of a degree, modulo 360.

        Raises:
            InputError: none was.
        """
        off = np.abs((np.array(self.angles) - angle + 180) % 360 - 180)
        if off.min() > 0.1:
            there = ", ".join(f"{a:g}" for a in self.angles)
            raise InputError(
                f"A case has no radiograph at {angle:g} degrees (there: {there}).",
                "Ask for other angles, or prepare the cases with more (--angles).",
            )
        return int(off.argmin())


class Silhouettes(Sequence[np.ndarray]):
    """Bits of a case of the published code, drawn from its meshes when they are looked at: its
    stored masks hold noise (half of their background is bone)."""

    def __init__(self, meshes: dict[str, Mesh], views: tuple[View, ...]) -> None:
        self.meshes, self.views = meshes, views

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> np.ndarray:
        columns, rows = self.views[index].size
        bits = np.zeros((rows, columns), np.uint8)
        for k, bone in enumerate(BONES):
            if bone in self._closed:
                mesh = self._closed[bone]
                covered = silhouette(mesh.vertices, mesh.faces, self.views[index])
                bits |= covered.astype(np.uint8) << k
        return bits

    @cached_property
    def _closed(self) -> dict[str, Mesh]:
        return {bone: mesh.capped() for bone, mesh in self.meshes.items()}


@cached
def read_radiographs(folder: Path) -> CaseRadiographs:
    """The radiographs of a case. Raises :class:`~SSRKDLib.core.errors.InputError` where they are
    absent or damaged."""
    case = CaseFolder(folder)
    frame, views = case.frame(), case.frame().views()
    path = folder / PROJECTIONS
    # The published code stores only line integrals in its own unit.
    images = mapped_npz(path, "line_integrals" if case.finished else "projs")
    expected = (len(frame.angles), frame.detector, frame.detector)
    if images.shape != expected:
        raise InputError(
            f"{path} contains images of shape {images.shape}, not {expected}.", "Prepare it again."
        )
    bits = None
    if case.finished and case.labelled:
        bits = case.bone_bits()
    elif case.labelled:
        bits = Silhouettes(case.meshes(), views)
    unit = 1.0 if case.finished else 1.0 / NETWORK_UNITS
    return CaseRadiographs(frame, frame.angles, views, images, unit, bits)


@cached
def read_volume(folder: Path, size: int) -> np.ndarray:
    """The CT of that size, uint8 ``[k, j, i]``, 0 to 255 for -400 to 500 HU."""
    return CaseFolder(folder).volume(size)


@cached
def read_points(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Every stored point ``[N, 3]`` and its label ``[N]`` of a labelled case."""
    sampling: Sampling = CaseFolder(folder).sampling()
    return sampling.all_points()


@cached
def read_frame(folder: Path) -> CaseFrame:
    """Where a case lies."""
    return CaseFolder(folder).frame()


def read_box(folder: Path) -> np.ndarray:
    """Lowest and highest corner of what the CT shows, ``[2, 3]`` case mm."""
    case = CaseFolder(folder)
    edge = case.frame().half_edge
    box = case.record().get("box_mm", [[-edge] * 3, [edge] * 3])
    if misfit(box, [[float]]) is None and [len(corner) for corner in box] == [3, 3]:
        return np.array(box, dtype=np.float64)
    raise InputError(
        f"'box_mm' of the case {folder} is not two corners of three numbers.", "Prepare it again."
    )

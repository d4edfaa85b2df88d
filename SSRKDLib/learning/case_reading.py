"""What samples read of prepared cases; the last ones stay in memory.

Reading is by functions of the case's folder, so that every process of a data loader keeps its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from SSRKDLib.cases.frame import CaseFrame
from SSRKDLib.cases.layout import MASKS, PROJECTIONS, CaseFolder
from SSRKDLib.cases.npz import mapped_npz
from SSRKDLib.cases.sampling import Sampling
from SSRKDLib.errors import InputError
from SSRKDLib.geometry import View
from SSRKDLib.official_pipeline import NETWORK_UNITS

#: How many cases' radiographs and points, and volumes, each process keeps.
KEPT, KEPT_VOLUMES = 128, 32


@dataclass(frozen=True)
class CaseRadiographs:
    """A case's radiographs.

    Attributes:
        frame: where the case lies.
        angles: degrees of the views, whole numbers where they were prepared so.
        views: case frame, mm.
        images: ``[views, rows, columns]``, mapped from the disk; times ``unit`` they are natural
            line integrals without noise.
        unit: see there.
        bits: uint8 ``[views, rows, columns]``, bit k set where the ray meets ``BONES[k]`` (all
            four where any bone is, for cases of the published code); None for unlabelled cases.
    """

    frame: CaseFrame
    angles: tuple[float, ...]
    views: tuple[View, ...]
    images: np.ndarray
    unit: float
    bits: np.ndarray | None

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


@lru_cache(maxsize=KEPT)
def read_radiographs(folder: Path) -> CaseRadiographs:
    """The radiographs of a case. Raises :class:`~SSRKDLib.errors.InputError` where they are absent
    or damaged."""
    case = CaseFolder(folder)
    frame = case.frame()
    path = folder / PROJECTIONS
    # The published code stores only line integrals in its own unit.
    natural = case.finished
    images = mapped_npz(path, "line_integrals" if natural else "projs")
    if images.ndim != 3 or len(images) != len(frame.angles):
        raise InputError(f"{path} holds no image per angle.", "Prepare the case again.")
    unit = 1.0 if natural else 1.0 / NETWORK_UNITS
    return CaseRadiographs(frame, frame.angles, frame.views(), images, unit, _bits(case))


def _bits(case: CaseFolder) -> np.ndarray | None:
    if not any((case.path / name).is_file() for name in MASKS):
        return None
    if case.finished:
        bones = case.bone_masks()[0].astype(np.uint8)
        return (bones << np.arange(bones.shape[1], dtype=np.uint8)[:, None, None]).sum(
            axis=1, dtype=np.uint8
        )
    return np.where(case.masks()[0], np.uint8(15), np.uint8(0))


@lru_cache(maxsize=KEPT_VOLUMES)
def read_volume(folder: Path, size: int) -> np.ndarray:
    """The CT of that size, uint8 ``[k, j, i]``, 0 to 255 for -400 to 500 HU."""
    return CaseFolder(folder).volume(size)


@lru_cache(maxsize=KEPT)
def read_points(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Every stored point ``[N, 3]`` and its label ``[N]`` of a labelled case."""
    sampling: Sampling = CaseFolder(folder).sampling()
    return sampling.all_points()


@lru_cache(maxsize=KEPT)
def read_frame(folder: Path) -> CaseFrame:
    """Where a case lies."""
    return CaseFolder(folder).frame()


def read_box(folder: Path) -> np.ndarray:
    """Lowest and highest corner of what the CT shows, ``[2, 3]`` case mm."""
    case = CaseFolder(folder)
    edge = case.frame().half_edge
    box = case.record().get("box_mm", [[-edge] * 3, [edge] * 3])
    return np.array(box, dtype=np.float64)

"""One reconstruction from files: what the command line, the demo and the worker all do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.progress import Progress, no_progress
from SSRKDLib.models import loading
from SSRKDLib.radiographs.both_knees import one_knee
from SSRKDLib.radiographs.exposure import read_exposures
from SSRKDLib.radiographs.slot_scanners import higher_than_detectors, pixels_of_slot_scanners
from SSRKDLib.reconstruction.choices import POSES

if TYPE_CHECKING:
    from SSRKDLib.geometry.views import Rig
    from SSRKDLib.models.knee_model import KneeModel
    from SSRKDLib.radiographs.exposure import Exposure
    from SSRKDLib.radiographs.reading import Radiograph
    from SSRKDLib.reconstruction.radiographs import Reconstruction


#: Grids that surfaces are taken from, offered to users, mm.
SPACINGS = (0.5, 1.0, 2.0)

#: Memory that a process which reconstructs takes at its peak on the CPU, bytes.
PEAK_BYTES = 1.4e9


def _need_different_images(exposures: Sequence[Exposure]) -> None:
    """Refuse an image that is given twice: no two exposures have the same noise."""
    for first, second in combinations(exposures, 2):
        if np.array_equal(first.line_integral, second.line_integral):
            raise ImageError(
                "The views '{first}' and '{second}' show the same image.",
                "Choose two radiographs that were taken from different directions.",
                first=first.view.name,
                second=second.view.name,
            )


@dataclass(frozen=True)
class Job:
    """A rig whose radiographs were read, before any network is loaded.

    Attributes:
        rig: how they were taken; of the wanted knee, where they show both.
        exposures: one per view.
        notes: sentences on what was noticed and assumed about the pixels.
        seconds: that reading took.
    """

    rig: Rig
    exposures: list[Exposure]
    notes: list[str]
    seconds: float

    @classmethod
    def read(
        cls,
        rig: Rig,
        fields: Sequence[np.ndarray | None] | None = None,
        radiographs: Sequence[Radiograph] | None = None,
    ) -> Job:
        """Read the radiographs that the rig names.

        Args:
            rig, fields, radiographs: see :func:`~SSRKDLib.radiographs.exposure.read_exposures`.

        Raises:
            ImageError, GeometryError: see :func:`~SSRKDLib.radiographs.exposure.read_exposures` and
                :func:`~SSRKDLib.radiographs.both_knees.one_knee`; or two views show one image.
        """
        start = time.perf_counter()
        exposures, notes = read_exposures(rig, fields, radiographs)
        _need_different_images(exposures)
        rig, exposures = one_knee(rig, exposures)
        notes = [*notes, *higher_than_detectors(rig)]
        return cls(rig, exposures, notes, round(time.perf_counter() - start, 3))

    def run_with(
        self,
        weights: str | Path | None = None,
        device: str = "auto",
        spacing: float = 1.0,
        masks: list[np.ndarray | None] | None = None,
        progress: Progress = no_progress,
        load: Callable[[str | Path | None, str], KneeModel] | None = None,
        surface: str | None = None,
        pose: str = POSES[0],
    ) -> Reconstruction:
        """Load weights and reconstruct; on the CPU where ``auto`` found a GPU that is too small.

        Args:
            weights, device: see :func:`SSRKDLib.models.loading.load_model`.
            spacing, masks, progress, surface, pose: see :meth:`run`.
            load: gives the model of weights and device, default
                :func:`SSRKDLib.models.loading.load_model`;
                :class:`SSRKDLib.models.loading.ModelCache` keeps it between jobs.

        Raises:
            InputError: as :func:`SSRKDLib.models.loading.load_model` and :meth:`run`.
            MissingDependencyError: torch is not installed.
            DeviceMemoryError: memory ran out.
        """

        result, warnings = loading.run_with_model(
            lambda model: self.run(model, spacing, masks, progress, surface, pose),
            load or loading.load_model, weights, device, progress,
        )  # fmt: skip
        result.report["warnings"][:0] = warnings
        return result

    def run(
        self,
        model: KneeModel,
        spacing: float = 1.0,
        masks: list[np.ndarray | None] | None = None,
        progress: Progress = no_progress,
        surface: str | None = None,
        pose: str = POSES[0],
    ) -> Reconstruction:
        """Reconstruct.

        Args:
            model: from :func:`SSRKDLib.models.loading.load_model`.
            spacing, masks, surface, pose: see
                :func:`SSRKDLib.reconstruction.radiographs.reconstruct`.
            progress: called with stage, fraction done and message; what it raises ends the job.

        Returns:
            The result; its report also contains the seconds of reading and, under ``radiographs``,
            the notes.

        Raises:
            ImageError: no knee is found at all.
        """
        from SSRKDLib.reconstruction.radiographs import reconstruct

        result = reconstruct(
            self.exposures, self.rig, model, spacing, masks, progress, surface, pose
        )
        stages = result.report["seconds"]
        total = round(stages.pop("total") + self.seconds, 3)
        result.report["seconds"] = {"read": self.seconds, **stages, "total": total}
        result.report["radiographs"] = self.notes
        result.report["warnings"] += pixels_of_slot_scanners(self.rig)
        return result

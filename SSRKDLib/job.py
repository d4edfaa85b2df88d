"""One reconstruction from files: what the command line, the demo and the worker all do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from SSRKDLib.errors import SSRKDError
from SSRKDLib.exposures import read_exposures

if TYPE_CHECKING:
    from SSRKDLib.framing import Exposure
    from SSRKDLib.geometry import Rig
    from SSRKDLib.model import KneeModel
    from SSRKDLib.reconstruct import Reconstruction

Progress = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Job:
    """A rig whose radiographs were read, before any network is loaded.

    Attributes:
        rig: how they were taken.
        exposures: one per view.
        notes: sentences on what was noticed and assumed about the pixels.
        seconds: that reading took.
    """

    rig: Rig
    exposures: list[Exposure]
    notes: list[str]
    seconds: float

    @classmethod
    def read(cls, rig: Rig) -> Job:
        """Read the radiographs that the rig names.

        Raises:
            ImageError, GeometryError: see :func:`~SSRKDLib.exposures.read_exposures`.
        """
        start = time.perf_counter()
        exposures, notes = read_exposures(rig)
        return cls(rig, exposures, notes, round(time.perf_counter() - start, 3))

    def run_with(
        self,
        weights: str | Path | None = None,
        device: str = "auto",
        spacing: float = 1.0,
        progress: Progress | None = None,
    ) -> Reconstruction:
        """Load weights and reconstruct; on the CPU where ``auto`` found a GPU that is too small.

        Args:
            weights, device: see :func:`SSRKDLib.models.load_model`.
            spacing, progress: see :meth:`run`.

        Raises:
            InputError: as :func:`SSRKDLib.models.load_model` and :meth:`run`.
            SSRKDError: torch is not installed, or memory ran out.
        """
        from SSRKDLib import models

        if progress is not None:
            progress("load", 0.02, "Loading the weights")
        try:
            return self.run(models.load_model(weights, device), spacing, progress)
        except (RuntimeError, MemoryError) as error:
            # torch's own class, by name: it moved between modules, and torch may be absent.
            if type(error).__name__ not in ("OutOfMemoryError", "MemoryError"):
                raise
            if device != "auto" or isinstance(error, MemoryError):
                raise SSRKDError(
                    "The memory does not suffice.",
                    "Close other programs, use the CPU, or choose a coarser spacing.",
                ) from error
        result = self.run(models.load_model(weights, "cpu"), spacing, progress)
        result.report["warnings"].insert(0, "The GPU's memory did not suffice; the CPU was used.")
        return result

    def run(
        self, model: KneeModel, spacing: float = 1.0, progress: Progress | None = None
    ) -> Reconstruction:
        """Reconstruct.

        Args:
            model: from :func:`SSRKDLib.models.load_model`.
            spacing: of the grid that surfaces are extracted from, mm.
            progress: called with stage, fraction done and message; what it raises ends the job.

        Returns:
            The result; its report also tells the seconds of reading and, under ``radiographs``,
            the notes.

        Raises:
            ImageError: no knee is found at all.
        """
        from SSRKDLib.reconstruct import reconstruct

        result = reconstruct(self.exposures, self.rig, model, spacing=spacing, progress=progress)
        stages = result.report["seconds"]
        total = round(stages.pop("total") + self.seconds, 3)
        result.report["seconds"] = {"read": self.seconds, **stages, "total": total}
        result.report["radiographs"] = self.notes
        return result

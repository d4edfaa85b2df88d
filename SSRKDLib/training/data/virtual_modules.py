"""Virtual knees for Lightning: the data of the default weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
from torch.utils.data import DataLoader

from SSRKDLib.core.errors import InputError
from SSRKDLib.datasets.virtual_cohort import SIMULATOR_VERSION, ViewRanges, VirtualCohort
from SSRKDLib.geometry.virtual_cameras import Framing
from SSRKDLib.simulation.population import HELD_OUT_PEOPLE, TRAINING_PEOPLE
from SSRKDLib.training.data.resumable_loader import step_loader
from SSRKDLib.training.data.virtual_dataset import KneeSamples, Streaming

#: What all of these weights were trained on.
SOURCE = (
    f"virtual knees made from people {TRAINING_PEOPLE[0]} to {TRAINING_PEOPLE[-1]} of LLP26 "
    f"(Auckland Bioengineering Institute, MPL-2.0); people {HELD_OUT_PEOPLE[0]} to "
    f"{HELD_OUT_PEOPLE[-1]} held out"
)


class VirtualKneeData(lightning.LightningDataModule):
    """Random radiographs of virtual knees, with their masks, points and distances.

    Args:
        cohort: folder of the knees, made where they are missing (2.4 MB each); null makes an
            endless stream of new knees while training and keeps none on disk.
        knees: how many of the folder's cohort to use.
        seed: of everything that is drawn.
        batch_size: knees of a step.
        points: of a knee.
        steps_per_epoch: steps between two of the loader's beginnings; nothing depends on it.
        workers: processes that make samples; 0: the training's own.
        framing: of the networks' images.
        views: how the knees' views are drawn.
        streaming: how the knees of a stream are used.
        description: of the data, for a bundle's manifest.
    """

    has_test_cases = False

    def __init__(
        self,
        cohort: str | None,
        knees: int = 4000,
        seed: int = 1,
        batch_size: int = 4,
        points: int = 2400,
        steps_per_epoch: int = 1000,
        workers: int = 1,
        framing: Framing = Framing(),
        views: ViewRanges = ViewRanges(),
        streaming: Streaming = Streaming(),
        description: str = SOURCE,
    ) -> None:
        super().__init__()
        if min(knees, batch_size, points, steps_per_epoch) < 1 or workers < 0:
            raise InputError(
                "data.knees, batch_size, points and steps_per_epoch must be 1 or more, workers 0 "
                f"or more (got {knees}, {batch_size}, {points}, {steps_per_epoch}, {workers}).",
                "Correct the configuration.",
            )
        self.cohort = VirtualCohort(seed, None if cohort is None else Path(cohort), views)
        self.samples = KneeSamples(self.cohort, knees, framing, points, streaming)
        self.batch_size, self.steps_per_epoch, self.workers = batch_size, steps_per_epoch, workers
        self.description = description

    def prepare_data(self) -> None:
        """Refuse a folder with knees of another seed or simulator."""
        self.cohort.check()

    def about(self) -> dict[str, Any]:
        """Where the weights come from, as JSON values."""
        samples = self.samples
        kept = {"knees": samples.knees} if self.cohort.folder else vars(samples.streaming)
        return {
            "data": self.description,
            **kept,
            "simulator": SIMULATOR_VERSION,
            "seed": self.cohort.seed,
            "batch": self.batch_size,
            "points": samples.points,
            "geometry": {"framing": asdict(samples.framing), **asdict(self.cohort.ranges)},
        }

    def train_dataloader(self) -> DataLoader:
        return step_loader(
            self.samples, self.batch_size, self.steps_per_epoch, self.workers, self.trainer
        )

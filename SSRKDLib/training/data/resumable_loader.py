"""Batches determined by the step alone, so that a training can be resumed and shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Dataset, Sampler

from SSRKDLib.core.errors import InputError


class Steps(Sampler[list[int]]):
    """The items of each batch, determined by the step alone.

    Batch ``s`` of process ``r`` of ``n`` holds the items ``(s n + r) b`` to ``(s n + r + 1) b``:
    several processes share what one would see with a batch so many times as large.

    Args:
        batch: items of a batch.
        steps: of an epoch.
        position: gives the next step, this process and how many processes there are.
    """

    def __init__(
        self, batch: int, steps: int, position: Callable[[], tuple[int, int, int]]
    ) -> None:
        self.batch, self.steps, self.position = batch, steps, position

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        step, rank, processes = self.position()
        for later in range(step, (step // self.steps + 1) * self.steps):
            first = (later * processes + rank) * self.batch
            yield list(range(first, first + self.batch))


class StepLoader(DataLoader):
    """A loader whose place is the trainer's step, which every checkpoint holds."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing: see the class."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: see the class."""


def step_loader(
    samples: Dataset, batch: int, steps: int, workers: int, trainer: Trainer
) -> StepLoader:
    """A training's loader.

    Args:
        samples: an item of it depends on the item's number alone.
        batch: samples of a step in each process.
        steps: of an epoch.
        workers: processes that make samples; 0: the training's own.
        trainer: whose step is the loader's place.

    Raises:
        InputError: an epoch is not made of whole groups of accumulated steps.
    """
    if steps % trainer.accumulate_grad_batches:
        raise InputError(
            f"An epoch of {steps} steps is not made of whole groups of "
            f"{trainer.accumulate_grad_batches} (accumulate_grad_batches).",
            "Give a number of steps that is a multiple of it (data.steps_per_epoch).",
        )

    def position() -> tuple[int, int, int]:
        step = trainer.global_step * trainer.accumulate_grad_batches
        return step, trainer.global_rank, trainer.world_size

    return StepLoader(
        samples,
        batch_sampler=Steps(batch, steps, position),
        num_workers=workers,
        worker_init_fn=_one_thread,
        persistent_workers=workers > 0,
        pin_memory=trainer.strategy.root_device.type == "cuda",
    )


def _one_thread(_: int) -> None:
    """Samples are made beside the training, not in its place."""
    torch.set_num_threads(1)

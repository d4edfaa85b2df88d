"""Batches told by the step alone, so that a training can be resumed and shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler


class Steps(Sampler[list[int]]):
    """The items of each batch, told by the step alone.

    Batch ``s`` of process ``r`` of ``n`` holds the items ``(s n + r) b`` to ``(s n + r + 1) b``:
    several processes share what one would see with a batch so many times as large.

    Args:
        batch: items of a batch.
        steps: of an epoch.
        position: tells the next step, this process and how many processes there are.
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


def one_thread(_: int) -> None:
    """For ``worker_init_fn``: samples are made beside the training, not in its place."""
    torch.set_num_threads(1)

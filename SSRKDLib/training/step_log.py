"""A line of mean losses every few steps, as JSON, beside the checkpoints."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.input_files import read_text_bytes
from SSRKDLib.core.output_file import write_file

#: The log's name in a training's folder.
LOG = "log.jsonl"
#: Steps of a line.
EVERY = 20


class StepLog(Callback):
    """Writes :data:`LOG`: the step, the mean of what ``training_step`` returned over the steps
    since the last line (``rate``: the last one), and the seconds that a step took.

    A resumed training appends; lines of steps that are done again are removed first.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Any] = {}
        self._count, self._since = 0, 0.0

    def on_train_start(self, trainer: Trainer, task: LightningModule) -> None:
        path = Path(trainer.default_root_dir) / LOG
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = _content(path).decode().splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= trainer.global_step]
        if kept != lines:
            write_file(path, "".join(line + "\n" for line in kept))
        self._since = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        task: LightningModule,
        outputs: dict[str, Any],
        batch: Any,
        index: int,
    ) -> None:
        # Tensors are read once a line: reading waits for the device.
        for key, value in outputs.items():
            self._sums[key] = value + (0 if key == "rate" else self._sums.get(key, 0))
        self._count += 1
        step = trainer.global_step
        if step % EVERY:
            return
        rate = self._sums.pop("rate")
        losses = {key: round(float(total) / self._count, 4) for key, total in self._sums.items()}
        seconds = round((time.perf_counter() - self._since) / self._count, 2)
        with (Path(trainer.default_root_dir) / LOG).open("a") as stream:
            line = {"step": step, **losses, "rate": rate, "seconds": seconds}
            stream.write(json.dumps(line) + "\n")
        self._sums, self._count, self._since = {}, 0, time.perf_counter()


def is_step_log(path: Path) -> bool:
    """Whether every line is one of a log, but the last where it was cut off."""
    try:
        lines = _content(path).splitlines(keepends=True)
    except InputError:
        return False
    return all(_step_of(line) < float("inf") for line in lines if line.endswith(b"\n"))


def _content(path: Path) -> bytes:
    """What is in a log; one whose every line was of steps that are done again is empty."""
    empty = path.is_file() and path.stat().st_size == 0
    return b"" if empty else read_text_bytes(path)


def _step_of(line: str | bytes) -> float:
    """The step of a line; a line that was cut off counts as done again."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")

"""Whole experiments: the project's own commands, one after the other, each as on the page.

Every step is a command that can be typed; it is printed before it runs, its output goes to a log,
and what is finished is not repeated. So an experiment can be stopped and started again.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import TrainingError

#: Where the scripts are, and the folder above, which steps run from.
SCRIPTS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Step:
    """A command of an experiment.

    Attributes:
        name: of its log.
        command: after ``python``.
        result: what it writes at its end.
        finished: whether a result is that of a finished step, which is not repeated.
    """

    name: str
    command: tuple[str, ...]
    result: Path
    finished: Callable[[Path], bool] = Path.exists

    def __post_init__(self) -> None:
        object.__setattr__(self, "command", tuple(map(str, self.command)))


def run_steps(steps: Sequence[Step], logs: Path, at_once: int = 1) -> None:
    """Run steps that do not need each other.

    Args:
        steps: what to run.
        logs: folder of their output.
        at_once: how many at a time.

    Raises:
        TrainingError: one failed; those that run are waited for.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(lambda step: _run(step, logs), steps):
            pass


def _run(step: Step, logs: Path) -> None:
    if step.finished(step.result):
        print(f"{step.name}: finished before", flush=True)
        return
    print(f"{step.name}: python {' '.join(step.command)}", flush=True)
    since = time.perf_counter()
    log = logs / f"{step.name}.log"
    # The steps run beside each other: one thread each.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("a") as stream:
        done = subprocess.run(
            [sys.executable, *step.command], cwd=SCRIPTS.parent, env=environment,
            stdout=stream, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    if done.returncode:
        words = log.read_text(errors="replace").replace("\r", "\n").strip().splitlines()
        raise TrainingError(
            f"{step.name} ended with code {done.returncode} ({words[-1] if words else 'silent'}).",
            f"Read {log}, fix it, and start again: finished steps are kept.",
        )
    print(f"{step.name}: {time.perf_counter() - since:.0f} s", flush=True)


def prepare(processed: Path, options: Sequence[str]) -> Step:
    """Make the cases."""
    command = ("-m", "SSRKDLib", "prepare", "-o", processed, *options)
    return Step("prepare", command, processed / "info.json", every_case_prepared)


def every_case_prepared(info: Path) -> bool:
    """Whether ``prepare`` wrote this ``info.json`` and no case failed."""
    return info.exists() and not json.loads(info.read_text()).get("failed")


def train(name: str, task: str, config: Path, processed: Path, output: Path, *options: str) -> Step:
    """Train a network; options are those of Training/train.py."""
    command = (
        SCRIPTS / "train.py", task, "--config", config, "--data.processed", processed,
        "--output", output, *options,
    )  # fmt: skip
    return Step(name, command, output / "scores.json")


def export(name: str, checkpoints: Sequence[Path], bundle: Path) -> Step:
    """Join trainings to a bundle."""
    command = (SCRIPTS / "export.py", *checkpoints, "--name", bundle.stem, "--output", bundle)
    return Step(f"export-{name}", command, bundle)


def test_cases(processed: Path, cases: Path) -> Step:
    """Write the ``test`` split as cases to reconstruct."""
    command = (SCRIPTS / "make_test_cases.py", processed, "-o", cases)
    return Step("test-cases", command, cases)


def evaluate(name: str, cases: Path, bundle: Path, output: Path, *options: str) -> Step:
    """Reconstruct and measure the cases."""
    command = (
        "-m", "SSRKDLib", "evaluate", cases, "-o", output, "--weights", bundle, *options,
    )  # fmt: skip
    return Step(f"evaluate-{name}", command, output / "summary.md")


def measured(evaluation: Path) -> dict[str, float]:
    """Means over all bones of all cases: ``dsc`` (per cent), ``assd_mm``; and ``missing``, how many
    bones were not found (all four of a case that failed). These count as 0 per cent; the mean
    distance is NaN where there are any, since leaving a bone out must not improve a result."""
    rows = list(_bone_rows(evaluation / "metrics.csv"))
    overlap = [100 * float(row["dsc"] or "nan") for row in rows]
    distance = [float(row["assd_mm"] or "nan") for row in rows]
    return {
        "dsc": float(np.nan_to_num(overlap).mean()),
        "assd_mm": float(np.mean(distance)),
        "missing": int(np.isnan(distance).sum()),
    }


def _bone_rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["bone"] in BONES:
                yield row
            elif not row["bone"]:
                yield from [{"dsc": "", "assd_mm": ""}] * len(BONES)


def test_score(training: Path) -> float:
    """The intersection over union that a training reached on the ``test`` split."""
    return float(json.loads((training / "scores.json").read_text())["test_iou"])

"""Trainings of a few steps: how they are started, and what they leave."""

from __future__ import annotations

import csv
from pathlib import Path

import yaml

from SSRKDLib.training import command
from Testing.support.prepared_cases import PIXEL_MM, PIXELS, SIZE

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {"pixels": PIXELS, "pixel_mm": PIXEL_MM}
SMALL = {
    "default": {
        "model": {
            "networks": {
                "segmenter": {"widths": [8, 8, 8, 8, 8]},
                "locator": {"width": 8},
                "bone_locator": {"widths": [8, 8, 8]},
                "student": {"widths": [8, 8, 8, 8, 8], "features": 8, "context": 8,
                            "hidden": [16, 16, 16]},
            }
        },
        "data": {
            "knees": 3, "batch_size": 2, "points": 200,
            "framing": {"near_pixels": 64, "near_pixel_mm": 3.4, "wide_pixels": 64,
                        "wide_pixel_mm": 6.0},
        },
    },
    "segmentation": {"model": {"width": 4, "ramp_steps": 4}, "data": {**IMAGES, "crop": 32}},
    "teacher": {
        "model": {"width": 2, "head_channels": 4, "hidden": [8], "ramp_steps": 4},
        "data": {"size": SIZE, "crop": 16, "points": 50},
    },
    "student": {
        "model": {"width": 16, "stacks": 1, "depth": 1, "hidden": [8], "embedding": 4},
        "data": {"taking": IMAGES, "points": 50, "size": SIZE, "window": 16, "answers": 100},
    },
}  # fmt: skip

#: The option that says where the data are.
CASES = {task: "cohort" if task == "default" else "processed" for task in SMALL}


def arguments(task: str, cases: Path, output: Path, steps: int, **options: object) -> list[str]:
    """A small training's command line; its configuration lies beside its output."""
    config = {
        "trainer": {
            "accelerator": "cpu", "devices": 1, "max_steps": steps, "log_every_n_steps": 1,
            "enable_progress_bar": False, "enable_model_summary": False,
        },
        "data": {CASES[task]: str(cases), "batch_size": 1, "steps_per_epoch": 5, "workers": 0},
        "checkpoint_every": 1,
        "output": str(output),
    }  # fmt: skip
    for key, values in SMALL[task].items():
        config.setdefault(key, {}).update(values)
    file = output.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(config))
    return [task, "--config", str(file), *(f"--{k}={v}" for k, v in options.items())]


def train(task: str, cases: Path, output: Path, steps: int, **options: object) -> Path:
    assert command.run(arguments(task, cases, output, steps, **options)) == 0
    return output / command.LAST


def losses(output: Path, name: str) -> dict[int, float]:
    """By step, from all logs of a training."""
    found = {}
    for file in sorted(output.glob("lightning_logs/version_*/metrics.csv")):
        with file.open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row.get(name)]
        found |= {int(row["step"]): float(row[name]) for row in rows}
    return found

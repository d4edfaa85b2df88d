"""Train the default weights (segmenter, locator and student) on virtual knees.

    python Training/train.py Training/configs/virtual_knee.yaml --cohort runs/cohort --output \
runs/virtual_knee --steps 6000 --decay 1500

Stop it whenever you like: it resumes from the last checkpoint. Export with Training/export.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml

from SSRKDLib.training.tasks.default import Settings, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--decay", type=int, default=0, help="last steps with a falling rate")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings.from_dict(yaml.safe_load(arguments.config.read_text()))
    run(
        settings, arguments.cohort, arguments.output, arguments.steps, arguments.decay,
        arguments.workers,
    )  # fmt: skip


if __name__ == "__main__":
    main()

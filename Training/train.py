"""Train networks: the default weights on virtual knees (``default``), or a network of SSR-KD on
prepared cases: ``segmentation``, ``teacher``, ``student`` (the published architecture) or
``own_student`` (the project's own).

    python Training/train.py default --config Training/configs/virtual_knee.yaml \\
        --data.cohort runs/cohort --output runs/virtual_knee
    python Training/train.py teacher --config Training/configs/teacher.yaml \\
        --data.processed runs/processed --output runs/teacher

A configuration contains what differs from the defaults, which ``python Training/train.py TASK
--help`` explains; every setting can be given on the command line. Stop it whenever you like: it
goes on from the last checkpoint in --output. Export with Training/export.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
import yaml

from SSRKDLib.core.errors import InputError
from SSRKDLib.training import earlier_format
from SSRKDLib.training.command import TASKS, run
from SSRKDLib.training.configuration import check_files


def from_earlier_form(given: list[str]) -> list[str]:
    """The arguments for ``CONFIG --cohort FOLDER --output FOLDER --steps N [...]``, which is how
    the default weights were trained at first."""
    parser = argparse.ArgumentParser(usage="train.py TASK --config FILE --output FOLDER ...")
    parser.add_argument("config", type=Path)
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--steps", required=True)
    parser.add_argument("--decay", default="0", help="last steps with a falling rate")
    parser.add_argument("--threads", default=str(torch.get_num_threads()))
    parser.add_argument("--workers", default="1")
    old = parser.parse_args(given)
    try:
        check_files(["--config", str(old.config)])
    except InputError as error:
        parser.error(str(error))
    settings = yaml.safe_load(old.config.read_text())
    if "model" not in settings and "data" not in settings:
        settings = earlier_format.configuration(settings)
    return [
        "default", "--config", json.dumps(settings), "--data.cohort", old.cohort,
        "--output", old.output, "--trainer.max_steps", old.steps, "--model.decay", old.decay,
        "--threads", old.threads, "--data.workers", old.workers,
    ]  # fmt: skip


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        sys.exit(0)
    if arguments and arguments[0] not in TASKS and Path(arguments[0]).suffix in (".yaml", ".yml"):
        arguments = from_earlier_form(arguments)
    sys.exit(run(arguments))

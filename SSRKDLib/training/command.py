"""The trainings' command line, on LightningCLI.

``segmentation``, ``teacher``, ``student`` and ``own_student`` are the tasks; everything else
(several GPUs and nodes, precision, clipping, loggers) is Lightning's own. A training whose output
folder holds a checkpoint goes on from it.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from SSRKDLib.core.errors import InputError, SSRKDError, WeightsError
from SSRKDLib.training.checkpoints import ENTRY, read_checkpoint
from SSRKDLib.training.data import modules as case_data
from SSRKDLib.training.data import student_modules as student_data
from SSRKDLib.training.tasks.base import Task
from SSRKDLib.training.tasks.own_student import OwnStudentTask
from SSRKDLib.training.tasks.segmentation import SegmentationTask
from SSRKDLib.training.tasks.student import OfficialStudentTask
from SSRKDLib.training.tasks.teacher import TeacherTask

TASKS = {
    "segmentation": (SegmentationTask, case_data.SegmentationData),
    "teacher": (TeacherTask, case_data.TeacherData),
    "student": (OfficialStudentTask, student_data.StudentData),
    "own_student": (OwnStudentTask, student_data.OwnStudentData),
}

#: The newest checkpoint's name in a training's folder.
LAST = "last.ckpt"
#: What a training leaves of the ``test`` split's measurement.
SCORES = "scores.json"


class _Command(LightningCLI):
    """LightningCLI with a folder for everything that a training leaves."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--output", type=str, required=True, help="folder of checkpoints and logs"
        )
        parser.add_argument(
            "--checkpoint_every", type=int, default=200, help="steps between two checkpoints"
        )
        parser.add_argument(
            "--threads", type=int, default=1, help="of PyTorch's operations on a CPU"
        )
        parser.set_defaults(
            {
                "trainer.max_steps": 40_000,
                "trainer.gradient_clip_val": 5.0,
                "trainer.num_sanity_val_steps": 0,
                "trainer.log_every_n_steps": 10,
                # Samples are dealt out by the step, not by Lightning.
                "trainer.use_distributed_sampler": False,
            }
        )

    def instantiate_trainer(self, **options: Any) -> Trainer:
        # More threads than idle cores make every operation wait for the slowest.
        torch.set_num_threads(self.config["threads"])
        keep = ModelCheckpoint(
            dirpath=self.config["output"], filename="step-{step:07d}", save_last=True,
            auto_insert_metric_name=False, enable_version_counter=False, save_top_k=2,
            monitor="step", mode="max", every_n_train_steps=self.config["checkpoint_every"],
        )  # fmt: skip
        given = self.config_init["trainer"].get("callbacks") or []
        given = given if isinstance(given, list) else [given]
        return super().instantiate_trainer(
            **options, default_root_dir=self.config["output"], callbacks=[*given, keep]
        )


def run(arguments: Sequence[str]) -> int:
    """Run a training as the command line asks; it goes on from the output's last checkpoint.

    Args:
        arguments: a task's name, then LightningCLI's: ``--config FILE --output FOLDER ...``.

    Returns:
        0, or 2 where something cannot be used as it is, said in one line.
    """
    try:
        if not arguments or arguments[0] not in TASKS:
            raise InputError(
                f"'{arguments[0] if arguments else ''}' is no task.",
                f"Give one of {', '.join(TASKS)}.",
            )
        # It is told its arguments without the task's name, which stands in sys.argv.
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
        task, data = TASKS[arguments[0]]
        command = _Command(
            task, data, args=list(arguments[1:]), run=False, seed_everything_default=0,
            save_config_kwargs={"overwrite": True}, auto_configure_optimizers=False,
        )  # fmt: skip
        last = Path(command.config["output"]) / LAST
        if last.exists():
            _check_same(command.model, last)
        command.trainer.fit(
            command.model,
            command.datamodule,
            ckpt_path=last if last.exists() else None,
            weights_only=True,
        )
        command.trainer.save_checkpoint(last)
        _test(command, Path(command.config["output"]))
    except SSRKDError as error:
        print(f"error: {_without_trace(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}. Choose an --output that you may write to.", file=sys.stderr)
        return 2
    return 0


def _check_same(model: Task, last: Path) -> None:
    """Refuse to go on with a training of other networks."""
    then = read_checkpoint(last)[ENTRY]["networks"]
    now = {name: vars(network) for name, network in model.exported().items()}
    if then != now:
        raise WeightsError(
            f"{last} belongs to a training of other networks or sizes.",
            "Choose another --output, or delete that folder to begin anew.",
        )


def _without_trace(error: SSRKDError) -> str:
    """The sentences of an error; one from a loader's process arrives with its traceback."""
    text = str(error)
    return text.rsplit("Error: ", 1)[-1].strip() if "Traceback" in text else text


def _test(command: _Command, output: Path) -> None:
    """Measure the cases of ``test`` and leave what came out beside the checkpoints."""
    if not command.datamodule.held_out["test"].labelled:
        return
    scores = command.trainer.test(command.model, command.datamodule, verbose=False)[0]
    if command.trainer.is_global_zero:
        text = json.dumps({**scores, "steps": command.trainer.global_step}, indent=1)
        (output / SCORES).write_text(text + "\n")
        print(f"{output}: " + ", ".join(f"{key} {value:.4f}" for key, value in scores.items()))

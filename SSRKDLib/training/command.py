"""The trainings' command line, on LightningCLI.

``default``, ``segmentation``, ``teacher``, ``student`` and ``own_student`` are the tasks;
everything else (several GPUs and nodes, precision, clipping, loggers) is Lightning's own. A
training whose output folder contains a checkpoint goes on from it.
"""

from __future__ import annotations

import io
import json
import signal
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from SSRKDLib.core.errors import InputError, OutputError, SSRKDError, WeightsError
from SSRKDLib.core.input_files import beginning
from SSRKDLib.core.output_file import cannot_write, is_elsewhere, resolved, write_file
from SSRKDLib.core.output_folder import grown_folder, write_into
from SSRKDLib.core.output_manifest import ResultKind, files_with
from SSRKDLib.core.system_errors import of_the_system
from SSRKDLib.training.checkpoints import ENTRY, LAST, read_checkpoint
from SSRKDLib.training.configuration import check_files, check_values
from SSRKDLib.training.data.modules import SegmentationData, TeacherData
from SSRKDLib.training.data.student_modules import OwnStudentData, StudentData
from SSRKDLib.training.data.virtual_modules import VirtualKneeData
from SSRKDLib.training.step_log import LOG, is_step_log
from SSRKDLib.training.tasks.base import Task
from SSRKDLib.training.tasks.default import DefaultTask
from SSRKDLib.training.tasks.own_student import OwnStudentTask
from SSRKDLib.training.tasks.segmentation import SegmentationTask
from SSRKDLib.training.tasks.student import OfficialStudentTask
from SSRKDLib.training.tasks.teacher import TeacherTask
from SSRKDLib.weights.pytorch_files import read_pytorch

TASKS = {
    "default": (DefaultTask, VirtualKneeData),
    "segmentation": (SegmentationTask, SegmentationData),
    "teacher": (TeacherTask, TeacherData),
    "student": (OfficialStudentTask, StudentData),
    "own_student": (OwnStudentTask, OwnStudentData),
}

#: The ``test`` split's scores in a training's folder.
SCORES = "scores.json"
#: The training's configuration in full, in its folder: Lightning writes it.
CONFIG = "config.yaml"

_SETTINGS = "`train.py TASK --help` explains every setting."

#: A training's folder; its manifest names the scores.
TRAINING = ResultKind("training", partial(files_with, marks={SCORES: b'"steps": '}))


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
                **self.model_class.DEFAULTS,
            }
        )

    def before_instantiate_classes(self) -> None:
        own = ("model", "data", "threads", "checkpoint_every")
        check_values({key: self.config[key] for key in own})

    def instantiate_trainer(self, **options: Any) -> Trainer:
        # More threads than idle cores make every operation wait for the slowest.
        torch.set_num_threads(self.config["threads"])
        keep = ModelCheckpoint(
            dirpath=self.config["output"], filename="step-{step:07d}", save_last=True,
            auto_insert_metric_name=False, enable_version_counter=False, save_top_k=2,
            monitor="step", mode="max", every_n_train_steps=self.config["checkpoint_every"],
        )  # fmt: skip
        callbacks, plugins = (
            given if isinstance(given, list) else [given]
            for name in ("callbacks", "plugins")
            for given in [self.config_init["trainer"].get(name) or []]
        )
        return super().instantiate_trainer(
            **options, default_root_dir=self.config["output"],
            callbacks=[*callbacks, keep, _SaveWhenStopped()],
            plugins=[*plugins, _WholeCheckpoints()],
        )  # fmt: skip


class _WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints are written completely or not at all, also where the disk becomes full."""

    def save_checkpoint(self, checkpoint: dict, path: Path, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_file(path, content.getvalue())


class _SaveWhenStopped(Callback):
    """A checkpoint of the step after which SIGTERM ended the training."""

    def on_exception(self, trainer: Trainer, task: Task, exception: BaseException) -> None:
        if isinstance(exception, SIGTERMException):
            trainer.save_checkpoint(Path(trainer.default_root_dir) / LAST)
            print(f"Stopped after step {trainer.global_step}; start again to go on.", flush=True)


def run(arguments: Sequence[str]) -> int:
    """Run a training as the command line asks; it goes on from the output's last checkpoint.

    Args:
        arguments: a task's name, then LightningCLI's: ``--config FILE --output FOLDER ...``.

    Returns:
        0; 2 after an error in the input, which is reported in one line; 143 where SIGTERM stopped
        the training, which has then kept its last step.
    """
    output = None
    try:
        if not arguments or arguments[0] not in TASKS:
            raise InputError(
                f"'{arguments[0] if arguments else ''}' is not a task.",
                f"Use one of {', '.join(TASKS)}.",
            )
        # Its arguments lack the task's name, which sys.argv contains.
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
        check_files(arguments)
        command = _made(*TASKS[arguments[0]], list(arguments[1:]))
        command.model.check_trainer(command.trainer)
        output = Path(command.config["output"])
        _check_output(output)
        newest = newest_sound(output)
        if newest is not None:
            _check_same(command.model, newest)
        command.trainer.fit(command.model, command.datamodule, ckpt_path=newest, weights_only=True)
        command.trainer.save_checkpoint(output / LAST)
        _test(command, output)
    except SSRKDError as error:
        print(f"error: {_without_trace(error)}", file=sys.stderr)
        return 2
    except SIGTERMException:
        return 128 + signal.SIGTERM
    except MisconfigurationException as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {_of_files(error, output)}", file=sys.stderr)
        return 2
    return 0


def _of_files(error: OSError, output: Path | None) -> SSRKDError:
    """What an error of the system says of a training's data or, where it is known by then, of its
    output."""
    loaders = error.errno is None and "Traceback" in str(error)  # of a loader's process
    if output is None or loaders or is_elsewhere(error, resolved(output)):
        _, _, told = str(error).strip().rpartition("\n")
        return of_the_system(error) or InputError(
            f"A training's file cannot be opened ({told}).",
            "Check that it is still there; the training goes on from its last checkpoint.",
        )
    return cannot_write(error.filename or output, error)


def _made(task: type[Task], data: type, arguments: list[str]) -> _Command:
    """Networks, data and trainer as the arguments ask.

    Raises:
        InputError: they cannot be made with these settings.
    """
    try:
        return _Command(
            task, data, args=arguments, run=False, seed_everything_default=0,
            save_config_kwargs={"overwrite": True}, auto_configure_optimizers=False,
            parser_kwargs={"exit_on_error": False},
        )  # fmt: skip
    except ArgumentError as error:
        raise InputError(f"{str(error)[:600]}.", _SETTINGS) from error
    except (ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        told = " ".join(str(error).split())[:200]
        raise InputError(
            f"A training cannot be made with these settings ({type(error).__name__}: {told}).",
            _SETTINGS,
        ) from error


def _check_output(output: Path) -> None:
    """Refuse to replace what no training wrote: a configuration, a log, checkpoints, scores."""
    config, log = output / CONFIG, output / LOG
    foreign = [log] if log.exists() and not is_step_log(log) else []
    if config.exists():
        if not beginning(config, 100).startswith(b"# lightning.pytorch=="):
            foreign.append(config)
    elif not (output / LAST).exists():
        foreign += sorted(output.glob("step-*.ckpt"))
    if foreign:
        raise OutputError(
            f"'{foreign[0]}' was not written by a training, and would be replaced.",
            "Move or rename it, or choose another --output.",
        )
    grown_folder(output, TRAINING, [SCORES])


def newest_sound(output: Path) -> Path | None:
    """The checkpoint that a training goes on from: its last one, or, where that was torn when power
    or disk failed, the newest of the others, which is said; None where there is no last one.

    Raises:
        WeightsError: none can be read.
    """
    last = output / LAST
    if not last.exists():
        return None
    try:
        read_pytorch(last)
    except WeightsError as torn:
        for path in sorted(output.glob("step-*.ckpt"), reverse=True):
            with suppress(WeightsError):
                read_checkpoint(path)
                print(f"warning: {torn.cause} Going on from {path.name}.", file=sys.stderr)
                return path
        raise
    return last


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
    """Measure the cases of ``test`` and write the scores beside the checkpoints."""
    if not command.datamodule.has_test_cases:
        return
    scores = command.trainer.test(command.model, command.datamodule, verbose=False)[0]
    if command.trainer.is_global_zero:
        text = json.dumps({**scores, "steps": command.trainer.global_step}, indent=1)
        write_into(output, TRAINING, SCORES, text + "\n")
        print(f"{output}: " + ", ".join(f"{key} {value:.4f}" for key, value in scores.items()))

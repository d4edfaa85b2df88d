"""What the tasks have in common: optimiser, schedule, and a checkpoint that describes itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import lightning
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import JaccardIndex

from SSRKDLib.core.errors import TrainingError, WeightsError
from SSRKDLib.training.checkpoints import ENTRY, FORMAT, read_network


@dataclass(frozen=True)
class Exported:
    """A network of a task that belongs in a bundle.

    Attributes:
        architecture: as in a bundle's manifest.
        arguments: of its class.
        attribute: where the task keeps it.
    """

    architecture: str
    arguments: dict[str, Any]
    attribute: str


class Task(lightning.LightningModule):
    """A training: one network or several.

    Validation and test measure the intersection over union of each class but the background,
    averaged, over what :meth:`validation_step` passes to ``iou``.

    Args:
        classes: that are told apart, the background included.
        optimizer: makes the optimiser of parameters.
        scheduler: makes the schedule of an optimiser, counted in steps; None keeps the rate.
    """

    #: Defaults of the command's options, where the task's differ from the others'.
    DEFAULTS: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        classes: int,
        optimizer: OptimizerCallable,
        scheduler: LRSchedulerCallable | None,
    ) -> None:
        super().__init__()
        self._optimizer, self._scheduler = optimizer, scheduler
        self.iou = JaccardIndex(task="multiclass", num_classes=classes, average="none")

    def exported(self) -> dict[str, Exported]:
        """The networks for a bundle, by their name in it."""
        raise NotImplementedError

    def normalisation(self) -> dict[str, Any] | str:
        """How a bundle's manifest describes the networks' input; of the project's own networks the
        name of their normalisation."""
        return {}

    def bundle(self) -> dict[str, Any]:
        """Keys of the manifest that the configuration determines: ``name``, ``title``..."""
        return {}

    def options(self) -> dict[str, Any]:
        """What else the weights depend on, as JSON values: where they began, weights of losses."""
        return {}

    def check_trainer(self, trainer: lightning.Trainer) -> None:
        """Raise :class:`~SSRKDLib.core.errors.InputError` where the task cannot be trained so."""

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that are trained."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def configure_optimizers(self) -> Any:
        optimiser = self._optimizer(self.trained_parameters())
        if self._scheduler is None:
            return optimiser
        schedule = {"scheduler": self._scheduler(optimiser), "interval": "step"}
        return {"optimizer": optimiser, "lr_scheduler": schedule}

    def test_step(self, batch: Any, index: int) -> None:
        self.validation_step(batch, index)

    def on_validation_epoch_end(self) -> None:
        self._log_iou("val_iou")

    def on_test_epoch_end(self) -> None:
        self._log_iou("test_iou")

    def _log_iou(self, name: str) -> None:
        self.log(name, self.iou.compute()[1:].mean(), prog_bar=True)
        self.iou.reset()

    def on_before_backward(self, loss: Tensor) -> None:
        """Stop before weights become NaN and are kept."""
        if not bool(loss.isfinite()):
            raise _diverged("The loss is not a finite number", self.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record, as plain values, what a bundle's manifest contains."""
        if not all(bool(p.isfinite().all()) for p in self.parameters()):
            raise _diverged("A weight is not a finite number", self.global_step)
        checkpoint[ENTRY] = {
            "format": FORMAT,
            "task": type(self).__name__,
            "steps": self.global_step,
            "networks": {name: vars(network) for name, network in self.exported().items()},
            "normalisation": self.normalisation(),
            "options": self.options(),
            "bundle": self.bundle(),
            "about": self.trainer.datamodule.about(),
        }

    def start_from(self, path: str | None, name: str, network: nn.Module) -> None:
        """Fill a network with weights of a checkpoint or a bundle, where a path is given.

        Raises:
            WeightsError: absent, damaged, or of another architecture or size.
        """
        if path is None:
            return
        given = read_network(path, name)
        expected, found = network.state_dict(), given.state_dict()
        fits = type(given) is type(network) and expected.keys() == found.keys()
        if not fits or any(found[key].shape != expected[key].shape for key in expected):
            raise WeightsError(
                f"The {name} in {path} is of another architecture or size.",
                "Give its sizes in the configuration, or begin without it.",
            )
        network.load_state_dict(found)


def last_parts(path: str | None) -> str | None:
    """A path as a bundle's manifest may contain it: its last two parts, nothing of the machine."""
    return None if path is None else "/".join(Path(path).parts[-2:])


def _diverged(what: str, step: int) -> TrainingError:
    return TrainingError(
        f"{what} at step {step}.",
        "Lower the learning rate or use --trainer.precision 32-true, then start again: it goes on "
        "from the last checkpoint.",
    )

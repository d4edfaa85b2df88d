"""Task 3: the student, which predicts for any point in two radiographs which bone it lies in.

As published: cross-entropy with the labels of labelled cases and with the teacher's on unlabelled
ones, and the distance between the student's projected features and the teacher's. Points whose
teacher is unsure may be left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional as F

from SSRKDLib.core.errors import InputError, WeightsError
from SSRKDLib.networks.official_student import OfficialStudent
from SSRKDLib.radiographs.published_input import NETWORK_UNITS
from SSRKDLib.training.checkpoints import read_network
from SSRKDLib.training.data.case_datasets import Sample
from SSRKDLib.training.tasks.base import Exported, Task, last_parts

#: Weight of each hourglass's prediction relative to the one before.
STACK_WEIGHT = 1.5

#: The published student's image is the segmenter's, times this.
STUDENT_FACTOR = 6.0


@dataclass(frozen=True)
class Weights:
    """Weights of the parts of the loss.

    Attributes:
        labelled: cross-entropy with the labels.
        pseudo: cross-entropy with the teacher's labels, on unlabelled cases.
        distillation: absolute difference of the student's projected and the teacher's features.
    """

    labelled: float = 0.5
    pseudo: float = 0.5
    distillation: float = 0.1


@dataclass(frozen=True)
class Prediction:
    """A student's prediction at points.

    Attributes:
        logits: ``[B, classes, N]``, background first.
        embedding: ``[B, 64, N]``, to compare with the teacher's features.
        weight: in the loss.
    """

    logits: Tensor
    embedding: Tensor
    weight: float = 1.0


class StudentTask(Task):
    """What students of any architecture have in common; :meth:`predictions` is theirs.

    Args:
        weights: of the loss.
        gate: least confidence of the teacher with which a pseudo label counts, 0 to 1.
        optimizer, scheduler: see :class:`~SSRKDLib.training.tasks.base.Task`.
    """

    def __init__(
        self,
        weights: Weights,
        gate: float,
        optimizer: OptimizerCallable,
        scheduler: LRSchedulerCallable | None,
    ) -> None:
        super().__init__(5, optimizer, scheduler)
        self.loss_weights, self.gate = weights, gate

    def predictions(self, sample: Sample, labelled: bool) -> list[Prediction]:
        """The student's predictions at a sample's points; the last one counts at inference."""
        raise NotImplementedError

    def projector_layer(self) -> nn.Module:
        """The layer that only distillation trains; its output is as wide as the teacher's
        features."""
        raise NotImplementedError

    def configure_model(self) -> None:
        """Leave untrained what gets no gradient: several processes wait for all of them.

        Raises:
            WeightsError: the teacher's features are of another width than the student's.
        """
        data, projector = self.trainer.datamodule, self.projector_layer()
        distilled = data.teacher is not None and self.loss_weights.distillation > 0
        projector.requires_grad_(distilled)
        width = len(projector.weight)
        if distilled and data.teacher_channels != width:
            raise WeightsError(
                f"The teacher's features have {data.teacher_channels} channels, the student "
                f"projects to {width}.",
                f"Set model.embedding to {data.teacher_channels}.",
            )

    def options(self) -> dict[str, Any]:
        teacher = self.trainer.datamodule.teacher
        return {
            "weights": vars(self.loss_weights),
            "gate": self.gate,
            "teacher": last_parts(teacher),
        }

    def training_step(self, batch: dict[str, Sample], _: int) -> Tensor:
        weights, total = self.loss_weights, 0.0
        for part, weight in (("labelled", weights.labelled), ("unlabelled", weights.pseudo)):
            if part not in batch:
                continue
            sample = batch[part]
            predictions = self.predictions(sample, part == "labelled")
            counts = torch.ones_like(sample["labels"], dtype=torch.bool)
            if part == "unlabelled":
                counts = sample["confidence"] >= self.gate
                self.log("confident", counts.float().mean(), sync_dist=True)
            losses = [self._losses(prediction, sample, counts) for prediction in predictions]
            for name, scale, loss in zip(
                ("cross_entropy", "distillation"), (weight, weights.distillation), zip(*losses)
            ):
                if loss[-1] is not None:
                    self.log(f"{part}_{name}", loss[-1], sync_dist=True)
                    total = total + scale * sum(a.weight * x for a, x in zip(predictions, loss))
        self.log("loss", total, prog_bar=True, sync_dist=True)
        return total

    def _losses(
        self, prediction: Prediction, sample: Sample, counts: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        entropy = F.cross_entropy(prediction.logits, sample["labels"], reduction="none")
        entropy = (entropy * counts).sum() / counts.sum().clamp_min(1)
        if "features" not in sample or self.loss_weights.distillation == 0:
            return entropy, None
        return entropy, F.l1_loss(prediction.embedding, sample["features"])

    def validation_step(self, batch: dict[str, Sample], _: int) -> None:
        sample = batch["labelled"]
        found = self.predictions(sample, True)[-1].logits.argmax(dim=1)
        self.iou.update(found, sample["labels"])


class OfficialStudentTask(StudentTask):
    """Train a student of the published architecture.

    Args:
        width: channels of a view's feature map, a multiple of 16.
        stacks: hourglasses in a row.
        depth: halvings within an hourglass.
        hidden: hidden widths of the point classifier.
        embedding: channels that distillation compares: the teacher's ``head_channels``.
        masks: whether the student reads, beside the image, the image with everything outside bone
            halved.
        segmenter: checkpoint or bundle whose segmenter finds the bone; None: the truth, which only
            labelled cases have.
        weights, gate, optimizer, scheduler: see :class:`StudentTask`.
        start: checkpoint or bundle whose student the network starts from.
    """

    def __init__(
        self,
        width: int = 256,
        stacks: int = 4,
        depth: int = 2,
        hidden: list[int] = [512, 128],  # noqa: B006 - a default that is shown, and only read
        embedding: int = 64,
        masks: bool = True,
        segmenter: str | None = None,
        weights: Weights = Weights(),
        gate: float = 0.0,
        start: str | None = None,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(
            parameters, lr=1e-3, weight_decay=1e-4
        ),
        scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(weights, gate, optimizer, scheduler)
        self.arguments: dict[str, Any] = {
            "in_channels": 2 if masks else 1, "width": width, "stacks": stacks, "depth": depth,
            "hidden": list(hidden), "embedding": embedding,
        }  # fmt: skip
        self.network = OfficialStudent(**self.arguments)
        self.start_from(start, "student", self.network)
        self.masks, self.start, self.segmenter = masks, start, segmenter
        # In a tuple, so that checkpoints do not contain a network that is not trained.
        self._segmenter: tuple[nn.Module, ...] = ()
        if segmenter is not None and masks:
            self._segmenter = (read_network(segmenter, "segmenter"),)

    def projector_layer(self) -> nn.Module:
        return self.network.projector

    def options(self) -> dict[str, Any]:
        return {
            **super().options(),
            "start": last_parts(self.start),
            "segmenter": last_parts(self.segmenter),
        }

    def on_fit_start(self) -> None:
        """Refuse images whose sides the hourglasses cannot halve."""
        depth, pixels = self.arguments["depth"], self.trainer.datamodule.acquisition.pixels
        multiple = 4 * 2**depth
        if pixels % multiple:
            raise InputError(
                f"Hourglasses of depth {depth} need images of a multiple of {multiple} pixels (got "
                f"{pixels}).",
                "Set data.taking.pixels.",
            )

    def exported(self) -> dict[str, Exported]:
        architecture = "official_student:OfficialStudent"
        return {"student": Exported(architecture, self.arguments, "network")}

    def normalisation(self) -> dict[str, Any]:
        channels = ["non-bone halved", "image"] if self.masks else ["image"]
        return {"student_factor": STUDENT_FACTOR, "student_channels": channels}

    def predictions(self, sample: Sample, labelled: bool) -> list[Prediction]:
        features = self.network.encode(self._channels(sample, labelled))
        return [
            Prediction(prediction.logits.float(), prediction.embedding.float(), STACK_WEIGHT**k)
            for k, prediction in enumerate(self.network.query(features, sample["points"]))
        ]

    def _channels(self, sample: Sample, labelled: bool) -> Tensor:
        """``[B, 2, channels, n, n]`` of ``images [B, 2, n, n]`` (natural line integrals)."""
        images = sample["images"]
        values = images[:, :, None] * (NETWORK_UNITS * STUDENT_FACTOR)
        if not self.masks:
            return values
        if self._segmenter:
            with torch.no_grad():
                segmenter = self._segmenter[0].to(images.device)
                logits = segmenter(images.flatten(0, 1)[:, None] * NETWORK_UNITS)
            inside = logits.argmax(dim=1).unflatten(0, images.shape[:2]) > 0
        elif labelled:
            inside = sample["masks"] > 0
        else:
            raise WeightsError(
                "Unlabelled radiographs have no bone masks.",
                "Give a trained segmenter (--model.segmenter), or set model.masks to false.",
            )
        return torch.cat([torch.where(inside[:, :, None], values, values / 2), values], dim=2)

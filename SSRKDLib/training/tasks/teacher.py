"""Task 2: the teacher, which predicts for any point of a CT which bone it lies in.

As published: two networks, class-weighted cross-entropy at points of half-size crops, cross pseudo
supervision on labelled and unlabelled crops; the loss is the mean over the four heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.nn import functional as F

from SSRKDLib.networks.official_teacher import OfficialTeacher
from SSRKDLib.training.cross_pseudo_supervision import cross_pseudo_loss, initialise, ramp
from SSRKDLib.training.data.case_datasets import Sample
from SSRKDLib.training.pseudo_labels import TeacherPredictor
from SSRKDLib.training.tasks.base import Exported, Task, last_parts

#: Weight of the background among the classes, as published.
BACKGROUND_WEIGHT = 1.5


def class_weights(counts: Sequence[int]) -> torch.Tensor:
    """Weights of background and bones ``[1 + bones]``, from how many points each bone has: the
    rarer, the heavier, by the third root."""
    counts = torch.tensor(counts, dtype=torch.float32).clamp_min(1)
    return torch.cat([torch.tensor([BACKGROUND_WEIGHT]), (counts.max() / counts) ** (1 / 3)])


class TeacherTask(Task):
    """Train the teacher.

    Args:
        width: channels of the V-Net at full resolution.
        head_channels: channels of the features, which distillation hands on.
        hidden: hidden widths of the point classifier.
        cross_pseudo: largest weight of cross pseudo supervision; 0 trains one network alone.
        ramp_steps: after so many steps that weight is reached.
        start: checkpoint or bundle whose teacher the first network begins with.
        optimizer, scheduler: see :class:`~SSRKDLib.training.tasks.base.Task`.
    """

    def __init__(
        self,
        width: int = 16,
        head_channels: int = 64,
        hidden: list[int] = [128, 256, 128, 64],  # noqa: B006 - a default that is shown, and read
        cross_pseudo: float = 0.1,
        ramp_steps: int = 10_000,
        start: str | None = None,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(
            parameters, lr=1e-3, weight_decay=1e-4
        ),
        scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(5, optimizer, scheduler)
        self.cross_pseudo, self.ramp_steps = cross_pseudo, ramp_steps
        self.arguments = {"width": width, "head_channels": head_channels, "hidden": list(hidden)}
        count = 2 if cross_pseudo > 0 else 1
        self.networks = nn.ModuleList([OfficialTeacher(**self.arguments) for _ in range(count)])
        for which, network in enumerate(self.networks):
            initialise(network, which)
        self.start = start
        self.start_from(start, "teacher", self.networks[0])
        self.register_buffer("weights", torch.ones(5))

    def options(self) -> dict[str, Any]:
        return {"start": last_parts(self.start), "cross_pseudo": self.cross_pseudo}

    def exported(self) -> dict[str, Exported]:
        architecture = "official_teacher:OfficialTeacher"
        return {"teacher": Exported(architecture, self.arguments, "networks.0")}

    def on_fit_start(self) -> None:
        counts = self.trainer.datamodule.points_per_bone()
        self.weights.copy_(class_weights(counts))

    def training_step(self, batch: dict[str, Sample], _: int) -> torch.Tensor:
        volumes, points = (
            torch.cat([batch[part][key] for part in ("labelled", "unlabelled") if part in batch])
            for key in ("volume", "points")
        )
        labels = batch["labelled"]["labels"]
        predictions = [
            [head.logits.float() for head in network.query(network.encode(volumes), points)]
            for network in self.networks
        ]
        supervised = sum(
            F.cross_entropy(logits[: len(labels)], labels, self.weights) / len(heads)
            for heads in predictions
            for logits in heads
        )
        self.log("supervised", supervised, prog_bar=True, sync_dist=True)
        if len(self.networks) == 1:
            return supervised
        pseudo = cross_pseudo_loss(*predictions)
        self.log("cross_pseudo", pseudo, sync_dist=True)
        return supervised + self.cross_pseudo * ramp(self.global_step, self.ramp_steps) * pseudo

    def validation_step(self, batch: dict[str, torch.Tensor], _: int) -> None:
        window = self.trainer.datamodule.crop
        for volume, points, labels in zip(batch["volume"], batch["points"], batch["labels"]):
            predictor = TeacherPredictor(self.networks[0], volume.cpu().numpy(), window)
            logits, _ = predictor.predict(points.cpu().numpy())
            self.iou.update(torch.from_numpy(logits.argmax(axis=1)).to(self.device), labels)

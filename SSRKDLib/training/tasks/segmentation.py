"""Task 1: the segmenter, which finds bone in a radiograph.

As published: two U-Nets, cross-entropy on labelled images and, on unlabelled ones, cross pseudo
supervision whose weight rises; random crops and flips.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR

from SSRKDLib.networks.official_segmenter import OfficialSegmenter
from SSRKDLib.training.cross_pseudo_supervision import cross_pseudo_loss, initialise, ramp
from SSRKDLib.training.data.case_datasets import Sample
from SSRKDLib.training.tasks.base import Exported, Task, last_parts


class SegmentationTask(Task):
    """Train the segmenter.

    Args:
        width: channels of the U-Net at full resolution.
        cross_pseudo: largest weight of cross pseudo supervision; 0 trains one network alone.
        ramp_steps: after so many steps that weight is reached.
        start: checkpoint or bundle whose segmenter the first network begins with.
        optimizer, scheduler: see :class:`~SSRKDLib.training.tasks.base.Task`.
    """

    def __init__(
        self,
        width: int = 64,
        cross_pseudo: float = 0.1,
        ramp_steps: int = 10_000,
        start: str | None = None,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.SGD(
            parameters, lr=0.01, momentum=0.98, weight_decay=3e-4
        ),
        scheduler: LRSchedulerCallable | None = lambda optimizer: StepLR(
            optimizer, step_size=10_000, gamma=0.1
        ),
    ) -> None:  # fmt: skip
        super().__init__(2, optimizer, scheduler)
        self.cross_pseudo, self.ramp_steps = cross_pseudo, ramp_steps
        self.arguments = {"width": width}
        count = 2 if cross_pseudo > 0 else 1
        self.networks = nn.ModuleList([OfficialSegmenter(**self.arguments) for _ in range(count)])
        for which, network in enumerate(self.networks):
            initialise(network, which)
        self.start = start
        self.start_from(start, "segmenter", self.networks[0])

    def options(self) -> dict[str, Any]:
        return {"start": last_parts(self.start), "cross_pseudo": self.cross_pseudo}

    def exported(self) -> dict[str, Exported]:
        architecture = "official_segmenter:OfficialSegmenter"
        return {"segmenter": Exported(architecture, self.arguments, "networks.0")}

    def training_step(self, batch: dict[str, Sample], _: int) -> torch.Tensor:
        images, masks = batch["labelled"]["image"], batch["labelled"]["mask"]
        count = len(images)
        if "unlabelled" in batch:
            images = torch.cat([images, batch["unlabelled"]["image"]])
        predictions = [network(images).float() for network in self.networks]
        supervised = sum(F.cross_entropy(logits[:count], masks) for logits in predictions)
        self.log("supervised", supervised, prog_bar=True, sync_dist=True)
        if len(self.networks) == 1 or len(images) == count:
            return supervised
        pseudo = cross_pseudo_loss(*([logits[count:]] for logits in predictions))
        self.log("cross_pseudo", pseudo, sync_dist=True)
        return supervised + self.cross_pseudo * ramp(self.global_step, self.ramp_steps) * pseudo

    def validation_step(self, batch: dict[str, Sample], _: int) -> None:
        sample = batch["labelled"]
        self.iou.update(self.networks[0](sample["image"]).argmax(dim=1), sample["mask"])

"""Task 3 with the project's own student: any rig, signed distances, the bundle's own segmenter."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from SSRKDLib.core.errors import WeightsError
from SSRKDLib.training.checkpoints import build_network, read_network
from SSRKDLib.training.data.case_datasets import Sample
from SSRKDLib.training.tasks.base import Exported, last_parts
from SSRKDLib.training.tasks.student import Prediction, StudentTask, Weights
from SSRKDLib.weights.bundle import read_manifest
from SSRKDLib.weights.catalogue import find_bundle


class OwnStudentTask(StudentTask):
    """Train the project's own student on prepared cases.

    It is trained on sides of surfaces: a signed distance, in mm, is the logit of its bone against
    the background's zero. Segmenter, locator and framing are those of a bundle, which the student
    is exported with.

    Args:
        base: the bundle's name or path.
        keep: whether to begin with the bundle's student (fine-tuning), else anew.
        embedding: channels that distillation compares: the teacher's ``head_channels``.
        weights, gate, optimizer, scheduler: see
            :class:`~SSRKDLib.training.tasks.student.StudentTask`.
    """

    def __init__(
        self,
        base: str = "virtual-knee",
        keep: bool = True,
        embedding: int = 64,
        weights: Weights = Weights(),
        gate: float = 0.0,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(
            parameters, lr=3e-4, weight_decay=1e-3
        ),
        scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(weights, gate, optimizer, scheduler)
        manifest = read_manifest(find_bundle(base))
        if manifest["kind"] != "ssrkd":
            raise WeightsError(
                f"The weights '{manifest['name']}' are not of the project's own architecture.",
                "Use a bundle that has a locator, such as virtual-knee.",
            )
        self.base, self.keep, self.base_sha256 = base, keep, manifest["sha256"]
        self.framing = manifest["geometry"]["framing"]
        entry = manifest["networks"]["student"]
        self.arguments: dict[str, Any] = entry["arguments"]
        self.network = build_network(entry["architecture"], self.arguments)
        if keep:
            self.start_from(base, "student", self.network)
        self.projector = nn.Linear(self.network.last.in_features, embedding)
        # In a tuple, so that checkpoints do not contain a network that is not trained.
        self._segmenter = (read_network(base, "segmenter"),)

    def exported(self) -> dict[str, Exported]:
        return {"student": Exported("Student", self.arguments, "network")}

    def projector_layer(self) -> nn.Module:
        return self.projector

    def options(self) -> dict[str, Any]:
        return {**super().options(), "start": last_parts(self.base) if self.keep else None}

    def normalisation(self) -> dict[str, Any]:
        return {"base": self.base, "base_sha256": self.base_sha256}

    def on_fit_start(self) -> None:
        acquisition = self.trainer.datamodule.acquisition
        wanted = (self.framing["near_pixels"], self.framing["near_pixel_mm"])
        if (acquisition.pixels, acquisition.pixel_mm) != wanted:
            raise WeightsError(
                f"The weights '{self.base}' need images of {wanted[0]} pixels of {wanted[1]:g} mm.",
                f"Set data.taking.pixels to {wanted[0]} and data.taking.pixel_mm to {wanted[1]:g}.",
            )

    def predictions(self, sample: Sample, labelled: bool) -> list[Prediction]:
        images = sample["images"]
        with torch.no_grad():
            segmenter = self._segmenter[0].to(images.device)
            masks = torch.sigmoid(segmenter(images.flatten(0, 1))).unflatten(0, images.shape[:2])
        encoded = self.network.encode(images, masks, sample["matrices"])
        features = self.network.features(encoded, sample["points"])
        logits = _logits(self.network.distances(features)).transpose(1, 2)
        return [Prediction(logits, self.projector(features).transpose(1, 2))]


def _logits(distances: Tensor) -> Tensor:
    """``[B, N, bones]`` mm to ``[B, N, 1 + bones]``."""
    return torch.cat([torch.zeros_like(distances[..., :1]), distances], dim=-1)

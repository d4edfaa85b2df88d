"""The default weights: segmenter, locators and student together, on virtual knees.

The student sees the segmenter's masks as they are at inference, errors included; sometimes the
truth or nothing, so that it has seen edited and missing masks.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import lightning
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.nn import functional as F

from SSRKDLib.core.errors import InputError
from SSRKDLib.networks.bone_locator import BoneLocator
from SSRKDLib.networks.locator import Locator
from SSRKDLib.networks.segmenter import Segmenter
from SSRKDLib.networks.student import Student
from SSRKDLib.radiographs.normalisation import LOCAL_CONTRAST
from SSRKDLib.training.checkpoints import networks_of
from SSRKDLib.training.losses import certainty_loss, distance_loss, landmark_loss, mask_loss
from SSRKDLib.training.step_log import StepLog
from SSRKDLib.training.tasks.base import Exported, Task, last_parts

NETWORKS = {
    "segmenter": Segmenter,
    "locator": Locator,
    "student": Student,
    "bone_locator": BoneLocator,
}

#: Largest norm of each network's gradient.
CLIP = {"student": 5.0, "segmenter": 1.0, "locator": 1.0, "bone_locator": 1.0}


@dataclass(frozen=True)
class BundleText:
    """Texts of a bundle of these weights.

    Attributes:
        name: null: that of the exported file.
        title: null: made of the name.
        licence: of the weights.
    """

    name: str | None = None
    title: str | None = None
    licence: str = "MIT; for research, not for diagnosis"


class DefaultTask(Task):
    """Train the project's own networks, from nothing or from a bundle's.

    The learning rate warms up and stays where it is, so that a training can go on for as long as
    there is time, and be finished at any moment by ``decay``. The exported networks are running
    averages.

    Args:
        networks: arguments of each network, by its name; by default those of ``start``.
        learning_rate: after the warm-up.
        weight_decay: of AdamW.
        warm_up: steps in which the rate rises.
        decay: last steps of ``trainer.max_steps`` in which the rate falls, to 2 %; 0: none.
        averaging: share of the average that a step keeps.
        precision: of the convolutions; ``bfloat16`` is twice as fast where the processor has
            instructions for it. Losses, weights and geometry are float32 always.
        seed: of the first weights and of the masks that the student is given.
        bundle: texts of an exported bundle.
        start: weights to begin with: a bundle's name or path, or a checkpoint. Networks that it
            lacks begin anew.
    """

    # Four backward passes in a row need the memory of one.
    automatic_optimization = False

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "trainer.devices": 1,
        "trainer.gradient_clip_val": None,
        "trainer.logger": False,
        "trainer.enable_progress_bar": False,
        "checkpoint_every": 100,
    }

    def __init__(
        self,
        networks: dict[str, dict[str, Any]] = {},  # noqa: B006 - a default that is only read
        learning_rate: float = 1.5e-3,
        weight_decay: float = 1e-3,
        warm_up: int = 100,
        decay: int = 0,
        averaging: float = 0.995,
        precision: Literal["bfloat16", "float32"] = "bfloat16",
        seed: int = 1,
        bundle: BundleText = BundleText(),
        start: str | None = None,
    ) -> None:
        super().__init__(5, self._adamw, None)
        begun = {} if start is None else networks_of(start)
        self.arguments = {
            name: dict(networks.get(name, begun.get(name, {}).get("arguments", {})))
            for name in NETWORKS
        }
        if unknown := set(networks) - set(NETWORKS):
            raise InputError(
                f"There is no network '{min(unknown)}' in this task.",
                f"model.networks has the keys {', '.join(NETWORKS)}.",
            )
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.warm_up, self.decay, self.averaging = warm_up, decay, averaging
        self.precision, self.seed, self.bundle_text = precision, seed, bundle
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.networks = nn.ModuleDict(
                {name: kind(**self.arguments[name]) for name, kind in NETWORKS.items()}
            ).to(memory_format=torch.channels_last)
        self.start = last_parts(start)
        for name in begun.keys() & NETWORKS.keys():
            self.start_from(start, name, self.networks[name])
        self.average = deepcopy(self.networks).requires_grad_(False)

    def _adamw(self, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            parameters, self.learning_rate, weight_decay=self.weight_decay, fused=True
        )

    def configure_callbacks(self) -> list[Callback]:
        return [StepLog()]

    def exported(self) -> dict[str, Exported]:
        return {
            name: Exported(kind.__name__, self.arguments[name], f"average.{name}")
            for name, kind in NETWORKS.items()
        }

    def normalisation(self) -> str:
        return LOCAL_CONTRAST

    def bundle(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self.bundle_text).items() if value is not None}

    def options(self) -> dict[str, Any]:
        keys = (
            "learning_rate", "weight_decay", "warm_up", "decay", "averaging", "precision", "start",
        )  # fmt: skip
        return {key: getattr(self, key) for key in keys}

    def check_trainer(self, trainer: lightning.Trainer) -> None:
        if trainer.world_size > 1:
            raise InputError(
                "The task 'default' trains on one device.",
                "Set trainer.devices and trainer.num_nodes to 1.",
            )
        if self.decay and trainer.max_steps < self.decay:
            raise InputError(
                f"A decay over the last {self.decay} steps needs as many steps.",
                f"Set trainer.max_steps to {self.decay} or more.",
            )

    def training_step(self, batch: dict[str, torch.Tensor], _: int) -> dict[str, torch.Tensor]:
        """One step; returns the losses and the rate."""
        step, networks, optimiser = self.global_step, self.networks, self.optimizers()
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        bfloat16 = self.precision == "bfloat16"
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16)
        rate = self.rate(step, self.trainer.max_steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)

        images, truth = batch["images"], batch["masks"]
        with autocast:
            logits = networks["segmenter"](images.flatten(0, 1))
        logits = logits.float()
        segmentation = mask_loss(logits, truth.flatten(0, 1), images.flatten(0, 1)[:, 2:])
        self.manual_backward(segmentation * 2)

        with autocast:
            landmarks, heat = networks["locator"](batch["overview"])
        locating = landmark_loss(landmarks.float(), heat.float(), batch["landmarks"])
        self.manual_backward(locating * 0.05)

        with autocast:
            marks = networks["bone_locator"](images)
        where = [part.flatten(2, 3) for part in (*marks, batch["bone_landmarks"])]
        found, scales, heat, bone_landmarks = where
        marking = landmark_loss(found, heat, bone_landmarks)
        doubt = certainty_loss(found, scales, bone_landmarks, images.shape[-1])
        self.manual_backward(marking * 0.05 + doubt * 0.1)

        predicted = torch.sigmoid(logits.detach()).unflatten(0, truth.shape[:2])
        masks = mixed_masks(predicted, truth, generator)
        student = networks["student"]
        with autocast:
            encoded = student.encode(images, masks, batch["matrices"])
            distances = student.query(encoded, batch["points"])
        field = distance_loss(distances.float(), batch["distances"], batch["asked"])
        self.manual_backward(field)

        for name, norm in CLIP.items():
            nn.utils.clip_grad_norm_(networks[name].parameters(), norm)
        optimiser.step()
        self._update_average(step + 1)
        losses = {"field": field, "segmentation": segmentation, "locating": locating}
        losses |= {"marking": marking, "doubt": doubt}
        return {**{key: loss.detach() for key, loss in losses.items()}, "rate": rate}

    def rate(self, step: int, last: int) -> float:
        """The learning rate of a step (from 0) of a training that ends at step ``last``: it rises
        over ``warm_up`` steps, stays, and falls along half a cosine to 2 % in the last ``decay``
        steps."""
        rate = self.learning_rate * min(1.0, (step + 1) / self.warm_up)
        if self.decay and step >= last - self.decay:
            share = min(1.0, (step - last + self.decay) / self.decay)
            rate *= 0.5 * (1 + math.cos(math.pi * share)) * 0.98 + 0.02
        return rate

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # The average forgets the first, worst networks sooner than its steady rate would.
        keep = min(self.averaging, (1 + step) / (10 + step))
        average, current = (
            list(networks.state_dict().values()) for networks in (self.average, self.networks)
        )
        torch._foreach_lerp_(average, current, 1 - keep)


def mixed_masks(
    predicted: torch.Tensor, truth: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The masks that the student is given, knee by knee: two thirds predicted, a fifth the truth
    with a border moved and bones left out, the rest nothing. All ``[b, 2, 4, n, n]``; the
    generator is the CPU's, so that every device sees the same."""
    chosen = []
    for k in range(len(predicted)):
        draw = torch.rand(3, generator=generator)
        if draw[0] < 0.65:
            chosen.append(predicted[k])
        elif draw[0] < 0.85:
            blurred = F.avg_pool2d(truth[k], 5, 1, 2)
            moved = torch.sigmoid((blurred - (0.25 + 0.5 * draw[1])) * 12)
            kept = torch.rand(2, 4, 1, 1, generator=generator) > 0.15
            chosen.append(moved * kept.to(moved.device))
        else:
            chosen.append(torch.zeros_like(predicted[k]))
    return torch.stack(chosen)

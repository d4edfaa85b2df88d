"""The training of the default weights: segmenter, locator and student together.

The student sees the segmenter's masks as they are at inference, warts and all; sometimes the truth
or nothing, so that an edited or a missing mask is something it knows.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

from SSRKDLib.geometry.virtual_cameras import Framing
from SSRKDLib.networks.locator import Locator
from SSRKDLib.networks.segmenter import Segmenter
from SSRKDLib.networks.student import Student
from SSRKDLib.training.data.virtual_dataset import KneeSamples
from SSRKDLib.training.losses import distance_loss, landmark_loss, mask_loss

NETWORKS = {"segmenter": Segmenter, "locator": Locator, "student": Student}


@dataclass
class Settings:
    """Everything that a training depends on; the committed configuration files fill it in.

    ``precision`` is that of the convolutions, ``bfloat16`` (twice as fast where the processor has
    instructions for it) or ``float32``; losses, weights and geometry are float32 always.
    """

    knees: int = 4000
    seed: int = 1
    batch: int = 4
    points: int = 2400
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-3
    warm_up: int = 100
    averaging: float = 0.995
    precision: str = "bfloat16"
    framing: Framing = field(default_factory=Framing)
    networks: dict = field(default_factory=lambda: {name: {} for name in NETWORKS})

    @classmethod
    def from_dict(cls, values: dict) -> Settings:
        values = dict(values)
        framing = Framing(**values.pop("framing", {}))
        return cls(framing=framing, **values)


class Training:
    """State of a training: networks, their running averages, optimiser and step.

    ``state()`` and ``restore()`` carry all of it; samples depend on seed and step alone, so a
    resumed training goes on as if it had not stopped.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        torch.manual_seed(settings.seed)
        self.networks = nn.ModuleDict(
            {name: kind(**settings.networks[name]) for name, kind in NETWORKS.items()}
        ).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(
            self.networks.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.average = {k: v.detach().clone() for k, v in self.networks.state_dict().items()}
        self.step = 0

    def state(self) -> dict:
        return {
            "settings": asdict(self.settings),
            "networks": self.networks.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }

    def restore(self, state: dict) -> None:
        self.networks.load_state_dict(state["networks"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def batches(self, folder: Path, steps: int, workers: int) -> Iterator[dict]:
        """Batches from this step on to step ``steps`` (exclusive)."""
        settings = self.settings
        items = steps * settings.batch
        samples = KneeSamples(
            folder, settings.knees, settings.framing, settings.points, settings.seed, items
        )
        rest = Subset(samples, range(self.step * settings.batch, items))
        yield from DataLoader(rest, settings.batch, num_workers=workers, worker_init_fn=_one_thread)

    def train_step(self, batch: dict, learning_rate: float) -> dict[str, float]:
        """One step; returns the losses."""
        self.networks.train()
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)
        autocast = torch.autocast("cpu", torch.bfloat16, self.settings.precision == "bfloat16")
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.zero_grad(set_to_none=True)

        images, truth = batch["images"], batch["masks"]
        with autocast:
            logits = self.networks["segmenter"](images.flatten(0, 1))
        logits = logits.float()
        segmentation = mask_loss(logits, truth.flatten(0, 1), images.flatten(0, 1)[:, 2:])
        (segmentation * 2).backward()

        with autocast:
            marked, heat = self.networks["locator"](batch["wide"])
        located = landmark_loss(marked.float(), heat.float(), batch["landmarks"])
        (located * 0.05).backward()

        predicted = torch.sigmoid(logits.detach()).unflatten(0, truth.shape[:2])
        masks = mixed_masks(predicted, truth, generator)
        student = self.networks["student"]
        with autocast:
            encoded = student.encode(images, masks, batch["matrices"])
            distances = student.query(encoded, batch["points"])
        field = distance_loss(distances.float(), batch["distances"])
        field.backward()

        nn.utils.clip_grad_norm_(self.networks["student"].parameters(), 5.0)
        nn.utils.clip_grad_norm_(self.networks["segmenter"].parameters(), 1.0)
        nn.utils.clip_grad_norm_(self.networks["locator"].parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        # The average forgets the first, worst networks sooner than its steady rate would.
        keep = min(self.settings.averaging, (1 + self.step) / (10 + self.step))
        for key, value in self.networks.state_dict().items():
            self.average[key].lerp_(value, 1 - keep)
        return {
            "field": field.item(),
            "segmentation": segmentation.item(),
            "locating": located.item(),
        }

    def averaged(self) -> nn.ModuleDict:
        """The networks with averaged weights, for evaluation and export."""
        networks = nn.ModuleDict(
            {name: kind(**self.settings.networks[name]) for name, kind in NETWORKS.items()}
        )
        networks.load_state_dict(self.average)
        return networks.eval()


def mixed_masks(
    predicted: torch.Tensor, truth: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The masks that the student is given, knee by knee: two thirds predicted, a fifth the truth
    with a border moved and bones left out, the rest nothing. All ``[b, 2, 4, n, n]``."""
    chosen = []
    for k in range(len(predicted)):
        draw = torch.rand(3, generator=generator)
        if draw[0] < 0.65:
            chosen.append(predicted[k])
        elif draw[0] < 0.85:
            blurred = F.avg_pool2d(truth[k], 5, 1, 2)
            moved = torch.sigmoid((blurred - (0.25 + 0.5 * draw[1])) * 12)
            kept = torch.rand(2, 4, 1, 1, generator=generator) > 0.15
            chosen.append(moved * kept)
        else:
            chosen.append(torch.zeros_like(predicted[k]))
    return torch.stack(chosen)


def learning_rate(settings: Settings, step: int, decay: tuple[int, int] | None) -> float:
    """Warm up, stay, and fall to nothing between the two steps of ``decay``.

    A rate that stays lets a training go on for as long as there is time, and be finished at any
    moment by a short fall.
    """
    rate = settings.learning_rate * min(1.0, (step + 1) / settings.warm_up)
    if decay is not None and step >= decay[0]:
        share = min(1.0, (step - decay[0]) / max(1, decay[1] - decay[0]))
        rate *= 0.5 * (1 + math.cos(math.pi * share)) * 0.98 + 0.02
    return rate


def run(
    settings: Settings,
    cohort: Path,
    output: Path,
    steps: int,
    decay: int,
    workers: int = 1,
    checkpoint_every: int = 100,
) -> Training:
    """Train up to ``steps``, the last ``decay`` of them with a falling rate; resumes from
    ``output/checkpoint.pt`` and leaves ``output/log.jsonl`` (a line every 20 steps)."""
    training = Training(settings)
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "checkpoint.pt"
    if checkpoint.exists():
        training.restore(torch.load(checkpoint, weights_only=True))
        print(f"Resumed at step {training.step}.", flush=True)
    fall = (steps - decay, steps) if decay else None
    recent: list[dict[str, float]] = []
    since = time.time()
    with (output / "log.jsonl").open("a") as log:
        for batch in training.batches(cohort, steps, workers):
            rate = learning_rate(settings, training.step, fall)
            recent.append(training.train_step(batch, rate))
            if training.step % 20 == 0:
                line = {key: sum(r[key] for r in recent) / len(recent) for key in recent[0]}
                line = {"step": training.step, **{k: round(v, 4) for k, v in line.items()}}
                line |= {"rate": rate, "seconds": round((time.time() - since) / len(recent), 2)}
                log.write(json.dumps(line) + "\n")
                log.flush()
                recent, since = [], time.time()
            if training.step % checkpoint_every == 0 or training.step == steps:
                unfinished = checkpoint.with_suffix(".tmp")
                torch.save(training.state(), unfinished)
                unfinished.replace(checkpoint)
    return training


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)

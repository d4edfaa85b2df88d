"""Cross pseudo supervision: two networks that begin differently supervise each other.

Source: Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision", CVPR
2021: each network is trained with the other's hard labels; the weight rises along a sigmoid-shaped
ramp (Laine and Aila, ICLR 2017).
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

#: Initialisations of the first and the second network.
INITIALISATIONS = (nn.init.kaiming_normal_, nn.init.xavier_normal_)


def initialise(network: nn.Module, which: int) -> None:
    """Draw a network's convolutions anew, with one of :data:`INITIALISATIONS`."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    for module in network.modules():
        if isinstance(module, kinds):
            INITIALISATIONS[which](module.weight)


def ramp(step: int, steps: int) -> float:
    """From ``exp(-5)`` at the first step to 1 at ``steps`` and after."""
    share = min(1.0, step / steps) if steps > 0 else 1.0
    return math.exp(-5 * (1 - share) ** 2)


def cross_pseudo_loss(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """How far two networks are from each other's labels.

    Args:
        first, second: logits ``[B, classes, ...]`` of the networks' heads; the last head gives
            the labels, all of them are trained.
    """
    total = 0.0
    for trained, other in ((first, second), (second, first)):
        labels = other[-1].detach().argmax(dim=1)
        total = total + sum(F.cross_entropy(head, labels) for head in trained) / len(trained)
    return total

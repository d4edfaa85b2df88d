"""What the published teacher and student share: a classifier of points.

Source: PIFu's surface classifier (Saito et al., ICCV 2019): a chain of 1x1 convolutions
that see the sampled features again at every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class PointPrediction:
    """A network's predictions for points.

    Attributes:
        logits: ``[B, classes, N]``, background first, then the bones in label order.
        embedding: ``[B, 64, N]``, the features that distillation compares.
    """

    logits: Tensor
    embedding: Tensor


class PointClassifier(nn.Module):
    """Layers ``conv0``, ``conv1``, ... with leaky ReLU between them.

    Args:
        widths: Channels of the input, of each hidden layer and of the output.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layer_count = len(widths) - 1
        for layer, (before, after) in enumerate(zip(widths[:-1], widths[1:])):
            inputs = before + (widths[0] if layer else 0)
            self.add_module(f"conv{layer}", nn.Conv1d(inputs, after, 1))

    @property
    def layers(self) -> tuple[nn.Conv1d, ...]:
        """The convolutions, first to last."""
        return tuple(getattr(self, f"conv{layer}") for layer in range(self.layer_count))

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``[B, widths[-1], N]`` for features ``[B, widths[0], N]``."""
        first, *others = self.layers
        x = first(features)
        for layer in others:
            x = layer(torch.cat((F.leaky_relu(x), features), dim=1))
        return x


def sample_map(feature_map: Tensor, points: Tensor) -> Tensor:
    """Linear interpolation of a feature map at points.

    Args:
        feature_map: ``[B, C, *size]`` with two or three spatial axes.
        points: ``[B, N, axes]`` in the order of the array's axes; -1 and 1 are the
            **centres** of the first and last element (``align_corners=True``, as the
            published networks were trained). Outside, features fade to zero.

    Returns:
        ``[B, C, N]``.
    """
    # grid_sample wants (x, y[, z]), that is the last array axis first.
    batch, count, axes = points.shape
    grid = points.flip(-1).reshape(batch, count, *(1,) * (axes - 1), axes)
    return F.grid_sample(feature_map, grid, align_corners=True).flatten(2)

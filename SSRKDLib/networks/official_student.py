"""The published ``recon_xray`` network: two radiographs in, a classifier of points out.

Source of the method: the stacked hourglass of Newell et al. (ECCV 2016) in PIFu's form
(Saito et al., ICCV 2019: group norm, average pooling), one per view, as used by SSR-KD
(arXiv 2508.13947). Parameter names and shapes equal those of the published checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .point_classifier import PointClassifier, PointPrediction, sample_map

#: The frontal filter reads slot 0 of the views, the lateral filter slot 1.
VIEWS = 2


@dataclass(frozen=True)
class StudentFeatures:
    """Feature maps of a pair of radiographs.

    Attributes:
        stacks: For each hourglass kept, first to last, the map of each view:
            ``[B, width, rows / 4, columns / 4]``.
    """

    stacks: tuple[tuple[Tensor, Tensor], ...]


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with 32 groups, fewer where reduced widths do not allow 32."""
    return nn.GroupNorm(math.gcd(32, channels), channels)


class ResidualBlock(nn.Module):
    """Three 3x3 convolutions, each normalised before; outputs joined, input added."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half, quarter = out_channels // 2, out_channels // 4
        self.conv1 = nn.Conv2d(in_channels, half, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.bn1 = group_norm(in_channels)
        self.bn2 = group_norm(half)
        self.bn3 = group_norm(quarter)
        # Where the width stays, bn4 is never used; the published files hold it anyway.
        self.bn4 = group_norm(in_channels)
        self.bn4.requires_grad_(in_channels != out_channels)
        self.downsample: nn.Sequential | None = None
        if in_channels != out_channels:
            self.downsample = nn.Sequential(
                self.bn4, nn.ReLU(), nn.Conv2d(in_channels, out_channels, 1, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(F.relu(self.bn1(x)))
        second = self.conv2(F.relu(self.bn2(first)))
        third = self.conv3(F.relu(self.bn3(second)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.cat((first, second, third), dim=1) + shortcut


class Hourglass(nn.Module):
    """Halves ``depth`` times, doubles back, adds what each resolution kept."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.depth = depth
        for level in range(depth, 0, -1):
            self.add_module(f"b1_{level}", ResidualBlock(width, width))
            self.add_module(f"b2_{level}", ResidualBlock(width, width))
        self.b2_plus_1 = ResidualBlock(width, width)
        for level in range(1, depth + 1):
            self.add_module(f"b3_{level}", ResidualBlock(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self._level(self.depth, x)

    def _level(self, level: int, x: Tensor) -> Tensor:
        kept = getattr(self, f"b1_{level}")(x)
        low = getattr(self, f"b2_{level}")(F.avg_pool2d(x, 2))
        low = self._level(level - 1, low) if level > 1 else self.b2_plus_1(low)
        low = getattr(self, f"b3_{level}")(low)
        return kept + F.interpolate(low, scale_factor=2, mode="bicubic", align_corners=True)


class HourglassFilter(nn.Module):
    """The stacked hourglass of one view."""

    def __init__(self, in_channels: int, width: int, stacks: int, depth: int) -> None:
        super().__init__()
        self.stacks = stacks
        self.conv1 = nn.Conv2d(in_channels, width // 4, 7, stride=2, padding=3)
        self.bn1 = group_norm(width // 4)
        self.conv2 = ResidualBlock(width // 4, width // 2)
        self.conv3 = ResidualBlock(width // 2, width // 2)
        self.conv4 = ResidualBlock(width // 2, width)
        for stack in range(stacks):
            self.add_module(f"m{stack}", Hourglass(depth, width))
            self.add_module(f"top_m_{stack}", ResidualBlock(width, width))
            self.add_module(f"conv_last{stack}", nn.Conv2d(width, width, 1))
            self.add_module(f"bn_end{stack}", group_norm(width))
            self.add_module(f"l{stack}", nn.Conv2d(width, width, 1))
            if stack < stacks - 1:
                self.add_module(f"bl{stack}", nn.Conv2d(width, width, 1))
                self.add_module(f"al{stack}", nn.Conv2d(width, width, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Maps ``[B, width, rows / 4, columns / 4]``, one per stack."""
        x = F.relu(self.bn1(self.conv1(image)))
        x = F.avg_pool2d(self.conv2(x), 2)
        x = self.conv4(self.conv3(x))
        maps = []
        for stack in range(self.stacks):
            y = getattr(self, f"top_m_{stack}")(getattr(self, f"m{stack}")(x))
            y = F.relu(getattr(self, f"bn_end{stack}")(getattr(self, f"conv_last{stack}")(y)))
            maps.append(getattr(self, f"l{stack}")(y))
            if stack < self.stacks - 1:
                x = x + getattr(self, f"bl{stack}")(y) + getattr(self, f"al{stack}")(maps[-1])
        return tuple(maps)


class OfficialStudent(nn.Module):
    """Answers, for any point seen in two radiographs, which bone it lies in.

    The published weights expect, per view, the channels (image with everything outside
    bone halved, image), both times 6, of the line integral that the segmenter reads.

    Args:
        in_channels: Channels per view.
        width: Channels of a view's feature map, a multiple of 16.
        stacks: Hourglasses in a row.
        depth: Halvings within an hourglass.
        hidden: Hidden widths of the point classifier.
        classes: Number of logits, background first.
        embedding: Channels that distillation compares with the teacher's.
    """

    def __init__(
        self,
        in_channels: int = 2,
        width: int = 256,
        stacks: int = 4,
        depth: int = 2,
        hidden: Sequence[int] = (512, 128),
        classes: int = 5,
        embedding: int = 64,
    ) -> None:
        super().__init__()
        self.frontal_filter = HourglassFilter(in_channels, width, stacks, depth)
        self.lateral_filter = HourglassFilter(in_channels, width, stacks, depth)
        self.surface_classifier = PointClassifier((VIEWS * width, *hidden, classes))
        self.projector = nn.Conv1d(VIEWS * width, embedding, 1, bias=False)

    def encode(self, views: Tensor) -> StudentFeatures:
        """Features of two radiographs.

        Args:
            views: ``[B, view, in_channels, rows, columns]``, sides multiples of
                ``4 * 2**depth``.

        Returns:
            Every stack in training mode, which supervises them all; only the last,
            which predicts at inference, in evaluation mode.
        """
        stacks = tuple(zip(self.frontal_filter(views[:, 0]), self.lateral_filter(views[:, 1])))
        return StudentFeatures(stacks if self.training else stacks[-1:])

    def query(self, features: StudentFeatures, points: Tensor) -> tuple[PointPrediction, ...]:
        """The predictions of each stack for points.

        Args:
            features: From :meth:`encode`.
            points: ``[B, view, N, 2]``, where each point appears in each view as
                (row, column), -1 and 1 at the centres of the first and last pixel.

        Returns:
            One prediction per stack in ``features``; the last is the result.
        """
        predictions = []
        for maps in features.stacks:
            sampled = [sample_map(maps[view], points[:, view]) for view in range(VIEWS)]
            x = torch.cat(sampled, dim=1)
            predictions.append(PointPrediction(self.surface_classifier(x), self.projector(x)))
        return tuple(predictions)

"""The published ``recon_ct`` network: a V-Net on a CT and a classifier of points.

Source of the method: Milletari et al., "V-Net", 3DV 2016, with batch norm and additive
skip connections, as used by SSR-KD (arXiv 2508.13947). Parameter names and shapes equal
those of the published checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from .point_classifier import PointClassifier, PointPrediction, sample_map


@dataclass(frozen=True)
class TeacherFeatures:
    """Feature maps of a volume.

    Attributes:
        maps: One per head, coarsest first: ``[B, head_channels, k/s, j/s, i/s]`` with
            ``s`` = 8, 4, 2, 1.
    """

    maps: tuple[Tensor, ...]


class ConvolutionBlock(nn.Module):
    """``count`` times (3x3x3 convolution, batch norm, ReLU); keeps the size."""

    def __init__(self, count: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(count):
            layers += [
                nn.Conv3d(in_channels if index == 0 else out_channels, out_channels, 3, padding=1),
                nn.BatchNorm3d(out_channels),
                nn.ReLU(inplace=True),
            ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Halving(nn.Module):
    """Strided convolution, batch norm, ReLU; halves every axis."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv3d(in_channels, out_channels, 2, stride=2),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Doubling(nn.Module):
    """Transposed convolution, batch norm, ReLU; doubles every axis."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.ConvTranspose3d(in_channels, out_channels, 2, stride=2),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class VNet(nn.Module):
    """V-Net with a head at each of the four decoder resolutions."""

    def __init__(self, in_channels: int, width: int, head_channels: int) -> None:
        super().__init__()
        w1, w2, w4, w8, w16 = (width * factor for factor in (1, 2, 4, 8, 16))
        self.block_one = ConvolutionBlock(1, in_channels, w1)
        self.block_one_dw = Halving(w1, w2)
        self.block_two = ConvolutionBlock(2, w2, w2)
        self.block_two_dw = Halving(w2, w4)
        self.block_three = ConvolutionBlock(3, w4, w4)
        self.block_three_dw = Halving(w4, w8)
        self.block_four = ConvolutionBlock(3, w8, w8)
        self.block_four_dw = Halving(w8, w16)
        self.block_five = ConvolutionBlock(3, w16, w16)
        self.block_five_up = Doubling(w16, w8)
        self.block_six = ConvolutionBlock(3, w8, w8)
        self.head_6 = ConvolutionBlock(1, w8, head_channels)
        self.block_six_up = Doubling(w8, w4)
        self.block_seven = ConvolutionBlock(3, w4, w4)
        self.head_7 = ConvolutionBlock(1, w4, head_channels)
        self.block_seven_up = Doubling(w4, w2)
        self.block_eight = ConvolutionBlock(2, w2, w2)
        self.head_8 = ConvolutionBlock(1, w2, head_channels)
        self.block_eight_up = Doubling(w2, w1)
        self.block_nine = ConvolutionBlock(1, w1, w1)
        self.head_9 = ConvolutionBlock(1, w1, head_channels)

    def forward(self, volume: Tensor) -> tuple[Tensor, ...]:
        x1 = self.block_one(volume)
        x2 = self.block_two(self.block_one_dw(x1))
        x3 = self.block_three(self.block_two_dw(x2))
        x4 = self.block_four(self.block_three_dw(x3))
        x5 = self.block_five(self.block_four_dw(x4))
        x6 = self.block_six(self.block_five_up(x5) + x4)
        x7 = self.block_seven(self.block_six_up(x6) + x3)
        x8 = self.block_eight(self.block_seven_up(x7) + x2)
        x9 = self.block_nine(self.block_eight_up(x8) + x1)
        return self.head_6(x6), self.head_7(x7), self.head_8(x8), self.head_9(x9)


class OfficialTeacher(nn.Module):
    """Answers, for any point of a CT, which bone it lies in.

    Args:
        in_channels: Channels of the volume.
        width: V-Net channels at full resolution; every halving doubles them.
        head_channels: Channels of the sampled features.
        hidden: Hidden widths of the point classifier.
        classes: Number of logits, background first.
    """

    def __init__(
        self,
        in_channels: int = 1,
        width: int = 16,
        head_channels: int = 64,
        hidden: Sequence[int] = (128, 256, 128, 64),
        classes: int = 5,
    ) -> None:
        super().__init__()
        self.im_filter = VNet(in_channels, width, head_channels)
        self.surface_classifier = PointClassifier((head_channels, *hidden, classes))

    def encode(self, volume: Tensor) -> TeacherFeatures:
        """Features of ``volume`` ``[B, in_channels, k, j, i]``, sides multiples of 16."""
        return TeacherFeatures(self.im_filter(volume))

    def query(self, features: TeacherFeatures, points: Tensor) -> tuple[PointPrediction, ...]:
        """The predictions of each head for points.

        Args:
            features: From :meth:`encode`.
            points: ``[B, 3, N]``, rows in the order of the array's axes, -1 and 1 at the
                centres of the first and last voxel.

        Returns:
            One prediction per head, coarsest first.
        """
        points = points.transpose(1, 2)
        sampled = (sample_map(feature_map, points) for feature_map in features.maps)
        return tuple(PointPrediction(self.surface_classifier(x), x) for x in sampled)

"""The published ``bone_seg`` network: a 2-D U-Net that marks bone in a radiograph.

Source of the method: Ronneberger et al., "U-Net", MICCAI 2015, in the layout with
batch norm and transposed convolutions that SSR-KD (arXiv 2508.13947) uses. Parameter
names and shapes equal those of the published checkpoint.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DoubleConvolution(nn.Module):
    """Twice (3x3 convolution, batch norm, ReLU); keeps height and width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    """Halves height and width, then a double convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(
            nn.MaxPool2d(2), DoubleConvolution(in_channels, out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles height and width, joins the skip connection, then a double convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        self.conv = DoubleConvolution(2 * out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        # Pooling drops the last row or column of an odd size; it is put back as zeros.
        rows, columns = skip.shape[-2] - x.shape[-2], skip.shape[-1] - x.shape[-1]
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return self.conv(torch.cat((skip, x), dim=1))


class OutputConvolution(nn.Module):
    """1x1 convolution to the logits."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class OfficialSegmenter(nn.Module):
    """U-Net with four halvings; defaults are those of the published checkpoint.

    The published weights expect the line integral, in metres, of
    ``clip((HU + 400) / 900, 0, 1)``.

    Args:
        in_channels: Channels of the radiograph.
        classes: Number of logits, background first.
        width: Channels at full resolution; every halving doubles them.
    """

    def __init__(self, in_channels: int = 1, classes: int = 2, width: int = 64) -> None:
        super().__init__()
        self.inc = DoubleConvolution(in_channels, width)
        self.down1 = Down(width, 2 * width)
        self.down2 = Down(2 * width, 4 * width)
        self.down3 = Down(4 * width, 8 * width)
        self.down4 = Down(8 * width, 16 * width)
        self.up1 = Up(16 * width, 8 * width)
        self.up2 = Up(8 * width, 4 * width)
        self.up3 = Up(4 * width, 2 * width)
        self.up4 = Up(2 * width, width)
        self.outc = OutputConvolution(width, classes)

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Features of a radiograph, finest first.

        Args:
            image: ``[B, in_channels, rows, columns]``, each side at least 16 pixels.

        Returns:
            Five maps ``[B, width * 2**i, rows >> i, columns >> i]``.
        """
        maps = [self.inc(image)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            maps.append(down(maps[-1]))
        return tuple(maps)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, classes, rows, columns]`` of ``image`` (as in :meth:`encode`)."""
        *skips, x = self.encode(image)
        for up, skip in zip((self.up1, self.up2, self.up3, self.up4), reversed(skips)):
            x = up(x, skip)
        return self.outc(x)

"""The segmenter: which bones each pixel of a radiograph shows."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from SSRKDLib.networks.blocks import ConvNorm, Residual


class Segmenter(nn.Module):
    """A small U-Net with four sigmoid channels, since bones overlap in projection.

    Args:
        widths: channels from half resolution downwards.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64, 96)) -> None:
        super().__init__()
        pairs = list(zip(widths[:-1], widths[1:]))
        self.stem = ConvNorm(3, widths[0], kernel=5, stride=2)
        self.down = nn.ModuleList([Residual(a, b, stride=2) for a, b in pairs])
        self.up = nn.ModuleList([ConvNorm(a + b, a) for a, b in pairs])
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``[b, 4, n, n]`` (order of ``BONES``) for images ``[b, 3, n, n]``: the channels of
        :func:`~SSRKDLib.radiographs.normalisation.network_channels`, and where they are valid."""
        x = self.stem(images)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        for skip, block in zip(reversed(skips), reversed(self.up)):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], 1))
        logits = self.head(x)
        return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)

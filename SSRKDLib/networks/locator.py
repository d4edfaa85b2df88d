"""The locator: where the knee's canonical frame lies, from two wide low-resolution images.

It marks, in each image, where five points of the canonical frame project (the origin and a point
along each axis); the rays through them meet in space, and a rigid fit of the five gives the frame.
Marking points is equivariant to shifts, so one small network serves the whole field of view.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from SSRKDLib.geometry.virtual_cameras import FRAME_POINTS
from SSRKDLib.networks.blocks import ConvNorm, Residual


class Locator(nn.Module):
    """A small encoder and decoder with one heat map per frame point, for each of the two views.

    Args:
        width: channels at the finest level.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.views = nn.ModuleList(
            [HeatMaps((width, width * 2, width * 3, width * 4), len(FRAME_POINTS)) for _ in "fl"]
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mark the frame points.

        Args:
            images: ``[batch, 2, 3, n, n]``, frontal then lateral; channels as in
                :func:`~SSRKDLib.radiographs.normalisation.network_channels`, and where they are
                valid.

        Returns:
            ``[batch, 2, 5, 2]`` (column, row) in pixels of the images, and the heat maps' logits
            ``[batch, 2, 5, n / 2, n / 2]``.
        """
        logits = torch.stack([net(images[:, k]) for k, net in enumerate(self.views)], dim=1).float()
        return expected_position(logits), logits


def expected_position(logits: torch.Tensor) -> torch.Tensor:
    """Mean (column, row) ``[..., 2]`` in pixels of an image of twice the size of its heat maps, of
    their logits ``[..., n / 2, n / 2]``."""
    size = logits.shape[-1]
    centres = (torch.arange(size, device=logits.device, dtype=logits.dtype) + 0.5) * 2 - 0.5
    share = F.softmax(logits.flatten(-2), dim=-1).unflatten(-1, (size, size))
    columns = (share.sum(-2) * centres).sum(-1)
    rows = (share.sum(-1) * centres).sum(-1)
    return torch.stack([columns, rows], dim=-1)


class HeatMaps(nn.Module):
    """Heat maps of points at half the resolution of an image ``[batch, 3, n, n]``.

    Args:
        widths: channels from half resolution downwards.
        points: how many maps.
    """

    def __init__(self, widths: Sequence[int], points: int) -> None:
        super().__init__()
        self.stem = ConvNorm(3, widths[0], kernel=5, stride=2)
        self.down = nn.ModuleList(
            [Residual(a, b, stride=2) for a, b in zip(widths[:-1], widths[1:])]
        )
        self.bottom = Residual(widths[-1], widths[-1])
        self.up = nn.ModuleList(
            [ConvNorm(a + b, a, kernel=3) for a, b in zip(widths[:-1], widths[1:])]
        )
        self.head = nn.Conv2d(widths[0], points, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits ``[batch, points, n / 2, n / 2]``."""
        return self.head(self.features(image))

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """What the maps are made of, ``[batch, widths[0], n / 2, n / 2]``."""
        x = self.stem(image)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        x = self.bottom(x)
        for skip, block in zip(reversed(skips), reversed(self.up)):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], 1))
        return x

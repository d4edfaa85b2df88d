"""The bone locator: where each bone's own frame lies in a radiograph, every view read alone.

Like the :class:`~SSRKDLib.networks.locator.Locator` it marks points, here five of each bone's own
frame (:data:`~SSRKDLib.geometry.virtual_cameras.BONE_POINTS`), so that a bone that lay otherwise in
the other view, or is turned out of this one's image plane, is found as it lies here. It says how
uncertain each mark is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from SSRKDLib.geometry.virtual_cameras import BONE_POINTS
from SSRKDLib.networks.locator import HeatMaps, expected_position


class BoneMarks(NamedTuple):
    """Marks in pixels of the images.

    Attributes:
        positions: ``[batch, 2, 4, 5, 2]`` (column, row); views, bones, points.
        log_scales: ``[batch, 2, 4, 5]``, natural logarithm of the Laplace distribution's scale, the
            mean absolute error of column and row, in pixels.
        logits: of the heat maps, ``[batch, 2, 4, 5, n / 2, n / 2]``.
    """

    positions: torch.Tensor
    log_scales: torch.Tensor
    logits: torch.Tensor


class BoneLocator(nn.Module):
    """A small encoder and decoder with one heat map per bone and point, for each of the two views.

    Args:
        widths: channels from half resolution downwards.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 40, 56, 72)) -> None:
        super().__init__()
        self.views = nn.ModuleList([_Marker(widths) for _ in range(2)])

    def forward(self, images: torch.Tensor) -> BoneMarks:
        """Mark the bones' points in near images ``[batch, 2, 3, n, n]``, frontal then lateral,
        channels as for the segmenter."""
        marked = [net(images[:, k]) for k, net in enumerate(self.views)]
        return BoneMarks(*(torch.stack(part, dim=1) for part in zip(*marked)))


class _Marker(nn.Module):
    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        count = BONE_POINTS.shape[0] * BONE_POINTS.shape[1]
        self.maps = HeatMaps(widths, count)
        self.certainty = nn.Linear(widths[0], count)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        features = self.maps.features(image)
        logits = self.maps.head(features).float()
        share = logits.flatten(-2).softmax(-1)
        # What the certainty learns does not disturb what marks are made of.
        seen = share.detach() @ features.detach().float().flatten(-2).transpose(-1, -2)
        certainty = self.certainty
        scales = (seen * certainty.weight.float()).sum(-1) + certainty.bias.float()
        shape = BONE_POINTS.shape[:2]
        return (
            expected_position(logits).unflatten(1, shape),
            scales.clamp(-4.0, 4.0).unflatten(1, shape),
            logits.unflatten(1, shape),
        )

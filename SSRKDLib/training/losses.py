"""Losses of the project's own networks."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def distance_loss(
    predicted: torch.Tensor, truth: torch.Tensor, asked: torch.Tensor
) -> torch.Tensor:
    """How wrong predicted signed distances are.

    Cross-entropy on the side, the distance in mm being the logit, and absolute error. The side
    must weigh more: where a surface is still uncertain by more than the band that points are drawn
    from, the distance alone is best guessed as zero everywhere in the band, and training stalls.

    Args:
        predicted, truth: ``[b, p, bones]`` mm, positive inside.
        asked: ``[b, bones]``, how much each knee's bones count.
    """
    inside = (truth > 0).to(predicted.dtype)
    side = F.binary_cross_entropy_with_logits(predicted, inside, reduction="none")
    wrong = (4 * side + 0.5 * (predicted - truth).abs()).mean(1)
    return (wrong * asked).sum() / asked.sum().clamp_min(1)


def mask_loss(logits: torch.Tensor, truth: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and soft Dice over valid pixels.

    Args:
        logits, truth: ``[b, bones, n, n]``.
        valid: ``[b, 1, n, n]``.
    """
    weight = valid.expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, weight=weight)
    share = torch.sigmoid(logits) * weight
    overlap = (share * truth).sum((0, 2, 3))
    dice = (2 * overlap + 1) / ((share + truth * weight).sum((0, 2, 3)) + 1)
    return entropy + 0.5 * (1 - dice.mean())


def landmark_loss(found: torch.Tensor, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Pixels that landmarks are off, and cross-entropy of their heat maps against a blob.

    Landmarks outside the image are left out.

    Args:
        found, truth: ``[b, v, k, 2]`` (column, row) pixels of the image.
        logits: ``[b, v, k, n / 2, n / 2]``.
    """
    size = logits.shape[-1]
    inside = ((truth > 0) & (truth < 2 * size - 1)).all(-1).to(found.dtype)
    centres = (torch.arange(size, device=logits.device, dtype=found.dtype) + 0.5) * 2 - 0.5
    blob = torch.exp(
        -((centres - truth[..., :1]) ** 2)[..., None, :] / 18
        - ((centres - truth[..., 1:]) ** 2)[..., :, None] / 18
    )
    blob = blob / blob.sum((-2, -1), keepdim=True).clamp_min(1e-6)
    entropy = -(blob.flatten(-2) * F.log_softmax(logits.flatten(-2), dim=-1)).sum(-1)
    off = (found - truth).abs().sum(-1).clamp_max(40)
    return ((off + entropy) * inside).sum() / inside.sum().clamp_min(1)


def certainty_loss(
    found: torch.Tensor, log_scales: torch.Tensor, truth: torch.Tensor, size: int
) -> torch.Tensor:
    """Negative log likelihood of how far marks are off, under Laplace's distribution.

    The marks themselves are not trained by it.

    Args:
        found, truth: ``[..., 2]`` (column, row) pixels.
        log_scales: ``[...]``, see :class:`~SSRKDLib.networks.bone_locator.BoneMarks`.
        size: pixels of the image's edge; marks outside are left out.
    """
    inside = ((truth > 0) & (truth < size - 1)).all(-1).to(found.dtype)
    off = (found.detach() - truth).abs().mean(-1)
    likelihood = off * torch.exp(-log_scales) + log_scales
    return (likelihood * inside).sum() / inside.sum().clamp_min(1)

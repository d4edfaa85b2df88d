"""The project's own student: the distance from any 3-D point to each bone, from two radiographs.

As in SSR-KD, a 2-D network reads each radiograph once and a point classifier reads its feature maps
where a 3-D point projects. Unlike the published student it works in millimetres of the canonical
frame with exact projection matrices (any rig), knows where a point lies along each ray and what
the whole radiographs look like, and predicts a signed distance instead of a class, so that
surfaces come out continuous.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from SSRKDLib.geometry.views import to_grid_sample
from SSRKDLib.networks.blocks import ConvNorm, Residual

#: Image channels, validity, and the four bone masks.
INPUT_CHANNELS = 7


class Encoded(NamedTuple):
    """What two radiographs are reduced to.

    Attributes:
        fine: per view ``[b, c, n / 2, n / 2]``.
        deep: per view ``[b, c, n / 4, n / 4]``.
        context: ``[b, c]``, both views as a whole.
        matrices: ``[b, 2, 3, 4]``, points in mm to pixels of the images.
        sources: ``[b, 2, 3]`` mm.
        travels: ``[b, 2, 3]``, as :attr:`~SSRKDLib.geometry.views.View.travel`.
        size: n.
    """

    fine: tuple[torch.Tensor, torch.Tensor]
    deep: tuple[torch.Tensor, torch.Tensor]
    context: torch.Tensor
    matrices: torch.Tensor
    sources: torch.Tensor
    travels: torch.Tensor
    size: int


class Encoder(nn.Module):
    """A U-Net down to 1/32 and up again to 1/4 and 1/2 of the resolution."""

    def __init__(self, widths: tuple[int, ...], features: int, context: int) -> None:
        super().__init__()
        pairs = list(zip(widths[:-1], widths[1:]))
        self.stem = ConvNorm(INPUT_CHANNELS, widths[0], kernel=5, stride=2)
        self.down = nn.ModuleList([Residual(a, b, stride=2) for a, b in pairs])
        self.up = nn.ModuleList([Residual(a + b, a) for a, b in pairs[:0:-1]])
        self.deep = nn.Conv2d(widths[1], features, 1)
        self.fine = ConvNorm(features + widths[0], widths[0])
        self.context = nn.Linear(widths[-1], context)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``image [b, 7, n, n]`` to fine map, deep map and context as in :class:`Encoded`."""
        stem = x = self.stem(image)
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        context = self.context(x.mean((2, 3)))
        for skip, block in zip(levels[-2::-1], self.up):
            x = block(torch.cat([_enlarged(x, skip), skip], 1))
        deep = self.deep(x)
        fine = self.fine(torch.cat([_enlarged(deep, stem), stem], 1))
        return fine, deep, context


def _enlarged(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class Student(nn.Module):
    """Two encoders and a point network.

    Args:
        widths: channels of the encoders from half resolution downwards.
        features: channels of the deep feature map.
        context: channels of the global context.
        hidden: widths of the point network.
        reach: mm that a canonical coordinate of 1 stands for.
        cut_off: largest distance it can predict, mm.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 128, 192, 256),
        features: int = 64,
        context: int = 64,
        hidden: tuple[int, int, int] = (320, 256, 192),
        reach: float = 100.0,
        cut_off: float = 12.0,
    ) -> None:
        super().__init__()
        self.reach, self.cut_off = reach, cut_off
        self.encoders = nn.ModuleList([Encoder(widths, features, context) for _ in range(2)])
        # Two source positions in units of a metre, beside the two views' contexts.
        self.mix = nn.Linear(2 * context + 6, 2 * context)
        local = 2 * (widths[0] + features + 3) + 27
        self.first = nn.Linear(local, hidden[0])
        self.first_context = nn.Linear(2 * context, hidden[0], bias=False)
        self.second = nn.Linear(hidden[0] + local, hidden[1])
        self.third = nn.Linear(hidden[1], hidden[2])
        self.last = nn.Linear(hidden[2], 4)

    def encode(
        self,
        images: torch.Tensor,
        masks: torch.Tensor,
        matrices: torch.Tensor,
        travels: torch.Tensor | None = None,
    ) -> Encoded:
        """Read two radiographs.

        Args:
            images: ``[b, 2, 3, n, n]``, frontal then lateral (see
                :mod:`SSRKDLib.radiographs.network_input`).
            masks: ``[b, 2, 4, n, n]`` probabilities of each bone, zeros where nothing is known.
            matrices: ``[b, 2, 3, 4]`` projection matrices, canonical mm to (column, row).
            travels: ``[b, 2, 3]`` of the sources along slot scanners' images; None: they rest.
        """
        inputs = torch.cat([images, masks], dim=2)
        fine, deep, contexts = zip(*(net(inputs[:, k]) for k, net in enumerate(self.encoders)))
        sources = -torch.linalg.solve(matrices[..., :3], matrices[..., 3:])[..., 0]
        context = self.mix(torch.cat([*contexts, sources.flatten(1) / 1000], dim=1))
        travels = torch.zeros_like(sources) if travels is None else travels
        return Encoded(fine, deep, F.relu(context), matrices, sources, travels, images.shape[-1])

    def query(self, encoded: Encoded, points: torch.Tensor) -> torch.Tensor:
        """Signed distance to each bone.

        Args:
            encoded: from :meth:`encode`.
            points: ``[b, p, 3]`` mm, canonical frame.

        Returns:
            ``[b, p, 4]`` mm, positive inside, in the order of ``BONES``.
        """
        return self.distances(self.features(encoded, points))

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """The result of :meth:`query` from :meth:`features`."""
        return self.cut_off * torch.tanh(self.last(features))

    def features(self, encoded: Encoded, points: torch.Tensor) -> torch.Tensor:
        """What the point network computes of points before the last layer, ``[b, p, hidden[2]]``.

        Args:
            encoded, points: as for :meth:`query`.
        """
        # Where a point projects needs all of float32, also when the networks run in less.
        with torch.autocast(points.device.type, enabled=False):
            local = self._local_features(encoded, points)
        x = F.relu(self.first(local) + self.first_context(encoded.context)[:, None])
        # The second layer reads [x, local]; two products cost less than copying both together.
        on_x, on_local = self.second.weight.split([x.shape[-1], local.shape[-1]], dim=1)
        x = F.relu(F.linear(x, on_x, self.second.bias) + F.linear(local, on_local))
        return F.relu(self.third(x))

    def _local_features(self, encoded: Encoded, points: torch.Tensor) -> torch.Tensor:
        scaled = points / self.reach
        parts = [scaled]
        for octave in range(4):
            angle = scaled * (torch.pi * 2**octave)
            parts += [torch.sin(angle), torch.cos(angle)]
        for k in range(2):
            matrix = encoded.matrices[:, k]
            projected = points @ matrix[:, :, :3].transpose(1, 2) + matrix[:, None, :, 3]
            depth = projected[..., 2:]
            # As SlotView does: a point where a cone beam would have to find it.
            travel = encoded.travels[:, k, :, None]
            height = (points - encoded.sources[:, None, k]) @ travel
            along = (matrix[:, :, :3] @ travel).transpose(1, 2)
            projected = projected + height * (depth - 1) * along
            where = to_grid_sample(projected[..., :2] / depth, (encoded.size, encoded.size))
            for maps in (encoded.fine[k], encoded.deep[k]):
                sampled = F.grid_sample(
                    maps.float(), where[:, :, None], padding_mode="border", align_corners=False
                )
                parts.append(sampled[..., 0].transpose(1, 2))
            # Depth is 1 at the joint; its spread over a knee is about a tenth.
            parts += [where, (depth - 1) * 10]
        return torch.cat(parts, dim=-1)

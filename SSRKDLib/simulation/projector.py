"""One function for every caller that needs a projection: TIGRE where it can, else Joseph."""

from __future__ import annotations

import torch

from SSRKDLib.geometry.views import View
from SSRKDLib.simulation import joseph, tigre
from SSRKDLib.simulation.joseph import Volume


def project_view(volume: Volume, view: View, supersample: int = 1) -> torch.Tensor:
    """Line integrals of a volume through a view, ``[rows, columns]``, without unit.

    TIGRE does the work where it is installed with a GPU and can express the view; gradients and
    supersampling are Joseph's alone. Both give the same to the accuracy of their sampling.

    Args:
        volume: attenuation, 1/mm.
        view: source and detector in the volume's world frame.
        supersample: rays per pixel edge (see :func:`joseph.project`).
    """
    wants_gradient = volume.values.requires_grad and torch.is_grad_enabled()
    if supersample == 1 and not wants_gradient and tigre.available():
        image = tigre.project(volume, view)
        if image is not None:
            return image
    return joseph.project(volume, view, supersample)

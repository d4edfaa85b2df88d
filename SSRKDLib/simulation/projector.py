"""One function for every caller that needs a projection, by the method that it names."""

from __future__ import annotations

import torch

from SSRKDLib.core.errors import GeometryError, MissingDependencyError
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation import joseph, tigre
from SSRKDLib.simulation.joseph import Volume


def project_view(volume: Volume, view: View, projector: str = "joseph") -> torch.Tensor:
    """Line integrals of a volume through a view, ``[rows, columns]``, without unit.

    Args:
        volume: attenuation, 1/mm.
        view: source and detector in the volume's world frame.
        projector: one of :data:`~SSRKDLib.simulation.writing.PROJECTORS`. TIGRE's has no gradient.

    Raises:
        MissingDependencyError: 'tigre' was given, and TIGRE is not installed, or finds no GPU.
        GeometryError: TIGRE cannot express the volume or the view.
        ValueError: another projector.
    """
    if projector == "joseph":
        return joseph.project(volume, view)
    if projector != "tigre":
        raise ValueError("the projector must be 'joseph' or 'tigre'")
    if not tigre.available():
        raise MissingDependencyError(
            "The projector 'tigre' needs TIGRE and a GPU, and one of them was not found.",
            "Install TIGRE (https://github.com/CERN/TIGRE), or use the projector 'joseph'.",
        )
    image = tigre.project(volume, view)
    if image is None:
        raise GeometryError(
            "TIGRE cannot project the view '{view}': it needs a cone beam, cubic voxels, "
            "perpendicular detector axes and a source outside of the volume.",
            "Use the projector 'joseph'.",
            view=view.name,
        )
    return image

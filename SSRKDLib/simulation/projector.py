"""One function for every caller that needs a projection, by the method that it names."""

from __future__ import annotations

import torch

from SSRKDLib.core.errors import GeometryError, MissingDependencyError
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation import joseph, tigre
from SSRKDLib.simulation.joseph import Volume


def project_view(
    volume: Volume, view: View, supersample: int = 1, projector: str = "joseph"
) -> torch.Tensor:
    """Line integrals of a volume through a view, ``[rows, columns]``, without unit.

    Args:
        volume: attenuation, 1/mm.
        view: source and detector in the volume's world frame.
        supersample: rays per pixel edge (see :func:`joseph.project`); 1 for TIGRE.
        projector: one of :data:`~SSRKDLib.simulation.writing.PROJECTORS`. TIGRE's has no gradient.

    Raises:
        MissingDependencyError: 'tigre' was given, and TIGRE is not installed, or finds no GPU.
        GeometryError: TIGRE cannot express the volume or the view.
        ValueError: another projector, or supersampling by TIGRE.
    """
    if projector == "joseph":
        return joseph.project(volume, view, supersample)
    if projector != "tigre" or supersample != 1:
        raise ValueError("the projector must be 'joseph' or, without supersampling, 'tigre'")
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

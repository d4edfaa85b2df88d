"""How well bones' outlines agree with the masks that they were reconstructed from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.geometry.views import View
from SSRKDLib.geometry.virtual_cameras import REACH, pixel_grid
from SSRKDLib.radiographs.network_input import NetworkInput
from SSRKDLib.surfaces.mesh import Mesh

#: Per bone and view the Dice coefficient, None where neither mask nor bone is there.
Agreement = dict[str, list[float | None]]

#: The ends of shafts are left out: this much of the region's height, and of an open end, mm.
_ENDS_MM, _RIM_MM = 15.0, 4.0


def silhouettes_agreement(
    bones: Sequence[dict[str, Mesh]], detail: NetworkInput, masks: np.ndarray
) -> Agreement:
    """Dice of each bone's projected outline with the mask it was reconstructed from, per view.

    Args:
        bones: per view, as they lay in it; canonical coordinates, mm.
        detail: the images that the masks are of.
        masks: ``[views, 4, n, n]`` probabilities.
    """
    agreement: Agreement = {bone: [] for bone in BONES}
    for slot, camera in enumerate(detail.cameras):
        height = np.abs(camera.view.points_on_detector(pixel_grid(camera.view))[..., 2])
        for k, bone in enumerate(BONES):
            mesh = bones[slot].get(bone)
            evaluated = detail.valid[slot] & (height < REACH[2] - _ENDS_MM)
            projected = np.zeros_like(evaluated)
            if mesh is not None:
                evaluated &= height < _shortest_reach(mesh, camera.view)
                projected = silhouette(mesh.vertices, mesh.faces, camera.view) & evaluated
            segmented = (masks[slot, k] > 0.5) & evaluated
            total = segmented.sum() + projected.sum()
            dice = float(2 * (segmented & projected).sum() / total) if total > 20 else None
            agreement[bone].append(None if dice is None else round(dice, 4))
    return agreement


def _shortest_reach(mesh: Mesh, view: View) -> float:
    """Height, mm on the virtual image, up to which all of a bone is there: where it ends open."""
    loops = mesh.open_loops()
    if not loops:
        return np.inf
    ends = mesh.vertices[np.unique(np.concatenate(loops))]
    heights = view.points_on_detector(np.nan_to_num(view.project(ends)))[:, 2]
    return float(np.abs(heights).min()) - _RIM_MM


def mean_agreement(agreement: Agreement) -> float:
    """Of all bones and views that have one; 0 where none has."""
    values = [value for views in agreement.values() for value in views if value is not None]
    return float(np.mean(values)) if values else 0.0

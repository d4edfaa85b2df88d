"""Bones of a CT: the population's shape model laid on what the teacher segmented, then drawn to the
edges of bone in the CT itself.

Far from the joint a teacher may take a piece of tibia for femur, leave a marrow canal open or lose
a thin fibula; a bone's shape says how its shaft goes on, and the CT says where it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.reconstruction.ct_edges import depth_in_scan, drawn_to_edges
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.surface_fit import SurfaceFit, fit_surfaces
from SSRKDLib.reconstruction.fitting.template import CutBone, cut_bone
from SSRKDLib.surfaces.mesh import Mesh

#: The shape model is none of what was segmented where that lies farther from it, mean in mm, or
#: where its shape is so strange. Of the held-out people both are up to 1.2, although a third of a
#: shaft was taken for another bone.
_MISFIT_MM, _STRANGE = 2.5, 2.0


@dataclass(frozen=True, eq=False)
class CtBones:
    """What the fit delivers.

    Attributes:
        cuts: per bone what of its template the CT shows, LPS mm.
        distances: per bone, mean distance from the segmented surface to the shape model, mm.
    """

    cuts: dict[str, CutBone]
    distances: dict[str, float]

    @property
    def bones(self) -> dict[str, Mesh]:
        """Surfaces, LPS mm."""
        return {bone: cut.mesh for bone, cut in self.cuts.items()}


def fit_ct_bones(bones: Mapping[str, Mesh], laterality: str | None, scan: CtScan) -> CtBones | None:
    """Fit the shape model to the bones of a CT.

    Args:
        bones: what was segmented, LPS mm.
        laterality: "L" or "R"; None: the side whose shapes fit better.
        scan: the CT.

    Returns:
        None where the shape model does not fit one of the bones, or there is neither femur nor
        tibia.
    """
    try:
        tried = {side: _fitted(bones, side) for side in ([laterality] if laterality else "LR")}
    except MeshError:
        return None
    side = min(tried, key=lambda side: sum(fit.distance for fit in tried[side].values()))
    fits = tried[side]
    if not all(bone in fits and _is_bone(fits[bone]) for bone in bones):
        return None
    cuts = {}
    seen = scan if side == "L" else CtScan(scan.hounsfield, MIRROR @ scan.index_to_lps)
    for bone in BONES:
        if bone not in fits:
            continue
        template = knee_shape_model().bones[bone]
        points = drawn_to_edges(template, fits[bone].points, seen)
        cut = cut_bone(template, points, depth_in_scan(points, seen))
        if cut is not None:
            mesh = cut.mesh if side == "L" else cut.mesh.transformed(MIRROR)
            cuts[bone] = CutBone(mesh, cut.kept)
    return CtBones(cuts, {bone: fits[bone].distance for bone in cuts})


def _is_bone(fit: SurfaceFit) -> bool:
    return fit.distance <= _MISFIT_MM and fit.strangeness <= _STRANGE


def _fitted(bones: Mapping[str, Mesh], side: str) -> dict[str, SurfaceFit]:
    if side == "R":
        bones = {bone: mesh.transformed(MIRROR) for bone, mesh in bones.items()}
    return fit_surfaces(bones)

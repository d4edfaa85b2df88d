"""Bones of a CT: the population's shape model laid on what the teacher segmented, then drawn to the
edges of bone in the CT itself.

Far from the joint a teacher may take a piece of tibia for femur, leave a marrow canal open or lose
a thin fibula; a bone's shape says how its shaft goes on, and the CT says where it ends.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import MeshError
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.reconstruction.ct_edges import depth_in_scan, drawn_to_edges
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.surface_fit import SurfaceFit, fit_surfaces
from SSRKDLib.reconstruction.fitting.template import CutBone, cut_bone
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh

#: What was segmented is not this bone if its mean distance from the shape model exceeds the first,
#: mm, or the shape is as unusual as the second, standard deviations. Of the held-out people both
#: are up to 1.2, although a third of a shaft was taken for another bone.
_MISFIT_MM, _STRANGE = 2.5, 2.0

#: So much of a shaft beyond the fitted one is worth a word, mm.
_BEYOND_MM = 10.0


def fit_ct_bones(
    bones: Mapping[str, Mesh], laterality: str | None, scan: CtScan
) -> dict[str, CutBone] | None:
    """Fit the shape model to the bones of a CT.

    Args:
        bones: what was segmented, LPS mm.
        laterality: "L" or "R"; None: the side whose shapes fit better.
        scan: the CT.

    Returns:
        Per bone what of its template the CT shows, LPS mm. None where the shape model does not fit
        one of the bones, or there is neither femur nor tibia.
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
    for bone in (bone for bone in BONES if bone in fits):
        template = knee_shape_model().bones[bone]
        points = drawn_to_edges(template, fits[bone].points, seen)
        cut = cut_bone(template, points, depth_in_scan(points, seen))
        if cut is None:
            return None
        mesh = cut.mesh if side == "L" else cut.mesh.transformed(MIRROR)
        cuts[bone] = CutBone(mesh, cut.kept)
    return cuts


def left_out_beyond(bones: Mapping[str, Mesh], cuts: Mapping[str, CutBone]) -> float | None:
    """Where what was segmented goes on beyond the fitted shafts: how far from the joint these
    reach, mm; None where it does not, or femur or tibia is not there.

    Args:
        bones: what was segmented.
        cuts: the fitted bones, in the same frame.
    """
    if not {"femur", "tibia"} <= set(cuts):
        return None
    joint = joint_centre({bone: cut.mesh for bone, cut in cuts.items()})
    for bone in ("femur", "tibia"):
        far, reach = (
            float(np.linalg.norm(mesh.vertices - joint, axis=1).max())
            for mesh in (bones[bone], cuts[bone].mesh)
        )
        if far > reach + _BEYOND_MM:
            return reach
    return None


def _is_bone(fit: SurfaceFit) -> bool:
    return fit.distance <= _MISFIT_MM and fit.strangeness <= _STRANGE


def _fitted(bones: Mapping[str, Mesh], side: str) -> dict[str, SurfaceFit]:
    if side == "R":
        bones = {bone: mesh.transformed(MIRROR) for bone, mesh in bones.items()}
    return fit_surfaces(bones)

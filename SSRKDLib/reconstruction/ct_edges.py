"""A bone's surface drawn to the bone's own edge in a CT.

A network sees voxels of some 2 mm; the CT often has finer ones, and in them a bone ends where
Hounsfield units fall most steeply on the way out. The steepest fall of a blurred edge lies where
the edge was, however large the step; a fixed threshold does not, above all where a cortex is thin
(Prevrhal et al., Phys Med Biol 44, 1999; Treece et al., Med Image Anal 14, 2010).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.linalg import spsolve

from SSRKDLib.core.rigid import moved_points
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.reconstruction.fitting.shape_model import BoneModel

#: Rounds: how far along the normal an edge is sought, mm, how far from the surface it usually is,
#: mm, and how strictly neighbours move alike.
_ROUNDS = ((4.0, 2.0, 0.3), (2.0, 1.0, 0.1))

#: Samples along a normal, and standard deviation of what smooths them, mm.
_STEP_MM, _SMOOTH_MM = 0.25, 0.5

#: What counts of Hounsfield units: metal and air are no steeper edges than bone's.
_HOUNSFIELD = (-100.0, 3000.0)

#: The least fall that is an edge, and the one that is a sure edge, HU per mm.
_LEAST_FALL, _SURE_FALL = 40.0, 150.0

#: Within this distance inside the edge there is bone, mm, of at least so many Hounsfield units:
#: muscle falls into fat, too.
_RIND_MM, _BONE_HU = 1.5, 150.0

#: Where voxels are so long along the normal, mm, an edge counts half, and soon nothing: thick
#: slices blur what faces along them.
_COARSE_MM = 1.0

#: Edges that stand apart from their neighbours' by more than this count less and less, mm, and how
#: often these weights are found anew: few change after.
_ROBUST_MM, _REWEIGHTINGS = 0.7, 3

#: Keeps a surface of which no edge is found where it is.
_REST = 1e-4

#: Samples beyond the farthest edge that is looked for, mm: what smooths reaches so far.
_BEYOND_MM = 1.0


def drawn_to_edges(bone: BoneModel, points: np.ndarray, scan: CtScan) -> np.ndarray:
    """Vertices moved along their normals to the edge of bone, where one is found within 4 mm; the
    others, and those whose search leaves the CT, go with their neighbours.

    Args:
        bone: the template.
        points: ``[V, 3]`` its vertices, LPS mm, a left knee's or a mirrored right one's.
        scan: the CT, in the same frame.

    Returns:
        ``[V, 3]`` mm.
    """
    links = np.concatenate([bone.edges, bone.edges[:, ::-1]]).T
    links = csr_matrix((np.ones(links.shape[1]), links), shape=(len(points),) * 2)
    laplacian = diags(np.asarray(links.sum(1)).ravel()) - links
    for reach, usual, stiffness in _ROUNDS:
        normals = bone.normals(points)
        distance, sure = _edges(points, normals, scan, reach, usual)
        sure = np.where(bone.rim, 0.0, sure)
        bending = stiffness * laplacian + _REST * identity(len(points))
        weights = sure
        for _ in range(1 + _REWEIGHTINGS):
            moved = spsolve((diags(weights) + bending).tocsc(), weights * distance)
            weights = sure / (1 + ((distance - moved) / _ROBUST_MM) ** 2) ** 2
        points = points + moved[:, None] * normals
    return points


def depth_in_scan(points: np.ndarray, scan: CtScan) -> np.ndarray:
    """How far points ``[N, 3]`` LPS mm lie inside the middles of a CT's outermost voxels, ``[N]``
    mm; negative outside."""
    where = moved_points(np.linalg.inv(scan.index_to_lps), points)
    last = np.array(scan.hounsfield.shape[::-1]) - 1
    return (np.minimum(where, last - where) * scan.spacing).min(axis=1)


def _edges(
    points: np.ndarray, normals: np.ndarray, scan: CtScan, reach: float, usual: float
) -> tuple[np.ndarray, np.ndarray]:
    """How far out the edge lies, ``[N]`` mm, and how sure it is, 0 to 1."""
    most = reach + _BEYOND_MM
    ticks = np.arange(-most, most + _STEP_MM / 2, _STEP_MM)
    samples = (points[:, None] + ticks[:, None] * normals[:, None]).reshape(-1, 3)
    values = ndimage.map_coordinates(
        scan.hounsfield, moved_points(np.linalg.inv(scan.index_to_lps), samples).T[::-1],
        order=1, mode="nearest", output=np.float32,
    )  # fmt: skip
    values = np.clip(values, *_HOUNSFIELD).reshape(len(points), -1)
    fall = -ndimage.gaussian_filter1d(values, _SMOOTH_MM / _STEP_MM, axis=1, order=1) / _STEP_MM
    within = np.abs(ticks) <= reach
    best = np.where(within, fall * np.exp(-0.5 * (ticks / usual) ** 2), -np.inf).argmax(axis=1)
    number = np.arange(len(points))
    before, peak, after = (fall[number, best + shift] for shift in (-1, 0, 1))
    # The top of the parabola through three samples.
    curve = np.minimum(before - 2 * peak + after, -1e-6)
    distance = ticks[best] + np.clip((before - after) / (2 * curve), -1, 1) * _STEP_MM
    inside = (ticks <= ticks[best][:, None]) & (ticks >= ticks[best][:, None] - _RIND_MM)
    bone = np.where(inside, values, -np.inf).max(axis=1) >= _BONE_HU
    shown = depth_in_scan(samples, scan).reshape(values.shape).min(axis=1) >= 0
    sure = np.where(bone & shown & (peak > _LEAST_FALL), np.minimum(peak / _SURE_FALL, 1.0), 0.0)
    across = np.linalg.norm(normals @ scan.index_to_lps[:3, :3], axis=1)
    return distance, sure / (1 + (across / _COARSE_MM) ** 4)

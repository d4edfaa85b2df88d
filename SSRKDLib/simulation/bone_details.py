"""Details of bones that twenty healthy people do not contain: tilted joint surfaces, osteophytes.

Everything happens in the canonical frame of :mod:`SSRKDLib.simulation.population`, mm.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from SSRKDLib.surfaces.mesh import Mesh

#: Standard deviation of a joint surface's turn against its shaft, degrees about x (slope), y (varus
#: and valgus) and z (torsion), added to the 20 people's own spread: slopes of the tibial plateau
#: run from -3 to 14 degrees in 55 people (Hashemi et al., J Bone Joint Surg Am 90(12), 2008).
_TURN_SD = {"femur": (3.0, 2.0, 3.0), "tibia": (4.0, 2.0, 3.0), "fibula": (3.0, 3.0, 3.0)}

#: How far from a bone's end its shaft begins to turn, and over how many mm the turn grows.
_NECK_MM, _FADE_MM = 25.0, 50.0

#: Osteophytes sit within this height of the joint line, mm.
_MARGIN_MM = 45.0


def bent_end(points: np.ndarray, bone: str, rng: np.random.Generator) -> np.ndarray:
    """A long bone ``[N, 3]`` whose shaft is turned against its end at the joint."""
    turn = Rotation.from_euler("xyz", rng.normal(0, _TURN_SD[bone]), degrees=True).as_rotvec()
    up = 1.0 if bone == "femur" else -1.0
    height = up * points[:, 2]
    height = height - height.min()
    neck = points[np.abs(height - _NECK_MM) < 10].mean(0)
    share = np.clip((height - _NECK_MM) / _FADE_MM, 0, 1)
    share = share * share * (3 - 2 * share)
    return Rotation.from_rotvec(share[:, None] * turn).apply(points - neck) + neck


def with_osteophytes(points: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bone ``[N, 3]`` with up to eight smooth bumps near the joint, 1 to 5 mm high and 2 to 6 mm
    wide (standard deviation): as large as grades 1 to 3 look in the OARSI atlas (Altman and Gold,
    Osteoarthritis Cartilage 15 Suppl A, 2007)."""
    near = np.flatnonzero(np.abs(points[:, 2]) < _MARGIN_MM)
    count = int(rng.integers(0, 9))
    if not count or not len(near):
        return points
    middles = points[rng.choice(near, count)]
    heights, widths = rng.uniform(1, 5, count), rng.uniform(2, 6, count)
    squared = ((points[:, None] - middles) ** 2).sum(-1)
    bump = (np.exp(-squared / (2 * widths**2)) * heights).max(1)
    return points + bump[:, None] * Mesh(points, faces).vertex_normals()

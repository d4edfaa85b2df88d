"""CTs of what is known in closed form, on grids that lie anyhow."""

from __future__ import annotations

import numpy as np

from SSRKDLib.ct.reading import CtScan
from Testing.support.projection_truth import rotation

#: An ellipsoid whose three half axes differ, turned and off the CT's middle: no symmetry is left.
CENTRE, HALF = np.array([5.0, -6.0, 8.0]), np.array([26.0, 17.0, 11.0])
TURN = rotation((3, 1, 2), 40)
PLACE = np.array([-150.0, 40.0, 700.0])

OBLIQUE = rotation((1, -1, 2), 15)
#: Columns i, j, k: along the patient's axes; askew; in another order and direction (sagittal
#: slices from the right), exactly and nearly; a left-handed grid.
DIRECTIONS = {
    "aligned": np.eye(3),
    "oblique": OBLIQUE,
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float),
    "sagittal, oblique": OBLIQUE @ np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float),
    "left-handed": np.diag([1.0, 1.0, -1.0]),
}


def outside(points):
    """How far points ``[N, 3]`` lie outside the ellipsoid, mm along the way to its middle."""
    within = (points - PLACE - CENTRE) @ TURN
    radius = np.linalg.norm(within, axis=1)
    return radius - radius / np.linalg.norm(within / HALF, axis=1)


def scan_of(values, direction, size=(54, 66, 56), spacing=(1.9, 1.3, 1.6)):
    """A CT centred on ``PLACE`` whose voxels are ``values(points)``, seen from 0 to 1."""
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(spacing)
    affine[:3, 3] = PLACE - affine[:3, :3] @ ((np.array(size) - 1) / 2)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size[::-1]), indexing="ij"), -1)
    points = index.reshape(-1, 3)[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    seen = np.asarray(values(points)).reshape(size[::-1])
    return CtScan(np.rint(900 * seen - 400).astype(np.int16), affine)


def ellipsoid(points):
    return np.clip(0.5 - outside(points) / 20, 0.02, 1)

"""A tibia that is a box, with landmarks known by construction: plans on it are closed forms."""

from __future__ import annotations

import numpy as np

from SSRKDLib.planning.landmarks import Landmarks
from SSRKDLib.surfaces.mesh import Mesh

#: Width, depth from front to back, and height, mm; the joint is at z = 0, the middle at x = y = 0.
WIDTH, DEPTH, HEIGHT = 80.0, 50.0, 120.0


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Mesh:
    """A closed box, faces outward."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return Mesh(np.array(low) + corners * (np.array(high) - np.array(low)), np.array(faces))


def box_tibia() -> Mesh:
    return box((-WIDTH / 2, -DEPTH / 2, -HEIGHT), (WIDTH / 2, DEPTH / 2, 0.0))


def box_landmarks(tip: tuple[float, float, float] = (WIDTH / 2, 0.0, -40.0)) -> Landmarks:
    """A left tibia's: lateral is +x, the plateaus level."""
    step = np.array([[0.0, 0.0, 0.0], [0.0, -20.0, 0.0], [0.0, 20.0, 0.0]])
    return Landmarks(
        "L",
        np.eye(3),
        np.array([[0.0, 0.0, -90.0], [0.0, 0.0, -50.0]]),
        np.array([-WIDTH / 4, 0.0, 0.0]) + step,
        np.array([WIDTH / 4, 0.0, 0.0]) + step,
        np.array([[-WIDTH / 2, 0.0, 0.0], [WIDTH / 2, 0.0, 0.0]]),
        np.array(tip),
    )

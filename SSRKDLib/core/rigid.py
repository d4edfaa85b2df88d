"""Rigid and similarity transforms as 4x4 matrices: applied to points, about a point, and fitted."""

from __future__ import annotations

import numpy as np


def moved_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points ``[..., 3]`` moved by a 4x4 matrix."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def cross_products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of vectors ``[N, 3]`` row by row; some times as fast as ``np.cross``."""
    (a, b, c), (x, y, z) = first.T, second.T
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=1)


def turn_about(rotation: np.ndarray, centre: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """4x4 that turns by a rotation (3x3) about a point ``(3,)`` and then shifts by ``(3,)``."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre - rotation @ centre + shift
    return matrix


def similarity_fit(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """4x4 rotation, uniform scale and translation that best maps ``source`` to ``target``.

    Both ``[N, 3]``, in correspondence (Umeyama, IEEE PAMI 13(4), 1991).
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd(b.T @ a)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * flip) @ vt
    scale = (singular * flip).sum() / (a**2).sum()
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = target_mean - scale * rotation @ source_mean
    return matrix


def rigid_fit(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """As :func:`similarity_fit`, without scale."""
    matrix = similarity_fit(source, target)
    rotation = matrix[:3, :3] / np.cbrt(np.linalg.det(matrix[:3, :3]))
    matrix[:3, :3] = rotation
    matrix[:3, 3] = target.mean(0) - rotation @ source.mean(0)
    return matrix

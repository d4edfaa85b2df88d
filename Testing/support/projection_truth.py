"""Independent truth for the projection tests: closed-form chords, voxelised solids, RTK."""

from __future__ import annotations

import numpy as np
import torch

from SSRKDLib.geometry.views import View
from SSRKDLib.simulation.joseph import Volume


def rotation(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    """A rotation matrix about an axis."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def grid(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    turn: np.ndarray,
    centre: tuple[float, float, float] = (0, 0, 0),
) -> np.ndarray:
    """Index-to-world of a [k, j, i] grid with spacing (i, j, k), turned, around a centre."""
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return affine


def voxelised(inside, affine: np.ndarray, shape: tuple[int, int, int], parts: int = 4) -> Volume:
    """The share of each voxel for which ``inside(points [..., 3])`` holds, anti-aliased."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    axes = affine[:3, :3]
    middles = np.stack([i, j, k], -1) @ axes.T + affine[:3, 3]
    total = np.zeros(shape)
    offsets = (np.arange(parts) + 0.5) / parts - 0.5
    for a in offsets:
        for b in offsets:
            for c in offsets:
                total += inside(middles + axes @ [a, b, c])
    return Volume(torch.from_numpy((total / parts**3).astype(np.float32)), affine)


def pixel_rays(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Source (3,) and unit directions [rows, columns, 3], straight from the view's fields."""
    columns, rows = view.size
    r, c = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    points = (
        view.detector_origin
        + c[..., None] * view.pixel_spacing[0] * view.column_direction
        + r[..., None] * view.pixel_spacing[1] * view.row_direction
    )
    ray = points - view.source
    return view.source, ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def sphere_chords(view: View, centre: np.ndarray, radius: float) -> np.ndarray:
    """Length of every pixel's ray within a sphere, mm."""
    source, ray = pixel_rays(view)
    along = ray @ (centre - source)
    square = radius**2 - ((centre - source) @ (centre - source) - along**2)
    return 2 * np.sqrt(np.clip(square, 0, None))


def box_chords(view: View, turn: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Length of every pixel's ray within a box with axes ``turn``, mm (slab method)."""
    source, ray = pixel_rays(view)
    start, ray = (source - centre) @ turn, ray @ turn
    with np.errstate(divide="ignore"):
        first, second = (-half - start) / ray, (half - start) / ray
    enter = np.minimum(first, second).max(-1)
    leave = np.maximum(first, second).min(-1)
    return np.clip(leave - enter, 0, None)


def relative_l2(image, truth) -> float:
    """Norm of the difference over norm of the truth."""
    image, truth = np.asarray(image, np.float64), np.asarray(truth, np.float64)
    return float(np.linalg.norm(image - truth) / np.linalg.norm(truth))


def rtk_joseph(volume: Volume, view: View) -> np.ndarray:
    """The same projection by RTK's Joseph filter (CPU), ``[rows, columns]``. Its three classes are
    imported alone: all of ``itk.RTK`` and what that builds on take a quarter of a minute."""
    import itk
    from itk.rtkConstantImageSourcePython import rtkConstantImageSourceIF3
    from itk.rtkJosephForwardProjectionImageFilterPython import (
        rtkJosephForwardProjectionImageFilterIF3IF3,
    )
    from itk.rtkThreeDCircularProjectionGeometryPython import rtkThreeDCircularProjectionGeometry

    image = itk.image_from_array(np.ascontiguousarray(volume.values.numpy(), np.float32))
    image.SetSpacing([float(s) for s in volume.spacing])
    image.SetOrigin([float(o) for o in volume.index_to_world[:3, 3]])
    axes = volume.index_to_world[:3, :3] / volume.spacing
    image.SetDirection(itk.matrix_from_array(axes))
    # RTK wants u x v towards the source; otherwise the image is made upside down and turned.
    toward = np.cross(view.column_direction, view.row_direction) @ (
        view.source - view.detector_origin
    )
    row, origin = view.row_direction, view.detector_origin
    if toward < 0:
        origin = origin + row * (view.size[1] - 1) * view.pixel_spacing[1]
        row = -row
    geometry = rtkThreeDCircularProjectionGeometry.New()
    point, vector = itk.Point[itk.D, 3], itk.Vector[itk.D, 3]
    assert geometry.AddProjection(
        point([float(x) for x in view.source]),
        point([float(x) for x in origin]),
        vector([float(x) for x in view.column_direction]),
        vector([float(x) for x in row]),
    )
    empty = rtkConstantImageSourceIF3.New()
    empty.SetSize([*view.size, 1])
    empty.SetSpacing([*(float(s) for s in view.pixel_spacing), 1.0])
    empty.SetOrigin([0.0, 0.0, 0.0])
    empty.SetConstant(0.0)
    project = rtkJosephForwardProjectionImageFilterIF3IF3.New()
    project.SetInput(0, empty.GetOutput())
    project.SetInput(1, image)
    project.SetGeometry(geometry)
    project.SetNumberOfWorkUnits(1)
    project.Update()
    result = itk.array_from_image(project.GetOutput())[0]
    return result[::-1] if toward < 0 else result

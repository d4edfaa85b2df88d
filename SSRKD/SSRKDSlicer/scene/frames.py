"""Between SSRKDLib's LPS and Slicer's RAS: the one place where frames are converted."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SSRKDLib.core.boxes import box_corners

_FLIP = np.array([-1.0, -1.0, 1.0])


def flipLpsRas(values: np.ndarray) -> np.ndarray:
    """Points ``[..., 3]`` (mm), or an affine ``[4, 4]`` into the one frame, in the other.

    LPS and RAS differ by the signs of x and y, so the same function goes both ways. An affine keeps
    what it maps from (pixel or voxel indices, for example).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape == (4, 4):
        return np.diag([*_FLIP, 1.0]) @ values
    return values * _FLIP


def viewIjkToRas(view) -> vtk.vtkMatrix4x4:
    """IJKToRAS of a volume that lies on a view's detector: i is the column, j the row.

    Args:
        view: :class:`SSRKDLib.geometry.views.View`.
    """
    ijkToLps = np.eye(4)
    ijkToLps[:3, 0] = view.column_direction * view.pixel_spacing[0]
    ijkToLps[:3, 1] = view.row_direction * view.pixel_spacing[1]
    ijkToLps[:3, 2] = np.cross(view.column_direction, view.row_direction)
    ijkToLps[:3, 3] = view.detector_origin
    return slicer.util.vtkMatrixFromArray(flipLpsRas(ijkToLps))


def worldToIjk(volumeNode, points):
    """World points ``[N, 3]`` RAS mm as (i, j, k) of a volume where it stands in the world.

    Raises:
        SSRKDLib.core.errors.InputError: the volume is under a transform that is not linear.
    """
    toIjk = np.linalg.inv(volumeIjkToLps(volumeNode))
    lps = flipLpsRas(np.asarray(points))
    return (np.c_[lps, np.ones(len(lps))] @ toIjk.T)[:, :3]


def ijkToWorld(volumeNode, points):
    """The way back of :func:`worldToIjk`."""
    points = np.asarray(points, dtype=np.float64)
    lps = (np.c_[points, np.ones(len(points))] @ volumeIjkToLps(volumeNode).T)[:, :3]
    return flipLpsRas(lps)


def regionCorners(roiNode):
    """The eight corners of a region of interest, world, RAS mm."""
    toWorld = slicer.util.arrayFromVTKMatrix(roiNode.GetObjectToWorldMatrix())
    half = np.array(roiNode.GetSize()) / 2
    return (np.c_[box_corners([-half, half]), np.ones(8)] @ toWorld.T)[:, :3]


def ownIjkToLps(volumeNode) -> np.ndarray:
    """IJK to LPS of a volume by itself, ``[4, 4]``: without the transforms that it is under."""
    ijkToRas = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijkToRas)
    return flipLpsRas(slicer.util.arrayFromVTKMatrix(ijkToRas))


def volumeIjkToLps(volumeNode) -> np.ndarray:
    """IJK to LPS of a volume where it stands in the world, ``[4, 4]``.

    Raises:
        SSRKDLib.core.errors.InputError: the volume is under a transform that is not linear.
    """
    from SSRKDLib.core.errors import InputError

    own = ownIjkToLps(volumeNode)
    transformNode = volumeNode.GetParentTransformNode()
    if transformNode is None:
        return own
    if not transformNode.IsTransformToWorldLinear():
        raise InputError(
            _("'{name}' is under a warping transform.").format(name=volumeNode.GetName()),
            _("Harden the transform, or take the volume out of it."),
        )
    toWorld = vtk.vtkMatrix4x4()
    transformNode.GetMatrixTransformToWorld(toWorld)
    return flipLpsRas(slicer.util.arrayFromVTKMatrix(toWorld) @ flipLpsRas(own))

"""A CT that is loaded in Slicer, as a file for the worker."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.errors import ImageError, InputError
from SSRKDLib.ct.reading import check_hounsfield
from SSRKDLib.images.writing import write_image

from ..scene.frames import ownIjkToLps, regionCorners, volumeIjkToLps, worldToIjk


def writeCt(ctNode, roiNode, path, inWorld=True):
    """Write a CT, or the part of it inside a region, as NRRD.

    Args:
        ctNode: volume node in Hounsfield units.
        roiNode: region of interest, or None for the whole CT; what lies outside is left out.
        path: of the file.
        inWorld: where it stands in the world; else in the volume's own frame, parent transforms
            left out: then a transform that warps is no obstacle.

    Returns:
        The middle of what was written, ``(3,)`` LPS mm of that frame.

    Raises:
        InputError: no CT, no volume of several slices, a region that misses it, or a warping
            transform in the way.
        ImageError: no CT.
        OutputError: the file cannot be written.
    """
    if ctNode is None:
        raise InputError(_("No CT is chosen."), _("Choose a CT volume, or load one first."))
    name = ctNode.GetName()
    if ctNode.GetImageData() is None or ctNode.IsA("vtkMRMLVectorVolumeNode"):
        raise ImageError(
            _("'{name}' is not a CT.").format(name=name), _("Choose a CT in Hounsfield units.")
        )
    array = slicer.util.arrayFromVolume(ctNode)
    if min(array.shape) < 2:
        raise ImageError(
            _("'{name}' has a single slice.").format(name=name), _("Choose a CT, not a radiograph.")
        )
    ijkToLps = volumeIjkToLps(ctNode) if inWorld else ownIjkToLps(ctNode)
    part = array
    if roiNode is not None:
        low, high = _region(ctNode, roiNode, array.shape[::-1])
        (i0, j0, k0), (i1, j1, k1) = low, high
        part = array[k0:k1, j0:j1, i0:i1]
        ijkToLps[:3, 3] = (ijkToLps @ [*low.astype(float), 1.0])[:3]
    check_hounsfield(array, name)
    write_image(path, part, ijkToLps, compress=False)
    middle = (np.array(part.shape[::-1]) - 1) / 2
    return (ijkToLps @ [*middle, 1.0])[:3]


def _region(ctNode, roiNode, size):
    """First voxel (i, j, k) of a volume in a region, and the first beyond it."""
    ijk = worldToIjk(ctNode, regionCorners(roiNode))
    low = np.maximum(np.floor(ijk.min(0)), 0).astype(int)
    high = np.minimum(np.ceil(ijk.max(0)) + 1, size).astype(int)
    if (high - low < 8).any():
        raise InputError(
            _("The region holds hardly any of the CT."), _("Move its handles around the knee.")
        )
    return low, high

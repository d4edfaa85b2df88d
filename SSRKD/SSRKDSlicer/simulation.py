"""Radiographs of a CT that is loaded in Slicer, placed consistently with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer

from SSRKDLib.errors import ImageError, InputError
from SSRKDLib.image_writing import write_image
from SSRKDLib.rig_file import read_rig, write_rig
from SSRKDLib.rig_presets import PRESETS

from .folders import newFolder, putInto, uniqueName
from .frames import flipLpsRas, regionCorners, viewIjkToRas, volumeIjkToLps
from .parameters import VIEWS
from .placing import PLACED
from .radiographs import storeRig


def writeCt(ctNode, roiNode, path):
    """Write a CT, or the part of it inside a region, as NRRD.

    Args:
        ctNode: volume node in Hounsfield units.
        roiNode: region of interest, or None for the whole CT; what lies outside counts as air.
        path: of the file.

    Returns:
        The middle of what was written, ``(3,)`` LPS mm.

    Raises:
        InputError: no CT, no volume of several slices, or a region that misses it.
        OutputError: the file cannot be written.
    """
    if ctNode is None:
        raise InputError("No CT is chosen.", "Choose a CT volume, or load one first.")
    if ctNode.GetImageData() is None or ctNode.IsA("vtkMRMLVectorVolumeNode"):
        raise ImageError(f"'{ctNode.GetName()}' is no CT.", "Choose a CT in Hounsfield units.")
    array = slicer.util.arrayFromVolume(ctNode)
    if min(array.shape) < 2:
        raise ImageError(
            f"'{ctNode.GetName()}' has a single slice.", "Choose a CT, not a radiograph."
        )
    ijkToLps = volumeIjkToLps(ctNode)
    if roiNode is not None:
        array, ijkToLps = _cutOut(array, ijkToLps, roiNode)
    write_image(path, array, ijkToLps, compress=False)
    middle = (np.array(array.shape[::-1]) - 1) / 2
    return (ijkToLps @ [*middle, 1.0])[:3]


def _cutOut(array, ijkToLps, roiNode):
    corners = flipLpsRas(regionCorners(roiNode))
    ijk = (np.c_[corners, np.ones(8)] @ np.linalg.inv(ijkToLps).T)[:, :3]
    low = np.maximum(np.floor(ijk.min(0)), 0).astype(int)
    high = np.minimum(np.ceil(ijk.max(0)) + 1, array.shape[::-1]).astype(int)
    if (high - low < 8).any():
        raise InputError(
            "The region holds hardly any of the CT.", "Move its handles around the knee."
        )
    (i0, j0, k0), (i1, j1, k1) = low, high
    moved = ijkToLps.copy()
    moved[:3, 3] = (ijkToLps @ [*low.astype(float), 1.0])[:3]
    return array[k0:k1, j0:j1, i0:i1], moved


def writePresetRig(preset, laterality, centre, path):
    """Write the rig of a preset around a point in LPS mm."""
    rig = PRESETS[preset](laterality=laterality, centre=tuple(float(x) for x in centre))
    write_rig(rig, path)


def addRadiographs(rigPath, name):
    """Volume nodes of simulated radiographs, on their detector planes.

    Args:
        rigPath: the rig that names the images.
        name: of what they were made from.

    Returns:
        (frontal, lateral) volume nodes.
    """
    from SSRKDLib.radiographs.reading import read_radiograph

    rig = read_rig(rigPath)
    folder = newFolder(f"Radiographs of {name}")
    nodes = []
    for index, (role, view) in enumerate(zip(VIEWS, rig.views)):
        pixels = read_radiograph(view.image).pixels
        unique = uniqueName(f"{name} {role}")
        node = slicer.util.addVolumeFromArray(pixels[None], name=unique)
        node.SetIJKToRASMatrix(viewIjkToRas(view))
        node.CreateDefaultDisplayNodes()
        plain = replace(rig, views=tuple(replace(v, image=None) for v in rig.views))
        storeRig(node, plain, index)
        node.SetAttribute(PLACED, role)
        putInto(folder, node)
        nodes.append(node)
    return tuple(nodes)

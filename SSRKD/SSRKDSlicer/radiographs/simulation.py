"""Radiographs of a CT that is loaded in Slicer, placed consistently with it."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from SSRKDLib.geometry.rig_presets import PRESETS
from SSRKDLib.radiographs.rig_file import read_rig, write_rig

from ..scene.folders import newFolder, putInto, uniqueName
from ..scene.frames import viewIjkToRas
from ..scene.parameters import VIEWS
from .placing import PLACED
from .radiographs import storeRig


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
    folder = newFolder(_("Radiographs of {name}").format(name=name))
    nodes = []
    for index, (role, view, image) in enumerate(zip(VIEWS, rig.views, rig.images)):
        pixels = read_radiograph(image).pixels
        unique = uniqueName(f"{name} {role}")
        node = slicer.util.addVolumeFromArray(pixels[None], name=unique)
        node.SetIJKToRASMatrix(viewIjkToRas(view))
        node.CreateDefaultDisplayNodes()
        storeRig(node, rig, index)
        node.SetAttribute(PLACED, role)
        putInto(folder, node)
        nodes.append(node)
    return tuple(nodes)

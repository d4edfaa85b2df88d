"""Copies of the radiographs on their detector planes, so that bones stand between source and image.

The loaded volumes are never changed.
"""

from __future__ import annotations

import slicer
import vtk
from slicer.i18n import tr as _

from SSRKDLib.radiographs.rig_file import view_from_dict

from ..scene import masks
from ..scene.folders import putInto, uniqueName
from ..scene.frames import viewIjkToRas
from .radiographs import RadiographNode, storeRig

#: Node attribute of a placed copy: "frontal" or "lateral".
PLACED = "SSRKD.Placed"


def placeRadiographs(setup, folder, before=(None, None), maskNodes=(None, None)):
    """Put a copy of each radiograph where its detector was.

    Args:
        setup: :class:`~SSRKDSlicer.radiographs.view_setup.Setup`.
        folder: subject hierarchy item that new copies go into.
        before: copies of an earlier call, moved instead of made anew where they are of the same
            radiograph.
        maskNodes: segmentations on the earlier copies, which move along.

    Returns:
        The placed volume nodes, in the order of the set-up's views.
    """
    placed = []
    for index, radiograph in enumerate(setup.radiographs):
        node = _place(setup, index, folder, before[index], maskNodes[index])
        if node is not radiograph.node:
            node.SetAttribute(PLACED, radiograph.role)
            storeRig(node, setup.rig, index)
        placed.append(node)
    return placed


def _place(setup, index, folder, earlier, maskNode):
    radiograph = setup.radiographs[index]
    wanted = viewIjkToRas(setup.rig.views[index])
    current = vtk.vtkMatrix4x4()
    radiograph.node.GetIJKToRASMatrix(current)
    if _same(current, wanted) and radiograph.node.GetParentTransformNode() is None:
        return radiograph.node  # simulated from CT: it lies there already
    node = earlier
    if node is None or node.GetNodeReference("SSRKD.CopyOf") is not radiograph.node:
        name = uniqueName(_("{name} (in 3D)").format(name=radiograph.name))
        node = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, radiograph.node, name)
        node.RemoveAttribute("DICOM.instanceUIDs")
        node.SetNodeReferenceID("SSRKD.CopyOf", radiograph.node.GetID())
        node.SetAndObserveTransformNodeID(None)
        putInto(folder, node)
    elif node.GetImageData().GetMTime() < radiograph.node.GetImageData().GetMTime():
        image = type(radiograph.node.GetImageData())()
        image.DeepCopy(radiograph.node.GetImageData())
        node.SetAndObserveImageData(image)
    node.GetIJKToRASMatrix(current)
    if not _same(current, wanted):
        kept = masks.readMasks(maskNode, node) if maskNode is not None else None
        node.SetIJKToRASMatrix(wanted)
        if kept is not None:
            masks.writeMasks(maskNode, node, kept)
    return node


def _same(first, second):
    return all(
        abs(first.GetElement(row, column) - second.GetElement(row, column)) < 1e-6
        for row in range(4)
        for column in range(4)
    )


def placedView(node):
    """The :class:`SSRKDLib.geometry.views.View` that a placed copy lies on, or None."""
    stored = RadiographNode(node, "").storedRig() if node is not None else None
    return None if stored is None else view_from_dict(stored["view"])

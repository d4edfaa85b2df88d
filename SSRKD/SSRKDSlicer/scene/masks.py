"""Bone masks on the radiographs: an editable segmentation per view, on the placed copy's pixels.

Bones overlap in projection, so the four masks are four segments that do not push each other away.
"""

from __future__ import annotations

import hashlib

import numpy as np
import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.terminology import slicer_entry

from ..scene.words import word
from .folders import BONE, boneColour, boneName, putInto, uniqueName

#: Node attribute: fingerprint of the masks as the networks made them.
_MADE = "SSRKD.MadeMasks"


def showMasks(masks, placedNode, role, laterality, folder, node=None):
    """Show masks as a segmentation.

    Args:
        masks: ``[4, rows, columns]`` bool, order of ``BONES``.
        placedNode: the volume whose pixels they are.
        role: "frontal" or "lateral".
        laterality: "L" or "R".
        folder: subject hierarchy item for a new node.
        node: the segmentation to show them in; None: a new one.

    Returns:
        The segmentation node.
    """
    if node is None:
        name = uniqueName(_("Bone masks ({role})").format(role=word(role)))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        putInto(folder, node)
    node.SetReferenceImageGeometryParameterFromVolumeNode(placedNode)
    segmentation = node.GetSegmentation()
    for bone in BONES:
        segment = segmentation.GetSegment(bone)
        if segment is None:
            segmentation.AddEmptySegment(bone, bone)
            segment = segmentation.GetSegment(bone)
        segment.SetName(boneName(bone, laterality))
        segment.SetColor(*boneColour(bone))
        segment.SetTag(BONE, bone)
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(),
                       slicer_entry(bone, laterality))  # fmt: skip
    writeMasks(node, placedNode, masks)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(0.25)
    display.SetOpacity2DOutline(1.0)
    display.SetVisibility3D(False)
    node.SetAttribute(_MADE, _fingerprint(readMasks(node, placedNode)))
    return node


def writeMasks(node, placedNode, masks):
    """Put masks ``[4, rows, columns]`` bool into the segments, on a placed volume's pixels."""
    node.SetReferenceImageGeometryParameterFromVolumeNode(placedNode)
    for bone, mask in zip(BONES, masks):
        if node.GetSegmentation().GetSegment(bone) is not None:
            slicer.util.updateSegmentBinaryLabelmapFromArray(
                mask[None].astype(np.uint8), node, bone, placedNode
            )


def readMasks(node, placedNode):
    """The segments' masks on a placed volume's pixels, ``[4, rows, columns]`` bool; a segment that
    was removed is empty."""
    rows, columns = slicer.util.arrayFromVolume(placedNode).shape[1:3]
    masks = np.zeros((len(BONES), rows, columns), dtype=bool)
    for index, bone in enumerate(BONES):
        segment = node.GetSegmentation().GetSegment(bone)
        if segment is None:
            continue
        array = slicer.util.arrayFromSegmentBinaryLabelmap(node, bone, placedNode)
        if array is not None and array.size == rows * columns:
            masks[index] = array.reshape(rows, columns) > 0
    return masks


def editedMasks(node, placedNode):
    """The masks where the user changed any since they were made, else None."""
    if node is None or placedNode is None:
        return None
    masks = readMasks(node, placedNode)
    return None if _fingerprint(masks) == node.GetAttribute(_MADE) else masks


def _fingerprint(masks):
    return hashlib.sha1(np.packbits(masks).tobytes(), usedforsecurity=False).hexdigest()

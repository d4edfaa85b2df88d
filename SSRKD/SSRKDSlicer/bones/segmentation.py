"""The reconstructed bones as one segmentation: for Segment Statistics, editing, DICOM, printing."""

from __future__ import annotations

import math

import slicer
import vtk
from slicer.i18n import tr as _

from SSRKDLib.core.errors import InputError

from ..scene.folders import BONE, folderOf, putInto, uniqueName

#: Edge of the voxels that the segments are edited in, mm.
_VOXEL = 0.5


def bonesAsSegmentation(models, node=None):
    """The models' surfaces as segments, with their names, colours and terminology.

    Args:
        models: model nodes by bone.
        node: the segmentation that gets them; None: a new one in the models' folder.

    Returns:
        The segmentation node, under the models' transform.

    Raises:
        InputError: there are none.
    """
    if not models:
        raise InputError(_("There are no bones."), _("Click Reconstruct first."))
    first = next(iter(models.values()))
    if node is None:
        name = uniqueName(_("Bones of the knee"))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        # Where the models stand already: it would hide their colours.
        node.GetDisplayNode().SetVisibility3D(False)
        folder = folderOf(first)
        if folder is not None:
            putInto(folder, node)
    segmentation = node.GetSegmentation()
    segmentation.RemoveAllSegments()
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    segmentation.SetSourceRepresentationName(surface)
    terminology = slicer.vtkSegment.GetTerminologyEntryTagName()
    for bone, model in models.items():
        segment = slicer.vtkSegment()
        segment.SetName(model.GetName())
        segment.SetColor(*model.GetDisplayNode().GetColor())
        segment.SetTag(BONE, bone)
        segment.SetTag(terminology, model.GetAttribute(terminology) or "")
        polygons = vtk.vtkPolyData()
        polygons.DeepCopy(model.GetPolyData())
        segment.AddRepresentation(surface, polygons)
        segmentation.AddSegment(segment, bone)
    _setVoxels(segmentation)
    node.SetAndObserveTransformNodeID(first.GetTransformNodeID())
    return node


def _setVoxels(segmentation):
    """Say in what voxels surfaces become label maps: else each bone would get its own, as fine as
    its triangles."""
    bounds = [0.0] * 6
    segmentation.GetBounds(bounds)
    geometry = slicer.vtkOrientedImageData()
    geometry.SetSpacing(_VOXEL, _VOXEL, _VOXEL)
    geometry.SetOrigin(*(low - 2 * _VOXEL for low in bounds[::2]))
    extent = [0] * 6
    for axis in range(3):
        length = bounds[2 * axis + 1] - bounds[2 * axis]
        extent[2 * axis + 1] = int(math.ceil(length / _VOXEL)) + 4
    geometry.SetExtent(extent)
    converter = slicer.vtkSegmentationConverter
    segmentation.SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(),
        converter.SerializeImageGeometry(geometry),
    )

"""The bones of a reference that is in the scene: a segmentation, a label map, or models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from SSRKDLib.core.bone_names import NamedSurface
from SSRKDLib.core.errors import MeshError
from SSRKDLib.surfaces.label_maps import mask_surface
from SSRKDLib.surfaces.mesh import Mesh, from_polydata

from ..radiographs.outlines import worldMesh
from ..scene.frames import flipLpsRas, volumeIjkToLps

#: Node attribute of everything that the module shows: it is no reference.
OWN = "SSRKD.Own"


@dataclass(frozen=True)
class Part:
    """Something in a reference that may be a bone.

    Attributes:
        name: unique among the parts.
        codes: terminology, see :class:`SSRKDLib.core.bone_names.NamedSurface`.
        node: that holds it.
        key: segment ID or label value; None for a model.
    """

    name: str
    codes: tuple
    node: object
    key: object = None

    def named(self):
        return NamedSurface(self.name, self.codes)

    def mesh(self):
        """Its surface, LPS mm, where it stands in the world.

        Raises:
            MeshError: it is empty.
        """
        if self.node.IsA("vtkMRMLModelNode"):
            mesh = worldMesh(self.node)
        elif self.node.IsA("vtkMRMLSegmentationNode"):
            mesh = _segmentMesh(self.node, self.key)
        else:
            array = slicer.util.arrayFromVolume(self.node) == self.key
            mesh = mask_surface(array, volumeIjkToLps(self.node)) if array.any() else None
        if mesh is None or not len(mesh.faces):
            raise MeshError(
                _("'{name}' of the reference is empty.").format(name=self.name),
                _("Choose another part."),
            )
        return mesh


def referenceParts(node):
    """The parts of a reference.

    Args:
        node: segmentation or label map volume node; None: the models in the scene that are not the
            module's own.
    """
    if node is None:
        parts = [
            (one.GetName(), (one.GetAttribute(_terminologyTag()) or "",), one, None)
            for one in slicer.util.getNodesByClass("vtkMRMLModelNode")
            if not one.GetHideFromEditors() and not isOwn(one) and _isSurface(one)
        ]
    elif node.IsA("vtkMRMLSegmentationNode"):
        parts = []
        segmentation = node.GetSegmentation()
        for segmentId in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(segmentId)
            tag = vtk.reference("")
            segment.GetTag(_terminologyTag(), tag)
            parts.append((segment.GetName(), (str(tag),), node, segmentId))
    else:
        values = np.unique(slicer.util.arrayFromVolume(node))
        colours = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() else None
        parts = [
            ((colours.GetColorName(int(v)) if colours else "") or f"label {v}", (), node, v)
            for v in values
            if v != 0
        ]
    taken, unique = set(), []
    for name, codes, owner, key in parts:
        number, fresh = 1, name
        while fresh in taken:
            number += 1
            fresh = f"{name} ({number})"
        taken.add(fresh)
        unique.append(Part(fresh, tuple(filter(None, codes)), owner, key))
    return unique


def isOwn(node):
    """Whether the module made a model: reconstruction, outline or copy of a reference."""
    return any(node.GetAttribute(name) for name in ("SSRKD.About", "SSRKD.Placed", OWN))


def _isSurface(node):
    polydata = node.GetPolyData()
    return polydata is not None and polydata.GetNumberOfPolys() > 0


def _terminologyTag():
    return slicer.vtkSegment.GetTerminologyEntryTagName()


def _segmentMesh(node, segmentId):
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation = node.GetSegmentation()
    if segmentation.GetSourceRepresentationName() != name:
        node.CreateClosedSurfaceRepresentation()
        polydata = vtk.vtkPolyData()
        if not node.GetClosedSurfaceRepresentation(segmentId, polydata):
            return None
        mesh = from_polydata(polydata)
        return Mesh(flipLpsRas(_toWorld(node, mesh.vertices)), mesh.faces)
    image = slicer.vtkOrientedImageData()
    if not node.GetBinaryLabelmapRepresentation(segmentId, image):
        return None
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    shape = (k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    if min(shape) <= 0 or image.GetPointData().GetScalars() is None:
        return None
    mask = vtk_to_numpy(image.GetPointData().GetScalars()) > 0
    if not mask.any():
        return None
    toRas = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(toRas)
    affine = slicer.util.arrayFromVTKMatrix(toRas)
    affine[:3, 3] = (affine @ [i0, j0, k0, 1.0])[:3]
    mesh = mask_surface(mask.reshape(shape), flipLpsRas(affine))
    if node.GetParentTransformNode() is None:
        return mesh
    return Mesh(flipLpsRas(_toWorld(node, flipLpsRas(mesh.vertices))), mesh.faces)


def _toWorld(node, ras):
    """Points ``[N, 3]`` RAS of a node where its parent transform puts them."""
    if node.GetParentTransformNode() is None:
        return ras
    toWorld = vtk.vtkGeneralTransform()
    node.GetParentTransformNode().GetTransformToWorld(toWorld)
    return np.array([toWorld.TransformPoint(point) for point in ras])

"""Outlines of the models, projected onto the radiographs and drawn in the slice views."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SSRKDLib.surfaces.mesh import from_polydata
from SSRKDLib.surfaces.outlines import outline

from ..scene import layouts
from ..scene.folders import BONE, putInto, subfolder, uniqueName
from ..scene.frames import flipLpsRas
from ..scene.words import word
from .placing import PLACED, placedView
from .poses import poseIn

_LINE_WIDTH = 2


def ownMesh(modelNode):
    """The surface of a model as :class:`SSRKDLib.surfaces.mesh.Mesh`: LPS mm, without the
    transforms that it is under."""
    return _inLps(modelNode.GetPolyData())


def worldMesh(modelNode, view=None):
    """The surface of a model as :class:`SSRKDLib.surfaces.mesh.Mesh`: LPS mm, where it
    stands in the world, a parent transform included.

    Args:
        modelNode: the model.
        view: "frontal" or "lateral": as the bone lay in that radiograph; default: as it is shown.
    """
    polydata = modelNode.GetPolyData()
    if view is not None:
        pose = vtk.vtkTransform()
        pose.SetMatrix(flipLpsRas(flipLpsRas(poseIn(modelNode, view)).T).T.ravel())
        polydata = _moved(polydata, pose)
    if modelNode.GetParentTransformNode() is not None:
        toWorld = vtk.vtkGeneralTransform()
        modelNode.GetParentTransformNode().GetTransformToWorld(toWorld)
        polydata = _moved(polydata, toWorld)
    return _inLps(polydata)


def _moved(polydata, transform):
    move = vtk.vtkTransformPolyDataFilter()
    move.SetTransform(transform)
    move.SetInputData(polydata)
    move.Update()
    return move.GetOutput()


def _inLps(polydata):
    mesh = from_polydata(polydata)
    return type(mesh)(flipLpsRas(mesh.vertices), mesh.faces)


def updateOutlines(models, placedNodes, folder, in3D=False):
    """Draw the outlines anew, on each radiograph those of the bones as they lay in it.

    Args:
        models: model nodes by bone.
        placedNodes: radiographs that lie on their detectors, frontal and lateral; None is left out.
        folder: subject hierarchy item.
        in3D: also on the radiographs in the 3D view.

    Returns:
        The outlines' model nodes.
    """
    existing = {
        (node.GetAttribute(BONE), node.GetAttribute(PLACED)): node
        for node in outlinesOf(models.values())
    }
    nodes = []
    for placedNode in placedNodes:
        view = placedView(placedNode)
        if view is None:
            continue
        role = placedNode.GetAttribute(PLACED)
        for bone, modelNode in models.items():
            node = existing.get((bone, role)) or _newNode(modelNode, bone, role, folder)
            node.SetAndObservePolyData(_polylines(outline(worldMesh(modelNode, role), view)))
            _display(node, modelNode, role, in3D)
            nodes.append(node)
    return nodes


def outlinesOf(modelNodes):
    """The outlines that belong to models."""
    found = []
    wanted = {node.GetID() for node in modelNodes if node is not None}
    for node in slicer.util.getNodesByClass("vtkMRMLModelNode"):
        if node.GetNodeReferenceID("SSRKD.OutlineOf") in wanted:
            found.append(node)
    return found


def matchDisplay(modelNodes, in3D):
    """Let outlines be seen where their models are."""
    for node in outlinesOf(modelNodes):
        _display(node, node.GetNodeReference("SSRKD.OutlineOf"), node.GetAttribute(PLACED), in3D)


def _newNode(modelNode, bone, role, folder):
    name = uniqueName(
        _("{name} outline ({role})").format(name=modelNode.GetName(), role=word(role))
    )
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAttribute(BONE, bone)
    node.SetAttribute(PLACED, role)
    node.SetNodeReferenceID("SSRKD.OutlineOf", modelNode.GetID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetScalarVisibility(False)
    display.SetLineWidth(_LINE_WIDTH)
    display.SetSliceIntersectionThickness(_LINE_WIDTH)
    # A curve that lies in the slice plane is not cut by it: it is projected onto it.
    display.SetSliceDisplayModeToProjection()
    display.SetVisibility2D(True)
    display.SetLighting(False)
    putInto(subfolder(folder, _("Outlines")), node)
    return node


def _display(node, modelNode, role, in3D):
    display, ofModel = node.GetDisplayNode(), modelNode.GetDisplayNode()
    display.SetColor(*ofModel.GetColor())
    display.SetVisibility(bool(ofModel.GetVisibility()) and outlinesShown(node))
    views = [layouts.sliceNodeId(role)]
    if in3D:
        views += [view.GetID() for view in slicer.util.getNodesByClass("vtkMRMLViewNode")]
    if list(display.GetViewNodeIDs()) != views:
        display.SetViewNodeIDs(views)


def outlinesShown(node):
    """Whether the user wants to see this outline at all."""
    return node.GetAttribute("SSRKD.OutlineHidden") != "true"


def showOutlines(modelNodes, shown, in3D):
    """Show or hide all outlines of models."""
    for node in outlinesOf(modelNodes):
        node.SetAttribute("SSRKD.OutlineHidden", None if shown else "true")
    matchDisplay(modelNodes, in3D)


def _polylines(curves):
    """Curves ``[n, 3]`` in LPS mm as lines in RAS."""
    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    for curve in curves:
        first = points.GetNumberOfPoints()
        for point in flipLpsRas(np.asarray(curve)):
            points.InsertNextPoint(*point)
        lines.InsertNextCell(len(curve))
        for index in range(len(curve)):
            lines.InsertCellPoint(first + index)
    polydata = vtk.vtkPolyData()
    polydata.SetPoints(points)
    polydata.SetLines(lines)
    return polydata

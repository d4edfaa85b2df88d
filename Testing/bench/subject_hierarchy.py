"""Subject hierarchy items of nodes: in Slicer the Qt plugins make them, here an observer does.

Every data node that is shown to users gets an item below the scene, and loses it when it goes.
"""

from __future__ import annotations

import slicer
import vtk

_SHOWN = (
    "vtkMRMLVolumeNode",
    "vtkMRMLModelNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTransformNode",
    "vtkMRMLTableNode",
    "vtkMRMLCameraNode",
)


def follow(scene) -> None:
    """Keep the scene's subject hierarchy in step with its nodes, from now on."""
    scene.GetSubjectHierarchyNode()  # makes it
    scene.AddObserver(scene.NodeAddedEvent, _on_added)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, _on_leaving)
    scene.AddObserver(scene.EndImportEvent, _on_imported)
    scene.AddObserver(scene.StartCloseEvent, _on_closing)


def _add_item(scene, node) -> None:
    if node.GetHideFromEditors() or not any(node.IsA(kind) for kind in _SHOWN):
        return
    hierarchy = scene.GetSubjectHierarchyNode()
    if not hierarchy.GetItemByDataNode(node):
        hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _on_added(scene, _event, node):
    if not (scene.IsImporting() or scene.IsClosing() or scene.IsRestoring()):
        _add_item(scene, node)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _on_leaving(scene, _event, node):
    if scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
        return
    hierarchy = scene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False, False)


def _on_imported(scene, _event):
    for kind in _SHOWN:
        for node in slicer.util.getNodesByClass(kind, scene):
            _add_item(scene, node)


def _on_closing(scene, _event):
    # Items that outlive their nodes stay in a table by address, where a later node may come to lie.
    scene.GetSubjectHierarchyNode().RemoveAllItems(False)

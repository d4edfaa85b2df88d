"""The layout with both radiographs and the 3D view."""

from __future__ import annotations

import numpy as np
import slicer

from .parameters import VIEWS

#: Any number that Slicer and other extensions do not use.
LAYOUT = 20813

_TAGS = {"frontal": "SSRKDFrontal", "lateral": "SSRKDLateral"}
_COLOURS = {"frontal": "#6EB04B", "lateral": "#EDD54C"}

_SLICE = """
   <item><view class="vtkMRMLSliceNode" singletontag="{tag}">
     <property name="orientation" action="default">{orientation}</property>
     <property name="viewlabel" action="default">{label}</property>
     <property name="viewcolor" action="default">{colour}</property>
   </view></item>"""


def _description():
    slices = "".join(
        _SLICE.format(
            tag=_TAGS[view], orientation=orientation, label=view[0].upper(), colour=_COLOURS[view]
        )
        for view, orientation in zip(VIEWS, ("Coronal", "Sagittal"))
    )
    return f"""
<layout type="horizontal" split="true">
 <item splitSize="500"><layout type="vertical" split="true">{slices}
 </layout></item>
 <item splitSize="500"><view class="vtkMRMLViewNode" singletontag="1">
   <property name="viewlabel" action="default">1</property>
 </view></item>
</layout>"""


def sliceNodeId(role):
    """ID of the slice view that shows a radiograph; it need not be there yet."""
    return f"vtkMRMLSliceNode{_TAGS[role]}"


def sliceName(role):
    """Name of the slice view, as the layout manager knows it."""
    return _TAGS[role]


def register():
    """Make the layout known, so that scenes that were saved with it open in it."""
    manager = slicer.app.layoutManager()
    if manager is None:  # no main window: a script
        return
    layoutNode = manager.layoutLogic().GetLayoutNode()
    if layoutNode.IsLayoutDescription(LAYOUT):
        layoutNode.SetLayoutDescription(LAYOUT, _description())
    else:
        layoutNode.AddLayoutDescription(LAYOUT, _description())


def showLayout():
    """Switch to the layout with both radiographs and the 3D view."""
    register()
    if slicer.app.layoutManager() is not None:
        slicer.app.layoutManager().setLayout(LAYOUT)


def showRadiographs(volumes):
    """Show volumes in the layout's slice views, upright as they are stored, and fit.

    Args:
        volumes: by role; None is left out.
    """
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    for role, volume in volumes.items():
        widget = manager.sliceWidget(_TAGS[role])
        if widget is None or volume is None:
            continue
        logic = widget.sliceLogic()
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        turnToVolume(widget.mrmlSliceNode(), volume)
        logic.FitSliceToAll()


def turnToVolume(sliceNode, volume):
    """Turn a slice view so that columns of a volume run to the right and rows downwards."""
    import vtk

    ijkToRas = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijkToRas)
    matrix = slicer.util.arrayFromVTKMatrix(ijkToRas)
    columns, rows, _ = volume.GetImageData().GetDimensions()
    sliceToRas = np.eye(4)
    sliceToRas[:3, 0] = matrix[:3, 0] / np.linalg.norm(matrix[:3, 0])
    sliceToRas[:3, 1] = -matrix[:3, 1] / np.linalg.norm(matrix[:3, 1])
    sliceToRas[:3, 2] = np.cross(sliceToRas[:3, 0], sliceToRas[:3, 1])
    sliceToRas[:3, 3] = (matrix @ [(columns - 1) / 2, (rows - 1) / 2, 0, 1])[:3]
    sliceNode.GetSliceToRAS().DeepCopy(slicer.util.vtkMatrixFromArray(sliceToRas))
    sliceNode.UpdateMatrices()


def radiographsIn3D(shown):
    """Show the slice views' radiographs in the 3D view, or not."""
    for role in VIEWS:
        node = slicer.mrmlScene.GetNodeByID(sliceNodeId(role))
        if node is not None:
            node.SetSliceVisible(bool(shown))


def reset3D():
    """Look at everything in the 3D view, from the front."""
    manager = slicer.app.layoutManager()
    if manager is not None and manager.threeDViewCount:
        view = manager.threeDWidget(0).threeDView()
        view.resetFocalPoint()
        slicer.util.resetThreeDViews()

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


#: The layouts of a comparison: one 3D view with slice views of the CT, and two 3D views.
_OVERLAY, _SIDE_BY_SIDE = LAYOUT + 1, LAYOUT + 2

_THREE_D = """<view class="vtkMRMLViewNode" singletontag="{tag}">
  <property name="viewlabel" action="default">{tag}</property></view>"""

_STANDARD = """<view class="vtkMRMLSliceNode" singletontag="{tag}">
  <property name="orientation" action="default">{orientation}</property>
  <property name="viewlabel" action="default">{label}</property>
  <property name="viewcolor" action="default">{colour}</property></view>"""


def _comparisonDescription(sideBySide):
    if sideBySide:
        views = "".join(f"<item>{_THREE_D.format(tag=tag)}</item>" for tag in ("1", "2"))
        return f'<layout type="horizontal" split="true">{views}</layout>'
    slices = "".join(
        f"<item>{_STANDARD.format(tag=t, orientation=o, label=t[0], colour=c)}</item>"
        for t, o, c in (
            ("Red", "Axial", "#F34A33"),
            ("Green", "Coronal", "#6EB04B"),
            ("Yellow", "Sagittal", "#EDD54C"),
        )
    )
    return (
        '<layout type="horizontal" split="true">'
        f'<item splitSize="600">{_THREE_D.format(tag="1")}</item>'
        f'<item splitSize="400"><layout type="vertical" split="true">{slices}</layout></item>'
        "</layout>"
    )


def showComparison(sideBySide, ctNode):
    """Switch to a layout that shows a comparison, with a CT (or none) in the slice views."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    number = _SIDE_BY_SIDE if sideBySide else _OVERLAY
    _describe(manager, number, _comparisonDescription(sideBySide))
    manager.setLayout(number)
    if ctNode is not None and not sideBySide:
        slicer.util.setSliceViewerLayers(background=ctNode, fit=True)


def comparisonViews():
    """IDs of the 3D views for the reconstruction and for the reference."""
    return "vtkMRMLViewNode1", "vtkMRMLViewNode2"


def sliceNodeId(role):
    """ID of the slice view that shows a radiograph; it need not be there yet."""
    return f"vtkMRMLSliceNode{_TAGS[role]}"


def sliceName(role):
    """Name of the slice view, as the layout manager knows it."""
    return _TAGS[role]


def register():
    """Make the layouts known, so that scenes that were saved with one open in it."""
    manager = slicer.app.layoutManager()
    if manager is None:  # no main window: a script
        return
    _describe(manager, LAYOUT, _description())
    for sideBySide, number in ((False, _OVERLAY), (True, _SIDE_BY_SIDE)):
        _describe(manager, number, _comparisonDescription(sideBySide))


def _describe(manager, number, description):
    layoutNode = manager.layoutLogic().GetLayoutNode()
    if layoutNode.IsLayoutDescription(number):
        layoutNode.SetLayoutDescription(number, description)
    else:
        layoutNode.AddLayoutDescription(number, description)


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
        widget = manager.sliceWidget(sliceName(role))
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

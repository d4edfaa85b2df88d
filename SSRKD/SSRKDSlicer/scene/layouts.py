"""What the module's layouts show: both radiographs and the bones, or a comparison."""

from __future__ import annotations

import numpy as np
import qt
import slicer

from .layout_descriptions import (
    GROUPS,
    OVERLAY,
    RADIOGRAPHS,
    SIDE_BY_SIDE,
    STANDARD,
    TAGS,
    register,
)


def showSideBySide():
    """Switch to the layout with two 3D views."""
    manager = slicer.app.layoutManager()
    if manager is not None:
        register()
        manager.setLayout(SIDE_BY_SIDE)


def showOverlay(ctNode):
    """Switch to the layout with one 3D view and a CT in the slice views."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    register()
    manager.setLayout(OVERLAY)
    logics = [manager.sliceWidget(tag).sliceLogic() for tag, *_ in STANDARD]
    for logic in logics:  # not slicer.util.setSliceViewerLayers: the radiographs have views, too
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(ctNode.GetID())
    _fit(logics)


def comparisonViews():
    """IDs of the 3D views for the reconstruction and for the reference."""
    return "vtkMRMLViewNode1", "vtkMRMLViewNode2"


def sliceNodeId(role):
    """ID of the slice view that shows a radiograph; it need not be there yet."""
    return f"vtkMRMLSliceNode{TAGS[role]}"


def sliceName(role):
    """Name of the slice view, as the layout manager knows it."""
    return TAGS[role]


def showRadiographs(volumes):
    """Switch to the layout with both radiographs and the 3D view, and show volumes in it, upright
    as they are stored, as large as the views allow.

    Args:
        volumes: by role; where there is none, the view keeps what it shows.
    """
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    register()
    manager.setLayout(RADIOGRAPHS)
    keepRadiographs()
    shown = []
    for role, volume in volumes.items():
        widget = manager.sliceWidget(sliceName(role))
        if widget is not None and volume is not None:
            logic = widget.sliceLogic()
            logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
            turnToVolume(widget.mrmlSliceNode(), volume)
            shown.append(logic)
    _fit(shown)


def fillRadiographs(volumes):
    """Show volumes, by role, in the views that show nothing, where the radiographs' layout is open
    but was not opened by :func:`showRadiographs`."""
    manager = slicer.app.layoutManager()
    if manager is None or manager.layout != RADIOGRAPHS:
        return
    logics = {role: manager.sliceWidget(sliceName(role)).sliceLogic() for role in volumes}
    empty = {
        role: volumes[role]
        for role, logic in logics.items()
        if volumes[role] is not None and not logic.GetSliceCompositeNode().GetBackgroundVolumeID()
    }
    if empty:
        showRadiographs(empty)


def keepRadiographs():
    """Let nothing that is loaded or linked elsewhere into the radiographs' views.

    A view that is new, or whose scene was closed, takes part in both.
    """
    manager = slicer.app.layoutManager()
    for role in TAGS:
        widget = manager.sliceWidget(sliceName(role)) if manager is not None else None
        if widget is not None:
            widget.sliceLogic().GetSliceCompositeNode().SetDoPropagateVolumeSelection(False)
            widget.mrmlSliceNode().SetViewGroup(GROUPS[role])


def _fit(logics):
    """Fit slice views to what they show, and again as soon as a layout that was just asked for has
    given them their sizes."""

    def fit():
        for logic in logics:
            if logic.GetSliceNode() is not None:
                logic.FitSliceToAll()

    fit()
    qt.QTimer.singleShot(0, fit)


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
    for role in TAGS:
        node = slicer.mrmlScene.GetNodeByID(sliceNodeId(role))
        if node is not None:
            node.SetSliceVisible(bool(shown))


def shownThreeDViews():
    """The 3D views of the current layout; those of layouts that were left stay with the layout
    manager, which counts them as well."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return []
    widgets = (manager.threeDWidget(index) for index in range(manager.threeDViewCount))
    return [one.threeDView() for one in widgets if one.mrmlViewNode().IsMappedInLayout()]


def reset3D():
    """Look at everything in the 3D views, from the front."""
    for view in shownThreeDViews():
        view.resetFocalPoint()
    if slicer.app.layoutManager() is not None:
        slicer.util.resetThreeDViews()

"""Scenes that steps start from, and a user's hands in the slice views."""

from __future__ import annotations

import numpy as np

from Testing.slicer.session import Session, Skip

VIEWS = ("frontal", "lateral")


def sample(session: Session):
    """The sample radiographs, loaded by the module's button where they are not there yet.

    Returns:
        The frontal and the lateral volume node; they are chosen, with their own geometry.
    """
    nodes = [session.parameters.nodeOf(view) for view in VIEWS]
    if not all(nodes):
        session.clear()
        session.click(session.ui.sampleButton)
        nodes = [session.parameters.nodeOf(view) for view in VIEWS]
        assert all(nodes), session.status()
    session.parameters.geometry = "images"
    session.slicer.app.processEvents()
    return nodes


def truth(session: Session) -> dict:
    """The sample's true bones, LPS mm, by bone."""
    from SSRKDLib.core.anatomy import BONES
    from SSRKDSlicer.radiographs.outlines import worldMesh

    return {bone: worldMesh(session.slicer.util.getNode(f"True {bone}")) for bone in BONES}


def bones_by_truth(session: Session) -> dict:
    """The case's models; where nothing was reconstructed, the true bones stand in for them.

    Returns:
        Model nodes by bone.
    """
    from SSRKDSlicer.bones.results import addModel
    from SSRKDSlicer.radiographs import outlines

    sample(session)
    case = session.panel.case()
    if not case.models:
        if not all(case.placed):
            session.click(session.ui.placeButton)
            case = session.panel.case()
        folder = case.folder()
        case.models = {
            bone: addModel(bone, mesh, "L", {"spacing_mm": 2.0}, folder)
            for bone, mesh in truth(session).items()
        }
        outlines.updateOutlines(case.models, case.placed, folder)
        session.panel.storeCase(case)
        session.panel.results.showCase(case, masks=False)
        session.slicer.app.processEvents()
    return case.models


def masks_by_hand(session: Session) -> tuple:
    """The case's bone masks; where nothing was segmented, boxes stand in for them."""
    from SSRKDSlicer.scene.masks import showMasks

    sample(session)
    case = session.panel.case()
    if not all(case.placed):
        session.click(session.ui.placeButton)
        case = session.panel.case()
    if not all(case.masks):
        made = []
        for view, placed in zip(VIEWS, case.placed):
            columns, rows, _ = placed.GetImageData().GetDimensions()
            masks = np.zeros((4, rows, columns), bool)
            for index in range(4):
                top = rows // 8 * (1 + index)
                masks[index, top : top + rows // 6, columns // 3 : columns // 2] = True
            made.append(showMasks(masks, placed, view, "L", case.folder()))
        case.masks = tuple(made)
        session.panel.storeCase(case)
        session.panel.results.showCase(case, masks=True)
        session.slicer.app.processEvents()
    return case.masks


def view_of(session: Session, view: str):
    """The slice view that shows a radiograph."""
    from SSRKDSlicer.scene import layouts

    manager = session.slicer.app.layoutManager()
    if manager is None:
        raise Skip("Slicer runs without a main window, and so without views")
    widget = manager.sliceWidget(layouts.sliceName(view))
    assert widget is not None, f"there is no view of the {view} radiograph"
    return widget


def draw_ball(session: Session, view: str, centre: tuple, radius: float):
    """Draw a dense ball into a radiograph; columns, rows and pixels. Returns the volume node."""
    node = session.parameters.nodeOf(view)
    array = session.slicer.util.arrayFromVolume(node)
    rows, columns = np.mgrid[: array.shape[1], : array.shape[2]]
    inside = np.hypot(columns - centre[0], rows - centre[1]) < radius
    # Denser than anything: as bright or dark as the image gets, on the other side of its air.
    air, dense = np.median(array[0][:20, :20]), (array.min(), array.max())
    array[0][inside] = max(dense, key=lambda value: abs(float(value) - float(air)))
    session.slicer.util.arrayFromVolumeModified(node)
    return node


def click_pixel(session: Session, view: str, node, pixel: tuple) -> None:
    """Click with the left button into a slice view, where a pixel of a volume is shown."""
    import vtk

    widget = view_of(session, view)
    toRas, toXy = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(toRas)
    vtk.vtkMatrix4x4.Invert(widget.mrmlSliceNode().GetXYToRAS(), toXy)
    ras = toRas.MultiplyPoint((*pixel, 0.0, 1.0))
    column, row = toXy.MultiplyPoint(ras)[:2]
    width, height, _ = widget.mrmlSliceNode().GetDimensions()
    assert 0 <= column < width and 0 <= row < height, f"pixel {pixel} is outside the view"
    place = (int(round(column)), int(round(row)))
    session.slicer.util.clickAndDrag(widget, start=place, end=place, steps=0)
    session.slicer.app.processEvents()

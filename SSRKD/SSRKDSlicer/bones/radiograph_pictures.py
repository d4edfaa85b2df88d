"""Pictures of the radiographs with the bones' outlines, drawn from the nodes: no view of the layout
that is shown need hold them."""

from __future__ import annotations

import math

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..radiographs.outlines import outlinesOf
from ..radiographs.placing import PLACED
from ..scene.parameters import VIEWS

#: Shown around the outlines, mm on the detector. Not more: what is written at the edges of films
#: may name the patient.
_MARGIN_MM = 15.0

#: Pictures are no larger than about this, pixels.
_SIZE = 900


def radiographPictures(placedNodes, modelNodes):
    """What each radiograph shows around the bones, as it is shown, with the outlines that are.

    Args:
        placedNodes: volumes on their detector planes, frontal and lateral; None is left out.
        modelNodes: of the bones.

    Returns:
        PNG bytes by caption; none of a radiograph without outlines.
    """
    pictures = {}
    outlines = [one for one in outlinesOf(modelNodes) if one.GetDisplayNode().GetVisibility()]
    for role, volume in zip(VIEWS, placedNodes):
        mine = [one for one in outlines if one.GetAttribute(PLACED) == role]
        curves = [
            (curve, one.GetDisplayNode().GetColor())
            for one in mine
            for curve in _curvesOn(one, volume)
        ]
        if volume is not None and curves:
            pictures[f"{role.capitalize()} radiograph with the bones' outlines"] = _png(
                _drawn(volume, curves)
            )
    return pictures


def _curvesOn(outline, volume):
    """An outline's curves ``[n, 2]``, columns and rows of a volume."""
    if volume is None:
        return []
    toIjk = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(toIjk)
    matrix = slicer.util.arrayFromVTKMatrix(toIjk)
    polydata = outline.GetPolyData()
    points = vtk_to_numpy(polydata.GetPoints().GetData()) @ matrix[:3, :3].T + matrix[:3, 3]
    lines, ids = polydata.GetLines(), vtk.vtkIdList()
    curves = []
    for index in range(lines.GetNumberOfCells()):
        lines.GetCellAtId(index, ids)
        chosen = [ids.GetId(place) for place in range(ids.GetNumberOfIds())]
        curves.append(points[chosen][:, :2])
    return curves


def _drawn(volume, curves):
    """The part of a radiograph around curves, uint8 ``[rows, columns, RGB]``, and they in it."""
    shown = _asShown(volume)
    places = np.concatenate([curve for curve, _ in curves])
    margin = _MARGIN_MM / np.array(volume.GetSpacing()[:2])
    size = np.array(shown.shape[1::-1])
    low = np.clip(np.floor(places.min(0) - margin), 0, size - 1).astype(int)
    high = np.clip(np.ceil(places.max(0) + margin), low + 1, size).astype(int)
    part = shown[low[1] : high[1], low[0] : high[0]]
    step = math.ceil(max(part.shape[:2]) / _SIZE)
    picture = np.ascontiguousarray(part[::step, ::step])
    for curve, colour in curves:
        _draw(picture, (curve - low) / step, (255 * np.array(colour)).astype(np.uint8))
    return picture


def _asShown(volume):
    """A radiograph with its window, level and colours, uint8 ``[rows, columns, RGB]``."""
    display = volume.GetScalarVolumeDisplayNode()
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    grey = slicer.util.arrayFromVolume(volume)[0].astype(np.float32)
    if grey.ndim == 3:
        grey = grey[..., :3].mean(-1)
    share = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    table, colours = display.GetColorNode(), np.zeros((256, 3))
    for index, at in enumerate(np.linspace(0, table.GetNumberOfColors() - 1, 256)):
        colour = [0.0] * 4
        table.GetColor(int(round(at)), colour)
        colours[index] = colour[:3]
    return (255 * colours)[(255 * share).astype(int)].astype(np.uint8)


def _draw(picture, curve, colour):
    """A line two pixels wide."""
    steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.linspace(0, along[-1], int(2 * along[-1]) + 2)
    places = np.stack([np.interp(at, along, curve[:, axis]) for axis in range(2)], axis=1)
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
        columns, rows = np.floor(places + shift).astype(int).T
        inside = (columns >= 0) & (rows >= 0)
        inside &= (columns < picture.shape[1]) & (rows < picture.shape[0])
        picture[rows[inside], columns[inside]] = colour


def _png(picture):
    """PNG bytes of uint8 ``[rows, columns, RGB]``."""
    rows, columns, _ = picture.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    pixels = np.ascontiguousarray(picture[::-1]).reshape(-1, 3)  # VTK's first row is the lowest
    image.GetPointData().SetScalars(numpy_to_vtk(pixels, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(image)
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()

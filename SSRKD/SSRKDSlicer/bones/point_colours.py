"""Models coloured by a number of mm at each point: maps that colour-blind people can read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

from .results import UNCERTAINTY

_COLOURS = 255

#: Where nothing was evaluated.
_NOT_EVALUATED = (0.55, 0.55, 0.58)

#: Light grey at nought, then orange of Okabe and Ito's palette, and darker; and blue likewise.
_ORANGE = (
    (0.0, (0.95, 0.95, 0.95)),
    (0.15, (0.98, 0.80, 0.55)),
    (0.5, (0.90, 0.55, 0.00)),
    (1.0, (0.60, 0.25, 0.00)),
)
_BLUE = (
    (-1.0, (0.00, 0.25, 0.50)),
    (-0.5, (0.00, 0.45, 0.70)),
    (-0.15, (0.55, 0.75, 0.90)),
)


@dataclass(frozen=True)
class Colouring:
    """What points are coloured by.

    Attributes:
        array: name of the point data, mm.
        node: name of the colour node.
        stops: position in the range, and sRGB; the range goes from the first one's sign on.
        labels: format of the scale bar's numbers.
    """

    array: str
    node: str
    stops: tuple
    labels: str

    @property
    def least(self):
        """Where the range starts, in units of its end: -1 or 0."""
        return self.stops[0][0]


#: Inside the reference is negative, outside positive.
DISTANCE = Colouring("Distance to reference", "SSRKD signed distance", _BLUE + _ORANGE, "%+.1f")

#: Nine of ten points lie within it from the real bone.
WITHIN = Colouring(UNCERTAINTY, "SSRKD uncertainty", _ORANGE, "%.1f")


def _title(colouring):
    if colouring is DISTANCE:
        return _("Distance to\nreference (mm)")
    return _("9 of 10 points\nlie within (mm)")


def setDistances(modelNode, distances):
    """Give a model signed distances, mm, one per point; NaN where nothing was evaluated.

    Returns:
        False where the model has another number of points: it stays in its own colour.
    """
    polydata = modelNode.GetPolyData()
    if polydata.GetNumberOfPoints() != len(distances):
        return False
    array = numpy_to_vtk(distances.astype(np.float32), deep=True)
    array.SetName(DISTANCE.array)
    polydata.GetPointData().AddArray(array)
    polydata.Modified()
    return True


def colourNode(colouring):
    """The colour node of a map; made if need be. Models stretch it over their own range."""
    node = slicer.mrmlScene.GetFirstNode(colouring.node, "vtkMRMLColorTableNode")
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", colouring.node)
        node.SetTypeToUser()
        node.SetNumberOfColors(_COLOURS)
        places, colours = zip(*colouring.stops)
        for index, place in enumerate(np.linspace(colouring.least, 1, _COLOURS)):
            rgb = [np.interp(place, places, channel) for channel in zip(*colours)]
            node.SetColor(index, f"{place:+.2f}", *rgb, 1.0)
    # Not saved with the scene.
    node.GetLookupTable().SetNanColor(*_NOT_EVALUATED, 1.0)
    return node


def isColoured(models, colouring):
    """Whether any of the models is coloured so, or has the scale bar: a new surface takes its
    colours only."""
    colours = slicer.modules.colors.logic()
    for node in models.values():
        display, legend = node.GetDisplayNode(), colours.GetColorLegendDisplayNode(node)
        shown = display.GetScalarVisibility() or (legend is not None and legend.GetVisibility())
        if shown and display.GetActiveScalarName() == colouring.array:
            return True
    return False


def colour(models, colouring, shown, reach):
    """Colour models, with a scale bar, or give them their own colours again.

    Args:
        models: model nodes by bone; those without the point data stay in their own colour.
        colouring: :data:`DISTANCE` or :data:`WITHIN`.
        shown: whether they are coloured.
        reach: mm at the end of the range.
    """
    legendOf = None
    for node in models.values():
        display = node.GetDisplayNode()
        has = node.GetPolyData().GetPointData().HasArray(colouring.array)
        if shown and has:
            display.SetAndObserveColorNodeID(colourNode(colouring).GetID())
            display.SetActiveScalar(colouring.array, vtk.vtkAssignAttribute.POINT_DATA)
            display.SetScalarRangeFlag(display.UseManualScalarRange)
            display.SetScalarRange(colouring.least * reach, reach)
            legendOf = legendOf or node
        display.SetScalarVisibility(bool(shown and has))
    colours = slicer.modules.colors.logic()
    for node in models.values():
        legend = colours.GetColorLegendDisplayNode(node)
        if legend is not None and node is not legendOf:
            legend.SetVisibility(False)
    if legendOf is not None:
        _legend(colours, legendOf, colouring)


def _legend(colours, modelNode, colouring):
    legend = colours.GetColorLegendDisplayNode(modelNode)
    if legend is None:
        legend = colours.AddDefaultColorLegendDisplayNode(modelNode)
    legend.SetTitleText(_title(colouring))
    legend.SetLabelFormat(colouring.labels)
    legend.SetMaxNumberOfColors(256)
    legend.SetNumberOfLabels(5)
    legend.SetSize(0.1, 0.45)
    legend.SetPosition(0.97, 0.5)
    legend.SetVisibility2D(False)  # slices show outlines, in each bone's own colour
    legend.SetVisibility(True)


def redrawLegends():
    """Add scale bars that came with a scene anew: views draw none that was not added to them."""
    colours = slicer.modules.colors.logic()
    for legend in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode"):
        node, shown = legend.GetDisplayableNode(), legend.GetVisibility()
        active = node.GetDisplayNode().GetActiveScalarName() if node is not None else None
        for colouring in (DISTANCE, WITHIN):
            if active == colouring.array:
                slicer.mrmlScene.RemoveNode(legend)
                _legend(colours, node, colouring)
                colours.GetColorLegendDisplayNode(node).SetVisibility(shown)

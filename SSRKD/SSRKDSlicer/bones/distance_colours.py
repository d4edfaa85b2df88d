"""Models coloured by signed distance: a symmetric map that colour-blind people can read."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

#: Point data of a coloured model, mm.
ARRAY = "Distance to reference"

_NODE = "SSRKD signed distance"

#: Position (-1: inside the reference, 1: outside) and sRGB; blue and orange of Okabe and Ito's
#: palette, light grey between, darker at the ends.
_STOPS = (
    (-1.0, (0.00, 0.25, 0.50)),
    (-0.5, (0.00, 0.45, 0.70)),
    (-0.15, (0.55, 0.75, 0.90)),
    (0.0, (0.95, 0.95, 0.95)),
    (0.15, (0.98, 0.80, 0.55)),
    (0.5, (0.90, 0.55, 0.00)),
    (1.0, (0.60, 0.25, 0.00)),
)

_COLOURS = 255

#: Where nothing was evaluated.
_NOT_EVALUATED = (0.55, 0.55, 0.58)


def setDistances(modelNode, distances):
    """Give a model signed distances, mm, one per point; NaN where nothing was evaluated.

    Returns:
        False where the model has another number of points: it stays in its own colour.
    """
    polydata = modelNode.GetPolyData()
    if polydata.GetNumberOfPoints() != len(distances):
        return False
    array = numpy_to_vtk(distances.astype(np.float32), deep=True)
    array.SetName(ARRAY)
    polydata.GetPointData().AddArray(array)
    polydata.Modified()
    return True


def colourNode():
    """The colour node of the map; made if need be. Models stretch it over their own range."""
    node = slicer.mrmlScene.GetFirstNode(_NODE, "vtkMRMLColorTableNode")
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", _NODE)
        node.SetTypeToUser()
        node.SetNumberOfColors(_COLOURS)
        places, colours = zip(*_STOPS)
        for index, place in enumerate(np.linspace(-1, 1, _COLOURS)):
            rgb = [np.interp(place, places, channel) for channel in zip(*colours)]
            node.SetColor(index, f"{place:+.2f}", *rgb, 1.0)
    # Not saved with the scene.
    node.GetLookupTable().SetNanColor(*_NOT_EVALUATED, 1.0)
    return node


def showDistances(models, shown, reach):
    """Colour models by their distances, with a scale bar, or in their own colours again."""
    legendOf = None
    for node in models.values():
        display = node.GetDisplayNode()
        has = node.GetPolyData().GetPointData().HasArray(ARRAY)
        if shown and has:
            display.SetAndObserveColorNodeID(colourNode().GetID())
            display.SetActiveScalar(ARRAY, vtk.vtkAssignAttribute.POINT_DATA)
            display.SetScalarRangeFlag(display.UseManualScalarRange)
            display.SetScalarRange(-reach, reach)
            legendOf = legendOf or node
        display.SetScalarVisibility(bool(shown and has))
    colours = slicer.modules.colors.logic()
    for node in models.values():
        legend = colours.GetColorLegendDisplayNode(node)
        if legend is not None and node is not legendOf:
            legend.SetVisibility(False)
    if legendOf is not None:
        _legend(colours, legendOf)


def _legend(colours, modelNode):
    legend = colours.GetColorLegendDisplayNode(modelNode)
    if legend is None:
        legend = colours.AddDefaultColorLegendDisplayNode(modelNode)
    legend.SetTitleText("Distance to\nreference (mm)")
    legend.SetLabelFormat("%+.1f")
    legend.SetMaxNumberOfColors(256)
    legend.SetNumberOfLabels(5)
    legend.SetSize(0.1, 0.45)
    legend.SetPosition(0.97, 0.5)
    legend.SetVisibility(True)

"""The comparison's report: what the library needs for it, gathered from the scene."""

from __future__ import annotations

import os
import tempfile
import time

import slicer
import vtk
from slicer.i18n import tr as _

from SSRKDLib.clinical.definitions import DEFINITIONS
from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.output_file import write_file
from SSRKDLib.evaluation.comparison import SHARES
from SSRKDLib.evaluation.html_report import Report, render

from ..scene.layouts import shownThreeDViews
from .radiograph_pictures import radiographPictures


def saveReport(path, comparison, reconstruction, rig, names, placed=()):
    """Write the report of a comparison.

    Args:
        path: of the HTML file.
        comparison: :class:`~SSRKDSlicer.bones.comparison.Comparison`.
        reconstruction: the reconstruction's report, or {}.
        rig: of the radiographs, or None.
        names: what the user's data are called, by what they are; {} to leave them out.
        placed: the radiographs on their detector planes, frontal and lateral, some may be None.

    Raises:
        OutputError: the file cannot be written.
    """
    side = next(iter(comparison.models.values())).GetAttribute("SSRKD.Laterality")
    report = Report(
        side=side,
        date=time.strftime("%Y-%m-%d %H:%M"),
        rows=comparison.rows,
        clinical=comparison.clinical,
        curves={bone: (SHARES.tolist(), curve) for bone, curve in comparison.curves.items()},
        mode=comparison.mode,
        notes=comparison.notes,
        reconstruction=reconstruction,
        rig=rig,
        pictures={
            **viewPictures("reconstruction coloured by distance"),
            **radiographPictures(placed, comparison.models.values()),
        },
        definitions=_definitions(),
        versions={"3D Slicer": slicer.app.applicationVersion},
        names=names,
    )
    write_file(_asHtml(path), render(report))


def saveMeasures(path, measures, reconstruction, rig, placed=(None, None)):
    """Write the report of a reconstruction without a reference.

    Args:
        path: of the HTML file.
        measures: :class:`~SSRKDSlicer.bones.measures.Measures`.
        reconstruction: the reconstruction's report, or {}.
        rig: of the radiographs, or None.
        placed: the radiographs' copies on their detector planes, or None.

    Raises:
        OutputError: the file cannot be written.
    """
    report = Report(
        side=next(iter(measures.models.values())).GetAttribute("SSRKD.Laterality"),
        date=time.strftime("%Y-%m-%d %H:%M"),
        rows=[],
        clinical=measures.rows,
        curves={},
        mode="",
        reconstruction=reconstruction,
        rig=rig,
        pictures={
            **viewPictures("reconstruction"),
            **radiographPictures(placed, measures.models.values()),
        },
        definitions=_definitions(),
        versions={"3D Slicer": slicer.app.applicationVersion},
    )
    write_file(_asHtml(path), render(report))


def _definitions():
    return {one.name: (one.definition, one.source) for one in DEFINITIONS}


def _asHtml(path):
    from pathlib import Path

    path = Path(path)
    if not path.parent.is_dir():
        raise OutputError(
            _("The folder '{folder}' does not exist.").format(folder=path.parent),
            _("Choose another place."),
        )
    return path if path.suffix.lower() in (".html", ".htm") else path.with_suffix(".html")


def viewPictures(what):
    """PNG bytes of the current layout's 3D views, by a caption that says what they show."""
    pictures = {}
    for index, view in enumerate(shownThreeDViews()):
        title = "3D view" if index == 0 else f"3D view {index + 1}"
        pictures[f"{title}: {what}"] = _png(view)
    return pictures


def _png(view):
    view.forceRender()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(view.renderWindow())
    grabber.ReadFrontBufferOff()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "view.png")
        writer = vtk.vtkPNGWriter()
        writer.SetInputConnection(grabber.GetOutputPort())
        writer.SetFileName(path)
        writer.Write()
        with open(path, "rb") as file:
            return file.read()

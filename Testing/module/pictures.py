"""The README's pictures of the module: ``python -m Testing.module.pictures`` (``make pictures``).

Clicks through the panel on the bench and draws panel and views into ``Docs/pictures/``. What the
pictures show of Qt is PySide6's look, not Slicer's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from Testing import bench
from Testing.bench import user
from Testing.module.cases import ROOT, SAMPLES, settle

OUTPUT = ROOT / "Docs" / "pictures"


def main() -> int:
    """Draw all pictures.

    Returns:
        0.
    """
    slicer = bench.boot()
    bench.load_module(ROOT / "SSRKD" / "SSRKD.py")
    bench.start_up()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    widget = bench.open_module("SSRKD")
    panel, ui = widget.panel, widget.ui
    user.click(ui.sampleButton)
    slicer.app.processEvents()
    for node in slicer.util.getNodesByClass("vtkMRMLModelNode"):
        node.GetDisplayNode().SetVisibility(False)  # the sample's true bones
    _draw(widget, "slicer-1-loaded.png")
    user.click(ui.reconstructButton)
    settle(panel)
    _frontal3D(slicer)
    _draw(widget, "slicer-2-reconstructed.png")
    user.click(ui.segmentButton)
    settle(panel)
    for node in panel.case().masks:
        node.GetDisplayNode().SetVisibility(True)
    user.click(ui.outlinesCheck)
    _draw(widget, "slicer-3-masks.png")
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    _manual(widget, slicer)
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    _fromCt(widget, slicer)
    bench.shut_down_module("SSRKD")
    return 0


def _manual(widget, slicer):
    """Plain numbers, a calibration ball."""
    from Testing.module.cases import loadSampleFiles

    ui = widget.ui
    loadSampleFiles()
    slicer.app.processEvents()
    user.choose(ui.geometryCombo, "Distances and angles")
    for view, spacing in (("frontal", "0.59"), ("lateral", "0.59")):
        user.type_text(getattr(ui, f"{view}Spacing"), spacing)
    ui.scaleGroup.collapsed = False
    slicer.app.processEvents()
    bench_picture = OUTPUT / "slicer-radiographs.png"
    from Testing.bench.screenshot import panel_picture

    panel_picture(ui.radiographsSection, bench_picture)
    print(bench_picture)


def _fromCt(widget, slicer):
    """Radiographs from a CT, in 3D behind the bones."""
    ui = widget.ui
    slicer.util.loadVolume(str(SAMPLES / "SSRKD_CT.nrrd"))
    slicer.app.processEvents()
    for section in (ui.radiographsSection, ui.ctSection):
        user.click(section)
    user.choose(ui.ctSelector, "SSRKD_CT")
    user.choose(ui.ctSideCombo, "Right")
    user.click(ui.simulateButton)
    settle(widget.panel)
    user.click(ui.reconstructButton)
    settle(widget.panel)
    user.click(ui.in3DCheck)
    slicer.app.processEvents()
    _frontal3D(slicer, azimuth=35, elevation=15)
    _draw(widget, "slicer-4-from-ct.png")


def _frontal3D(slicer, azimuth=20, elevation=8):
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    view.resetFocalPoint()
    slicer.util.resetThreeDViews()
    camera = view.cameraNode().GetCamera()
    camera.Azimuth(azimuth)
    camera.Elevation(elevation)
    camera.OrthogonalizeViewUp()
    view.cameraNode().ResetClippingRange()


def _draw(widget, name: str) -> Path:
    import slicer

    from Testing.bench.screenshot import window_picture

    slicer.app.processEvents()
    path = window_picture(slicer.modules.ssrkd.widgetRepresentation(), OUTPUT / name, (1600, 0))
    print(path)
    return path


if __name__ == "__main__":
    sys.exit(main())

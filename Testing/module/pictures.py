"""The README's pictures of the module: ``python -m Testing.module.pictures`` (``make pictures``).

Clicks through the panel on the bench and draws panel and views into ``Docs/pictures/``. What the
pictures show of Qt is PySide6's look, not Slicer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from Testing import bench

slicer = bench.boot()  # before anything else imports Qt

from SSRKDLib.cli import main as cli  # noqa: E402
from SSRKDLib.evaluation.comparison import SHARES  # noqa: E402
from SSRKDLib.evaluation.html_report import curves_svg  # noqa: E402
from Testing.bench import user  # noqa: E402
from Testing.bench.screenshot import panel_picture, window_picture  # noqa: E402
from Testing.module.cases import ROOT, SAMPLES, loadSampleFiles, settle  # noqa: E402

OUTPUT = ROOT / "Docs" / "pictures"


def main() -> int:
    """Draw all pictures.

    Returns:
        0.
    """
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
    _frontal3D()
    _draw(widget, "slicer-2-reconstructed.png")
    user.click(ui.segmentButton)
    settle(panel)
    for node in panel.case().masks:
        node.GetDisplayNode().SetVisibility(True)
    user.click(ui.outlinesCheck)
    _draw(widget, "slicer-3-masks.png")
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    _manual(widget)
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    _fromCt(widget)
    _compare(widget)
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    _moved(widget)
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    _planned(widget)
    bench.shut_down_module("SSRKD")
    return 0


def _manual(widget):
    """Plain numbers, a calibration ball."""
    ui = widget.ui
    loadSampleFiles()
    slicer.app.processEvents()
    user.choose(ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    for view, spacing in (("frontal", "0.59"), ("lateral", "0.59")):
        user.type_text(getattr(ui, f"{view}Spacing"), spacing)
    ui.scaleGroup.collapsed = False
    slicer.app.processEvents()
    path = panel_picture(slicer.modules.ssrkd.widgetRepresentation(), OUTPUT / "slicer-panel.png")
    print(path)


def _fromCt(widget):
    """Radiographs from a CT, in 3D behind the bones."""
    ui = widget.ui
    slicer.util.loadVolume(str(SAMPLES / "SSRKD_CT.nrrd"))
    slicer.app.processEvents()
    for section in (ui.radiographsSection, ui.ctSection):
        user.click(section)
        slicer.app.processEvents()
    user.choose(ui.ctSelector, "SSRKD_CT")
    user.choose(ui.ctSideCombo, "Right")
    slicer.app.processEvents()
    user.click(ui.simulateButton)
    settle(widget.panel)
    user.click(ui.reconstructButton)
    settle(widget.panel)
    user.click(ui.in3DCheck)
    slicer.app.processEvents()
    _frontal3D(azimuth=35, elevation=15, nearer=0.45)
    _draw(widget, "slicer-4-from-ct.png")


def _compare(widget):
    """The bones of the CT's radiographs beside the CT's segmentation."""
    ui = widget.ui
    slicer.util.loadSegmentation(str(SAMPLES / "SSRKD_CT.seg.nrrd"))
    reference = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[-1]
    reference.GetDisplayNode().SetVisibility(False)
    user.click(ui.in3DCheck)
    slicer.app.processEvents()
    for section in (ui.ctSection, ui.resultsSection, ui.compareSection):
        user.click(section)
        slicer.app.processEvents()
    user.choose(ui.referenceSelector, reference.GetName())
    user.choose(ui.compareCtSelector, "SSRKD_CT")
    slicer.app.processEvents()
    user.click(ui.compareButton)
    settle(widget.panel)
    user.click(ui.referenceCheck)
    slicer.app.processEvents()
    _frontal3D(azimuth=150, elevation=5, nearer=1.6)
    _draw(widget, "slicer-5-compare.png")
    made = widget.panel.sections[4].comparison
    curves = {bone: (SHARES.tolist(), curve) for bone, curve in made.curves.items()}
    (OUTPUT / "compare-curves.svg").write_text(curves_svg(curves), encoding="utf-8")
    print(OUTPUT / "compare-curves.svg")


def _moved(widget):
    """A routine pair: the knee bent more in the lateral radiograph, the leg turned and moved."""
    panel, ui = widget.panel, widget.ui
    with tempfile.TemporaryDirectory() as scratch:
        if cli.main(["simulate", "--person", "20", "--flexion", "20", "-o", scratch]):
            raise SystemExit("The routine pair was not simulated.")
        for view in ("frontal", "lateral"):
            slicer.util.loadVolume(f"{scratch}/{view}.nrrd")
        panel.parameters.geometry = "rig"
        panel.parameters.rigFile = f"{scratch}/rig.json"
        slicer.app.processEvents()
        for section in (ui.resultsSection, ui.compareSection):
            user.click(section)
            slicer.app.processEvents()
        user.click(ui.reconstructButton)
        settle(panel)
    _frontal3D(azimuth=70, elevation=5, nearer=0.95)
    _draw(widget, "slicer-6-moved.png")


def _planned(widget):
    """An osteotomy on the sample's bones."""
    panel, ui = widget.panel, widget.ui
    for section in (ui.radiographsSection, ui.resultsSection):
        section.collapsed = False
    slicer.app.processEvents()
    user.click(ui.sampleButton)
    slicer.app.processEvents()
    for node in slicer.util.getNodesByClass("vtkMRMLModelNode"):
        node.GetDisplayNode().SetVisibility(False)  # the sample's true bones
    user.click(ui.reconstructButton)
    settle(panel)
    for section in (ui.radiographsSection, ui.resultsSection, ui.planSection):
        section.collapsed = section is not ui.planSection
    slicer.app.processEvents()
    user.click(ui.planButton)
    settle(panel)
    user.type_text(ui.planAngle, "10")
    slicer.app.processEvents()
    _frontal3D(azimuth=-15, elevation=5, nearer=1.3)
    _draw(widget, "slicer-7-osteotomy.png")


def _frontal3D(azimuth=20, elevation=8, nearer=1.0):
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    view.resetFocalPoint()
    slicer.util.resetThreeDViews()
    camera = view.cameraNode().GetCamera()
    camera.Azimuth(azimuth)
    camera.Elevation(elevation)
    camera.OrthogonalizeViewUp()
    camera.Dolly(nearer)
    view.cameraNode().ResetClippingRange()


def _draw(widget, name: str) -> Path:
    slicer.app.processEvents()
    path = window_picture(slicer.modules.ssrkd.widgetRepresentation(), OUTPUT / name, (1600, 0))
    print(path)
    return path


if __name__ == "__main__":
    sys.exit(main())

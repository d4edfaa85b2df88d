"""The panel in a pseudo-language: ``python -m Testing.module.pseudo_pictures -o FOLDER``.

Every letter has an accent, every word is 30 % longer (:mod:`Testing.bench.pseudo_language`). All
sections are open at 400 pixels and Slicer's font. What is cut is printed; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from Testing import bench

slicer = bench.boot()  # before anything else imports Qt

from PySide6 import QtWidgets  # noqa: E402

from Testing.bench import application, pseudo_language, sizes, user  # noqa: E402
from Testing.module.cases import ROOT, SAMPLES, loadSampleFiles, settle  # noqa: E402

WIDTH = 400

#: Of the panel's file, of its code and of the library: each kind is translated.
_KEYS = {"Load sample radiographs", "Nothing was measured on the {view} radiograph.", "frontal"}


def main(arguments: list[str] | None = None) -> int:
    """Draw the panel.

    Returns:
        0, or 1 where something is cut.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("pseudo-language"))
    parser.add_argument("--networks", action="store_true", help="reconstruct, compare and plan")
    options = parser.parse_args(arguments)
    translator = pseudo_language.install()  # lives as long as this name
    font = QtWidgets.QApplication.font()
    font.setPointSize(sizes.FONT)
    QtWidgets.QApplication.setFont(font)
    bench.load_module(ROOT / "SSRKD" / "SSRKD.py")
    bench.start_up()
    widget = bench.open_module("SSRKD")
    found = []
    for name, geometry in (("images", "images"), ("numbers", "manual"), ("files", "calibration")):
        if name == "images":
            loadSampleFiles()
            application.settle()
            if options.networks:
                _fill(widget)
        widget.panel.parameters.geometry = geometry
        _open_all(widget.ui)
        found += _draw(slicer.modules.ssrkd.widgetRepresentation(), options.output / f"{name}.png")
    bench.shut_down_module("SSRKD")
    found += [f"'{key}' was not asked for" for key in _KEYS - {key for _, key in translator.asked}]
    print("\n".join(found) or f"Nothing is cut; {len(translator.asked)} texts are translated.")
    return 1 if found else 0


def _fill(widget) -> None:
    """A result, a comparison and a plan, so that their tables and sentences are there."""
    panel, ui = widget.panel, widget.ui
    user.click(ui.reconstructButton)
    settle(panel)
    slicer.util.loadSegmentation(str(SAMPLES / "SSRKD_CT.seg.nrrd"))
    application.settle()
    for section in (ui.compareSection, ui.planSection):
        section.collapsed = False
    application.settle()
    user.click(ui.planButton)
    settle(panel)


def _open_all(ui) -> None:
    for name in dir(ui):
        if name.endswith(("Section", "Group")):
            getattr(ui, name).collapsed = False
    application.settle()


def _draw(frame, path: Path) -> list[str]:
    bar = frame.style().pixelMetric(QtWidgets.QStyle.PixelMetric.PM_ScrollBarExtent)
    area = sizes.in_scroll_area(frame, WIDTH + bar)
    try:
        application.settle()
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.grab().save(str(path), "PNG")
        print(path)
        return [f"{path.stem}: {what}" for what in sizes.complaints(area)]
    finally:
        sizes.release(area)


if __name__ == "__main__":
    sys.exit(main())

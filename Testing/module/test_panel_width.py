"""The panel at the widths, fonts and names that users have: nothing cut, nothing over another."""

from __future__ import annotations

import pytest
from PySide6 import QtWidgets

from Testing.bench import application, sizes

#: Forty letters, as in hospitals' names of series.
LONG = "Knee_left_AP_weight_bearing_2026-11-26_a"


@pytest.fixture
def font():
    """Slicer's font size, then the bench's own again."""
    app = QtWidgets.QApplication.instance()
    before, wanted = app.font(), app.font()
    wanted.setPointSize(sizes.FONT)
    app.setFont(wanted)
    yield app
    app.setFont(before)


@pytest.fixture
def full(core, slicer, font, monkeypatch):
    """The panel with every section open, and a name of forty letters wherever one is shown."""
    from SSRKDSlicer.panel import model_section

    weights = [("virtual-knee", f"{LONG} (bundled)"), ("other", f"{LONG} (imported)")]
    monkeypatch.setattr(model_section.weights_list, "choices", lambda chosen: weights)
    for section in ("compareSection", "resultsSection", "planSection"):
        getattr(core.ui, section).collapsed = False
    for kind in ("ScalarVolume", "Segmentation", "MarkupsROI"):
        slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}Node", LONG)
    volume = slicer.mrmlScene.GetFirstNodeByName(LONG)
    for role, what in (("frontal", ""), ("lateral", ""), ("ct", "Volume"), ("compare", "Ct")):
        core.parameters.setNode(role, what, volume)
    core.showStatus(f"✗ '{LONG}' holds no image. Load it again.")
    for combo in core.sections[4]._combos.values():
        combo.addItem(LONG)
    application.settle()
    return core


def fill(core):
    """Rows in the tables of a comparison, as long as they come."""
    from SSRKDSlicer.panel.tables import fillTable

    numbers = ["12.34", "12.34", "12.34", "12.34", "0.987"]
    fillTable(core.ui.compareTable, [([bone, *numbers], "") for bone in ("Patella", "Mean")])
    rows = [([LONG.replace("_", " "), "123.4 mm", "123.4 mm", "+12.3 mm"], "")] * 3
    fillTable(core.ui.clinicalTable, rows)
    fillTable(core.ui.planTable, [(["Medial proximal tibial angle", "87.4° to 95.1° (+7.7°)"], "")])
    for table in (core.ui.compareTable, core.ui.clinicalTable, core.ui.planTable):
        table.setVisible(True)


@pytest.mark.parametrize("geometry", ["images", "rig", "calibration", "manual"])
@pytest.mark.parametrize("width", [350, 500, 800])
def test_panel_width_leaves_nothing_cut(full, slicer, geometry, width):
    frame = slicer.modules.ssrkd.widgetRepresentation()
    full.parameters.geometry = geometry
    application.settle()
    fill(full)
    area = sizes.in_scroll_area(frame, width)
    try:
        assert sizes.complaints(area) == []
        assert frame.minimumSizeHint.width() <= 350
    finally:
        sizes.release(area)


def test_panel_width_in_any_window_keeps_every_row(full, slicer):
    """Not only where a label's wrapped text makes the layout ask for heights."""
    fill(full)
    for table in (full.ui.resultsTable, full.ui.matchingTable, full.ui.clinicalTable):
        rows = sum(table.rowHeight(row) for row in range(table.rowCount))
        assert table.height == table.horizontalHeader().sizeHint.height() + rows + 2
        assert table.minimumHeight == table.maximumHeight == table.height


def test_panel_width_of_what_is_hidden_is_no_gap(core, slicer):
    """Tables without rows, fields of another geometry, sentences that are empty."""
    ui = core.ui
    core.ui.compareSection.collapsed = False
    application.settle()
    for name in ("compareTable", "clinicalTable", "matchingLabel", "rigWidget", "manualWidget"):
        assert not getattr(ui, name).visible, name
    core.ui.radiographsSection.collapsed = True
    core.parameters.geometry = "manual"
    application.settle()
    core.ui.radiographsSection.collapsed = False
    application.settle()
    assert ui.manualWidget.visible and not ui.rigWidget.visible
    core.parameters.geometry = "images"
    application.settle()
    area = sizes.in_scroll_area(slicer.modules.ssrkd.widgetRepresentation(), 500)
    below = ui.valuesCombo.mapTo(ui.radiographsSection, ui.valuesCombo.rect.topLeft()).y()
    above = ui.geometryCombo.mapTo(ui.radiographsSection, ui.geometryCombo.rect.bottomLeft()).y()
    sizes.release(area)
    assert below - above <= 12

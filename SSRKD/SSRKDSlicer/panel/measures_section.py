"""Within Results: clinical measures of the bones alone, as a table and in files; the bones as one
segmentation."""

from __future__ import annotations

import os

import qt
import slicer
from slicer.i18n import tr as _

from SSRKDLib.clinical.table import write_measures

from ..bones import report
from ..bones.measures import measure
from ..bones.results import aboutModel, reconstructionRig
from ..bones.segmentation import bonesAsSegmentation
from ..scene.words import said
from .bindings import Section, guarded
from .tables import fillTable, measured, setColumns


class MeasuresSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.measures = None
        setColumns(ui.measuresTable, (_("Measure"), _("Value")))
        ui.measureButton.connect("clicked()", self.onMeasure)
        ui.measuresSaveButton.connect("clicked()", self.onSave)
        ui.segmentationButton.connect("clicked()", self.onSegmentation)

    def refresh(self):
        super().refresh()
        ui, models = self.ui, self.panel.case().models
        if self.measures is not None and not (models and self.measures.holds(models)):
            self.measures = None
            fillTable(ui.measuresTable, [])
        for widget in (ui.measuresTable, ui.measuresSaveButton):
            widget.setVisible(self.measures is not None)
        missing = "" if models else _("Reconstruct first.")
        self.offer(ui.measureButton, missing, busy=self.panel.job is not None)
        self.offer(ui.segmentationButton, missing)

    @guarded
    def onMeasure(self):
        panel, models = self.panel, self.panel.case().models

        def done(made):
            self.measures = made
            fillTable(self.ui.measuresTable, list(map(_row, made.rows)))
            missing = sum(row["value"] is None for row in made.rows)
            panel.showStatus(
                _("{count} measures; of {missing} the tool tip says why they are missing.").format(
                    count=len(made.rows) - missing, missing=missing
                )
                if missing
                else _("{count} measures.").format(count=len(made.rows))
            )

        panel.start(
            _("Measure"), lambda **callbacks: measure(panel.tasks, models, **callbacks), done
        )

    @guarded
    def onSave(self):
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(),
            _("Save measures"),
            "SSRKD measures.csv",
            _("Table (*.csv);;Report (*.html)"),
        )
        if not path:
            return
        if path.lower().endswith((".html", ".htm")):
            models = self.measures.models
            about = aboutModel(next(iter(models.values())))
            report.saveMeasures(
                path, self.measures, about, reconstructionRig(models), self.panel.case().placed
            )
        else:
            if not path.lower().endswith(".csv"):  # the dialog asked about the name without it
                path = f"{path}.csv"
                if os.path.lexists(path) and not slicer.util.confirmOkCancelDisplay(
                    _("'{path}' is there already. Replace it?").format(path=path),
                    windowTitle=_("Save measures"),
                ):
                    return
            write_measures(path, self.measures.rows)
        self.panel.showStatus(_("The measures are in {path}.").format(path=path))
        self.panel.log(_("Wrote '{path}'.").format(path=path))

    @guarded
    def onSegmentation(self):
        node = bonesAsSegmentation(
            self.panel.case().models, self.parameters.nodeOf("bones", "Segmentation")
        )
        self.parameters.setNode("bones", "Segmentation", node)
        self.panel.showStatus(_("The bones are segments of '{name}'.").format(name=node.GetName()))


def _row(row):
    text = measured(row["value"], row["unit"], expected=row["expected_error"])
    return [said(row["title"]), text], said(row["note"])

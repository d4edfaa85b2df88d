"""Section Results: the bones, their outlines, and files of them."""

from __future__ import annotations

import os

import qt
import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.reconstruction.choices import pose_sentence

from ..bones import point_colours
from ..bones.results import (
    aboutModel,
    exportModels,
    posesChoice,
    replacedByExport,
    showPose,
    uncertaintyOf,
)
from ..radiographs import outlines
from ..scene import layouts
from ..scene.parameters import VIEWS
from ..scene.words import capitalised, word
from .bindings import Section, guarded, remember
from .tables import fitHeight, setColumns

#: End of the scale of uncertainty, mm: the same for every knee, so that pictures can be compared.
_WITHIN_REACH_MM = 4.0

#: The word "Opacity" would widen the panel.
_COLUMNS = (_("Bone"), "◐", _("Volume"), _("Frontal"), _("Lateral"))


class ResultsSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self._observed = []
        self._sliders = {}
        self._checks = {}
        self._loaded = True  # a scene, since the last refresh
        self._buildTable()
        self.flag(ui.outlinesCheck, "outlines")
        self.flag(ui.in3DCheck, "radiographsIn3D")
        self.flag(ui.uncertaintyCheck, "uncertainty")
        self.choice(ui.poseCombo, "pose")
        self.choice(ui.exportFormatCombo, "exportFormat")
        self.path(ui.exportFolder, "exportFolder")
        ui.outlinesCheck.connect("toggled(bool)", self.onOutlines)
        ui.in3DCheck.connect("toggled(bool)", self.onOutlines)
        ui.uncertaintyCheck.connect("toggled(bool)", self.onUncertainty)
        ui.poseCombo.connect("currentIndexChanged(int)", self.onPose)
        ui.layoutButton.connect("clicked()", self.onLayout)
        ui.exportButton.connect("clicked()", self.onExport)
        panel.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onLoaded)

    def _buildTable(self):
        table = self.ui.resultsTable
        setColumns(table, _COLUMNS, stretched=1)
        title = table.horizontalHeaderItem(1)
        title.setToolTip(_("Opacity"))
        title.setData(qt.Qt.AccessibleTextRole, _("Opacity"))
        table.setRowCount(len(BONES))
        for row, bone in enumerate(BONES):
            check = qt.QCheckBox(capitalised(bone))
            check.toolTip = _("Show or hide the {bone} and its outlines.").format(bone=word(bone))
            check.connect("toggled(bool)", self._shower(bone))
            table.setCellWidget(row, 0, check)
            slider = qt.QSlider(qt.Qt.Horizontal)
            slider.minimum, slider.maximum = 0, 100
            slider.toolTip = _("Opacity of the {bone}.").format(bone=word(bone))
            slider.accessibleName = slider.toolTip
            slider.connect("valueChanged(int)", self._fader(bone))
            table.setCellWidget(row, 1, slider)
            self._checks[bone], self._sliders[bone] = check, slider
            for column in range(2, len(_COLUMNS)):
                item = qt.QTableWidgetItem("")
                item.setFlags(qt.Qt.ItemIsEnabled)
                table.setItem(row, column, item)

    def _model(self, bone):
        return self.parameters.nodeOf(bone, "Model")

    def _shower(self, bone):
        def onShow(on):
            node = self._model(bone)
            if node is not None and not self.panel.refreshing:
                node.GetDisplayNode().SetVisibility(bool(on))

        return onShow

    def _fader(self, bone):
        def onFade(value):
            node = self._model(bone)
            if node is not None and not self.panel.refreshing:
                node.GetDisplayNode().SetOpacity(value / 100.0)

        return onFade

    def onLoaded(self, caller, event):
        self._loaded = True

    def refresh(self):
        super().refresh()
        if self._loaded and self.panel.entered:
            self._loaded = False
            point_colours.redrawLegends()
        case = self.panel.case()
        models = case.models
        self._observe(models.values())
        for row, bone in enumerate(BONES):
            self._showRow(row, bone, models.get(bone))
        ui = self.ui
        missing = "" if models else _("Reconstruct first.")
        for widget in (ui.resultsTable, ui.outlinesCheck, ui.exportButton):
            self.offer(widget, missing)
        self.offer(ui.in3DCheck, "" if any(case.placed) else missing)
        known = any(uncertaintyOf(node) is not None for node in models.values())
        self.offer(
            ui.uncertaintyCheck, missing or ("" if known else _("Only fitted bones have one."))
        )
        shown = any(self.volumes().values())
        self.offer(ui.layoutButton, "" if shown else _("Choose the radiographs first."))
        ui.poseWidget.setVisible(posesChoice(models) is not None)
        fitHeight(ui.resultsTable)

    def _showRow(self, row, bone, node):
        table = self.ui.resultsTable
        check, slider = self._checks[bone], self._sliders[bone]
        about = aboutModel(node) if node is not None else {}
        agreement = about.get("agreement", {})
        texts = [
            f"{about['volume_mm3'] / 1000:.1f} cm³" if about.get("volume_mm3") else "",
            *("" if agreement.get(view) is None else f"{agreement[view]:.2f}" for view in VIEWS),
        ]
        for column, text in enumerate(texts, start=2):
            table.item(row, column).setText(text)
        display = node.GetDisplayNode() if node is not None else None
        for widget in (check, slider):
            widget.enabled = display is not None
            widget.blockSignals(True)
        check.checked = bool(display is not None and display.GetVisibility())
        slider.value = int(round(100 * display.GetOpacity())) if display is not None else 0
        for widget in (check, slider):
            widget.blockSignals(False)

    def _observe(self, nodes):
        """Watch the models, so that what is changed elsewhere shows here."""
        nodes = list(nodes)
        if nodes == self._observed:
            return
        for node in self._observed:
            if self.panel.hasObserver(node, node.DisplayModifiedEvent, self.onDisplay):
                self.panel.removeObserver(node, node.DisplayModifiedEvent, self.onDisplay)
        for node in nodes:
            self.panel.addObserver(node, node.DisplayModifiedEvent, self.onDisplay)
        self._observed = nodes

    @guarded
    def onDisplay(self, caller, event):
        models = self.panel.case().models
        outlines.matchDisplay(models.values(), self.parameters.radiographsIn3D)
        if self.panel.entered and not self.panel.refreshing:
            self.refresh()  # the other sections do not show it, and a slider tells every step

    @guarded
    def onOutlines(self, *args):
        if self.panel.refreshing:
            return
        models = self.panel.case().models
        in3D = self.parameters.radiographsIn3D
        outlines.showOutlines(models.values(), self.parameters.outlines, in3D)
        layouts.radiographsIn3D(in3D)

    @guarded
    def onUncertainty(self, *args):
        models = self.panel.case().models
        if self.panel.refreshing:
            return
        if self.parameters.uncertainty:
            self.parameters.colour = False  # by distance
        self._colour(models)

    def _colour(self, models):
        """Bring the bones' colours in line with the check box."""
        shown = self.parameters.uncertainty
        if shown or point_colours.isColoured(models, point_colours.WITHIN):
            point_colours.colour(models, point_colours.WITHIN, shown, _WITHIN_REACH_MM)

    @guarded
    def onPose(self, *args):
        models, view = self.panel.case().models, self.parameters.pose
        if self.panel.refreshing or posesChoice(models) in (None, view):
            return
        showPose(models, view)
        self._colour(models)
        layouts.reset3D()
        self.panel.showStatus(pose_sentence(view))
        self.panel.refreshSoon()

    def volumes(self):
        """What the slice views show: the placed copies, else the radiographs as loaded."""
        return {
            view: self.parameters.nodeOf(view, "Placed") or self.parameters.nodeOf(view)
            for view in VIEWS
        }

    def showCase(self, case, masks):
        """Show a case's radiographs, bones and outlines; and its masks, or not."""
        layouts.showRadiographs(dict(zip(VIEWS, case.placed)))
        in3D = self.parameters.radiographsIn3D
        layouts.radiographsIn3D(in3D)
        for node, placed, view in zip(case.masks, case.placed, VIEWS):
            if node is not None and placed is not None:
                node.GetDisplayNode().SetVisibility(masks)
                node.GetDisplayNode().SetViewNodeIDs([layouts.sliceNodeId(view)])
        outlines.showOutlines(case.models.values(), self.parameters.outlines, in3D)
        self._colour(case.models)
        layouts.reset3D()
        self.panel.refreshSoon()

    @guarded
    def onLayout(self):
        layouts.showRadiographs(self.volumes())
        layouts.reset3D()

    @guarded
    def onExport(self):
        folder = self.parameters.exportFolder
        if not folder:
            folder = qt.QFileDialog.getExistingDirectory(
                slicer.util.mainWindow(), _("Export bones to"), ""
            )
            if not folder:
                return
            self.parameters.exportFolder = folder
        chosen = self.panel.case().models, folder, self.parameters.exportFormat
        there = [
            os.path.basename(path) for path in replacedByExport(*chosen) if os.path.lexists(path)
        ]
        if there and not slicer.util.confirmOkCancelDisplay(
            _("{folder} contains {names} already. Replace?").format(
                folder=folder, names=", ".join(there)
            ),
            windowTitle=_("Export"),
        ):
            return
        with slicer.util.WaitCursor():
            paths = exportModels(*chosen)
        remember(self.ui.exportFolder)
        if len(paths) == 1:
            self.panel.showStatus(_("One file in {folder}.").format(folder=folder))
        else:
            self.panel.showStatus(
                _("{count} files in {folder}.").format(count=len(paths), folder=folder)
            )
        self.panel.logAll(_("Wrote '{path}'.").format(path=path) for path in paths)

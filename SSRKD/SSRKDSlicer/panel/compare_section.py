"""Section Compare with CT: reference, matching, alignment, numbers and views."""

from __future__ import annotations

from dataclasses import replace

import qt
import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import SSRKDError
from SSRKDLib.geometry.views import Rig
from SSRKDLib.radiographs.rig_file import view_from_dict

from ..bones import point_colours, report
from ..bones.comparison import COLUMNS, compare, matchReference, moveCt, undoAlignment
from ..bones.results import aboutModel, posesChoice, reconstructionRig
from ..radiographs.radiographs import RadiographNode
from ..scene import layouts
from ..scene.parameters import ALIGNMENTS, VIEWS
from ..scene.words import capitalised, errorText, said, word
from .bindings import Section, breakable, guarded
from .tables import fillTable, fitHeight, measured, setColumns

_NOTHING = _("(none)")


class CompareSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.comparison = self.last = None  # what holds now, and the one before it
        self._combos = {}
        self.node(ui.referenceSelector, "reference", "Node")
        self.node(ui.compareCtSelector, "compare", "Ct")
        self.scalar(
            ui.alignCombo, "currentIndexChanged(int)", self._showAlignment, self._alignment,
            lambda: setattr(self.parameters, "align", ALIGNMENTS[ui.alignCombo.currentIndex]),
        )  # fmt: skip
        self.spin(
            ui.distanceRange,
            lambda: self.parameters.distanceRange,
            lambda value: setattr(self.parameters, "distanceRange", value),
        )
        self.flag(ui.colourCheck, "colour")
        self.flag(ui.referenceCheck, "showReference")
        self.flag(ui.landmarksCheck, "landmarks")
        self._buildMatching()
        setColumns(ui.compareTable, (_("Bone"), *(column[2] for column in COLUMNS)))
        setColumns(ui.clinicalTable, (_("Measure"), _("Model"), _("Reference"), _("Error")))
        ui.compareButton.connect("clicked()", self.onCompare)
        ui.distanceRange.connect("valueChanged(double)", self.onLook)
        for check in (ui.colourCheck, ui.referenceCheck, ui.landmarksCheck):
            check.connect("toggled(bool)", self.onLook)
        ui.overlayButton.connect("clicked()", self.onOverlay)
        ui.sideBySideButton.connect("clicked()", self.onSideBySide)
        ui.undoAlignmentButton.connect("clicked()", self.onUndo)
        ui.reportButton.connect("clicked()", self.onReport)

    def _buildMatching(self):
        table = self.ui.matchingTable
        setColumns(table, (_("Bone"), _("Part of the reference")), stretched=1)
        table.setRowCount(len(BONES))
        for row, bone in enumerate(BONES):
            item = qt.QTableWidgetItem(capitalised(bone))
            item.setFlags(qt.Qt.ItemIsEnabled)
            table.setItem(row, 0, item)
            combo = qt.QComboBox()
            combo.toolTip = _("The part of the reference that is the {bone}.").format(
                bone=word(bone)
            )
            combo.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
            combo.minimumContentsLength = 8
            combo.connect("activated(int)", self._picker(bone, combo))
            table.setCellWidget(row, 1, combo)
            self._combos[bone] = combo
        fitHeight(table)

    def _alignment(self):
        """What the user chose; until then bone by bone where bones moved between the radiographs,
        since a CT shows them as they lay in neither."""
        moved = posesChoice(self.panel.case().models) is not None
        return self.parameters.align or ("bone" if moved else "none")

    def _showAlignment(self, mode):
        self.ui.alignCombo.currentIndex = ALIGNMENTS.index(mode)

    def _picker(self, bone, combo):
        def onPick(index):
            if not self.panel.refreshing:
                name = combo.itemText(index)
                self.parameters.setChosenPart(bone, "" if name == _NOTHING else name)

        return onPick

    def refresh(self):
        super().refresh()
        ui, models = self.ui, self.panel.case().models
        self._showMatching(models)
        if self.last is not None and models and not _share(self.last.models, models):
            self.last = None  # of another case, whose nodes stay
        if self.comparison is not None and not (
            _share(self.comparison.models, models) and self.comparison.holds()
        ):
            present = slicer.mrmlScene.IsNodePresent
            left = {b: node for b, node in self.comparison.models.items() if present(node)}
            if point_colours.isColoured(left, point_colours.DISTANCE):
                point_colours.colour(
                    left, point_colours.DISTANCE, False, self.parameters.distanceRange
                )
            self.last, self.comparison = self.comparison, None
            fillTable(ui.compareTable, [])
            fillTable(ui.clinicalTable, [])
        compared = self.comparison is not None
        for table in (ui.compareTable, ui.clinicalTable):
            table.setVisible(compared)
        missing = "" if models else _("Reconstruct first.")
        self.offer(ui.compareButton, missing, busy=self.panel.job is not None)
        uncompared = "" if compared else _("Click Compare first.")
        for widget in (ui.reportButton, ui.sideBySideButton, ui.referenceCheck, ui.landmarksCheck):
            self.offer(widget, uncompared)
        ct = self.parameters.nodeOf("compare", "Ct")
        self.offer(ui.overlayButton, uncompared or ("" if ct else _("Choose the CT first.")))
        coloured = point_colours.isColoured(models, point_colours.DISTANCE)
        if coloured:  # perhaps in a scene that was loaded, with the colours but for one
            point_colours.colourNode(point_colours.DISTANCE)
        self.offer(ui.colourCheck, "" if coloured else uncompared)
        aligned = compared and bool(self.comparison.transforms)
        self.offer(
            ui.undoAlignmentButton, uncompared or ("" if aligned else _("Nothing was aligned."))
        )

    def _chosen(self):
        return {
            bone: self.parameters.chosenPart(bone)
            for bone in BONES
            if self.parameters.chosenPart(bone)
        }

    def _showMatching(self, models):
        side = None
        if models:
            side = next(iter(models.values())).GetAttribute("SSRKD.Laterality")
        try:
            parts, matching = matchReference(
                self.parameters.nodeOf("reference", "Node"), side, self._chosen()
            )
        except SSRKDError as error:
            self.ui.matchingLabel.text = breakable(f"✗ {errorText(error)}")
            parts, found = {}, {}
        else:
            found = matching.bones
            sentences = " ".join(map(said, matching.sentences)) if parts else ""
            self.ui.matchingLabel.text = breakable(sentences)
        self.ui.matchingLabel.setVisible(bool(self.ui.matchingLabel.text))
        for bone, combo in self._combos.items():
            names = [_NOTHING, *parts]
            if [combo.itemText(k) for k in range(combo.count)] != names:
                combo.clear()
                combo.addItems(names)
            combo.currentIndex = names.index(found[bone]) if bone in found else 0

    def _rig(self):
        """The rig of the images that the bones were reconstructed from, or None.

        Scenes that were saved before models carried it have the whole radiographs' instead.
        """
        rig = reconstructionRig(self.panel.case().models)
        if rig is not None:
            return rig
        stored = []
        for node in self.panel.case().placed:
            kept = RadiographNode(node, "").storedRig() if node is not None else None
            if kept is None:
                return None
            stored.append(kept)
        views = tuple(
            replace(view_from_dict(one["view"]), name=name) for one, name in zip(stored, VIEWS)
        )
        first = stored[0]
        return Rig(views, first["frame"], first["laterality"], first["patient_to_rig"])

    @guarded
    def onCompare(self):
        panel, parameters = self.panel, self.parameters
        models, mode = panel.case().models, self._alignment()

        def starter(**callbacks):
            return compare(
                panel.tasks, models, parameters.nodeOf("reference", "Node"), self._chosen(), mode,
                self._rig(), self.comparison or self.last, **callbacks,
            )  # fmt: skip

        def done(made):
            self.comparison = made
            ct = parameters.nodeOf("compare", "Ct")
            if ct is not None:
                made.notes += list(filter(None, [moveCt(made, ct)]))
            self._fillTables(made)
            self.onLook()
            mean = made.rows[-1]["assd_mm"]
            mean_text = (
                _("no mean, see the table")
                if mean is None
                else _("mean ASSD {mean:.2f} mm").format(mean=mean)
            )
            panel.showStatus(
                "\n".join(
                    [
                        _("Compared: {mean_text}.").format(mean_text=mean_text),
                        *(f"⚠ {said(one)}" for one in made.notes),
                    ]
                )
            )
            panel.log(_("Compared: {mean_text}.").format(mean_text=mean_text))
            panel.logAll(made.notes)
            self._show(sideBySide=ct is None)

        panel.start(_("Compare"), starter, done)

    def _fillTables(self, made):
        rows = []
        for row in made.rows:
            numbers = [
                "–" if row[key] is None else f"{row[key]:.{decimals}f}"
                for key, _, _, decimals in COLUMNS
            ]
            rows.append(([capitalised(row["bone"]), *numbers], said(row["note"])))
        fillTable(self.ui.compareTable, rows)
        rows = []
        for row in made.clinical:
            numbers = [
                measured(row["reconstruction"], row["unit"], expected=row["expected_error"]),
                measured(row["reference"], row["unit"]),
                measured(row["error"], row["unit"], "+"),
            ]
            rows.append(([said(row["title"]), *numbers], said(row["note"])))
        fillTable(self.ui.clinicalTable, rows)

    @guarded
    def onLook(self, *args):
        made = self.comparison
        if self.panel.refreshing:
            return
        parameters = self.parameters
        models = made.models if made is not None else self.panel.case().models
        coloured = point_colours.isColoured(models, point_colours.DISTANCE)
        if made is not None and parameters.colour:
            parameters.uncertainty = False
        if coloured or (made is not None and parameters.colour):
            point_colours.colour(
                models, point_colours.DISTANCE, parameters.colour, parameters.distanceRange
            )
        if made is None:
            return
        for node in made.references.values():
            node.GetDisplayNode().SetVisibility(parameters.showReference)
        made.points.GetDisplayNode().SetVisibility(parameters.landmarks)

    @guarded
    def onOverlay(self):
        self._show(sideBySide=False)

    @guarded
    def onSideBySide(self):
        self._show(sideBySide=True)

    def _show(self, sideBySide):
        made = self.comparison
        if sideBySide:
            layouts.showSideBySide()
        else:
            layouts.showOverlay(self.parameters.nodeOf("compare", "Ct"))
        first, second = layouts.comparisonViews()
        for node in made.references.values():
            node.GetDisplayNode().SetViewNodeIDs([second] if sideBySide else [])
        for node in made.models.values():
            node.GetDisplayNode().SetViewNodeIDs([first] if sideBySide else [])
            node.GetDisplayNode().SetVisibility2D(not sideBySide)
            node.GetDisplayNode().SetSliceIntersectionThickness(2)
        layouts.reset3D()

    @guarded
    def onUndo(self):
        undoAlignment(self.comparison, self.parameters.nodeOf("compare", "Ct"))
        self.panel.showStatus(_("The reference is where it came from. Its transforms are kept."))

    @guarded
    def onReport(self):
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save report"), "SSRKD comparison.html", _("HTML (*.html)")
        )
        if not path:
            return
        names = {}
        if self.ui.reportNamesCheck.checked:
            for view in VIEWS:
                node = self.parameters.nodeOf(view)
                names[f"{view.capitalize()} radiograph"] = node.GetName() if node else "removed"
            reference = self.parameters.nodeOf("reference", "Node")
            names["Reference"] = reference.GetName() if reference else "models in the scene"
        about = aboutModel(next(iter(self.comparison.models.values())))
        placed = self.panel.case().placed
        report.saveReport(path, self.comparison, about, self._rig(), names, placed)
        self.panel.showStatus(_("The report is in {path}.").format(path=path))
        self.panel.log(_("Wrote the report '{path}'.").format(path=path))


def _share(models, others):
    """Whether two results have a model in common."""
    return any(node in others.values() for node in models.values())

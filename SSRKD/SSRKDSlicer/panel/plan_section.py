"""Section Plan osteotomy: cut plane and hinge to drag, a slider, numbers, undo, export."""

from __future__ import annotations

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from SSRKDLib.core.errors import InputError, SSRKDError
from SSRKDLib.planning.correction import LongLeg, miniaci
from SSRKDLib.planning.cut import ENTRY, KINDS, TUBERCLE, standard_cut
from SSRKDLib.planning.planner import knee_notes
from SSRKDLib.planning.report_page import summary_rows

from ..bones.osteotomy import (
    NOTHING_TO_PLAN_ON,
    PlanNodes,
    Settings,
    carryOut,
    export,
    newPlan,
    showCut,
    showHinge,
    shownCut,
)
from ..bones.report import viewPictures
from ..scene.words import errorText, said
from .bindings import Section, breakable, guarded
from .plan_bones import PlanBones
from .tables import fillTable, setColumns

_SIDES = (None, "L", "R")
_PARTS = ("proximal", "distal", "wedge")

#: How much is left to see of the tibia that is cut.
_FADED = 0.15


class PlanSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self._bones = PlanBones(panel, lambda: _SIDES[ui.planSideCombo.currentIndex])
        self._made = self._last = None
        self._observed, self._writing = (), False
        self._due = False  # the plan is to be brought in line with bones of unknown landmarks
        ui.planBonesSelector.setMRMLScene(slicer.mrmlScene)
        self.node(ui.planBonesSelector, "plan", "Bones")
        setColumns(ui.planTable, (_("Measure"), _("Value")))
        ui.planButton.connect("clicked()", self.onPlan)
        ui.planUndoButton.connect("clicked()", self.onUndo)
        ui.planRedoButton.connect("clicked()", self.onRedo)
        ui.planExportButton.connect("clicked()", self.onExport)
        ui.planMiniaciButton.connect("clicked()", self.onMiniaci)
        ui.planAngleSlider.connect("sliderPressed()", self._remember)
        ui.planAngleSlider.connect("valueChanged(int)", self.onSlider)
        ui.planAngle.connect("valueChanged(double)", self.onAngle)
        ui.planKindCombo.connect("currentIndexChanged(int)", self.onKind)
        for number in (ui.planEntry, ui.planHinge, ui.planFall, ui.planTurn):
            number.connect("valueChanged(double)", self.onLayOut)
        ui.planBiplanarCheck.connect("toggled(bool)", self.onBiplanar)
        self._showNothing("")

    # Nodes and settings

    def _stored(self):
        nodeOf = self.parameters.nodeOf
        parts = {name: nodeOf(f"plan{name}", "Model") for name in _PARTS}
        return PlanNodes(nodeOf("plan", "Plane"), nodeOf("plan", "Hinge"), parts)

    def _nodes(self):
        nodes = self._stored()
        return nodes if nodes.present() else None

    def _settings(self, side):
        ui, fall = self.ui, self.ui.planFall
        return Settings(
            KINDS[ui.planKindCombo.currentIndex], ui.planAngle.value, ui.planEntry.value,
            ui.planHinge.value, TUBERCLE if ui.planBiplanarCheck.checked else None, side,
            None if fall.value <= fall.minimum else fall.value, ui.planTurn.value,
        )  # fmt: skip

    def refresh(self):
        super().refresh()
        ui, nodes = self.ui, self._nodes()
        watched = () if nodes is None else (nodes.plane, nodes.hinge)
        if watched != self._observed:
            self._watch(watched)
            self._showNothing("")
            self._due = nodes is not None
        missing = "" if self._bones.suffice() else NOTHING_TO_PLAN_ON
        if self._made is not None and self._bones.basis() is None:
            self._showNothing("")  # of other bones
            self._due = nodes is not None
        if self._due and missing:
            self._showTexts([], f"✗ {missing}")
        for button in (ui.planButton, ui.planMiniaciButton):
            self.offer(button, missing, busy=self.panel.job is not None)
        unplanned = _("Click Plan first.") if nodes is None else ""
        for button in (ui.planUndoButton, ui.planRedoButton):
            self.offer(button, unplanned)
        self.offer(ui.planExportButton, unplanned, busy=self._made is None)
        ui.planTable.setVisible(ui.planTable.rowCount > 0)
        ui.planLabel.setVisible(bool(ui.planLabel.text))
        if self._due and not missing and self.panel.job is None and not ui.planSection.collapsed:
            self._due = False
            qt.QTimer.singleShot(0, self._catchUp)

    @guarded
    def _catchUp(self):
        """Bring a plan in line with bones that are new, or that came with a scene."""
        nodes = self._nodes()
        if nodes is None or self.panel.closed or self.panel.job is not None:
            return
        told = self.ui.statusLabel.text
        self._bones.give(_("Plan osteotomy"), lambda basis: self._follow(nodes))
        if self.panel.job is not None:
            self.panel.showStatus(told)

    def _watch(self, nodes):
        events = (
            slicer.vtkMRMLMarkupsNode.PointModifiedEvent,
            slicer.vtkMRMLMarkupsNode.PointStartInteractionEvent,
            vtk.vtkCommand.ModifiedEvent,
        )
        for node in self._observed:
            for event, call in zip(events, (self.onDragged, self.onDragStarts, self.onDragged)):
                if self.panel.hasObserver(node, event, call):
                    self.panel.removeObserver(node, event, call)
        for node in nodes:
            node.SetUndoEnabled(True)  # scenes do not say
            slicer.mrmlScene.SetUndoOn()
            for event, call in zip(events, (self.onDragged, self.onDragStarts, self.onDragged)):
                self.panel.addObserver(node, event, call)
        self._observed = nodes

    def _remember(self, *args):
        """Let Slicer's undo know how plane, hinge and settings are now."""
        if self._nodes() is not None:
            slicer.mrmlScene.SaveStateForUndo()

    # What the user does

    @guarded
    def onPlan(self):
        self._bones.find(_("Plan osteotomy"), self._plan)

    def _plan(self, basis):
        """Lay plane and hinge out by rule."""
        cut = self._cut(basis)
        nodes = self._nodes()
        if nodes is None:
            self._stored().remove()  # of a plan that lost a node in the Data module
            nodes = newPlan(basis)
            for name, node in (("Plane", nodes.plane), ("Hinge", nodes.hinge)):
                self.parameters.setNode("plan", name, node)
            for name, node in nodes.parts.items():
                self.parameters.setNode(f"plan{name}", "Model", node)
        else:
            self._remember()
        self._layOut(nodes, basis, cut)
        self._watch((nodes.plane, nodes.hinge))
        tibia = basis.models.get("tibia")
        if tibia is not None:
            tibia.GetDisplayNode().SetOpacity(_FADED)
        self._follow(nodes)
        if self._made is not None:
            self.panel.showStatus(
                _("Planned. Drag the plane or the ends of the hinge; the numbers follow.")
            )
        self.panel.logAll(knee_notes(basis.knee))
        self.panel.refreshSoon()

    def _cut(self, basis):
        """The cut by rule; raises InputError where there is none."""
        settings = self._settings(basis.landmarks.laterality)
        return standard_cut(basis.tibia, basis.landmarks, settings.choices)

    def _layOut(self, nodes, basis, cut):
        settings = self._settings(basis.landmarks.laterality)
        self._write(nodes, lambda: (settings.store(nodes.plane),
                                    showCut(nodes, cut, basis.landmarks)))  # fmt: skip

    def _write(self, nodes, change):
        """Change nodes without an echo."""
        self._writing = True
        try:
            change()
        finally:
            self._writing = False

    def _changed(self, remember=True):
        """A widget was changed: store it with the plan, and follow."""
        nodes = self._nodes()
        if self.panel.refreshing or self._writing or nodes is None:
            return
        if remember:
            self._remember()
        settings = self._settings(Settings.of(nodes.plane).side)
        self._write(nodes, lambda: settings.store(nodes.plane))
        self._follow(nodes)

    @guarded
    def onSlider(self, value):
        if not self._writing:
            self._quietly(self.ui.planAngle, "value", value / 10.0)
            self._changed(remember=not self.ui.planAngleSlider.sliderDown)

    @guarded
    def onAngle(self, value):
        if not self._writing:
            self._quietly(self.ui.planAngleSlider, "value", round(value * 10))
            self._changed()

    @guarded
    def onBiplanar(self, checked):
        self._changed()

    @guarded
    def onKind(self, index):
        if not self._writing:
            self._quietly(self.ui.planEntry, "value", ENTRY[KINDS[index]])
            self.onLayOut()

    @guarded
    def onLayOut(self, *args):
        nodes = self._nodes()
        if self.panel.refreshing or self._writing or nodes is None:
            return

        def layOut(basis):
            cut = self._cut(basis)
            self._remember()
            self._layOut(nodes, basis, cut)
            self._follow(nodes)

        self._bones.give(_("Plan osteotomy"), layOut)

    @guarded
    def onMiniaci(self):
        ui = self.ui
        if ui.planHka.value <= ui.planHka.minimum:
            raise InputError(
                _("The hip-knee-ankle angle is not known."),
                _("Type it, from a long-leg radiograph."),
            )
        self._bones.give(_("Set correction"), self._setCorrection)

    def _setCorrection(self, basis):
        ui, nodes = self.ui, self._nodes()
        if nodes is not None:
            cut = shownCut(nodes, basis, KINDS[ui.planKindCombo.currentIndex])
        else:
            cut = self._cut(basis)
        leg = LongLeg(hka=ui.planHka.value)
        self.panel.log(
            _(
                "Miniaci's construction with {femur:g} mm from knee to hip and {tibia:g} mm from "
                "knee to ankle."
            ).format(femur=leg.femur, tibia=leg.tibia)
        )
        ui.planAngle.value = miniaci(
            basis.landmarks, cut, leg, ui.planTarget.value, basis.knee.flexion
        )

    def onDragStarts(self, caller, event):
        self._remember()

    @guarded
    def onDragged(self, caller, event):
        nodes = self._nodes()
        scene = slicer.mrmlScene
        if self._writing or nodes is None or scene.IsImporting() or scene.IsClosing():
            return
        self._follow(nodes)

    @guarded
    def onUndo(self):
        slicer.mrmlScene.Undo()
        self.panel.refreshSoon()

    @guarded
    def onRedo(self):
        slicer.mrmlScene.Redo()
        self.panel.refreshSoon()

    @guarded
    def onExport(self):
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Export plan to"), ""
        )
        if not folder:
            return
        plan, parts = self._made
        path = export(folder, plan, self._bones.basis(), parts, viewPictures(_("the plan")))
        self.panel.showStatus(_("The plan is in {path}.").format(path=path))
        self.panel.log(_("Wrote the plan to '{path}'.").format(path=path))

    # What is shown

    def _follow(self, nodes):
        """Bring widgets, models, outlines and numbers in line with the plan's nodes."""
        settings = Settings.of(nodes.plane)
        seen = (settings, *(self._place(node) for node in (nodes.plane, nodes.hinge)))
        if seen == self._last and self._made is not None:
            return  # an event without a change
        self._last = seen
        self._showSettings(settings)
        basis = self._bones.basis()
        if basis is None:
            self._due = True
            self.panel.refreshSoon()
            return
        try:
            placed = [node for node in self.panel.case().placed if node is not None]
            self._made = carryOut(nodes, basis, settings, placed, self.parameters.radiographsIn3D)
        except SSRKDError as error:
            self._made = None
            self._showNothing(f"✗ {errorText(error)}")
            self.ui.planExportButton.enabled = False
            return
        self.ui.planExportButton.enabled = True
        plan, _ = self._made
        self._write(nodes, lambda: showHinge(nodes, plan.cut))
        self._last = (settings, *(self._place(node) for node in (nodes.plane, nodes.hinge)))
        self._showTexts(summary_rows(plan), "\n".join(f"⚠ {said(one)}" for one in plan.warnings))

    def _place(self, node):
        points = [list(node.GetNthControlPointPositionWorld(index))
                  for index in range(node.GetNumberOfControlPoints())]  # fmt: skip
        normal = list(node.GetNormalWorld()) if node.IsA("vtkMRMLMarkupsPlaneNode") else []
        return points, normal

    def _showSettings(self, settings):
        ui, fall = self.ui, settings.inclination
        for widget, name, value in (
            (ui.planKindCombo, "currentIndex", KINDS.index(settings.kind)),
            (ui.planAngle, "value", settings.angle),
            (ui.planAngleSlider, "value", round(settings.angle * 10)),
            (ui.planEntry, "value", settings.entry),
            (ui.planHinge, "value", settings.hinge),
            (ui.planFall, "value", ui.planFall.minimum if fall is None else fall),
            (ui.planTurn, "value", settings.turn),
            (ui.planBiplanarCheck, "checked", settings.tubercle is not None),
        ):
            self._quietly(widget, name, value)

    def _quietly(self, widget, name, value):
        if getattr(widget, name) != value:
            blocked = widget.blockSignals(True)
            setattr(widget, name, value)
            widget.blockSignals(blocked)

    def _showNothing(self, sentence):
        if not sentence:
            self._made = self._last = None
        self._showTexts([], sentence)

    def _showTexts(self, rows, sentences):
        """The table and what stands below it; what is empty leaves no gap."""
        ui = self.ui
        fillTable(ui.planTable, [((said(name), value), "") for name, value in rows])
        ui.planTable.setVisible(bool(rows))
        ui.planLabel.text = breakable(sentences)
        ui.planLabel.setVisible(bool(sentences))

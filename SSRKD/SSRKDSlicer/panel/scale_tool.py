"""The pixel size from a calibration sphere (one click) or a ruler (two clicks)."""

from __future__ import annotations

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.radiographs.scale_marker import find_disc, spacing_from_length

from ..radiographs.radiographs import STORED_RIG, RadiographNode
from ..radiographs.view_setup import setupFromParameters
from ..scene import layouts
from ..scene.folders import uniqueName
from ..scene.frames import ijkToWorld, worldToIjk
from ..scene.parameters import VIEWS, Parameters
from ..scene.words import capitalised, word
from .bindings import Section, guarded

#: Any pixel size will do to read distances from tags without one, mm.
_TRIAL_SPACING = 0.2

#: Node attributes of a marker: its size, mm, and where it was, one of the places.
_SIZE, _PLACE = "SSRKD.MarkerSize", "SSRKD.MarkerPlace"

_PLACES = Parameters.markerPlace.choices


class ScaleTool(Section, VTKObservationMixin):
    def __init__(self, panel):
        Section.__init__(self, panel)
        VTKObservationMixin.__init__(self)
        self._marker = self._escape = None
        self._followed = []
        ui = self.ui
        self.spin(
            ui.markerSize,
            lambda: self._sizeAndPlace(self.view)[0],
            lambda value: setattr(self.parameters, "markerSize", value),
        )
        self.scalar(
            ui.markerPlace,
            "currentIndexChanged(int)",
            lambda place: setattr(ui.markerPlace, "currentIndex", _PLACES.index(place)),
            lambda: self._sizeAndPlace(self.view)[1],
            self._storePlace,
        )
        ui.markerView.connect("currentIndexChanged(int)", self.onView)
        ui.ballButton.connect("toggled(bool)", self.onBall)
        ui.rulerButton.connect("toggled(bool)", self.onRuler)
        ui.clearScaleButton.connect("clicked()", self.onClear)
        ui.markerSize.connect("valueChanged(double)", self.onSize)
        ui.markerPlace.connect("currentIndexChanged(int)", self.onSize)

    @property
    def view(self):
        return VIEWS[self.ui.markerView.currentIndex]

    def _storePlace(self):
        self.parameters.markerPlace = _PLACES[self.ui.markerPlace.currentIndex]

    def _sizeAndPlace(self, view):
        """Those of a view's marker, else of the next one that is placed."""
        marker = self.parameters.nodeOf(view, "Marker")
        if marker is None or marker.GetAttribute(_SIZE) is None:
            return self.parameters.markerSize, self.parameters.markerPlace
        return float(marker.GetAttribute(_SIZE)), marker.GetAttribute(_PLACE)

    def _noteSizeAndPlace(self):
        """The view's marker, if any, is as it is told now; the other view's may be another."""
        marker = self.parameters.nodeOf(self.view, "Marker")
        if marker is not None:
            marker.SetAttribute(_SIZE, repr(self.ui.markerSize.value))
            marker.SetAttribute(_PLACE, _PLACES[self.ui.markerPlace.currentIndex])

    def refresh(self):
        super().refresh()
        self._followMarkers()
        ui = self.ui
        chosen = self.parameters.nodeOf(self.view) is not None
        usable = chosen and self.parameters.geometry in ("images", "manual")
        if usable and self.parameters.geometry == "images":
            usable = not self.parameters.nodeOf(self.view).GetAttribute(STORED_RIG)
        missing = (
            _("Choose the radiograph first.") if not chosen
            else "" if usable
            else _("The geometry tells the size of its pixels.")
        )  # fmt: skip
        for widget in (ui.ballButton, ui.rulerButton):
            self.offer(widget, missing)
        spacing = self.parameters.scale(self.view)
        marker = self.parameters.nodeOf(self.view, "Marker")
        measured = spacing is not None or marker is not None
        self.offer(ui.clearScaleButton, "" if measured else _("Nothing was measured."))
        if spacing is not None and usable:
            ui.scaleLabel.text = _(
                "The {view} pixels are {spacing:.4f} mm on the detector."
            ).format(view=word(self.view), spacing=spacing)
        elif not chosen:
            ui.scaleLabel.text = _("Choose the {view} radiograph first.").format(
                view=word(self.view)
            )
        elif not usable:
            ui.scaleLabel.text = _("The geometry already contains the scale.")
        else:
            ui.scaleLabel.text = _("Nothing was measured on the {view} radiograph.").format(
                view=word(self.view)
            )

    def _followMarkers(self):
        """Measure anew where the user drags what was placed."""
        markers = [self.parameters.nodeOf(view, "Marker") for view in VIEWS]
        if markers == self._followed:
            return
        event = slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent
        for node in filter(None, self._followed):
            if self.panel.hasObserver(node, event, self.onDragged):
                self.panel.removeObserver(node, event, self.onDragged)
        for node in filter(None, markers):
            self.panel.addObserver(node, event, self.onDragged)
        self._followed = markers

    def stop(self):
        """Leave the place mode and let go of what was being placed."""
        self.removeObservers()
        if self._escape is not None:
            self._escape.setEnabled(False)
            self._escape.deleteLater()  # it may be what calls
            self._escape = None
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if self._marker is not None and interaction is not None:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        unfinished = (
            self._marker is not None
            and slicer.mrmlScene.IsNodePresent(self._marker)
            and self._marker.GetNumberOfDefinedControlPoints() < self._needed()
        )
        if unfinished:
            slicer.mrmlScene.RemoveNode(self._marker)
        self._marker = None
        for button in (self.ui.ballButton, self.ui.rulerButton):
            blocked = button.blockSignals(True)
            button.checked = False
            button.blockSignals(blocked)

    def _onlyOn(self, node, view):
        """Both radiographs may have been loaded into the same place: draw on the view's own."""
        node.GetDisplayNode().SetViewNodeIDs([layouts.sliceNodeId(view)])

    def _needed(self):
        return 2 if self._marker.IsA("vtkMRMLMarkupsLineNode") else 1

    @guarded
    def onView(self, *args):
        self.stop()
        self.panel.refreshSoon()

    @guarded
    def onBall(self, on):
        self._toggle(on, "vtkMRMLMarkupsFiducialNode", _("Ball"), self.ui.ballButton)

    @guarded
    def onRuler(self, on):
        self._toggle(on, "vtkMRMLMarkupsLineNode", _("Ruler"), self.ui.rulerButton)

    def _toggle(self, on, kind, name, button):
        self.stop()
        if not on:
            return
        radiograph = RadiographNode(self.parameters.nodeOf(self.view), self.view)
        layouts.showRadiographs({self.view: radiograph.node})
        self._removeMarker()
        name = uniqueName(f"{name} ({word(self.view)})")
        self._marker = slicer.mrmlScene.AddNewNodeByClass(kind, name)
        self._marker.CreateDefaultDisplayNodes()
        self._onlyOn(self._marker, self.view)
        self.parameters.setNode(self.view, "Marker", self._marker)
        self.addObserver(self._marker, self._marker.PointPositionDefinedEvent, self.onPoint)
        logic = slicer.app.applicationLogic()
        selection, interaction = logic.GetSelectionNode(), logic.GetInteractionNode()
        selection.SetReferenceActivePlaceNodeClassName(kind)
        selection.SetActivePlaceNodeID(self._marker.GetID())
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(interaction.Place)
        # The mode gives the views Slicer's cursor for placing. Another tool ends it, and Escape,
        # which Slicer's Markups leave alone.
        self.addObserver(interaction, interaction.InteractionModeChangedEvent, self.onMode)
        window = slicer.util.mainWindow()
        if window is not None:
            self._escape = qt.QShortcut(qt.QKeySequence("Esc"), window)
            self._escape.connect("activated()", self.stop)
        blocked = button.blockSignals(True)
        button.checked = True
        button.blockSignals(blocked)

    @guarded
    def onMode(self, caller, event):
        if caller.GetCurrentInteractionMode() != caller.Place:
            # After the click that ends the mode by itself, the point comes first.
            qt.QTimer.singleShot(0, self._stopUnfinished)

    def _stopUnfinished(self):
        if self._marker is not None:
            self.stop()

    @guarded
    def onPoint(self, caller, event):
        if self._marker.GetNumberOfDefinedControlPoints() < self._needed():
            return
        self.stop()
        self._noteSizeAndPlace()
        self._measure(self.view)

    @guarded
    def onDragged(self, caller, event):
        for view in VIEWS:
            if self.parameters.nodeOf(view, "Marker") is caller:
                self._measureAgain(view)

    @guarded
    def onSize(self, *args):
        if not self.panel.refreshing and self._marker is None:
            self._noteSizeAndPlace()
            self._measureAgain(self.view)

    def _measureAgain(self, view):
        if self.parameters.scale(view) is None:  # nothing was measured on this very radiograph
            return
        if self.parameters.nodeOf(view, "Marker") is not None:
            self._measure(view)
        else:
            self.parameters.setScale(view, None)  # of another size

    @guarded
    def onClear(self):
        self.stop()
        self._removeMarker()
        self.parameters.setScale(self.view, None)

    def _removeMarker(self):
        self.parameters.markerSize = self.ui.markerSize.value  # the next one's, as they are shown
        self._storePlace()
        for what in ("Marker", "Ball"):
            node = self.parameters.nodeOf(self.view, what)
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)

    def _measure(self, view):
        """The scale from the marker of a view, stored in the parameters."""
        marker = self.parameters.nodeOf(view, "Marker")
        radiograph = RadiographNode(self.parameters.nodeOf(view), view)
        points = slicer.util.arrayFromMarkupsControlPoints(marker, world=True)
        ijk = worldToIjk(radiograph.node, points)
        spacing = radiograph.node.GetSpacing()[:2]
        if marker.IsA("vtkMRMLMarkupsLineNode"):
            length = np.abs(ijk[1, :2] - ijk[0, :2])
        else:
            disc = find_disc(radiograph.grey(), tuple(ijk[0, :2]), spacing)
            length = np.array([disc.diameter, 0.0])
            self._drawBall(radiograph, disc)
        size, place = self._sizeAndPlace(view)
        found = spacing_from_length(tuple(length), size, self._magnification(view, place), spacing)
        self.parameters.setScale(view, found[0])
        self.panel.showStatus("")  # an earlier click may have found nothing
        self.panel.log(
            _(
                "{view} scale: {size:g} mm over {pixels:.1f} pixels; a pixel is "
                "{spacing:.4f} mm on the detector."
            ).format(
                view=capitalised(view),
                size=size,
                pixels=np.hypot(*length),
                spacing=found[0],
            )
        )

    def _magnification(self, view, place):
        if place == "detector":
            return 1.0
        if self.parameters.geometry == "manual":
            sdd, sod = (self.parameters.number(view, what) for what in ("Sdd", "Sod"))
            if sod >= sdd:
                raise GeometryError(
                    _("The knee is not between source and detector."),
                    _("Correct SDD and SOD first."),
                )
            return sdd / sod
        setup = setupFromParameters(self.parameters, trialSpacing=_TRIAL_SPACING)
        taken = setup.rig.views[VIEWS.index(view)]
        depth = taken.projection_matrix @ [*setup.rig.central_point(), 1.0]
        return 1.0 / depth[2]

    def _drawBall(self, radiograph, disc):
        node = self.parameters.nodeOf(radiograph.role, "Ball")
        if node is None:
            name = uniqueName(_("Sphere outline ({view})").format(view=word(radiograph.role)))
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", name)
            node.CreateDefaultDisplayNodes()
            self._onlyOn(node, radiograph.role)
            node.GetDisplayNode().SetPropertiesLabelVisibility(False)
            node.GetDisplayNode().SetPointLabelsVisibility(False)
            node.GetDisplayNode().SetGlyphScale(0.5)
            node.SetLocked(True)
            self.parameters.setNode(radiograph.role, "Ball", node)
        border = disc.outline(24)
        ras = ijkToWorld(radiograph.node, np.c_[border, np.zeros(len(border))])
        slicer.util.updateMarkupsControlPointsFromArray(node, ras)

"""Section Radiographs: which they are, how they were taken, what of them is used."""

from __future__ import annotations

import html

import numpy as np
import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.errors import InputError
from SSRKDLib.reconstruction.whole_legs import shows_whole_leg

from ..radiographs import outlines, sample_data
from ..radiographs.placing import placedView, placeRadiographs
from ..radiographs.radiographs import RadiographNode
from ..scene import layouts
from ..scene.folders import uniqueName
from ..scene.frames import flipLpsRas, volumeIjkToLps
from ..scene.parameters import VIEWS
from ..scene.words import errorText, said, word
from ..tasks import newCaseFolder
from .bindings import Section, breakable, guarded
from .scale_tool import ScaleTool

#: What of a radiograph around the bones that were found a crop region takes in, mm on the detector.
_AROUND_MM = 20.0


class RadiographsSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.node(ui.frontalSelector, "frontal")
        self.node(ui.lateralSelector, "lateral")
        self.choice(ui.sideCombo, "side")
        self.choice(ui.geometryCombo, "geometry")
        self.choice(ui.valuesCombo, "values")
        self.path(ui.rigFile, "rigFile", _("Rig (*.json)"))
        for view in VIEWS:
            name = f"{view}Calibration"
            self.path(getattr(ui, name), name, _("Text (*.txt)"))
            self._number(view, "Sdd")
            self._number(view, "Sod")
            self._number(view, "Spacing", unknown=0.0)
            self._number(view, "Angle", unknown=-181.0)
        ui.sampleButton.connect("clicked()", self.onSample)
        ui.placeButton.connect("clicked()", self.onPlace)
        ui.frontalCropButton.connect("toggled(bool)", self.onFrontalCrop)
        ui.lateralCropButton.connect("toggled(bool)", self.onLateralCrop)
        self.scale = ScaleTool(panel)

    def _number(self, view, what, unknown=None):
        self.spin(
            getattr(self.ui, f"{view}{what}"),
            lambda: self.parameters.number(view, what),
            lambda value: self.parameters.setNumber(view, what, value),
            unknown,
        )

    def refresh(self):
        super().refresh()
        ui, geometry = self.ui, self.parameters.geometry
        ui.rigWidget.setVisible(geometry == "rig")
        ui.calibrationWidget.setVisible(geometry == "calibration")
        ui.manualWidget.setVisible(geometry == "manual")
        ui.valuesCombo.enabled = geometry != "rig"  # and no job runs, see RunSection
        for view in VIEWS:
            button = getattr(ui, f"{view}CropButton")
            blocked = button.blockSignals(True)
            button.checked = self.parameters.crop(view) is not None
            button.blockSignals(blocked)
            chosen = self.parameters.nodeOf(view) is not None
            self.offer(button, "" if chosen else _("Choose the radiograph first."))
        self.offer(ui.placeButton, self.panel.missing(), busy=self.panel.job is not None)
        ui.summaryLabel.text = breakable(self._summary())
        self.scale.refresh()

    def _summary(self):
        if self.panel.setup is None:
            return f"✗ {html.escape(errorText(self.panel.setupError))}"
        known, assumed = self.panel.setup.summary()
        text = html.escape(known)
        if assumed:
            items = "".join(f"<li>{html.escape(said(sentence))}</li>" for sentence in assumed)
            text += "<br/>" + _("Assumed:") + f"<ul style='margin:0'>{items}</ul>"
        return text

    @guarded
    def onSample(self):
        nodes = sample_data.loadedRadiographs() or sample_data.loadRadiographs()
        if len(nodes) < 2:
            raise InputError(
                _("The sample could not be loaded."),
                _("Install the extension again: its sample files are missing or damaged."),
            )
        frontal, lateral = nodes[:2]
        self.parameters.setNode("frontal", "", frontal)
        self.parameters.setNode("lateral", "", lateral)
        self.parameters.geometry = "images"
        layouts.showRadiographs({"frontal": frontal, "lateral": lateral})
        self.panel.log(_("The sample radiographs were loaded."))

    @guarded
    def onPlace(self):
        setup = self.panel.requireSetup()
        case = self.panel.sameCase()
        folder = case.folder() or newCaseFolder(setup)
        case.placed = tuple(placeRadiographs(setup, folder, case.placed, case.masks))
        in3D = self.parameters.radiographsIn3D
        outlines.updateOutlines(case.models, case.placed, folder, in3D)
        self.panel.storeCase(case)
        self.panel.results.showCase(case, masks=not case.models)
        self.panel.showStatus(
            _("The radiographs stand on their detector planes; Radiographs in 3D shows them there.")
        )

    @guarded
    def onFrontalCrop(self, on):
        self._crop("frontal", on)

    @guarded
    def onLateralCrop(self, on):
        self._crop("lateral", on)

    def _crop(self, view, on):
        if self.parameters.nodeOf(view, "Crop") is not None:  # of this radiograph or another
            slicer.mrmlScene.RemoveNode(self.parameters.nodeOf(view, "Crop"))
        if not on:
            self.panel.refreshSoon()
            return
        radiograph = RadiographNode(self.parameters.nodeOf(view), view)
        found = self._found(radiograph)
        if found is None and self._isWholeLeg(view):
            self._propose(radiograph)
        else:
            self._drawRegion(radiograph, found)

    def _drawRegion(self, radiograph, pixels=None):
        if pixels is None:
            pixels = np.array([[0, 0], radiograph.size]) - 0.5
        view = radiograph.role
        self.parameters.setNode(view, "Crop", _regionAround(radiograph, pixels))
        self.parameters.setNode(view, "Cropped", radiograph.node)
        layouts.showRadiographs({view: radiograph.node})

    def _isWholeLeg(self, view):
        if self.panel.setup is None or self.panel.job is not None:
            return False
        return shows_whole_leg(self.panel.setup.rig.views[VIEWS.index(view)])

    def _propose(self, radiograph):
        """Look for the knee, and draw the region around it."""
        setup, options = self.panel.setup, self.panel.options()
        index = VIEWS.index(radiograph.role)

        def draw(pixels):
            chosen = self.parameters.nodeOf(radiograph.role)
            if chosen is radiograph.node and self.parameters.crop(radiograph.role) is None:
                self._drawRegion(radiograph, pixels)

        def done(found):
            regions, notes = found
            self.panel.logAll(notes)
            if regions[index] is None:
                draw(None)
                return
            left, top, columns, rows = regions[index]
            draw(np.array([[left, top], [left + columns, top + rows]]) - 0.5)
            self.panel.showStatus(
                _("The crop region starts around the knee that was found. If that is another "
                  "place, drag it.")
            )  # fmt: skip

        def failed(error):
            draw(None)
            self.panel.showError(error)

        self.panel.start(
            _("Find the knee"), lambda **calls: self.panel.tasks.locate(setup, options, **calls),
            done, failed,
        )  # fmt: skip

    def _found(self, radiograph):
        """Pixels ``[2, 2]`` of a radiograph, least and greatest (column, row), around bones that
        were found in it; None where none were."""
        if self.panel.setup is None:
            return None
        case, role = self.panel.sameCase(), radiograph.role
        placed = dict(zip(VIEWS, case.placed))[role]
        view = None if placed is None else placedView(placed)
        if view is None or not case.models:
            return None
        pixels = np.concatenate(
            [view.project(outlines.worldMesh(one, role).vertices) for one in case.models.values()]
        )
        margin = _AROUND_MM / np.array(view.pixel_spacing)
        ends = np.array([pixels.min(axis=0) - margin, pixels.max(axis=0) + margin])
        return np.clip(ends, *(np.array([[0, 0], radiograph.size]) - 0.5))


def _regionAround(radiograph, pixels):
    """A region of interest that holds pixels ``[2, 2]``, least and greatest (column, row), of a
    radiograph where it was loaded."""
    name = uniqueName(_("Crop region ({view})").format(view=word(radiograph.role)))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.CreateDefaultDisplayNodes()
    matrix = flipLpsRas(volumeIjkToLps(radiograph.node))
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    columns, rows = pixels[1] - pixels[0]
    pose = np.eye(4)
    pose[:3, 0] = matrix[:3, 0] / spacing[0]
    pose[:3, 1] = -matrix[:3, 1] / spacing[1]
    pose[:3, 2] = np.cross(pose[:3, 0], pose[:3, 1])
    pose[:3, 3] = (matrix @ [*pixels.mean(axis=0), 0, 1])[:3]
    node.SetSize(columns * spacing[0], rows * spacing[1], 4 * max(spacing))
    node.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(pose))
    display = node.GetDisplayNode()
    display.SetFillVisibility(False)
    display.SetVisibility3D(False)
    display.SetHandlesInteractive(True)
    # Both radiographs may have been loaded into the same place.
    display.SetViewNodeIDs([layouts.sliceNodeId(radiograph.role)])
    return node

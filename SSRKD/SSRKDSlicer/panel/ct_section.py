"""Section From CT: radiographs simulated from a CT."""

from __future__ import annotations

import slicer

from .. import layouts
from ..parameters import VIEWS
from .bindings import Section, guarded


class CtSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.node(ui.ctSelector, "ct", "Volume")
        self.node(ui.ctRegionSelector, "ct", "Region")
        self.choice(ui.ctPresetCombo, "ctPreset")
        self.choice(ui.ctSideCombo, "ctSide")
        self.spin(
            ui.ctEnergy,
            lambda: self.parameters.ctEnergy,
            lambda value: setattr(self.parameters, "ctEnergy", value),
        )
        self.flag(ui.ctNoiseCheck, "ctNoise")
        ui.ctRegionSelector.connect("nodeAddedByUser(vtkMRMLNode*)", self.onRegionAdded)
        ui.simulateButton.connect("clicked()", self.onSimulate)

    def refresh(self):
        super().refresh()
        there = self.parameters.nodeOf("ct", "Volume") is not None
        self.ui.simulateButton.enabled = there and self.panel.job is None
        self.ui.simulateButton.toolTip = (
            "Make two radiographs from the CT and choose them above." if there
            else "Choose a CT first."
        )  # fmt: skip

    @guarded
    def onRegionAdded(self, roiNode):
        """A new region starts around the whole CT."""
        ctNode = self.parameters.nodeOf("ct", "Volume")
        if ctNode is None or roiNode is None:
            return
        bounds = [0.0] * 6
        ctNode.GetRASBounds(bounds)
        roiNode.SetXYZ([(bounds[2 * k] + bounds[2 * k + 1]) / 2 for k in range(3)])
        roiNode.SetRadiusXYZ([(bounds[2 * k + 1] - bounds[2 * k]) / 2 for k in range(3)])
        roiNode.CreateDefaultDisplayNodes()
        roiNode.GetDisplayNode().SetFillVisibility(False)

    @guarded
    def onSimulate(self):
        parameters = self.parameters
        ctNode, roiNode = parameters.nodeOf("ct", "Volume"), parameters.nodeOf("ct", "Region")
        side = None if parameters.ctSide == "auto" else parameters.ctSide

        def starter(**callbacks):
            return self.panel.tasks.simulate(
                ctNode, roiNode, parameters.ctPreset, side, parameters.ctEnergy,
                parameters.ctNoise, **callbacks,
            )  # fmt: skip

        def done(nodes):
            for view, node in zip(VIEWS, nodes):
                parameters.setNode(view, "", node)
            parameters.geometry = "images"
            layouts.showLayout()
            layouts.showRadiographs(dict(zip(VIEWS, nodes)))
            self.panel.showStatus("The simulated radiographs are chosen. Click Reconstruct.")
            self.panel.say("Radiographs were simulated from the CT.")
            slicer.util.showStatusMessage("Radiographs simulated.", 3000)

        self.panel.start("Simulate", starter, done)

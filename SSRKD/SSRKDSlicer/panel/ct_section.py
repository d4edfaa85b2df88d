"""Section From CT: bones of a CT, or radiographs simulated from it."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from ..scene import layouts
from ..scene.parameters import VIEWS
from ..tasks import FROM_CT, CaseNodes
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
        ui.ctReconstructButton.connect("clicked()", self.onReconstruct)
        ui.simulateButton.connect("clicked()", self.onSimulate)

    def refresh(self):
        super().refresh()
        missing = "" if self.parameters.nodeOf("ct", "Volume") else _("Choose a CT first.")
        for button in (self.ui.ctReconstructButton, self.ui.simulateButton):
            self.offer(button, missing, busy=self.panel.job is not None)

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

    def _chosen(self):
        """The CT, the region (or None) and the side ("L", "R" or None)."""
        side = self.parameters.ctSide
        nodeOf = self.parameters.nodeOf
        return nodeOf("ct", "Volume"), nodeOf("ct", "Region"), None if side == "auto" else side

    @guarded
    def onReconstruct(self):
        self.panel.run.checkWeights()
        self._reconstruct(self.panel.options())

    def _reconstruct(self, options):
        panel = self.panel
        ctNode, roiNode, side = self._chosen()
        models = panel.case().models
        same = all(node.GetNodeReference(FROM_CT) is ctNode for node in models.values())
        case = CaseNodes(models=models) if same else CaseNodes()

        def starter(**callbacks):
            return panel.tasks.reconstructCt(ctNode, roiNode, side, options, case, **callbacks)

        def done(made):
            panel.storeCase(made)
            panel.run.tellResult(made)
            if slicer.mrmlScene.IsNodePresent(ctNode):
                layouts.showOverlay(ctNode)
            for node in made.models.values():
                node.GetDisplayNode().SetVisibility2D(True)
                node.GetDisplayNode().SetSliceIntersectionThickness(2)
            layouts.reset3D()

        failed = panel.run.offerCpu(options, self._reconstruct)
        panel.start(_("Reconstruct from CT"), starter, done, failed)

    @guarded
    def onSimulate(self):
        parameters = self.parameters
        ctNode, roiNode, side = self._chosen()

        def starter(**callbacks):
            return self.panel.tasks.simulate(
                ctNode, roiNode, parameters.ctPreset, side, parameters.ctEnergy,
                parameters.ctNoise, **callbacks,
            )  # fmt: skip

        def done(nodes):
            for view, node in zip(VIEWS, nodes):
                parameters.setNode(view, "", node)
            parameters.geometry = "images"
            layouts.showRadiographs(dict(zip(VIEWS, nodes)))
            self.panel.showStatus(_("The simulated radiographs are chosen. Click Reconstruct."))
            self.panel.log(_("Radiographs were simulated from the CT."))
            slicer.util.showStatusMessage(_("Radiographs simulated."), 3000)

        self.panel.start(_("Simulate"), starter, done)

"""The buttons that start work: Segment, Reconstruct (which turns into Cancel); progress and log."""

from __future__ import annotations

import time
from dataclasses import replace

import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.errors import InputError

from ..scene import layouts
from ..scene.masks import editedMasks
from ..scene.parameters import VIEWS
from ..scene.words import kneeOf, listed, said, word
from ..tasks import CaseNodes
from ..worker import weights_list
from .bindings import Section, guarded

#: A second click this soon is a double click, not a wish to cancel, s.
_DOUBLE_CLICK = 0.5


class RunSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        self._clicked = 0.0  # when the last click on Reconstruct was dealt with
        ui = self.ui
        self.flag(ui.useMasksCheck, "useMasks")
        ui.segmentButton.connect("clicked()", self.onSegment)
        ui.editMasksButton.connect("clicked()", self.onEditMasks)
        ui.reconstructButton.connect("clicked()", self.onReconstruct)
        ui.copyLogButton.connect("clicked()", self.onCopyLog)
        ui.progressBar.setVisible(False)

    def refresh(self):
        super().refresh()
        self.showRunning()
        masks = any(self.panel.case().masks)
        self.offer(self.ui.editMasksButton, "" if masks else _("Click Segment first."))

    def showRunning(self):
        """Buttons for the state: Reconstruct, or Cancel while a job runs."""
        ui, running = self.ui, self.panel.job is not None
        ui.reconstructButton.text = _("Cancel") if running else _("Reconstruct")
        self.offer(ui.segmentButton, self.panel.missing(), busy=running)
        self.offer(ui.reconstructButton, "" if running else self.panel.missing())
        if running:
            ui.reconstructButton.toolTip = _("Stop the running job.")
        ui.progressBar.setVisible(running)
        # What else decides about these is known to their own sections.
        for name in (
            "placeButton",
            "ctReconstructButton",
            "simulateButton",
            "compareButton",
            "measureButton",
            "planButton",
            "planMiniaciButton",
            "uninstallButton",
            "valuesCombo",
        ):
            if running:
                getattr(ui, name).enabled = False
        # A job's result is stored with the pair, and how it was taken, that are chosen then.
        for name in (
            "importButton", "checkButton", "installButton", "sampleButton", "frontalSelector",
            "lateralSelector", "sideCombo", "geometryCombo", "rigWidget", "calibrationWidget",
            "manualWidget", "scaleGroup",
        ):  # fmt: skip
            getattr(ui, name).enabled = not running

    @guarded
    def onReconstruct(self):
        panel = self.panel
        if panel.job is not None:
            if time.monotonic() - self._clicked < _DOUBLE_CLICK:
                panel.log(_("Running already; click again to cancel."))
            else:
                panel.cancel()
            return
        self.checkWeights()
        self._reconstruct(panel.options())
        # Not when it began: a second click waits while the first one's radiographs are written.
        self._clicked = time.monotonic()

    def checkWeights(self):
        """Raise :class:`InputError` where the chosen weights cannot be used."""
        problem = weights_list.problemOf(self.parameters.weights)
        if problem:
            raise InputError(problem, "")

    def _reconstruct(self, options):
        panel = self.panel
        setup, case = panel.requireSetup(), panel.sameCase()
        before = case.masks
        if not self.parameters.useMasks:
            case = CaseNodes(case.placed, (None, None), case.models)

        def starter(**callbacks):
            return panel.tasks.reconstruct(
                setup, options, case, self.parameters.radiographsIn3D, **callbacks
            )

        def done(made):
            made.masks = before
            panel.storeCase(made)
            self.tellResult(made)
            panel.results.showCase(made, masks=False)

        panel.start(_("Reconstruct"), starter, done, self.offerCpu(options, self._reconstruct))

    def offerCpu(self, options, again):
        """What to do where a reconstruction fails: say why; where it was for the GPU's memory, ask
        whether to do it on the CPU.

        Args:
            options: :class:`~SSRKDSlicer.tasks.Options` that it was started with.
            again: called with the options for the CPU.
        """

        def failed(error):
            self.panel.showError(error)
            offer = getattr(error, "kind", "") == "DeviceMemoryError" and options.device == "cuda"
            if offer and slicer.util.confirmYesNoDisplay(
                _("{cause}\n\nReconstruct on the CPU instead?").format(cause=said(error.cause)),
                windowTitle=_("GPU memory"),
            ):
                again(replace(options, device="cpu"))

        return failed

    def tellResult(self, made):
        """Say what came out of a reconstruction, with its warnings.

        Args:
            made: :class:`~SSRKDSlicer.tasks.CaseNodes`.
        """
        report, warnings = made.report, made.report["warnings"]
        knee = kneeOf(report["laterality"])
        seconds = time.monotonic() - self.panel.jobStarted
        missing = [bone for bone, about in report["bones"].items() if not about["found"]]
        text = _("{knee} reconstructed in {seconds:.1f} s on {device}.").format(
            knee=knee.capitalize(), seconds=seconds, device=report["device"]
        )
        if missing:
            text += " " + _("Not found: {names}.").format(names=listed(list(map(word, missing))))
        moved = (report.get("motion") or {}).get("sentences", ())
        text = " ".join([text, *map(said, moved)])
        warnings = [sentence for sentence in warnings if sentence not in moved]
        self.panel.showStatus("\n".join([text, *(f"⚠ {said(one)}" for one in warnings)]))
        self.panel.log(text)
        self.panel.logAll(made.messages)

    @guarded
    def onSegment(self):
        panel = self.panel
        self.checkWeights()
        setup, case = panel.requireSetup(), panel.sameCase()
        edited = [editedMasks(n, p) is not None for n, p in zip(case.masks, case.placed)]
        if any(edited) and not slicer.util.confirmYesNoDisplay(
            _("The bone masks were edited. Mark the bones anew, and lose the edits?"),
            windowTitle=_("Segment"),
        ):
            panel.showStatus(_("The edited masks were kept."))
            return

        def starter(**callbacks):
            in3D = self.parameters.radiographsIn3D
            return panel.tasks.segment(setup, panel.options(), case, in3D, **callbacks)

        def done(made):
            panel.storeCase(made)
            panel.logAll(made.messages)
            panel.showStatus(_("The bones are segmented. Edit the masks, or click Reconstruct."))
            panel.results.showCase(made, masks=True)

        panel.start(_("Segment"), starter, done)

    @guarded
    def onEditMasks(self):
        case = self.panel.case()
        index = next(index for index, node in enumerate(case.masks) if node is not None)
        layouts.showRadiographs(dict(zip(VIEWS, case.placed)))
        for node in filter(None, case.masks):
            node.GetDisplayNode().SetVisibility(True)
        openSegmentEditor(case.masks[index], case.placed[index])

    @guarded
    def onCopyLog(self):
        slicer.app.clipboard().setText(self.ui.logEdit.plainText)
        self.panel.showStatus(_("The log was copied."))


def openSegmentEditor(segmentationNode, volumeNode):
    """Show Slicer's Segment Editor with a segmentation, masks may overlap."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.SegmentEditorWidget.editor
    node = editor.mrmlSegmentEditorNode()
    node.SetOverwriteMode(node.OverwriteNone)
    editor.setSegmentationNode(segmentationNode)
    editor.setSourceVolumeNode(volumeNode)

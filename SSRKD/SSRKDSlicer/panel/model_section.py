"""Section Model: weights, device, resolution."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from SSRKDLib.reconstruction.job import SPACINGS
from SSRKDLib.weights.catalogue import DEFAULT_NAME, remove_bundle

from ..scene import timing
from ..scene.words import said
from ..worker import weights_list
from .bindings import Section, guarded


class ModelSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self._names = []
        self._listed = []
        self.scalar(
            ui.weightsCombo, "currentIndexChanged(int)", self._showWeights,
            lambda: self.parameters.weights or DEFAULT_NAME, self._storeWeights,
        )  # fmt: skip
        self.choice(ui.deviceCombo, "device")
        self.scalar(
            ui.spacingCombo, "currentIndexChanged(int)", self._showSpacing,
            lambda: self.parameters.spacing,
            lambda: setattr(self.parameters, "spacing", SPACINGS[ui.spacingCombo.currentIndex]),
        )  # fmt: skip
        self.choice(ui.surfaceCombo, "surface")
        ui.officialLabel.text = weights_list.officialText()
        ui.importButton.connect("clicked()", self.onImport)
        ui.removeWeightsButton.connect("clicked()", self.onRemove)
        ui.folderButton.connect("clicked()", self.onFolder)

    def _showSpacing(self, value):
        nearest = min(SPACINGS, key=lambda spacing: abs(spacing - value))
        self.ui.spacingCombo.currentIndex = SPACINGS.index(nearest)

    def _showWeights(self, name):
        combo = self.ui.weightsCombo
        listed = weights_list.choices(name)
        if listed != self._listed:
            self._listed, self._names = listed, [one for one, _ in listed]
            combo.clear()
            combo.addItems([text for _, text in listed])
        combo.currentIndex = self._names.index(name)

    def _storeWeights(self):
        name = self._names[self.ui.weightsCombo.currentIndex]
        self.parameters.weights = "" if name == DEFAULT_NAME else name

    def refresh(self):
        super().refresh()
        chosen = self.parameters.weights
        removable = weights_list.removable(chosen)
        missing = "" if removable else _("Only imported weights can be removed.")
        self.offer(self.ui.removeWeightsButton, missing, busy=self.panel.job is not None)
        gpu = timing.knownGpu()
        self.ui.deviceCombo.setItemText(2, _("GPU ({gpu})").format(gpu=gpu) if gpu else _("GPU"))
        about = (weights_list.sizeAndDate(chosen), self._estimate())
        self.ui.estimateLabel.text = "\n".join(filter(None, about))

    def _estimate(self):
        name = self.parameters.weights or DEFAULT_NAME
        problem = weights_list.problemOf(self.parameters.weights)
        if problem:
            return f"✗ {said(problem)}"
        device = {"auto": "cuda" if timing.knownGpu() else "cpu"}.get(
            self.parameters.device, self.parameters.device
        )
        surface = self.panel.options().surface
        known = timing.estimate(name, device, self.parameters.spacing, surface)
        if known is None:
            return _("Not run yet on this computer with these settings.")
        seconds, runs = known
        if runs == 1:
            return _("About {seconds:.0f} s (from one earlier run).").format(seconds=seconds)
        return _("About {seconds:.0f} s (from {runs} earlier runs).").format(
            seconds=seconds, runs=runs
        )

    @guarded
    def onImport(self):
        files = qt.QFileDialog.getOpenFileNames(
            slicer.util.mainWindow(),
            _("Import weights"),
            "",
            _("Weights (*.zip *.pth *.pt *.ckpt *.pkl);;All files (*)"),
        )
        if not files:
            return

        def imported(result):
            self.parameters.weights = result["name"]
            self.panel.showStatus(
                _("The weights '{title}' were imported and chosen.").format(title=result["title"])
            )
            self.panel.log(_("Imported the weights '{title}'.").format(title=result["title"]))

        self.panel.start(
            _("Import"),
            lambda **callbacks: self.panel.tasks.importWeights(files, **callbacks),
            imported,
        )

    @guarded
    def onRemove(self):
        name = self.parameters.weights
        question = _("Remove the weights '{name}' ({about}) from this computer?").format(
            name=name, about=weights_list.sizeAndDate(name)
        )
        if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Remove weights")):
            return
        remove_bundle(name)
        self.parameters.weights = ""
        self.panel.showStatus(_("The weights '{name}' were removed.").format(name=name))
        self.panel.refreshSoon()

    @guarded
    def onFolder(self):
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(weights_list.weightsFolder()))

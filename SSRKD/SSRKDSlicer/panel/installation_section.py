"""Section Installation: what the networks need."""

from __future__ import annotations

import slicer

from ..scene import timing
from ..worker import installation
from .bindings import Section, guarded


class InstallationSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        self._broken = False
        self.ui.checkButton.connect("clicked()", self.onCheck)
        self.ui.installButton.connect("clicked()", self.onInstall)

    def refresh(self):
        super().refresh()
        missing = installation.missingPackages()
        if missing:
            names = " and ".join({"torch": "PyTorch"}.get(name, name) for name in missing)
            self.ui.installationLabel.text = (
                f"{names} must be installed before the first reconstruction "
                f"({installation.SIZE}). Click 'Install PyTorch'.\n\n{installation.OFFLINE}"
            )
            self.ui.installationSection.collapsed = False
        elif not self.ui.installationLabel.text:
            self.ui.installationLabel.text = "PyTorch and safetensors are installed."

    @guarded
    def onCheck(self):
        missing = installation.missingPackages()
        if missing:
            self.refresh()
            self.panel.showStatus(f"Missing: {', '.join(missing)}. See Installation.")
            return

        def checked(about):
            slicer.app.settings().setValue(timing.GPU, about["gpu"] or "")
            self._broken = bool(about["problem"])
            lines = installation.describeInstallation(about)
            self.ui.installationLabel.text = "\n".join(lines)
            self.panel.logAll(lines)
            self.panel.showStatus("The installation was checked.")

        self.panel.start("Check installation", self.panel.tasks.describe, checked)

    @guarded
    def onInstall(self):
        if not self._broken and not installation.neededPackages():
            self.panel.showStatus("Everything is installed already.")
            return
        if installation.installPyTorch(again=self._broken):
            self._broken = False
            self.panel.tasks.worker.stop()  # the next job starts one that sees the new packages
            self.ui.installationLabel.text = ""
            self.panel.showStatus("PyTorch was installed.")
            self.panel.refreshSoon()
        else:
            self.panel.showStatus("Nothing was installed.")

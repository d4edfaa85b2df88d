"""Section Installation: what the networks need."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from ..scene import timing
from ..scene.words import listed
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
            names = listed([{"torch": "PyTorch"}.get(name, name) for name in missing])
            self.ui.installationLabel.text = _(
                "{names} must be installed before the first reconstruction ({size}). Click "
                "'Install PyTorch'.\n\n{offline}"
            ).format(names=names, size=installation.SIZE, offline=installation.OFFLINE)
            self.ui.installationSection.collapsed = False
        elif not self.ui.installationLabel.text:
            self.ui.installationLabel.text = _("PyTorch and safetensors are installed.")

    @guarded
    def onCheck(self):
        missing = installation.missingPackages()
        if missing:
            self.refresh()
            self.panel.showStatus(
                _("Missing: {names}. See Installation.").format(names=listed(missing))
            )
            return

        def checked(about):
            slicer.app.settings().setValue(timing.GPU, about["gpu"] or "")
            self._broken = bool(about["problem"])
            lines = installation.describeInstallation(about)
            self.ui.installationLabel.text = "\n".join(lines)
            self.panel.logAll(lines)
            self.panel.showStatus(_("The installation was checked."))

        self.panel.start(_("Check installation"), self.panel.tasks.describe, checked)

    @guarded
    def onInstall(self):
        if not self._broken and not installation.neededPackages():
            self.panel.showStatus(_("Everything is installed already."))
            return
        if installation.installPyTorch(again=self._broken):
            self._broken = False
            self.panel.tasks.worker.stop()  # the next job starts one that sees the new packages
            self.ui.installationLabel.text = ""
            self.panel.showStatus(_("PyTorch was installed."))
            self.panel.refreshSoon()
        else:
            self.panel.showStatus(_("Nothing was installed."))

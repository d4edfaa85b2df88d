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
        self.ui.uninstallButton.connect("clicked()", self.onUninstall)

    def refresh(self):
        super().refresh()
        missing, there = installation.missingPackages(), installation.installed()
        old = not missing and bool(installation.neededPackages())
        self.ui.installButton.text = _("Update PyTorch") if old else _("Install PyTorch")
        self.offer(
            self.ui.uninstallButton, "" if there else _("Nothing of it is installed."),
            busy=self.panel.job is not None,
        )  # fmt: skip
        if missing:
            names = listed([{"torch": "PyTorch"}.get(name, name) for name in missing])
            self.ui.installationLabel.text = _(
                "{names} must be installed before the first reconstruction ({size}). Click "
                "'Install PyTorch'.\n\n{offline}"
            ).format(names=names, size=installation.SIZE, offline=installation.OFFLINE)
            self.ui.installationSection.collapsed = False
        elif not self.ui.installationLabel.text:
            names = listed([f"{shown} {version}" for shown, version in there])
            text = _("{names} are installed.").format(names=names)
            if old:
                text += " " + _(
                    "PyTorch {release} or newer is wanted: click 'Update PyTorch'."
                ).format(release="{}.{}".format(*installation.oldestTorch()))
            self.ui.installationLabel.text = text

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
        # Windows replaces no file in use; the next job starts a worker that sees the new ones.
        self.panel.tasks.worker.stop()
        if installation.installPyTorch(again=self._broken):
            self._broken = False
            self.ui.installationLabel.text = ""
            self.panel.showStatus(_("PyTorch was installed."))
            self.panel.refreshSoon()
        else:
            self.panel.showStatus(_("Nothing was installed."))

    @guarded
    def onUninstall(self):
        self.panel.tasks.worker.stop()
        gone = installation.uninstall()
        self.panel.showStatus(
            _("PyTorch and safetensors were removed.") if gone else _("Nothing was removed.")
        )
        self.ui.installationLabel.text = ""
        self.panel.refreshSoon()

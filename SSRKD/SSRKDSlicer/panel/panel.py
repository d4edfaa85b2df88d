"""The panel as a whole: its sections, the running job, messages to the user."""

from __future__ import annotations

import logging
import time

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from SSRKDLib.core.errors import Cancelled, SSRKDError
from SSRKDLib.core.log_text import shortened
from SSRKDLib.reconstruction.choices import SURFACES

from ..radiographs.radiographs import suggestPair
from ..radiographs.view_setup import setupFromParameters
from ..scene import cases, layouts
from ..scene.parameters import VIEWS, Parameters
from ..scene.words import errorText, said
from ..tasks import Options
from ..worker.worker_job import unexpected
from . import case_nodes
from .bindings import breakable
from .cases_section import CasesSection
from .compare_section import CompareSection
from .ct_section import CtSection
from .display_section import DisplaySection
from .installation_section import InstallationSection
from .measures_section import MeasuresSection
from .model_section import ModelSection
from .plan_section import PlanSection
from .radiographs_section import RadiographsSection
from .results_section import ResultsSection
from .run_section import RunSection

#: Every control, and what to do when something goes wrong.
DOCUMENTATION = "https://github.com/SSRKD/SlicerSSRKD/blob/main/Docs/slicer.md"

#: Of the method's paper.
CITATION = (
    "Lin et al.: Real-Time, Population-Based Reconstruction of 3D Bone Models via Very-Low-Dose "
    "Protocols. arXiv 2508.13947, 2025. https://arxiv.org/abs/2508.13947"
)

#: Before this share of a job its remaining time is a guess.
_EARLY = 0.1


class Panel(VTKObservationMixin):
    """Sections, parameters and the one job that runs at a time.

    Args:
        ui: the widgets of SSRKD.ui by name.
        logic: ``SSRKDLogic``: its parameter node, and its tasks.
    """

    def __init__(self, ui, logic):
        VTKObservationMixin.__init__(self)
        self.ui, self.logic, self.tasks = ui, logic, logic.tasks
        self.parameters = None
        self.refreshing = self.closed = self.entered = False
        self.job = None
        self.jobStarted, self._message = 0.0, ""
        self.setup, self.setupError = None, None
        self._refreshQueued = False
        self._attach()
        self.radiographs = RadiographsSection(self)
        self.run = RunSection(self)
        self.results = ResultsSection(self)
        self.sections = (
            self.radiographs, ModelSection(self), self.run, self.results, CompareSection(self),
            CtSection(self), InstallationSection(self), PlanSection(self), MeasuresSection(self),
            DisplaySection(self), CasesSection(self),
        )  # fmt: skip
        ui.helpButton.connect("clicked()", self.onHelp)
        ui.citeButton.connect("clicked()", self.onCite)
        for name in (
            "casesSection", "radiographsSection", "resultsSection", "compareSection", "planSection",
        ):  # fmt: skip
            # An unfolded section shows what was hidden while it was folded.
            getattr(ui, name).connect("contentsCollapsed(bool)", self._onFolded)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneClosing)
        self.refresh()

    def enter(self):
        """The module was opened: catch up with what happened meanwhile, and follow the scene."""
        if not self.entered:
            self.entered = True
            for subject, event, slot in self._followed():
                self.addObserver(subject, event, slot)
        self._attach()
        self._refreshNow()
        self._fillLayout()

    def leave(self):
        """The user goes to another module: what happens there is left alone until the return."""
        self.radiographs.scale.stop()
        if self.entered:
            self.entered = False
            for subject, event, slot in self._followed():
                self.removeObserver(subject, event, slot)
            self._detach()

    def close(self):
        """End the job and let go of the scene."""
        self.leave()
        self.cancel()
        self.closed = True  # its widgets may live on, hidden, after a reload of the module
        self.removeObservers()

    def _followed(self):
        """What is observed while the module is open, and how."""
        scene, manager = slicer.mrmlScene, slicer.app.layoutManager()
        followed = [
            (scene, scene.EndCloseEvent, self._onSceneChanged),
            (scene, scene.EndImportEvent, self._onSceneChanged),
            (scene, scene.EndBatchProcessEvent, self._onNodes),
            (scene, scene.NodeAddedEvent, self._onNodes),
            (scene, scene.NodeRemovedEvent, self._onNodes),
        ]
        if manager is not None:
            layoutNode = manager.layoutLogic().GetLayoutNode()
            followed.append((layoutNode, vtk.vtkCommand.ModifiedEvent, self._onLayout))
        return followed

    # Parameters and scene

    def _attach(self):
        self._detach()
        self.parameters = Parameters(self.logic.getParameterNode())
        if self.entered:
            node = self.parameters.node
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._onParameters)
            layouts.keepRadiographs()

    def _detach(self):
        if self.parameters is not None:
            node = self.parameters.node
            if self.hasObserver(node, vtk.vtkCommand.ModifiedEvent, self._onParameters):
                self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self._onParameters)

    def _onParameters(self, caller, event):
        self.refreshSoon()

    def _onNodes(self, caller, event):
        if not slicer.mrmlScene.IsBatchProcessing():  # its end is told, too
            self.refreshSoon()

    def _onFolded(self, folded):
        if not folded:
            self.refreshSoon()

    def _onLayout(self, caller, event):
        qt.QTimer.singleShot(0, self._fillLayout)  # who asked for the layout may fill it, too

    def _fillLayout(self):
        """Show the radiographs where somebody chose their layout in Slicer's menu."""
        if self.entered and not slicer.mrmlScene.IsBatchProcessing():
            layouts.fillRadiographs(self.results.volumes())

    def _onSceneClosing(self, caller, event):
        self.radiographs.scale.stop()
        if self.job is not None:
            self.log(_("The scene was closed; the running job was stopped."))
            self.cancel()

    def _onSceneChanged(self, caller, event):
        if self.job is None:
            self.showStatus("")
        self._attach()
        self.refreshSoon()

    def refreshSoon(self):
        """Refresh once after everything that happens now; when the module is opened where it is
        not."""
        if self.entered and not self._refreshQueued:
            self._refreshQueued = True
            qt.QTimer.singleShot(0, self._refreshNow)

    def _refreshNow(self):
        self._refreshQueued = False
        scene = slicer.mrmlScene
        if not self.entered or scene.IsBatchProcessing():
            return
        if not scene.IsNodePresent(self.parameters.node):
            self._attach()
        self.suggestRadiographs()
        self.refresh()

    def refresh(self):
        """Bring the whole panel in line with parameters and scene."""
        self.refreshing = True
        try:
            self._findSetup()
            for section in self.sections:
                section.refresh()
        finally:
            self.refreshing = False

    def _findSetup(self):
        self.setup = self.setupError = None
        try:
            self.setup = setupFromParameters(self.parameters)
        except SSRKDError as error:
            self.setupError = error
        except Exception as error:
            self.setupError = unexpected(error)
            logging.exception("SSRKD: the set-up cannot be read")

    def suggestRadiographs(self):
        """Choose the radiographs that the scene seems to offer, where none is chosen."""
        if self.job is not None:  # its result belongs to those that it was started with
            return
        if any(self.parameters.nodeOf(view) is not None for view in VIEWS):
            return
        if self.parameters.pairFolder:  # its own are loaded when their turn comes
            return
        known = {self.parameters.nodeOf(view, "Placed") for view in VIEWS}
        known |= cases.usedByOthers(self.parameters)
        volumes = [
            node
            for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            if node not in known and not node.GetNodeReferenceID("SSRKD.CopyOf")
        ]
        pair = suggestPair(volumes)
        if all(pair):
            for view, node in zip(VIEWS, pair):
                self.parameters.setNode(view, "", node)

    # The case

    def case(self):
        """:class:`CaseNodes` of the parameters."""
        return case_nodes.caseNodes(self.parameters)

    def sameCase(self):
        """The case so far where it is of the chosen radiographs, else an empty one."""
        return case_nodes.sameCase(self.parameters, self.setup)

    def storeCase(self, case):
        """Remember the nodes of a case in the parameters; what was made before of other radiographs
        stays, in a case of its own."""
        if case_nodes.areOfOthers(self.case(), case):
            pair = map(cases.original, case.placed)
            before = cases.setApart(self.parameters, case.name(), pair)
            self.log(
                _("What was made of other images is in the case '{name}'.").format(
                    name=before.GetName()
                )
            )
        case_nodes.storeCase(self.parameters, case)

    def options(self):
        """How the user wants to reconstruct."""
        chosen = self.parameters
        # Fitted surfaces are the default of weights that can give them.
        surface = None if chosen.surface == SURFACES[0] else chosen.surface
        return Options(chosen.weights, chosen.device, chosen.spacing, surface, chosen.pose)

    def requireSetup(self):
        """The set-up as it is now, crop regions included.

        Raises:
            SSRKDError: what is missing.
        """
        self._findSetup()
        if self.setup is None:
            raise self.setupError
        return self.setup

    def missing(self):
        """What the set-up lacks, a sentence, or ""."""
        return "" if self.setupError is None else errorText(self.setupError)

    # The job

    def start(self, what, starter, onDone, onFailed=None):
        """Start a job, unless one is running.

        Args:
            what: for the log, in the user's language, "Reconstruct".
            starter: called with onProgress, onDone and onFailed; returns the job.
            onDone: called with the result, after the job has ended.
            onFailed: called with the error where it is not a cancellation; default: show it.
        """
        if self.job is not None:
            self.log(_("Something is running already. Click Cancel to stop it."))
            return
        self.ui.progressBar.value = 0
        self.ui.progressBar.format = self._message = what
        self.showStatus("")
        self.log(_("{what}: started.").format(what=what))
        self.jobStarted = time.monotonic()

        def ended():
            self.job = None
            self.refreshSoon()
            self.run.showRunning()

        def done(result):
            ended()
            slicer.util.showStatusMessage(_("{what}: done.").format(what=what), 10000)
            try:
                onDone(result)
            except SSRKDError as error:
                self.showError(error)
            except Exception as error:
                self.showError(unexpected(error))

        def failed(error):
            ended()
            if isinstance(error, Cancelled):
                self.showStatus(_("{what} was cancelled. Nothing was changed.").format(what=what))
                self.log(_("{what}: cancelled.").format(what=what))
            elif onFailed is not None:
                onFailed(error)
            else:
                self.showError(error)

        job = starter(onProgress=self._onProgress, onDone=done, onFailed=failed)
        if not job.finished:  # else it failed at once, and another may have been started since
            self.job = job
        self.run.showRunning()

    def cancel(self):
        """Stop the running job, if any."""
        if self.job is not None:
            self.ui.progressBar.format = _("Cancelling...")
            self.job.cancel()

    def _onProgress(self, stage, fraction, message):
        self.ui.progressBar.value = int(round(100 * fraction))
        if message:
            self._message = said(message)
            self.log(self._message + ".")
        left = self._timeLeft(fraction)
        text = (
            _("{message} (%p%)").format(message=self._message)
            if left is None
            else _("{message} (%p%, {left:.0f} s left)").format(message=self._message, left=left)
        )
        self.ui.progressBar.format = text
        # Another module may be open.
        percent = str(self.ui.progressBar.value)
        slicer.util.showStatusMessage(text.replace("%p", percent), 3000)

    def _timeLeft(self, fraction):
        """Seconds that the job will take yet, or None."""
        elapsed = time.monotonic() - self.jobStarted
        return (
            elapsed * (1 - fraction) / fraction if _EARLY < fraction < 1 and elapsed > 1 else None
        )

    # Help

    def onHelp(self):
        qt.QDesktopServices.openUrl(qt.QUrl(DOCUMENTATION))

    def onCite(self):
        slicer.app.clipboard().setText(CITATION)
        self.showStatus(_("The citation was copied."))

    # Messages

    def log(self, text):
        """A line in the log, which users copy and send: without names of their files."""
        self.ui.logEdit.appendPlainText(f"{time.strftime('%H:%M:%S')}  {shortened(text)}")

    def showStatus(self, text):
        """A sentence below the button."""
        self.ui.statusLabel.text = breakable(text)

    def showError(self, error):
        """An error as a sentence; its details go to the logs."""
        self.showStatus(f"✗ {errorText(error)}")
        self.log(f"✗ {errorText(error)}")
        details = getattr(error, "log", "")
        if details:
            self.log(details.rstrip())
        logging.error(shortened(f"SSRKD: {error}\n{details}".rstrip()))

    def logAll(self, messages):
        """Sentences into the log."""
        for sentence in messages:
            self.log(said(sentence))

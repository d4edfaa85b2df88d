"""Section Cases: pairs of radiographs side by side in the scene, and many of them at once."""

from __future__ import annotations

from dataclasses import replace

import qt
import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import Cancelled, SSRKDError

from ..radiographs.pairs import loadPair, pairFolders
from ..radiographs.view_setup import setupFromParameters
from ..scene import cases
from ..scene.parameters import VIEWS, Parameters
from ..scene.words import errorText
from ..worker.worker_job import unexpected
from . import case_nodes
from .bindings import Section, guarded
from .case_queue import CaseQueue
from .tables import fitHeight, setColumns

#: Rows that are shown at a time.
_MOST_ROWS = 8


class CasesSection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self._rows = [None]  # nodes; None: the only case, which has none yet
        self._doing = {}  # by case's node: "waiting", or the fraction that is done
        self._filling = False
        self._queue = self._beforeImport = None
        setColumns(ui.casesTable, (_("Case"), _("State")), stretched=1, most=_MOST_ROWS)
        ui.casesTable.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        ui.casesTable.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        ui.casesTable.connect("itemSelectionChanged()", self.onChoose)
        ui.casesTable.connect("cellChanged(int,int)", self.onRenamed)
        ui.newCaseButton.connect("clicked()", self.onNew)
        ui.renameCaseButton.connect("clicked()", self.onRename)
        ui.removeCaseButton.connect("clicked()", self.onRemove)
        ui.pairsButton.connect("clicked()", self.onPairs)
        ui.reconstructAllButton.connect("clicked()", self.onReconstructAll)
        scene = slicer.mrmlScene
        panel.addObserver(scene, scene.StartImportEvent, self.onImportBegins)
        panel.addObserver(scene, scene.EndImportEvent, self.onImported)

    # A scene is added

    def onImportBegins(self, caller, event):
        panel, job = self.panel, self.panel.job
        # Another case will be worked on than the job was started in; a queue knows its own.
        if job is not None and not job.cancelling and self._queue is None:
            panel.log(_("A scene was added; the running job was stopped."))
            panel.cancel()
        chosen = Parameters(panel.logic.getParameterNode())
        self._beforeImport = cases.keepBeforeImport(chosen)

    def onImported(self, caller, event):
        chosen = Parameters(self.panel.logic.getParameterNode())
        cases.afterImport(chosen, self._beforeImport)

    # What is shown

    def refresh(self):
        super().refresh()
        ui, idle = self.ui, self.panel.job is None
        self._rows = cases.casesOf() or [None]
        current = cases.currentCase(self.parameters)
        table = ui.casesTable
        self._filling = True
        try:
            table.setRowCount(len(self._rows))
            for row, case in enumerate(self._rows):
                self._showRow(row, case)
            table.selectRow(self._rows.index(current) if current in self._rows else 0)
        finally:
            self._filling = False
        fitHeight(table, _MOST_ROWS)
        # A job stores its result in the case that is worked on; a queue knows whose it is.
        table.enabled = idle or self._queue is not None
        for button in (ui.newCaseButton, ui.removeCaseButton, ui.pairsButton):
            button.enabled = idle
        missing = "" if self._waiting() else _("No case waits: none has radiographs and no bones.")
        self.offer(ui.reconstructAllButton, missing, busy=not idle)

    def _showRow(self, row, case):
        table = self.ui.casesTable
        name = case.GetName() if case is not None else cases.nameOf(self.parameters)
        state = self._state(case)
        for column, text in enumerate((name, state)):
            item = table.item(row, column)
            if item is None:
                item = qt.QTableWidgetItem()
                table.setItem(row, column, item)
            if item.text() != text:
                item.setText(text)
            item.setToolTip(state)
            able = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
            item.setFlags(able | qt.Qt.ItemIsEditable if column == 0 else able)

    def _state(self, case):
        doing = self._doing.get(case)
        parameters = cases.parametersOf(self.parameters, case)
        found = sum(parameters.nodeOf(bone, "Model") is not None for bone in BONES)
        if doing == "waiting":
            return _("Waiting")
        if doing is not None:
            return _("Running, {percent} %").format(percent=round(100 * doing))
        if parameters.problem:
            return f"✗ {parameters.problem}"
        if found:
            return _("{count} bones").format(count=found)
        if all(parameters.nodeOf(view) is not None for view in VIEWS):
            return _("Radiographs chosen")
        return _("Not read yet") if parameters.pairFolder else _("No radiographs")

    def _waiting(self):
        """The cases that have something to reconstruct from, and no bones."""
        waiting = []
        for case in cases.casesOf():
            nodeOf = cases.parametersOf(self.parameters, case).nodeOf
            chosen = all(nodeOf(view) is not None for view in VIEWS)
            folder = cases.parametersOf(self.parameters, case).pairFolder
            if (chosen or folder) and not any(nodeOf(bone, "Model") for bone in BONES):
                waiting.append(case)
        return waiting

    def _onState(self, case, doing):
        self._doing[case] = doing
        if doing == "":
            del self._doing[case]
        if case in self._rows and self.panel.entered:
            self._filling = True
            self._showRow(self._rows.index(case), case)
            self._filling = False

    # What the user does

    @guarded
    def onChoose(self):
        chosen = sorted({index.row() for index in self.ui.casesTable.selectedIndexes()})
        if self._filling or self.panel.refreshing or not chosen:
            return
        case = self._rows[chosen[0]]
        if case is not None and case is not cases.currentCase(self.parameters):
            self._goTo(case)

    def _goTo(self, case):
        panel = self.panel
        panel.radiographs.scale.stop()
        cases.goTo(self.parameters, case)
        self._showCurrent()

    def _showCurrent(self):
        panel, case = self.panel, self.panel.case()
        if any(case.placed):
            masks = any(
                node is not None and node.GetDisplayNode().GetVisibility() for node in case.masks
            )
            panel.results.showCase(case, masks)
        elif any(panel.results.volumes().values()):
            panel.results.onLayout()
        panel.showStatus("")
        panel.refreshSoon()

    @guarded
    def onNew(self):
        self._goTo(cases.newCase(self.parameters, _("Knee")))

    @guarded
    def onRename(self):
        row = max(self.ui.casesTable.currentRow(), 0)
        self.ui.casesTable.editItem(self.ui.casesTable.item(row, 0))

    @guarded
    def onRenamed(self, row, column):
        if self._filling or column != 0:
            return
        name = self.ui.casesTable.item(row, 0).text().strip()
        case = self._rows[row] or cases.keptCurrent(self.parameters)
        if name:
            case.SetName(name)
        self.panel.refreshSoon()  # an empty name is none

    @guarded
    def onRemove(self):
        case = cases.keptCurrent(self.parameters)
        question = _(
            "Remove the case '{name}' from the scene, with its radiographs, bones and masks? Files "
            "stay."
        ).format(name=case.GetName())
        if slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Remove case")):
            self.panel.radiographs.scale.stop()
            cases.removeCase(self.parameters, case)
            self._showCurrent()

    @guarded
    def onPairs(self):
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder of pairs"), ""
        )
        if not folder:
            return
        self.panel.run.checkWeights()
        folders = pairFolders(folder)
        before, wasEmpty = cases.keptCurrent(self.parameters), self._isEmpty()
        added = []
        for one in folders:
            case = cases.newCase(self.parameters, one.name)
            cases.parametersOf(self.parameters, case).pairFolder = str(one)
            added.append(case)
        if wasEmpty:  # nobody wants a row of it
            cases.goTo(self.parameters, added[0])
            cases.removeCase(self.parameters, before)
        self._start(added)

    def _isEmpty(self):
        volumes = self.panel.results.volumes().values()
        return not any(volumes) and not self.panel.case().models and not self.parameters.pairFolder

    @guarded
    def onReconstructAll(self):
        self.panel.run.checkWeights()
        self._start(self._waiting())

    def _start(self, waiting):
        panel, options = self.panel, self.panel.options()

        def starter(onProgress, onDone, onFailed):
            self._queue = CaseQueue(
                waiting,
                lambda case, **callbacks: self._reconstruct(case, options, **callbacks),
                self._onState, onProgress, onDone, onFailed,
            )  # fmt: skip
            return self._queue

        def done(queue):
            self._queue = None
            text = _("{done} of {count} cases were reconstructed.").format(
                done=queue.done, count=len(waiting)
            )
            if queue.failed:
                text += " " + _("{count} failed; their rows say why.").format(count=queue.failed)
            if queue.cancelling and self._waiting():  # none does where the scene was closed
                text += " " + _("Cancelled: 'Reconstruct all' goes on with the others.")
            panel.showStatus(text)
            panel.log(text)

        panel.start(_("Reconstruct all"), starter, done)
        panel.refresh()  # rows, before the first file is read

    def _reconstruct(self, case, options, onProgress, onDone, onFailed):
        """The job of one case in the queue."""
        worker = self.panel.tasks.worker

        def failed(error):
            if not slicer.mrmlScene.IsNodePresent(case):
                onFailed(error)
                return
            cases.parametersOf(self.parameters, case).problem = (
                "" if isinstance(error, Cancelled) else errorText(error)
            )
            onFailed(error)

        def done(made):
            chosen = cases.parametersOf(self.parameters, case)
            made.masks = masks
            case_nodes.storeCase(chosen, made)
            self.panel.logAll(made.messages)
            if chosen is self.parameters:
                self.panel.results.showCase(made, masks=False)
            else:
                cases.putAway(case)
            onDone(made)

        if not slicer.mrmlScene.IsNodePresent(case):
            return worker.refused(Cancelled(), onFailed)
        try:
            chosen = cases.parametersOf(self.parameters, case)
            loadPair(chosen)
            setup = setupFromParameters(chosen)
            before = case_nodes.sameCase(chosen, setup)
        except SSRKDError as error:
            return worker.refused(error, failed)
        except Exception as error:
            return worker.refused(unexpected(error), failed)
        masks = before.masks
        if not self.parameters.useMasks:
            before = replace(before, masks=(None, None))
        return self.panel.tasks.reconstruct(
            setup, options, before, self.parameters.radiographsIn3D,
            onProgress=onProgress, onDone=done, onFailed=failed,
        )  # fmt: skip

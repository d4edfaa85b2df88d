"""Within Radiographs: window, level and inversion of what the slice views show."""

from __future__ import annotations

import vtk
from slicer.i18n import tr as _

from ..scene.parameters import VIEWS
from .bindings import Section, guarded

_GREY, _INVERTED = "vtkMRMLColorTableNodeGrey", "vtkMRMLColorTableNodeInvertedGrey"


class DisplaySection(Section):
    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self._observed = ()
        self._writing = False
        ui.displayView.connect("currentIndexChanged(int)", self.onView)
        ui.displayWindow.connect("valueChanged(double)", self.onRange)
        ui.displayLevel.connect("valueChanged(double)", self.onRange)
        ui.displayInvertCheck.connect("toggled(bool)", self.onInvert)
        ui.displayAutoButton.connect("clicked()", self.onAutomatic)

    def _displays(self):
        """Of the chosen radiograph and of its copy on the detector plane."""
        view = VIEWS[self.ui.displayView.currentIndex]
        nodes = (self.parameters.nodeOf(view), self.parameters.nodeOf(view, "Placed"))
        nodes = dict.fromkeys(nodes)  # one that was simulated lies there already
        displays = [node.GetDisplayNode() for node in nodes if node is not None]
        return tuple(display for display in displays if display is not None)

    def refresh(self):
        super().refresh()
        displays = self._displays()
        self._observe(displays)
        ui = self.ui
        widgets = (ui.displayWindow, ui.displayLevel, ui.displayInvertCheck)
        for widget in (*widgets, ui.displayAutoButton):
            self.offer(widget, "" if displays else _("Choose the radiographs first."))
        if not displays:
            return
        blocked = [widget.blockSignals(True) for widget in widgets]
        shown = displays[-1]  # a copy is what the views show
        for spin, value in (
            (ui.displayWindow, shown.GetWindow()),
            (ui.displayLevel, shown.GetLevel()),
        ):
            if abs(spin.value - value) > 0.005:  # else Qt would move the cursor of who is typing
                spin.value = value
            spin.singleStep = max(shown.GetWindow() / 50, 0.01)
        ui.displayInvertCheck.checked = shown.GetColorNodeID() == _INVERTED
        for widget, before in zip(widgets, blocked):
            widget.blockSignals(before)

    def _observe(self, displays):
        """Follow the mouse's window and level."""
        if displays == self._observed:
            return
        event = vtk.vtkCommand.ModifiedEvent
        for display in self._observed:
            if self.panel.hasObserver(display, event, self.onDisplay):
                self.panel.removeObserver(display, event, self.onDisplay)
        for display in displays:
            self.panel.addObserver(display, event, self.onDisplay)
        self._observed = displays

    @guarded
    def onDisplay(self, caller, event):
        if self.panel.entered and not self._writing and not self.panel.refreshing:
            self.refresh()

    @guarded
    def onView(self, *args):
        self.refresh()

    @guarded
    def onRange(self, *args):
        window, level = self.ui.displayWindow.value, self.ui.displayLevel.value
        self._write(lambda display: display.SetAutoWindowLevel(False))
        self._write(lambda display: display.SetWindowLevel(max(window, 0.01), level))

    @guarded
    def onInvert(self, on):
        self._write(lambda display: display.SetAndObserveColorNodeID(_INVERTED if on else _GREY))

    @guarded
    def onAutomatic(self):
        self._write(lambda display: display.SetAutoWindowLevel(True))
        self.refresh()

    def _write(self, change):
        self._writing = True
        try:
            for display in self._displays():
                change(display)
        finally:
            self._writing = False

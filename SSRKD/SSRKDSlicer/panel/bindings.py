"""Widgets bound to parameters: a change of the one changes the other."""

from __future__ import annotations

import functools
import os

import ctk
import qt
from slicer.i18n import tr as _

from SSRKDLib.core.errors import SSRKDError

from ..worker.worker_job import unexpected


class Section:
    """A section of the panel.

    A sub-class binds its widgets in its constructor and updates what depends on more than one
    parameter in :meth:`refresh`.

    Args:
        panel: :class:`~SSRKDSlicer.panel.panel.Panel`.
    """

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._readers = []
        self._tips = {}

    @property
    def parameters(self):
        return self.panel.parameters

    def refresh(self):
        """Bring the widgets in line with the parameters."""
        for read in self._readers:
            read()

    def offer(self, widget, missing="", busy=False):
        """Enable a widget, or disable it.

        Args:
            widget: one whose tool tip says what it does.
            missing: a sentence that is its tool tip as long as there is one.
            busy: disable it without such a sentence.
        """
        does = self._tips.setdefault(widget, widget.toolTip)
        widget.enabled = not missing and not busy
        widget.toolTip = missing or does

    def scalar(self, widget, signal, show, get, store):
        """Bind a widget.

        Args:
            widget, signal: what reports the user's change.
            show: called with the parameter's value, shows it in the widget.
            get: of the parameter's value.
            store: called with no argument, stores the widget's value.
        """

        def onChanged(*args):
            if not self.panel.refreshing and not self.panel.closed:
                store()

        def read():
            blocked = widget.blockSignals(True)
            show(get())
            widget.blockSignals(blocked)

        widget.connect(signal, onChanged)
        self._readers.append(read)

    def choice(self, combo, name):
        """Bind a combo box to a text parameter: one entry for each of its choices, in order."""
        values = getattr(type(self.parameters), name).choices

        def show(value):
            combo.currentIndex = values.index(value)

        self.scalar(
            combo, "currentIndexChanged(int)", show,
            lambda: getattr(self.parameters, name),
            lambda: setattr(self.parameters, name, values[combo.currentIndex]),
        )  # fmt: skip

    def flag(self, check, name):
        """Bind a check box to a flag."""

        def show(value):
            check.checked = value

        self.scalar(
            check, "toggled(bool)", show,
            lambda: getattr(self.parameters, name),
            lambda: setattr(self.parameters, name, check.checked),
        )  # fmt: skip

    def path(self, edit, name, kind=None):
        """Bind a path to a text parameter.

        Args:
            edit: ctkPathLineEdit; its history goes by the parameter's name.
            name: of the parameter.
            kind: of the file, "Rig (*.json)"; None for a folder.
        """
        edit.settingKey = f"SSRKD/{name}"
        edit.filters = ctk.ctkPathLineEdit.Dirs if kind is None else ctk.ctkPathLineEdit.Files
        # Without all files the widget would tell nothing of a path that is not of the kind.
        edit.nameFilters = [] if kind is None else [kind, _("All files (*)")]
        edit.sizeAdjustPolicy = ctk.ctkPathLineEdit.AdjustToMinimumContentsLength
        edit.minimumContentsLength = 8

        def typed():
            text = edit.currentPath.strip()
            # What is dropped from a file manager.
            return qt.QUrl(text).toLocalFile() if text.startswith("file:") else text

        def show(value):
            if typed() != value:  # a space at its end may go on
                edit.currentPath = value

        def store():
            path = typed()
            setattr(self.parameters, name, path)
            if os.path.isfile(path):
                remember(edit)

        def get():
            return getattr(self.parameters, name)

        self.scalar(edit, "currentPathChanged(QString)", show, get, store)
        # An empty field is no path, of which the other signal tells nothing.
        edit.connect("validInputChanged(bool)", lambda valid: None if valid else store())

    def spin(self, spin, get, store, unknown=None):
        """Bind a spin box to a number; its value ``unknown`` stands for None."""

        def show(value):
            value = unknown if value is None else value
            if spin.value != value:  # else Qt would move the cursor of who is typing
                spin.value = value

        self.scalar(
            spin, "valueChanged(double)", show, get,
            lambda: store(None if spin.value == unknown else spin.value),
        )  # fmt: skip

    def node(self, selector, role, what=""):
        """Bind a node selector to a node reference."""

        def show(node):
            if selector.currentNode() is not node:
                selector.setCurrentNode(node)

        self.scalar(
            selector, "currentNodeChanged(vtkMRMLNode*)", show,
            lambda: self.parameters.nodeOf(role, what),
            lambda: self.parameters.setNode(role, what, selector.currentNode()),
        )  # fmt: skip


def remember(edit):
    """Put a ctkPathLineEdit's path into its history; it sends the paths in between as changes."""
    blocked = edit.blockSignals(True)
    edit.addCurrentPathToHistory()
    edit.blockSignals(blocked)


def breakable(text):
    """A sentence for a label: long names may go on in the next line after each "_"."""
    return text.replace("_", "_\u200b")


def guarded(method):
    """A slot whose errors are shown in the panel, as sentences."""

    @functools.wraps(method)
    def slot(self, *args):
        panel = getattr(self, "panel", self)
        try:
            method(self, *args)
        except SSRKDError as error:
            panel.showError(error)
        except Exception as error:
            panel.showError(unexpected(error))

    return slot

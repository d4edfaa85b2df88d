"""Widgets bound to parameters: a change of the one changes the other."""

from __future__ import annotations

import functools

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

    @property
    def parameters(self):
        return self.panel.parameters

    def refresh(self):
        """Bring the widgets in line with the parameters."""
        for read in self._readers:
            read()

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

    def path(self, edit, button, name, ask):
        """Bind a path to a text parameter.

        Args:
            edit, button: to type it, and to choose it.
            name: of the parameter.
            ask: called with no argument; returns the chosen path, or "".
        """

        def show(value):
            # What is being typed is not taken away by a refresh that something else set off.
            if edit.text != value and not edit.modified:
                edit.text = value

        def store():
            edit.modified = False
            setattr(self.parameters, name, edit.text.strip())

        def browse():
            path = ask()
            if path:
                setattr(self.parameters, name, path)

        self.scalar(
            edit, "editingFinished()", show,
            lambda: getattr(self.parameters, name),
            store,
        )  # fmt: skip
        button.connect("clicked()", browse)

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

"""``qt.QUiLoader``: builds a panel from a .ui file, with the bench's stand-ins in it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from PySide6 import QtCore, QtUiTools, QtWidgets

from . import connections

#: Stand-ins that .ui files may name, by class.
stand_ins: dict[str, type] = {}

# Qt would drop the Python side of a stand-in that nothing else refers to.
_alive: dict[int, QtWidgets.QWidget] = {}


class UiLoader(QtUiTools.QUiLoader):
    """Loads .ui files; refuses widget classes that have no stand-in, by name."""

    def createWidget(self, className, parent=None, name=""):
        kind = stand_ins.get(className)
        if kind is None:
            return super().createWidget(className, parent, name)
        widget = kind(parent)
        widget.setObjectName(name)
        _keep(widget)
        return widget

    def load(self, device):
        """The widget described by a QFile."""
        root = ET.fromstring(bytes(device.readAll()))
        self._refuse_unknown(root)
        parts = ("sender", "signal", "receiver", "slot")
        wires = [[wire.findtext(part) for part in parts] for wire in root.iter("connection")]
        for element in root.findall("connections"):
            root.remove(element)  # Qt does not resolve signals of types that it does not know
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        panel = super().load(buffer)
        if panel is None:
            raise RuntimeError(f"Could not load the .ui file: {self.errorString()}")
        _keep(panel)
        for sender, signal, receiver, slot in wires:
            method = getattr(_find(panel, receiver), slot.split("(")[0])
            connections.connect(_find(panel, sender), signal, method)
        return panel

    def _refuse_unknown(self, root) -> None:
        known = {*self.availableWidgets(), *stand_ins, "Line"}
        unknown = {widget.get("class") for widget in root.iter("widget")} - known
        if unknown:
            names = ", ".join(sorted(unknown))
            raise RuntimeError(f"The .ui file uses widgets without a stand-in: {names}")


def _find(panel, name):
    found = panel if panel.objectName() == name else panel.findChild(QtCore.QObject, name)
    if found is None:
        raise RuntimeError(f"A connection in the .ui file names '{name}', which is not there")
    return found


def _keep(widget) -> None:
    key = id(widget)
    _alive[key] = widget
    widget.destroyed.connect(lambda *_: _alive.pop(key, None))

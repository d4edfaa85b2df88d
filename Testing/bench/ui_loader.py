"""``qt.QUiLoader``: builds a panel from a .ui file, with the bench's stand-ins in it."""

from __future__ import annotations

import functools
import operator
import xml.etree.ElementTree as ET

from PySide6 import QtCore, QtUiTools, QtWidgets

from . import connections

#: Stand-ins by class name.
_stand_ins: dict[str, type] = {}

# Qt would drop the Python side of a stand-in that nothing else refers to.
_alive: dict[int, QtWidgets.QWidget] = {}


def register(widgets: dict[str, type]) -> None:
    """Let .ui files name these classes."""
    _stand_ins.update(widgets)


class UiLoader(QtUiTools.QUiLoader):
    """Loads .ui files; refuses widget classes that have no stand-in, by name."""

    def createWidget(self, className, parent=None, name=""):  # noqa: N802, N803
        kind = _stand_ins.get(className)
        if kind is None:
            return super().createWidget(className, parent, name)
        widget = kind(parent)
        widget.setObjectName(name)
        _keep(widget)
        return widget

    def load(self, device, parentWidget=None):  # noqa: N803
        """The widget described by a QFile or a path."""
        root = ET.fromstring(_content(device))
        self._refuse_unknown(root)
        # Qt resolves neither the enums of a stand-in nor signals of types it does not know.
        enums = _take_enums(root)
        wires = _take_connections(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        panel = super().load(buffer, parentWidget)
        if panel is None:
            raise RuntimeError(f"Could not load the .ui file: {self.errorString()}")
        _keep(panel)
        for widget, name, value in enums:
            _find(panel, widget).setProperty(name, value)
        for sender, signal, receiver, slot in wires:
            method = getattr(_find(panel, receiver), slot.split("(")[0])
            connections.connect(_find(panel, sender), signal, method)
        return panel

    def _refuse_unknown(self, root) -> None:
        known = {*self.availableWidgets(), *_stand_ins, "Line"}
        unknown = {widget.get("class") for widget in root.iter("widget")} - known
        if unknown:
            names = ", ".join(sorted(unknown))
            raise RuntimeError(f"The .ui file uses widgets without a stand-in: {names}")


def _content(device) -> bytes:
    if hasattr(device, "readAll"):
        return bytes(device.readAll())
    with open(device, "rb") as file:
        return file.read()


def _take_enums(root) -> list:
    """Remove properties of enum type from stand-ins; return (widget, property, value)."""
    taken = []
    for element in root.iter("widget"):
        kind = _stand_ins.get(element.get("class"))
        if kind is None:
            continue
        for item in element.findall("property"):
            names = item.findtext("set") or item.findtext("enum")
            values = [getattr(kind, n.split("::")[-1], None) for n in (names or "").split("|")]
            if names and all(isinstance(value, int) for value in values):
                element.remove(item)
                value = functools.reduce(operator.or_, values)
                taken.append((element.get("name"), item.get("name"), value))
    return taken


def _take_connections(root) -> list:
    wires = [
        tuple(wire.findtext(part) for part in ("sender", "signal", "receiver", "slot"))
        for wire in root.iter("connection")
    ]
    for element in root.findall("connections"):
        root.remove(element)
    return wires


def _find(panel, name):
    found = panel if panel.objectName() == name else panel.findChild(QtCore.QObject, name)
    if found is None:
        raise RuntimeError(f"A connection in the .ui file names '{name}', which is not there")
    return found


def _keep(widget) -> None:
    key = id(widget)
    _alive[key] = widget
    widget.destroyed.connect(lambda *_: _alive.pop(key, None))

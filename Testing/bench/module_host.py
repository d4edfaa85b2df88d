"""Loads, opens, reloads and shuts down scripted modules as Slicer's module manager does."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui

from . import startup
from .mrml_widgets import qSlicerScriptedLoadableModuleWidget
from .pythonqt import stand_in, stored


@stand_in(exposed="path name widgetRepresentation")
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The application's object of a scripted module: ``slicer.modules.<name>``."""

    title = stored(str, "")
    categories = stored("QStringList", [])
    dependencies = stored("QStringList", [])
    associatedNodeTypes = stored("QStringList", [])
    contributors = stored("QStringList", [])
    helpText = stored(str, "")
    acknowledgementText = stored(str, "")
    icon = stored("QIcon", QtGui.QIcon())
    path = stored(str, "")
    name = stored(str, "")

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.name = str(path), path.stem
        self.widget = None  # once the panel was made

    def widgetRepresentation(self):
        """The module's panel, made and set up on the first call."""
        if self.widget is None:
            frame = qSlicerScriptedLoadableModuleWidget(self._make)
            frame.setObjectName(f"qSlicer{self.name}ModuleWidget")
            frame.setMRMLScene(slicer.mrmlScene)
            frame.setup()
            self.widget = frame
        return self.widget

    def _make(self, frame):
        name = self.name + "Widget"
        widget = getattr(sys.modules[self.name], name)(frame)
        setattr(slicer.modules, name, widget)
        return widget


def install() -> None:
    """Put a ``slicer.packaging`` in place that installs nothing."""
    packaging = types.ModuleType("slicer.packaging", "pip in Slicer; the bench installs nothing.")
    packaging.pip_install = packaging.pip_uninstall = _refuse
    sys.modules["slicer.packaging"] = slicer.packaging = packaging


def _refuse(*arguments, **_named):
    raise RuntimeError(f"slicer.packaging was called with {arguments}: the bench installs nothing")


def load_module(path) -> types.ModuleType:
    """Load a module's file at start-up: import it and make its module object.

    Args:
        path: ``<Name>.py``.

    Returns:
        The imported Python module, also ``sys.modules[Name]``.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: it imports more than a start-up may, see :mod:`.startup`.
    """
    path = Path(path).resolve()
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    parent = qSlicerScriptedLoadableModule(path)
    with startup.only_allowed_imports(path):
        spec.loader.exec_module(module)
        setattr(slicer.modules, name.lower(), parent)
        setattr(slicer.modules, name + "Instance", getattr(module, name)(parent))
    _loaded.append(path)
    return module


#: Files of the modules that were loaded.
_loaded: list[Path] = []


def start_up() -> None:
    """Announce to modules that the application has started: ``startupCompleted()``.

    A module that is loaded later, by hand, is never told.

    Raises:
        RuntimeError: a module imports more than a start-up may, see :mod:`.startup`.
    """
    with contextlib.ExitStack() as watches:
        for path in _loaded:
            if path.is_file():
                watches.enter_context(startup.only_allowed_imports(path))
        slicer.app.startupCompleted.emit()


def open_module(name: str):
    """Show a module's panel, as choosing the module does; return its ``<Name>Widget`` object."""
    frame = _parent(name).widgetRepresentation()
    frame.show()
    frame.enter()
    return frame.self()


def close_module(name: str) -> None:
    """Leave a module's panel for another: ``exit`` is called."""
    frame = _parent(name).widgetRepresentation()
    frame.exit()
    frame.hide()


def reload_module(name: str):
    """Reload a module as its Reload button does; return the new widget object."""
    slicer.util.reloadScriptedModule(name)
    return getattr(slicer.modules, name + "Widget")


def shut_down_module(name: str) -> None:
    """End a module's panel as the application does when it quits: ``exit``, then ``cleanup``."""
    parent = _parent(name)
    if parent.widget.isEntered:
        parent.widget.exit()
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(name)
    parent.widget.hide()
    parent.widget.deleteLater()
    parent.widget = None
    delattr(slicer.modules, name + "Widget")


def _parent(name: str) -> qSlicerScriptedLoadableModule:
    return getattr(slicer.modules, name.lower())

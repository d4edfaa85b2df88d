"""Loads, opens, reloads and shuts down scripted modules as Slicer's module manager does."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui

from .mrml_widgets import qSlicerScriptedLoadableModuleWidget
from .properties import stored
from .pythonqt import stand_in


@stand_in()
class qSlicerScriptedLoadableModule(QtCore.QObject):  # noqa: N801
    """The application's object of a scripted module: ``slicer.modules.<name>``."""

    title = stored(str, "")
    categories = stored("QStringList", [])
    dependencies = stored("QStringList", [])
    associatedNodeTypes = stored("QStringList", [])  # noqa: N815
    contributors = stored("QStringList", [])
    helpText = stored(str, "")  # noqa: N815
    acknowledgementText = stored(str, "")  # noqa: N815
    icon = stored("QIcon", QtGui.QIcon())
    index = stored(int, -1)
    hidden = stored(bool, False)
    widgetRepresentationCreationEnabled = stored(bool, True)  # noqa: N815
    path = stored(str, "")
    name = stored(str, "")

    def __init__(self, path: str):
        super().__init__()
        self.setProperty("path", path)
        self.setProperty("name", Path(path).stem)
        self._widget = None

    def logic(self):
        """None: the logic of a scripted module is its widget's."""
        return

    def widgetRepresentation(self):  # noqa: N802
        """The module's panel, made and set up on the first call."""
        if self._widget is None and self.widgetRepresentationCreationEnabled:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self):  # noqa: N802
        name = self.name

        def make(frame):
            widget = getattr(sys.modules[name], name + "Widget")(frame)
            setattr(slicer.modules, name + "Widget", widget)
            return widget

        frame = qSlicerScriptedLoadableModuleWidget(make)
        frame.setObjectName(f"qSlicer{name}ModuleWidget")
        frame.setMRMLScene(slicer.mrmlScene)
        frame.setup()
        return frame

    def has_widget(self) -> bool:
        """Bench: whether the panel was made."""
        return self._widget is not None

    def drop_widget(self) -> None:
        """Bench: let the panel go."""
        self._widget.deleteLater()
        self._widget = None


def install() -> None:
    """Make the module's class known, and a ``slicer.packaging`` that installs nothing."""
    slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
    packaging = types.ModuleType("slicer.packaging", "pip in Slicer; the bench installs nothing.")
    for name in ("pip_install", "pip_uninstall"):
        setattr(packaging, name, _refusal(name))
    sys.modules["slicer.packaging"] = packaging
    slicer.packaging = packaging


def _refusal(name: str):
    def refuse(*arguments, **_named):
        raise RuntimeError(f"slicer.packaging.{name}{arguments}: the bench installs nothing")

    return refuse


def load_module(path) -> types.ModuleType:
    """Load a module's file at start-up: import it and make its module object.

    Args:
        path: ``<Name>.py``.

    Returns:
        The imported Python module, also ``sys.modules[Name]``.
    """
    path = Path(path).resolve()
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    if hasattr(slicer.modules, name.lower()):
        unload_module(name)
    module = _execute(name, path)
    parent = qSlicerScriptedLoadableModule(str(path))
    instance = getattr(module, name)(parent)
    setattr(slicer.modules, name.lower(), parent)
    setattr(slicer.modules, name + "Instance", instance)
    setattr(slicer.moduleNames, name, name)
    slicer.app.moduleManager().moduleLoaded.emit(name)
    return module


def _execute(name: str, path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def start_up() -> None:
    """Tell modules that the application has started: ``startupCompleted()``."""
    slicer.app.startupCompleted.emit()


def open_module(name: str):
    """Show a module's panel, as choosing the module does.

    Returns:
        The module's widget object, of class ``<Name>Widget``.
    """
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
    """Reload a module as its Reload button does.

    Returns:
        The new widget object.
    """
    slicer.util.reloadScriptedModule(name)
    return getattr(slicer.modules, name + "Widget")


def shut_down_module(name: str) -> None:
    """End a module's panel as the application does when it quits: ``exit``, then ``cleanup``."""
    parent = _parent(name)
    if not parent.has_widget():
        return
    frame = parent.widgetRepresentation()
    if frame.isEntered:
        frame.exit()
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(name)
    frame.hide()
    parent.drop_widget()
    if hasattr(slicer.modules, name + "Widget"):
        delattr(slicer.modules, name + "Widget")


def unload_module(name: str) -> None:
    """Forget a module, so that another file of that name can be loaded."""
    shut_down_module(name)
    slicer.app.moduleManager().moduleUnloaded.emit(name)
    delattr(slicer.modules, name.lower())
    delattr(slicer.modules, name + "Instance")
    delattr(slicer.moduleNames, name)
    slicer.selfTests.pop(name, None)
    sys.modules.pop(name, None)


def _parent(name: str) -> qSlicerScriptedLoadableModule:
    return getattr(slicer.modules, name.lower())

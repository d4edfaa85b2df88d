"""``slicer.ScriptedLoadableModule``: the base classes of scripted modules.

Written after the behaviour of Slicer's: names, signatures, when what is called.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
import unittest
from pathlib import Path

import slicer
from PySide6 import QtCore

from . import connections

_UNLOADING = "moduleAboutToBeUnloaded(QString)"


class ScriptedLoadableModule:
    """Holds what a module is called and who made it.

    Args:
        parent: the module object of the application, qSlicerScriptedLoadableModule.
    """

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__
        icon = self.resourcePath(f"Icons/{self.moduleName}.png")
        if os.path.isfile(icon):
            import qt

            parent.icon = qt.QIcon(icon)
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename):
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def runTest(self, msec=100, **kwargs):
        """Run ``<Name>Test`` of the module's file."""
        module = importlib.import_module(type(self).__module__)
        case = getattr(module, self.moduleName + "Test")()
        case.messageDelay = msec
        case.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """Makes a module's panel, in ``setup``.

    Args:
        parent: the frame to fill.
    """

    def __init__(self, parent):
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()
        # By PythonQt's name of the signal: slicer.util disconnects it by that when it reloads.
        manager = slicer.app.moduleManager()
        connections.connect(manager, _UNLOADING, self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename):
        folder = os.path.dirname(slicer.util.modulePath(self.moduleName))
        return os.path.join(folder, "Resources", filename)

    def cleanup(self):
        """Called before the module is unloaded or reloaded, for derived classes."""

    def setup(self):
        """Called once the widget was made; a developer's buttons are not here."""

    def _onModuleAboutToBeUnloaded(self, name):
        if name == self.moduleName:
            self.cleanup()
            manager = slicer.app.moduleManager()
            connections.disconnect(manager, _UNLOADING, self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """What a module does, apart from its panel."""

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        """The module's parameter node, a singleton, made if there is none."""
        kind = "vtkMRMLScriptedModuleNode"
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, kind)
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass(kind)
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)  # closing a scene removes it
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """A module's self-test."""

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        """Show a message for a while; here it is logged, whatever the delay."""
        slicer.util.delayDisplay(message, 0)


def _tr(text):
    """A translation in the context of the caller's file."""
    path = Path(sys._getframe(1).f_code.co_filename)
    package = path.parent.name + "." if (path.parent / "__init__.py").is_file() else ""
    return QtCore.QCoreApplication.translate(package + path.stem, text)


def install() -> None:
    """Put ``slicer.ScriptedLoadableModule`` and ``slicer.i18n`` in place."""
    base = types.ModuleType("slicer.ScriptedLoadableModule", __doc__)
    for kind in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(base, kind.__name__, kind)
    translation = types.ModuleType("slicer.i18n", "Translation; texts stay English by themselves.")
    translation.tr = _tr
    translation.translate = QtCore.QCoreApplication.translate
    for name, module in (("ScriptedLoadableModule", base), ("i18n", translation)):
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
    slicer.selfTests = {}

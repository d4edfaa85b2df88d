"""``slicer.ScriptedLoadableModule``: the base classes of scripted modules.

Written after the behaviour of Slicer's: names, signatures, when what is called.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import types
import unittest

import slicer


def install() -> None:
    """Put ``slicer.ScriptedLoadableModule`` and ``slicer.i18n`` in place."""
    module = types.ModuleType("slicer.ScriptedLoadableModule", __doc__)
    kinds = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    module.__all__ = [kind.__name__ for kind in kinds]
    for kind in kinds:
        setattr(module, kind.__name__, kind)
    translation = types.ModuleType("slicer.i18n", "Translation; texts stay English.")
    translation.tr = lambda text: text
    translation.translate = lambda _context, text: text
    translation.getContext = lambda path: os.path.splitext(os.path.basename(path))[0]
    for name, part in (("ScriptedLoadableModule", module), ("i18n", translation)):
        sys.modules[f"slicer.{name}"] = part
        setattr(slicer, name, part)
    slicer.selfTests = {}


def _without(name: str, ending: str) -> str:
    return name.removesuffix(ending)


class ScriptedLoadableModule:
    """Says what a module is called and who made it.

    Args:
        parent: the module object of the application, qSlicerScriptedLoadableModule.
    """

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = ""
        parent.categories = []
        parent.dependencies = []
        parent.contributors = []
        parent.helpText = ""
        parent.acknowledgementText = ""
        self._find_icon()
        slicer.selfTests[self.moduleName] = self.runTest

    def _find_icon(self):
        import qt

        for ending in (".svg", ".png"):
            path = self.resourcePath(os.path.join("Icons", self.moduleName + ending))
            if os.path.isfile(path):
                self.parent.icon = qt.QIcon(path)
                return

    def resourcePath(self, filename):  # noqa: N802
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def getDefaultModuleDocumentationLink(self, docPage=None):  # noqa: N802, N803
        if docPage:
            url = slicer.app.documentationBaseUrl + docPage
        else:
            url = slicer.app.moduleDocumentationUrl(self.moduleName)
        return f'<p>For more information see the <a href="{url}">online documentation</a>.</p>'

    def runTest(self, msec=100, **kwargs):  # noqa: N802
        """Run ``<Name>Test`` of the module's file."""
        module = importlib.import_module(type(self).__module__)
        kind = getattr(module, self.moduleName + "Test", None)
        if kind is None:
            raise AssertionError(f"Test case class not found: {self.moduleName}Test")
        case = kind()
        case.messageDelay = msec
        case.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """Makes a module's panel, in ``setup``.

    Args:
        parent: the frame to fill; without one, a window is made and shown.
    """

    def __init__(self, parent=None):
        import qt

        self.moduleName = _without(type(self).__name__, "Widget")
        self.developerMode = slicer.util.settingsValue(
            "Developer/DeveloperMode", False, converter=slicer.util.toBool
        )
        self.parent = parent
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        # By PythonQt's name of the signal: slicer.util disconnects it by that when it reloads.
        from . import connections

        connections.connect(
            slicer.app.moduleManager(),
            "moduleAboutToBeUnloaded(QString)",
            self._onModuleAboutToBeUnloaded,
        )

    def resourcePath(self, filename):  # noqa: N802
        folder = os.path.dirname(slicer.util.modulePath(self.moduleName))
        return os.path.join(folder, "Resources", filename)

    def cleanup(self):
        """Called before the module is unloaded or reloaded, for derived classes."""

    def setup(self):
        self.setupDeveloperSection()

    def setupDeveloperSection(self):  # noqa: N802
        """Buttons to reload and test, in developer mode."""
        if not self.developerMode:
            return
        import ctk
        import qt

        self.reloadCollapsibleButton = ctk.ctkCollapsibleButton("Reload && Test")
        self.layout.addWidget(self.reloadCollapsibleButton)
        row = qt.QHBoxLayout(self.reloadCollapsibleButton)
        self.reloadButton = qt.QPushButton("Reload")
        self.reloadButton.clicked.connect(lambda *_: self.onReload())
        self.reloadAndTestButton = qt.QPushButton("Reload and Test")
        self.reloadAndTestButton.clicked.connect(lambda *_: self.onReloadAndTest())
        for button in (self.reloadButton, self.reloadAndTestButton):
            row.addWidget(button)

    def onReload(self):  # noqa: N802
        print(f"Reloading module: {self.moduleName}")
        slicer.util.reloadScriptedModule(self.moduleName)

    def onTest(self, **kwargs):  # noqa: N802
        with slicer.util.tryWithErrorDisplay("Test failed."):
            slicer.selfTests[self.moduleName](msec=0, **kwargs)

    def onReloadAndTest(self, **kwargs):  # noqa: N802
        with slicer.util.tryWithErrorDisplay("Reload and Test failed."):
            self.onReload()
            slicer.selfTests[self.moduleName](msec=0, **kwargs)

    def _onModuleAboutToBeUnloaded(self, moduleName):  # noqa: N802, N803
        if moduleName != self.moduleName:
            return
        from . import connections

        self.cleanup()
        connections.disconnect(
            slicer.app.moduleManager(),
            "moduleAboutToBeUnloaded(QString)",
            self._onModuleAboutToBeUnloaded,
        )


class ScriptedLoadableModuleLogic:
    """What a module does, apart from its panel."""

    def __init__(self, parent=None):
        self.moduleName = _without(type(self).__name__, "Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):  # noqa: N802
        """The module's parameter node, made if there is none."""
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node is not None and node.GetAttribute("ModuleName") != self.moduleName:
                node.SetAttribute("ModuleName", self.moduleName)  # lost when a scene is closed
        else:
            node = next(iter(self.getAllParameterNodes()), None)
        if node is None:
            node = slicer.mrmlScene.AddNode(self.createParameterNode())
        return node

    def getAllParameterNodes(self):  # noqa: N802
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self):  # noqa: N802
        """A parameter node that is not in the scene yet; derived classes set defaults in it."""
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """A module's self-test."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.enableScreenshots = False
        self.screenshotScaleFactor = 1.0

    def delayDisplay(self, message, requestedDelay=None, msec=None):  # noqa: N802, N803
        """Show a message for a while; here it is logged, whatever the delay."""
        slicer.util.delayDisplay(message, 0)

    def takeScreenshot(self, name, description, type=-1):  # noqa: N802
        """Show the description; no picture is taken."""
        self.delayDisplay(description)

    def runTest(self):  # noqa: N802
        logging.warning("No test is defined in %s", type(self).__name__)

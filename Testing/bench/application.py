"""``slicer.app``, its module manager and the main window."""

from __future__ import annotations

import types

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import dicom, folders
from .file_io import CoreIOManager
from .pythonqt import stand_in


@stand_in()
class ModuleManager(QtCore.QObject):
    """Knows the modules that are loaded."""

    moduleLoaded = QtCore.Signal(str)  # noqa: N815
    moduleAboutToBeUnloaded = QtCore.Signal(str)  # noqa: N815
    moduleUnloaded = QtCore.Signal(str)  # noqa: N815

    def module(self, name):
        return getattr(slicer.modules, name.lower(), None)

    def modulesNames(self):  # noqa: N802
        return tuple(vars(slicer.moduleNames))

    loadedModuleNames = modulesNames  # noqa: N815

    def factoryManager(self):  # noqa: N802
        return self

    def isLoaded(self, name):  # noqa: N802
        return name in vars(slicer.moduleNames)


class ModuleSelector:
    """The main window's list of modules."""

    def __init__(self):
        self.selectedModule = ""

    def selectModule(self, name):  # noqa: N802
        from . import module_host

        if self.selectedModule and self.selectedModule != name:
            module_host.close_module(self.selectedModule)
        self.selectedModule = name
        module_host.open_module(name)


@stand_in()
class qSlicerMainWindow(QtWidgets.QMainWindow):  # noqa: N801
    """A main window that is never shown: a parent for dialogs, a status bar, a selector."""

    def __init__(self):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = ModuleSelector()

    def moduleSelector(self):  # noqa: N802
        return self._selector


@stand_in()
class SlicerApplication(QtCore.QObject):
    """``slicer.app``: the parts of qSlicerApplication that scripted modules use."""

    startupCompleted = QtCore.Signal()  # noqa: N815
    aboutToQuit = QtCore.Signal()  # noqa: N815
    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self):
        super().__init__()
        self.applicationName = self.mainApplicationName = "Slicer"
        self.majorVersion, self.minorVersion, self.patchVersion = 5, 13, 0
        self.applicationVersion = "5.13.0"
        self.mainApplicationVersion = self.applicationVersion
        self.revision = self.mainApplicationRevision = "31053"
        self.os, self.arch = "linux", "amd64"
        self.documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"
        self.temporaryPath = str(folders.inside("temporary"))
        self.slicerHome = str(folders.inside("home"))
        self.defaultScenePath = str(folders.temporary())
        self.logic = None
        self._kept = []
        self._io = CoreIOManager()
        self._modules = ModuleManager()
        self._layout_manager = None
        self._main_window = qSlicerMainWindow()
        self._database = dicom.ctkDICOMDatabase()
        slicer.dicomDatabase = self._database

    def keep(self, *objects):
        """Bench: keep objects alive as long as the application."""
        self._kept.extend(objects)

    def adopt(self, layout_manager):
        """Bench: take this layout manager."""
        self._layout_manager = layout_manager

    def coreIOManager(self):  # noqa: N802
        return self._io

    ioManager = coreIOManager  # noqa: N815

    def applicationLogic(self):  # noqa: N802
        return self.logic

    def mrmlScene(self):  # noqa: N802
        return slicer.mrmlScene

    def layoutManager(self):  # noqa: N802
        return self._layout_manager

    def moduleManager(self):  # noqa: N802
        return self._modules

    def dicomDatabase(self):  # noqa: N802
        return self._database

    def mainWindow(self):  # noqa: N802
        return self._main_window

    def testingEnabled(self):  # noqa: N802
        """True: messages of ``slicer.util`` are logged and answered, never shown."""
        return True

    def commandOptions(self):  # noqa: N802
        return types.SimpleNamespace(noMainWindow=False, testingEnabled=True)

    def settings(self):
        return QtCore.QSettings()

    userSettings = settings  # noqa: N815

    def revisionUserSettings(self):  # noqa: N802
        return QtCore.QSettings(
            str(folders.inside("settings") / "Slicer-31053.ini"), QtCore.QSettings.Format.IniFormat
        )

    def startupEnvironment(self):  # noqa: N802
        return QtCore.QProcessEnvironment.systemEnvironment()

    environment = startupEnvironment

    def processEvents(self, *arguments):  # noqa: N802
        QtWidgets.QApplication.processEvents(*arguments)

    def setOverrideCursor(self, cursor):  # noqa: N802
        QtWidgets.QApplication.setOverrideCursor(QtGui.QCursor(cursor))

    def restoreOverrideCursor(self):  # noqa: N802
        QtWidgets.QApplication.restoreOverrideCursor()

    def overrideCursor(self):  # noqa: N802
        return QtWidgets.QApplication.overrideCursor()

    def clipboard(self):
        return QtGui.QGuiApplication.clipboard()

    def keyboardModifiers(self):  # noqa: N802
        return QtGui.QGuiApplication.keyboardModifiers()

    def topLevelWidgets(self):  # noqa: N802
        return tuple(QtWidgets.QApplication.topLevelWidgets())

    def focusWidget(self):  # noqa: N802
        return QtWidgets.QApplication.focusWidget()

    def pauseRender(self):  # noqa: N802
        """Does nothing: views are drawn only when asked for."""

    def resumeRender(self):  # noqa: N802
        """Does nothing, as :meth:`pauseRender`."""

    def moduleDocumentationUrl(self, name):  # noqa: N802
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def translate(self, _context, text):
        return text


def settle() -> None:
    """Handle what is pending, also the deletion of objects that were told to delete themselves."""
    QtWidgets.QApplication.processEvents()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    QtWidgets.QApplication.processEvents()

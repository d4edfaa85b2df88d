"""``slicer.app``, its module manager and the main window."""

from __future__ import annotations

from importlib import metadata

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import dicom, folders
from .file_io import CoreIOManager
from .pythonqt import stand_in


@stand_in()
class ModuleManager(QtCore.QObject):
    """Announces that a module is about to go; slicer.util disconnects panels from that."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)


@stand_in()
class qSlicerMainWindow(QtWidgets.QMainWindow):
    """A main window that is never shown: a parent for dialogs, a status bar, the layout menu."""

    def __init__(self):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        bar = self.addToolBar("View")
        bar.setObjectName("ViewToolBar")
        self._layouts = QtWidgets.QToolButton(bar)
        self._layouts.setMenu(QtWidgets.QMenu(self._layouts))
        self._layouts.menu().triggered.connect(
            lambda action: slicer.app.layoutManager().setLayout(action.data())
        )
        bar.addWidget(self._layouts)


@stand_in(
    exposed="applicationName applicationVersion majorVersion minorVersion temporaryPath slicerHome "
    "testingEnabled applicationLogic coreIOManager ioManager layoutManager moduleManager "
    "clipboard pauseRender resumeRender processEvents settings topLevelWidgets"
)
class SlicerApplication(QtCore.QObject):
    """The parts of qSlicerApplication that the module and ``slicer.util`` use."""

    startupCompleted = QtCore.Signal()
    aboutToQuit = QtCore.Signal()
    renderPaused = QtCore.Signal(bool)

    def __init__(self):
        super().__init__()
        self.applicationName = "Slicer"
        self.applicationVersion = metadata.version("slicer-core").rpartition(".")[0]
        self.majorVersion, self.minorVersion = map(int, self.applicationVersion.split(".")[:2])
        self.temporaryPath = str(folders.inside("temporary"))
        self.slicerHome = str(folders.inside("home"))
        self.io, self.modules, self.window = CoreIOManager(), ModuleManager(), qSlicerMainWindow()
        self.logic = self.layouts = None  # made later: both need the application
        self.kept = []  # objects that live as long as the application
        slicer.dicomDatabase = dicom.ctkDICOMDatabase()

    def testingEnabled(self):
        """True: messages of ``slicer.util`` are logged and answered, never shown."""
        return True

    def pauseRender(self):
        """Let views wait; the bench draws them only when it is asked to."""
        self.renderPaused.emit(True)

    def resumeRender(self):
        self.renderPaused.emit(False)

    def topLevelWidgets(self):
        """The windows; the main window is among them unless Slicer was started without it."""
        return tuple(
            widget
            for widget in QtWidgets.QApplication.topLevelWidgets()
            if self.window is not None or not isinstance(widget, qSlicerMainWindow)
        )


def _returning(attribute: str):
    return lambda self: getattr(self, attribute)


for _name, _attribute in {
    "applicationLogic": "logic",
    "coreIOManager": "io",
    "ioManager": "io",
    "layoutManager": "layouts",
    "moduleManager": "modules",
}.items():
    setattr(SlicerApplication, _name, _returning(_attribute))

for _name, _function in {
    "clipboard": QtGui.QGuiApplication.clipboard,
    "processEvents": QtWidgets.QApplication.processEvents,
    "settings": lambda: QtCore.QSettings(),
}.items():
    setattr(SlicerApplication, _name, staticmethod(_function))


def settle() -> None:
    """Handle what is pending, deletions by ``deleteLater`` included."""
    QtWidgets.QApplication.processEvents()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    QtWidgets.QApplication.processEvents()

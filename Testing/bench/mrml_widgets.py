"""Widgets that know the MRML scene: qMRMLWidget and the frame of a scripted module's panel."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from .pythonqt import stand_in


@stand_in(signals={"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"})
class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801
    """A widget with a scene, which it tells its children when it changes."""

    mrmlSceneChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene):  # noqa: N802
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self):  # noqa: N802
        return self._scene


@stand_in()
class qSlicerWidget(qMRMLWidget):  # noqa: N801
    """In .ui files of C++ modules; the same here."""


@stand_in()
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):  # noqa: N801
    """The frame in which a scripted module's widget class makes its panel.

    Args:
        make: makes the module's widget object for this frame.
    """

    def __init__(self, make):
        super().__init__()
        QtWidgets.QVBoxLayout(self)
        self._make = make
        self._object = None
        self._entered = False

    isEntered = QtCore.Property(bool, lambda self: self._entered)  # noqa: N815

    def self(self):
        """The module's widget object, of class ``<Name>Widget``."""
        return self._object

    def setup(self):
        self._object = self._make(self)
        self._object.setup()

    def reload(self):
        """Make the widget object anew. As in Slicer, ``enter`` is not called again."""
        self.setup()

    def enter(self):
        self._entered = True
        if hasattr(self._object, "enter"):
            self._object.enter()

    def exit(self):
        self._entered = False
        if hasattr(self._object, "exit"):
            self._object.exit()


WIDGETS = {
    kind.__name__: kind
    for kind in (qMRMLWidget, qSlicerWidget, qSlicerScriptedLoadableModuleWidget)
}

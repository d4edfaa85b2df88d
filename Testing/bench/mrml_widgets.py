"""Widgets that know the MRML scene: qMRMLWidget, a module's frame, qMRMLNodeComboBox."""

from __future__ import annotations

import vtk
from PySide6 import QtCore, QtWidgets

from .pythonqt import stand_in, stored

#: Data of items that are no node.
_NONE, _ADD = "", "<add>"


@stand_in(signals={"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}, exposed="setMRMLScene")
class qMRMLWidget(QtWidgets.QWidget):
    """A widget with a scene, which it hands to others by a signal when it changes."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene):
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


@stand_in(exposed="self reload enter exit")
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
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

    isEntered = QtCore.Property(bool, lambda self: self._entered)

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
        self._object.enter()

    def exit(self):
        self._entered = False
        self._object.exit()


@stand_in(
    signals={
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
    },
    exposed="setMRMLScene currentNode setCurrentNode addNode",
)
class qMRMLNodeComboBox(qMRMLWidget):
    """A combo box of the scene's nodes; follows nodes that come, go and are renamed.

    Of the items below the nodes only the one that makes a node is here; ``removeEnabled`` and
    ``renameEnabled`` have no effect.
    """

    currentNodeChanged = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)

    nodeTypes = stored("QStringList", [], "_refill")
    hideChildNodeTypes = stored("QStringList", [], "_refill")
    noneEnabled = stored(bool, False, "_refill")
    noneDisplay = stored(str, "None", "_refill")
    addEnabled = stored(bool, True, "_refill")
    removeEnabled = stored(bool, True)
    renameEnabled = stored(bool, False)
    baseName = stored(str, "", "_refill")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox()
        self._combo.setMinimumContentsLength(8)
        policy = QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self._combo.setSizeAdjustPolicy(policy)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self.setFocusProxy(self._combo)
        self._current = ""
        self._filling = False
        self._observations = []
        self._names = {}  # of the nodes whose names are followed, by ID
        self._combo.activated.connect(self._on_activated)
        observations = self._observations
        self.destroyed.connect(lambda *_: _remove(observations))

    # The scene

    def setMRMLScene(self, scene):
        _remove(self._observations)
        self._names.clear()
        self._scene = scene
        if scene is not None:
            self._observe_scene()
        self._refill()
        self.mrmlSceneChanged.emit(scene)

    def _observe_scene(self):
        scene = self._scene

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def added(_scene, _event, node):
            if node is not None and self._fits(node):
                self._refill()

        def changed(_scene, _event):
            self._refill()

        self._observe(scene, scene.NodeAddedEvent, added)
        for event in (
            scene.NodeRemovedEvent,
            scene.EndCloseEvent,
            scene.EndImportEvent,
            scene.EndBatchProcessEvent,
        ):
            self._observe(scene, event, changed)

    def _observe(self, subject, event, observer):
        self._observations.append((subject, subject.AddObserver(event, observer)))

    def _follow_name(self, node):
        if node.GetID() in self._names:
            return

        def modified(_node, _event):
            if self._names.get(node.GetID()) != node.GetName():
                self._names[node.GetID()] = node.GetName()
                self._refill()

        self._names[node.GetID()] = node.GetName()
        self._observe(node, vtk.vtkCommand.ModifiedEvent, modified)

    # The list

    def _fits(self, node) -> bool:
        return (
            any(node.IsA(kind) for kind in self.nodeTypes)
            and not any(node.IsA(kind) for kind in self.hideChildNodeTypes)
            and not node.GetHideFromEditors()
        )

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if self._fits(node)]

    def _refill(self):
        if self._filling or not hasattr(self, "_names"):
            return
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        self._filling = True
        nodes = self._nodes()
        ids = [node.GetID() for node in nodes]
        chosen = self._current
        if chosen not in ids:
            chosen = "" if self.noneEnabled or not ids else ids[0]
        self._combo.clear()
        if self.noneEnabled:
            self._combo.addItem(self.noneDisplay, _NONE)
        for node in nodes:
            self._combo.addItem(node.GetName() or "", node.GetID())
            self._follow_name(node)
        if self._scene is not None and self.addEnabled:
            self._combo.insertSeparator(self._combo.count())
            label = self.baseName or self._scene.GetTagByClassName(self.nodeTypes[0])
            self._combo.addItem(f"Create new {label}", _ADD)
        self._combo.setCurrentIndex(self._combo.findData(chosen))
        self._filling = False
        self._choose(chosen)

    def _choose(self, node_id: str):
        if node_id != self._current:
            self._current = node_id
            self._combo.setCurrentIndex(self._combo.findData(node_id))
            self.currentNodeChanged.emit(self.currentNode())

    def _on_activated(self, index):
        data = self._combo.itemData(index)
        if data == _ADD:
            self.addNode()
        else:
            self._choose(data)
        self._combo.setCurrentIndex(self._combo.findData(self._current))

    # What code calls

    def currentNode(self):
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    def setCurrentNode(self, node):
        node_id = "" if node is None else node.GetID()
        self._choose(node_id if self._combo.findData(node_id) >= 0 else "")

    def addNode(self):
        """Make a node of the first type, as the user's choice of "Create new" does."""
        node = self._scene.CreateNodeByClass(self.nodeTypes[0])
        node.UnRegister(None)
        if self.baseName:
            node.SetName(self._scene.GenerateUniqueName(self.baseName))
        node = self._scene.AddNode(node)
        self._refill()
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node


def _remove(observations) -> None:
    for subject, tag in observations:
        if hasattr(subject, "RemoveObserver"):  # not when Python is ending
            subject.RemoveObserver(tag)
    observations.clear()


WIDGETS = {kind.__name__: kind for kind in (qMRMLWidget, qMRMLNodeComboBox)}

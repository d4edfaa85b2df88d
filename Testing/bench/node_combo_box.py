"""qMRMLNodeComboBox: selects a node of the scene."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .mrml_widgets import qMRMLWidget
from .properties import stored
from .pythonqt import stand_in

#: Data of items that are no node.
_NONE, _ADD, _REMOVE = "", "<add>", "<remove>"


@stand_in(
    signals={
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "_validityChanged",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
    }
)
class qMRMLNodeComboBox(qMRMLWidget):  # noqa: N801
    """A combo box of the scene's nodes; follows nodes that come, go and are renamed."""

    currentNodeChanged = QtCore.Signal(object)  # noqa: N815
    currentNodeIDChanged = QtCore.Signal(str)  # noqa: N815
    nodeAdded = QtCore.Signal(object)  # noqa: N815
    nodeAddedByUser = QtCore.Signal(object)  # noqa: N815
    nodeActivated = QtCore.Signal(object)  # noqa: N815
    nodeAboutToBeRemoved = QtCore.Signal(object)  # noqa: N815
    currentNodeRenamed = QtCore.Signal(str)  # noqa: N815
    _validityChanged = QtCore.Signal(bool)  # noqa: N815

    nodeTypes = stored("QStringList", [], "_refill")  # noqa: N815
    hideChildNodeTypes = stored("QStringList", [], "_refill")  # noqa: N815
    showHidden = stored(bool, False, "_refill")  # noqa: N815
    showChildNodeTypes = stored(bool, True, "_refill")  # noqa: N815
    noneEnabled = stored(bool, False, "_refill")  # noqa: N815
    noneDisplay = stored(str, "None", "_refill")  # noqa: N815
    addEnabled = stored(bool, True, "_refill")  # noqa: N815
    removeEnabled = stored(bool, True, "_refill")  # noqa: N815
    editEnabled = stored(bool, False)  # noqa: N815
    renameEnabled = stored(bool, False)  # noqa: N815
    baseName = stored(str, "", "_refill")  # noqa: N815
    selectNodeUponCreation = stored(bool, True)  # noqa: N815
    interactionNodeSingletonTag = stored(str, "")  # noqa: N815

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
        self._attributes = []
        self._current = ""
        self._filling = False
        self._observations = []
        self._names = {}
        self._combo.activated.connect(self._on_activated)
        observations = self._observations
        self.destroyed.connect(lambda *_: _remove(observations))

    # The scene

    def setMRMLScene(self, scene):  # noqa: N802
        if scene is self._scene:
            return
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
                self.nodeAdded.emit(node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def leaving(_scene, _event, node):
            if node is not None and self._fits(node):
                self.nodeAboutToBeRemoved.emit(node)

        def changed(_scene, _event):
            self._refill()

        self._observe(scene, scene.NodeAddedEvent, added)
        self._observe(scene, scene.NodeAboutToBeRemovedEvent, leaving)
        for event in (
            scene.NodeRemovedEvent,
            scene.EndCloseEvent,
            scene.EndImportEvent,
            scene.EndBatchProcessEvent,
        ):
            self._observe(scene, event, changed)

    def _observe(self, subject, event, observer):
        self._observations.append((subject, subject.AddObserver(event, observer)))

    def _watch_name(self, node):
        if node.GetID() in self._names:
            return

        def modified(_node, _event):
            name = node.GetName()
            if self._names.get(node.GetID()) != name:
                self._names[node.GetID()] = name
                self._refill()
                if node.GetID() == self._current:
                    self.currentNodeRenamed.emit(name)

        self._names[node.GetID()] = node.GetName()
        self._observe(node, vtk.vtkCommand.ModifiedEvent, modified)

    # Which nodes

    def addAttribute(self, nodeType, name, value=None):  # noqa: N802, N803
        """List only nodes with an attribute, with that value where one is given."""
        self._attributes.append((nodeType, name, value))
        self._refill()

    def removeAttribute(self, nodeType, name):  # noqa: N802, N803
        self._attributes = [a for a in self._attributes if a[:2] != (nodeType, name)]
        self._refill()

    def _fits(self, node) -> bool:
        if self.showChildNodeTypes:
            of_type = any(node.IsA(kind) for kind in self.nodeTypes)
        else:
            of_type = node.GetClassName() in self.nodeTypes
        if not of_type or any(node.IsA(kind) for kind in self.hideChildNodeTypes):
            return False
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        return all(
            node.GetAttribute(name) is not None
            and (value is None or node.GetAttribute(name) == str(value))
            for kind, name, value in self._attributes
            if node.IsA(kind)
        )

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if self._fits(node)]

    # The list

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
        elif not nodes:
            self._combo.addItem(f"Select a {self._label()}", _NONE)
        for node in nodes:
            self._combo.addItem(node.GetName() or "", node.GetID())
            self._watch_name(node)
        self._add_commands()
        self._combo.setCurrentIndex(self._combo.findData(chosen))
        changed, self._current = chosen != self._current, chosen
        self._filling = False
        if changed:
            self._announce()

    def _add_commands(self):
        if self._scene is None or not (self.addEnabled or self.removeEnabled):
            return
        self._combo.insertSeparator(self._combo.count())
        if self.addEnabled:
            self._combo.addItem(f"Create new {self._label()}", _ADD)
        if self.removeEnabled:
            self._combo.addItem("Delete current node", _REMOVE)

    def _label(self) -> str:
        kind = self.nodeTypes[0] if self.nodeTypes else "vtkMRMLNode"
        return self.baseName or slicer.mrmlScene.GetTagByClassName(kind) or "node"

    def _announce(self):
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self._validityChanged.emit(node is not None)
        self.currentNodeIDChanged.emit(self._current)

    def _on_activated(self, index):
        data = self._combo.itemData(index)
        if data == _ADD:
            self.addNode()
        elif data == _REMOVE:
            self.removeCurrentNode()
        else:
            self.setCurrentNodeID(data or "")
            self.nodeActivated.emit(self.currentNode())
        self._combo.setCurrentIndex(self._combo.findData(self._current))

    # What code calls

    def currentNode(self):  # noqa: N802
        if self._scene is None or not self._current:
            return None
        return self._scene.GetNodeByID(self._current)

    def setCurrentNode(self, node):  # noqa: N802
        if isinstance(node, str) or node is None:
            self.setCurrentNodeID(node)
        else:
            self.setCurrentNodeID(node.GetID())

    def setCurrentNodeID(self, node_id):  # noqa: N802
        node_id = node_id or ""
        if node_id and self._combo.findData(node_id) < 0:
            node_id = ""  # not a node that is listed
        if node_id != self._current:
            self._current = node_id
            self._combo.setCurrentIndex(self._combo.findData(node_id))
            self._announce()

    currentNodeID = QtCore.Property(  # noqa: N815
        str, lambda self: self._current, setCurrentNodeID
    )

    def setCurrentNodeIndex(self, index):  # noqa: N802
        self.setCurrentNode(self.nodeFromIndex(index))

    def nodeCount(self):  # noqa: N802
        return len(self._nodes())

    def nodeFromIndex(self, index):  # noqa: N802
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addNode(self, nodeType=None):  # noqa: N802, N803
        """Make a node of the first type, as the user's choice of "Create new" does."""
        kind = nodeType or self.nodeTypes[0]
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        if self.baseName:
            node.SetName(self._scene.GenerateUniqueName(self.baseName))
        for owner, key, value in self._attributes:
            if node.IsA(owner):
                node.SetAttribute(key, "" if value is None else str(value))
        node = self._scene.AddNode(node)
        self._refill()
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):  # noqa: N802
        node = self.currentNode()
        if node is not None:
            self._scene.RemoveNode(node)


def _remove(observations) -> None:
    for subject, tag in observations:
        if hasattr(subject, "RemoveObserver"):  # not when Python is ending
            subject.RemoveObserver(tag)
    observations.clear()


WIDGETS = {"qMRMLNodeComboBox": qMRMLNodeComboBox}

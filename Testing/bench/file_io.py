"""``slicer.app.coreIOManager()``: what ``slicer.util`` loads and saves through."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from . import file_types


class CoreIOManager:
    """Reads and writes nodes and scenes with the logics and storage nodes of ``slicer-core``."""

    def __init__(self):
        self._readers = {
            "VolumeFile": _read_volume,
            "ModelFile": _read_model,
            "SegmentationFile": _read_segmentation,
            "TransformFile": _read_transform,
            "TableFile": _read_table,
            "ColorTableFile": _read_colors,
            "MarkupsFile": _read_markups,
            "TextFile": _read_text,
        }

    def fileType(self, name):  # noqa: N802
        return file_types.of_file(name)

    def registeredFileReaderCount(self, kind):  # noqa: N802
        return int(kind in self._readers)

    def loadNodes(self, fileType, properties, loadedNodes=None, userMessages=None):  # noqa: N802, N803
        """Load a file; tells whether that worked."""
        messages = userMessages if userMessages is not None else slicer.vtkMRMLMessageCollection()
        path = str(properties["fileName"])
        if not os.path.exists(path):
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"File not found: {path}")
            return False
        if fileType == "SceneFile":
            return _load_scene(path, bool(properties.get("clear")), messages)
        if fileType not in self._readers:
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"No reader for {fileType}: {path}")
            return False
        node = self._readers[fileType](path, properties, messages)
        if node is None:
            return False
        if properties.get("name"):
            node.SetName(properties["name"])
        if loadedNodes is not None:
            loadedNodes.AddItem(node)
        return True

    def loadFile(self, path):  # noqa: N802
        return self.loadNodes(self.fileType(path), {"fileName": path})

    def saveNodes(self, fileType, properties, userMessages=None):  # noqa: N802, N803
        """Save a node, or the scene, to a file; tells whether that worked."""
        path = str(properties["fileName"])
        if fileType == "SceneFile":
            return _save_scene(path, userMessages)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        storage = node.GetStorageNode()
        if storage is None:
            node.AddDefaultStorageNode(path)
            storage = node.GetStorageNode()
        return _write(node, storage, path, properties, userMessages)

    def exportNodes(  # noqa: N802
        self, nodeIDs, fileNames, properties, hardenTransforms, userMessages=None  # noqa: N803
    ):  # fmt: skip
        """Write copies of nodes, so that the nodes' own files stay what they were."""
        written = [
            _export(slicer.mrmlScene.GetNodeByID(node_id), str(name), properties, hardenTransforms,
                    userMessages)
            for node_id, name in zip(nodeIDs, fileNames)
        ]  # fmt: skip
        return all(written)

    def fileWriterFileType(self, node, _format=""):  # noqa: N802
        return "NodeFile"

    def fileWriterExtensions(self, node):  # noqa: N802
        """Formats that a node can be written in, such as ``NRRD (.nrrd)``."""
        storage = node.CreateDefaultStorageNode()
        if storage is None:
            return ()
        storage.UnRegister(None)
        formats = vtk.vtkStringArray()
        formats = storage.GetSupportedWriteFileTypes() or formats
        return tuple(formats.GetValue(i) for i in range(formats.GetNumberOfValues()))

    def extractKnownExtension(self, name, _node=None):  # noqa: N802
        return file_types.ending(name)


# Reading: each takes the path, Slicer's reader properties and a vtkMRMLMessageCollection, and
# returns a node of the scene, or None.


def _name(path, properties) -> str:
    return properties.get("name") or os.path.basename(path).split(".")[0]


def _read_volume(path, properties, _messages):
    if path.lower().endswith(file_types.PICTURES):
        node = _read_picture(path, _name(path, properties))
    else:
        options = (
            1 * bool(properties.get("labelmap"))
            | 2 * bool(properties.get("center"))
            | 4 * bool(properties.get("singleFile"))
            | 8 * bool(properties.get("autoWindowLevel", True))
            | 16 * bool(properties.get("discardOrientation"))
        )
        logic = slicer.modules.volumes.logic()
        node = logic.AddArchetypeVolume(path, _name(path, properties), options)
    if node is not None and properties.get("show", True):
        _show_in_slice_views(node)
    return node


def _read_picture(path, name):
    """A PNG, JPEG, TIFF or BMP: rows run towards the feet, columns towards the left, as in ITK."""
    reader = vtk.vtkImageReader2Factory.CreateImageReader2(path)
    if reader is None or not reader.CanReadFile(path):
        return None
    reader.SetFileName(path)
    reader.Update()
    image = reader.GetOutput()
    columns, rows, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
    if not reader.IsA("vtkTIFFReader"):
        pixels = pixels[::-1]  # VTK's first row is the lowest
    pixels = np.ascontiguousarray(pixels[None])
    grey = pixels.shape[-1] == 1
    kind = "vtkMRMLScalarVolumeNode" if grey else "vtkMRMLVectorVolumeNode"
    lps_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    return slicer.util.addVolumeFromArray(
        pixels[..., 0] if grey else pixels, lps_to_ras, name, kind
    )


def _show_in_slice_views(node) -> None:
    logic = slicer.app.applicationLogic()
    selection = logic.GetSelectionNode()
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        selection.SetReferenceActiveLabelVolumeID(node.GetID())
    else:
        selection.SetReferenceActiveVolumeID(node.GetID())
    logic.PropagateVolumeSelection()


def _read_model(path, properties, messages):
    system = properties.get("coordinateSystem", slicer.vtkMRMLStorageNode.CoordinateSystemLPS)
    return slicer.modules.models.logic().AddModel(path, system, messages)


def _read_segmentation(path, properties, messages):
    logic = slicer.modules.segmentations.logic()
    return logic.LoadSegmentationFromFile(path, True, properties.get("name") or "", None, messages)


def _read_transform(path, _properties, messages):
    return slicer.modules.transforms.logic().AddTransform(path, slicer.mrmlScene, messages)


def _read_table(path, properties, messages):
    logic = slicer.modules.tables.logic()
    return logic.AddTable(path, properties.get("name"), True, "", messages)


def _read_colors(path, properties, messages):
    logic = slicer.modules.colors.logic()
    return logic.LoadColorFile(path, _name(path, properties), messages)


def _read_markups(path, properties, messages):
    logic = slicer.modules.markups.logic()
    node_id = logic.LoadMarkups(path, properties.get("name") or "", messages)
    return slicer.mrmlScene.GetNodeByID(node_id) if node_id else None


def _read_text(path, properties, _messages):
    return slicer.modules.texts.logic().AddText(path, properties.get("name") or "")


def _load_scene(path, clear, messages) -> bool:
    scene = slicer.mrmlScene
    with slicer.app.layoutManager().detached():
        if path.endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear, messages))
        scene.SetURL(path)
        return bool(scene.Connect(messages) if clear else scene.Import(messages))


# Writing


def _write(node, storage, path, properties, messages) -> bool:
    storage.SetFileName(path)
    if "useCompression" in properties:
        storage.SetUseCompression(properties["useCompression"])
    if "coordinateSystem" in properties and hasattr(storage, "SetCoordinateSystem"):
        storage.SetCoordinateSystem(properties["coordinateSystem"])
    written = bool(storage.WriteData(node))
    if not written and messages is not None:
        messages.AddMessages(storage.GetUserMessages())
    return written


def _export(node, path, properties, harden, messages) -> bool:
    scene = slicer.vtkMRMLScene()
    copy = scene.AddNode(node.CreateNodeInstance())
    copy.UnRegister(None)
    copy.CopyContent(node, True)
    copy.SetName(node.GetName())
    if harden and node.GetParentTransformNode() is not None:
        to_world = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
            node.GetParentTransformNode(), None, to_world
        )
        copy.ApplyTransform(to_world)
    storage = copy.CreateDefaultStorageNode()
    storage.UnRegister(None)
    scene.AddNode(storage)
    return _write(copy, storage, path, properties, messages)


def _save_scene(path, messages) -> bool:
    scene = slicer.mrmlScene
    if path.endswith(".mrb"):
        return bool(scene.WriteToMRB(path, None, messages))
    if path.endswith(".mrml"):
        scene.SetURL(path)
        scene.SetRootDirectory(str(Path(path).parent))
        return bool(scene.Commit(path, messages))
    logic = slicer.app.applicationLogic()
    return bool(logic.SaveSceneToSlicerDataBundleDirectory(path, None, messages))

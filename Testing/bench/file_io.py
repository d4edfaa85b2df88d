"""``slicer.app.coreIOManager()``: what ``slicer.util`` loads and saves through."""

from __future__ import annotations

import os

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

#: Pictures, which Slicer reads with ITK's readers that ``slicer-core`` lacks.
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

#: Reader properties that are heeded here. Others are refused, so that none is silently ignored.
_PROPERTIES = {"fileName", "name", "singleFile", "show", "clear"}


class CoreIOManager:
    """Reads and writes nodes and scenes with the logics and storage nodes of ``slicer-core``."""

    def loadNodes(self, fileType, properties, loadedNodes=None, userMessages=None):
        """Load a file; return whether that worked."""
        messages = userMessages if userMessages is not None else slicer.vtkMRMLMessageCollection()
        path = str(properties["fileName"])
        if fileType not in _READERS or not _PROPERTIES.issuperset(properties):
            raise NotImplementedError(f"The bench reads no {fileType} with {sorted(properties)}")
        if not os.path.exists(path):
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"File not found: {path}")
            return False
        node = _READERS[fileType](path, properties, messages)
        if node is None or node is True:
            return bool(node)
        if properties.get("name"):
            node.SetName(properties["name"])
        if loadedNodes is not None:
            loadedNodes.AddItem(node)
        return True

    def saveNodes(self, fileType, properties, userMessages=None):
        """Save the scene to an .mrb file, the only kind here; return whether that worked."""
        path = str(properties["fileName"])
        if fileType != "SceneFile" or not path.endswith(".mrb"):
            raise NotImplementedError(f"The bench saves scenes to .mrb files only, not {path}")
        return bool(slicer.mrmlScene.WriteToMRB(path, None, userMessages))

    def exportNodes(self, nodeIDs, fileNames, properties, hardenTransforms, userMessages=None):
        """Write copies of nodes, so that the nodes' own files stay what they were."""
        nodes = [slicer.mrmlScene.GetNodeByID(node_id) for node_id in nodeIDs]
        pairs = zip(nodes, map(str, fileNames))
        return all(_export(*pair, hardenTransforms, userMessages) for pair in pairs)

    def fileWriterExtensions(self, node):
        """Formats that a node can be written in, such as ``NRRD (.nrrd)``."""
        storage = node.CreateDefaultStorageNode()
        storage.UnRegister(None)
        formats = storage.GetSupportedWriteFileTypes()
        return tuple(formats.GetValue(i) for i in range(formats.GetNumberOfValues()))

    def extractKnownExtension(self, name, _node=None):
        """The ending of a file's name; none of those with two dots is known here."""
        return os.path.splitext(str(name).lower())[1]


# Reading: each takes the path, Slicer's reader properties and a vtkMRMLMessageCollection, and
# returns a node of the scene (True for a whole scene), or None.


def _read_volume(path, properties, _messages):
    name = properties.get("name") or os.path.basename(path).split(".")[0]
    if path.lower().endswith(_PICTURES):
        node = _read_picture(path, name)
    else:
        options = 4 * bool(properties.get("singleFile")) | 8  # window and level from the pixels
        node = slicer.modules.volumes.logic().AddArchetypeVolume(path, name, options)
    if node is not None and properties.get("show", True):
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetReferenceActiveVolumeID(node.GetID())
        logic.PropagateVolumeSelection()
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


def _read_model(path, _properties, messages):
    system = slicer.vtkMRMLStorageNode.CoordinateSystemLPS
    return slicer.modules.models.logic().AddModel(path, system, messages)


def _read_segmentation(path, properties, messages):
    logic = slicer.modules.segmentations.logic()
    return logic.LoadSegmentationFromFile(path, True, properties.get("name") or "", None, messages)


def _read_scene(path, properties, messages):
    with slicer.app.layoutManager().detached():
        clear = bool(properties.get("clear"))
        return True if slicer.mrmlScene.ReadFromMRB(path, clear, messages) else None


_READERS = {
    "VolumeFile": _read_volume,
    "ModelFile": _read_model,
    "SegmentationFile": _read_segmentation,
    "SceneFile": _read_scene,
}


def _export(node, path, harden, messages) -> bool:
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
    storage.SetFileName(path)
    written = bool(storage.WriteData(copy))
    if not written and messages is not None:
        messages.AddMessages(storage.GetUserMessages())
    return written

"""``SampleData``: registers, fetches and loads samples as Slicer's module of that name does.

Slicer's own samples are not here, nor the panel. Written after the module's documented behaviour.
"""

from __future__ import annotations

import logging
import os
import sys
import types
import urllib.error
import urllib.request
from pathlib import Path

import slicer
import vtk

_ATTEMPTS = 3


class SampleDataSource:
    """A sample: files, where they come from, and the nodes that they become."""

    def __init__(
        self,
        sampleName=None,  # noqa: N803
        sampleDescription=None,  # noqa: N803
        uris=None,
        fileNames=None,  # noqa: N803
        nodeNames=None,  # noqa: N803
        checksums=None,
        loadFiles=None,  # noqa: N803
        customDownloader=None,  # noqa: N803
        thumbnailFileName=None,  # noqa: N803
        loadFileTypes=None,  # noqa: N803
        loadFileProperties=None,  # noqa: N803
    ):
        self.sampleName = sampleName
        self.sampleDescription = sampleDescription or sampleName
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}
        if isinstance(uris, str):
            uris, fileNames, nodeNames = [uris], [fileNames], [nodeNames]
            checksums, loadFiles, loadFileTypes = [checksums], [loadFiles], [loadFileTypes]
        number = len(uris)
        self.uris, self.fileNames = uris, fileNames
        self.nodeNames = [None] * number if nodeNames is None else nodeNames
        self.checksums = [None] * number if checksums is None else checksums
        self.loadFiles = [None] * number if loadFiles is None else loadFiles
        if isinstance(loadFileTypes, str) or loadFileTypes is None:
            loadFileTypes = [loadFileTypes] * number
        kinds = zip(self.fileNames, self.nodeNames, loadFileTypes)
        self.loadFileTypes = [kind or _guess(file, node) for file, node, kind in kinds]
        lengths = {key: len(value) for key, value in vars(self).items() if isinstance(value, list)}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"All fields of sample data source must have the same length: {lengths}"
            )

    def parts(self):
        """One tuple for each file: URI, file, node, checksum, whether to load, file type."""
        return zip(
            self.uris,
            self.fileNames,
            self.nodeNames,
            self.checksums,
            self.loadFiles,
            self.loadFileTypes,
        )

    def __eq__(self, other):
        return isinstance(other, SampleDataSource) and vars(self) == vars(other)

    __hash__ = None


def _guess(file_name, node_name):
    if node_name is not None:
        return "VolumeFile"
    ending = os.path.splitext((file_name or "").lower())[1]
    return {".mrml": "SceneFile", ".mrb": "SceneFile", ".zip": "ZipFile"}.get(ending)


class SampleDataLogic:
    """Keeps the samples of ``slicer.modules.sampleDataSources`` and fetches them.

    Args:
        logMessage: called with each message and its level, instead of logging it.
    """

    def __init__(self, logMessage=None):  # noqa: N803
        if logMessage is not None:
            self.logMessage = logMessage
        self.builtInCategoryName = "General"
        self.developmentCategoryName = "Development"
        self.downloadPercent = 0

    @staticmethod
    def registerCustomSampleDataSource(  # noqa: N802
        category="Custom",
        sampleName=None,  # noqa: N803
        uris=None,
        fileNames=None,  # noqa: N803
        nodeNames=None,  # noqa: N803
        customDownloader=None,  # noqa: N803
        thumbnailFileName=None,  # noqa: N803
        loadFileTypes=None,  # noqa: N803
        loadFiles=None,  # noqa: N803
        loadFileProperties=None,  # noqa: N803
        checksums=None,
        loadFileType=None,  # noqa: N803
    ):
        """Add a sample to a category; a sample that is there already is left alone.

        ``loadFileType`` is the name that ``loadFileTypes`` had before Slicer 5.8.
        """
        loadFileTypes = loadFileType if loadFileTypes is None else loadFileTypes  # noqa: N806
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes,
            loadFiles=loadFiles,
            loadFileProperties=loadFileProperties,
            checksums=checksums,
            customDownloader=customDownloader,
        )
        if not SampleDataLogic.isSampleDataSourceRegistered(category, source):
            _sources().setdefault(category, []).append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):  # noqa: N802
        return _sources() if category is None else _sources().get(category, [])

    @staticmethod
    def isSampleDataSourceRegistered(category, sampleDataSource):  # noqa: N802, N803
        if not isinstance(sampleDataSource, SampleDataSource):
            raise TypeError(f"unsupported sampleDataSource type '{type(sampleDataSource)}'")
        return sampleDataSource in _sources().get(category, [])

    def sourceForSampleName(self, sampleName):  # noqa: N802, N803
        everything = (source for sources in _sources().values() for source in sources)
        return next((source for source in everything if source.sampleName == sampleName), None)

    def categoryForSource(self, a_source):  # noqa: N802
        return next((name for name, known in _sources().items() if a_source in known), None)

    def downloadSample(self, sampleName):  # noqa: N802, N803
        return self.downloadSamples(sampleName)[0]

    def downloadSamples(self, sampleName):  # noqa: N802, N803
        source = self.sourceForSampleName(sampleName)
        return self.downloadFromSource(source) if source is not None else []

    def click(self, source):
        """Bench: what the sample's button in the module does."""
        if source.customDownloader is not None:
            return source.customDownloader(source)
        return self.downloadFromSource(source)

    def downloadFromSource(self, source, maximumAttemptsCount=_ATTEMPTS):  # noqa: N802, N803
        """Fetch a sample's files and load those that have a node name.

        Returns:
            A list: nodes where there are node names, else paths of files.
        """
        results, paths = [], []
        for uri, file, node, checksum, load, kind in source.parts():
            for _ in range(maximumAttemptsCount):
                try:
                    path = self.downloadFileIntoCache(uri, file, checksum)
                except ValueError as fault:
                    self.logMessage(f"Download failed: {fault}", logging.ERROR)
                    continue
                paths.append(path)
                result = self._load(path, node, load, kind, dict(source.loadFileProperties))
                if result is not False:
                    results += [] if result is None else [result]
                    break
                self.logMessage(f"Load failed: {path}", logging.ERROR)
                Path(path).unlink(missing_ok=True)
        return results or paths

    def _load(self, path, node, load, kind, properties):
        """A node or a path; None where nothing is to be loaded, False where it failed."""
        if kind == "SceneFile":
            return path if not load or self.loadScene(path, properties) else False
        if kind == "ZipFile":
            if load is False:
                return path
            folder = os.path.splitext(path)[0]
            os.makedirs(folder, exist_ok=True)
            return folder if slicer.util.extractArchive(path, folder) else False
        if not node:
            return None
        if load is False:
            return path
        return self.loadNode(path, node, kind, properties) or False

    def downloadFileIntoCache(self, uri, name, checksum=None):  # noqa: N802
        folder = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
        os.makedirs(folder, exist_ok=True)
        return self.downloadFile(uri, folder, name, checksum)

    def downloadSourceIntoCache(self, source):  # noqa: N802
        """Fetch all files of a sample into the cache; returns their paths."""
        return [
            self.downloadFileIntoCache(uri, name, checksum)
            for uri, name, checksum in zip(source.uris, source.fileNames, source.checksums)
        ]

    def downloadFile(self, uri, destFolderPath, name, checksum=None):  # noqa: N802, N803
        """Fetch a file, unless it is there with the right checksum.

        As in Slicer, a file whose checksum is wrong is removed, and its path returned.
        """
        path = Path(destFolderPath, name)
        algorithm, digest = slicer.util.extractAlgoAndDigest(checksum)
        if path.is_file() and path.stat().st_size > 0:
            if algorithm is None or slicer.util.computeChecksum(algorithm, str(path)) == digest:
                self.logMessage("File already exists in cache - reusing it.")
                return str(path)
            self.logMessage("File already exists in cache but checksum is different.")
            path.unlink()
        self.logMessage(f"Requesting download {name} from {uri} ...")
        try:
            urllib.request.urlretrieve(uri, str(path))
        except OSError as fault:
            raise ValueError(f"Failed to download {uri} to {path}: {fault}") from fault
        if algorithm is not None:
            computed = slicer.util.computeChecksum(algorithm, str(path))
            if computed != digest:
                self.logMessage(
                    f"Checksum verification failed. Computed checksum {computed} different from "
                    f"expected checksum {digest}",
                    logging.ERROR,
                )
                path.unlink()
        self.downloadPercent = 100
        return str(path)

    def loadScene(self, uri, fileProperties=None):  # noqa: N802, N803
        properties = {**(fileProperties or {}), "fileName": uri}
        return slicer.app.coreIOManager().loadNodes("SceneFile", properties)

    def loadNode(self, uri, name, fileType="VolumeFile", fileProperties=None):  # noqa: N802, N803
        """Load a file; the node does not remember the cache's file as its own."""
        nodes = vtk.vtkCollection()
        properties = {**(fileProperties or {}), "fileName": uri, "name": name}
        if not slicer.app.coreIOManager().loadNodes(fileType, properties, nodes):
            return None
        node = nodes.GetItemAsObject(0)
        storage = node.GetStorageNode() if node.IsA("vtkMRMLStorableNode") else None
        if storage is not None:
            slicer.mrmlScene.RemoveNode(storage)
            node.SetAndObserveStorageNodeID(None)
        return node

    def logMessage(self, message, logLevel=logging.DEBUG):  # noqa: N802, N803
        logging.log(logLevel, message)


def _sources() -> dict:
    return slicer.modules.sampleDataSources


def install() -> None:
    """Make ``import SampleData`` work."""
    slicer.modules.sampleDataSources = {}
    module = types.ModuleType("SampleData", __doc__)
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    module.downloadSample = lambda name: SampleDataLogic().downloadSample(name)
    module.downloadSamples = lambda name: SampleDataLogic().downloadSamples(name)
    sys.modules["SampleData"] = module
    slicer.modules.sampledata = types.SimpleNamespace(name="SampleData", path="")

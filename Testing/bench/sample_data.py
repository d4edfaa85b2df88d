"""``SampleData``: registers, fetches and loads samples as Slicer's module of that name does.

Slicer's own samples are not here, nor the panel. Written after the module's documented behaviour.
"""

from __future__ import annotations

import itertools
import logging
import sys
import types
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import slicer
import vtk


@dataclass
class SampleDataSource:
    """A sample: lists of files, of where they come from, and of the nodes that they become."""

    sampleName: str
    uris: list
    fileNames: list
    nodeNames: list
    loadFileTypes: list
    checksums: list
    loadFileProperties: dict = field(default_factory=dict)
    thumbnailFileName: str | None = None
    customDownloader: object = None


class SampleDataLogic:
    """Keeps the samples of ``slicer.modules.sampleDataSources`` and fetches them."""

    @staticmethod
    def registerCustomSampleDataSource(category="Custom", **fields):
        """Add a sample to a category; a sample that is there already is left alone."""
        source = SampleDataSource(**fields)
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        if source not in sources:
            sources.append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        everything = slicer.modules.sampleDataSources
        return everything if category is None else everything.get(category, [])

    def sourceForSampleName(self, sampleName):
        known = itertools.chain(*slicer.modules.sampleDataSources.values())
        return next((source for source in known if source.sampleName == sampleName), None)

    def click(self, source):
        """Bench: what the sample's button in the module does."""
        return (source.customDownloader or self.downloadFromSource)(source)

    def downloadFromSource(self, source):
        """Fetch a sample's files and load them.

        Returns:
            The nodes; fewer where files were damaged or could not be loaded, which is logged.
        """
        paths = self.downloadSourceIntoCache(source)
        parts = zip(paths, source.nodeNames, source.loadFileTypes)
        nodes = [_load(*part, source.loadFileProperties) for part in parts]
        return [node for node in nodes if node is not None]

    def downloadSourceIntoCache(self, source):
        """Fetch all files of a sample into the cache; return their paths."""
        return list(map(_fetch, source.uris, source.fileNames, source.checksums))


def _fetch(uri: str, name: str, checksum: str) -> Path:
    """Copy a file into the cache, unless it is there; one with a wrong checksum is removed."""
    folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    algorithm, expected = slicer.util.extractAlgoAndDigest(checksum)
    if not path.is_file():
        urllib.request.urlretrieve(uri, str(path))
    if slicer.util.computeChecksum(algorithm, str(path)) != expected:
        logging.error("The checksum of %s is not that of the sample: removed", path)
        path.unlink()
    return path


def _load(path: Path, name: str, kind: str, properties: dict):
    """A node, which does not remember the cache's file as its own; None if loading failed."""
    nodes = vtk.vtkCollection()
    properties = {**properties, "fileName": str(path), "name": name}
    if not slicer.app.coreIOManager().loadNodes(kind, properties, nodes):
        logging.error("%s could not be loaded", path)
        return None
    node = nodes.GetItemAsObject(0)
    storage = node.GetStorageNode()
    if storage is not None:
        slicer.mrmlScene.RemoveNode(storage)
        node.SetAndObserveStorageNodeID(None)
    return node


def install() -> None:
    """Make ``import SampleData`` work."""
    slicer.modules.sampleDataSources = {}
    module = types.ModuleType("SampleData", __doc__)
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    sys.modules["SampleData"] = module

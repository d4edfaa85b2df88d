"""The module's two samples in Slicer's Sample Data module; their files are shipped, not downloaded.

The files are made by Training/make_samples.py, which prints their checksums.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

from slicer.i18n import tr as _

CATEGORY = "SSRKD"
RADIOGRAPHS = "Knee radiographs (left, virtual)"
CT = "Knee CT (right, virtual)"

#: Attribute of a loaded node: the name of its file.
_FILE = "SSRKD.SampleFile"

#: Folder of the files and thumbnails. Not resolved: a drive letter may stand for a network folder,
#: which no file:// URI can name.
FOLDER = Path(os.path.abspath(__file__)).parents[2] / "Resources" / "SampleData"


class SampleFile(NamedTuple):
    """One file of a sample.

    Attributes:
        name: of the file; unique among all modules' samples, which share one folder.
        node: name of what is loaded from it.
        kind: as Slicer's readers call it.
        sha256: of the file.
    """

    name: str
    node: str
    kind: str
    sha256: str


class Sample(NamedTuple):
    """One sample: its files in the order in which they are loaded, and its thumbnail."""

    files: tuple
    thumbnail: str


SAMPLES = {
    RADIOGRAPHS: Sample(
        (
            SampleFile(
                "SSRKD_frontal.dcm", "Knee frontal", "VolumeFile",
                "ce1aa27bf47d3346617ca6193c9187455cedf65138ef5d50d9d3669caeee9e34",
            ),
            SampleFile(
                "SSRKD_lateral.dcm", "Knee lateral", "VolumeFile",
                "ed678fc55134a5d7a47f8f511fdfb615052cb0210d70754a3e585cbb6266a1ba",
            ),
            SampleFile(
                "SSRKD_truth_patella.ply", "True patella", "ModelFile",
                "f07ff10255d532a29a5f4b57a7da7553bd7232eb91e531c34137fcf5c7054f77",
            ),
            SampleFile(
                "SSRKD_truth_femur.ply", "True femur", "ModelFile",
                "c16ba762884df8e29db00e310e475f6041a3a85dcaea6661719c9111e506146b",
            ),
            SampleFile(
                "SSRKD_truth_fibula.ply", "True fibula", "ModelFile",
                "ee9ac1e7ced46831e30e3408cc8b74fd77391760ebb2c19228ec4144b6f5eb59",
            ),
            SampleFile(
                "SSRKD_truth_tibia.ply", "True tibia", "ModelFile",
                "336f7bc873012c286f7e5aa7036fea375c3c50251df1c423c4df2de0f7b6b5a4",
            ),
        ),
        "SSRKD_radiographs.png",
    ),
    CT: Sample(
        (
            SampleFile(
                "SSRKD_CT.nrrd", "Knee CT", "VolumeFile",
                "750d2e530c5801fb6546f87e614f4fbd68897066d8215a57fc2e93d31562dabc",
            ),
            SampleFile(
                "SSRKD_CT.seg.nrrd", "Knee CT bones", "SegmentationFile",
                "9457d9d9b0413969fbc73c06ddecd2788def58abe7b2c0c2ccef4f13fd2e8e3b",
            ),
        ),
        "SSRKD_CT.png",
    ),
}  # fmt: skip


def register():
    """Offer the samples in the Sample Data module; again is harmless.

    Returns:
        Whether there is such a module: users may switch it off.
    """
    try:
        import SampleData
    except ImportError:
        logging.info("SSRKD: there is no Sample Data module, so no samples are offered.")
        return False
    # Samples that were registered before the module was reloaded would be offered twice.
    SampleData.SampleDataLogic.sampleDataSourcesByCategory().pop(CATEGORY, None)
    for name, sample in SAMPLES.items():
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            uris=[(FOLDER / file.name).as_uri() for file in sample.files],
            fileNames=[file.name for file in sample.files],
            nodeNames=[file.node for file in sample.files],
            loadFileTypes=[file.kind for file in sample.files],
            # Never a stack of whatever other DICOM files lie in Slicer's download folder.
            loadFileProperties={"singleFile": True},
            checksums=[f"SHA256:{file.sha256}" for file in sample.files],
            thumbnailFileName=str(FOLDER / sample.thumbnail),
            customDownloader=loadRadiographs if name == RADIOGRAPHS else None,
        )
    return True


def loadedRadiographs():
    """What :func:`loadRadiographs` loaded into this scene before, where all of it is still there;
    else none. Loaded again, two bones of each name would claim to be the reference."""
    import slicer

    nodes = {}
    for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode"):
        if not node.GetNodeReferenceID("SSRKD.CopyOf"):
            nodes.setdefault(node.GetAttribute(_FILE), node)
    found = [nodes.get(file.name) for file in SAMPLES[RADIOGRAPHS].files]
    return found if all(found) else []


def loadRadiographs(source=None):
    """Load the radiographs and the true bones, and let the geometry travel with the radiographs.

    Slicer forgets which file a sample came from, and with it the DICOM tags. The Sample Data
    module's button calls this; ``SampleData.downloadSamples`` does not, so scripts do.

    Args:
        source: the registered sample data source; by default, the one of :data:`RADIOGRAPHS`.

    Returns:
        The nodes: frontal, lateral, and the models of patella, femur, fibula and tibia; fewer where
        files could not be loaded, which the log of the Sample Data module shows in red.

    Raises:
        MissingDependencyError: there is no Sample Data module.
    """
    import slicer

    from SSRKDLib.core.errors import MissingDependencyError
    from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom

    from .radiographs import storeRig

    # A module that is loaded after Slicer's start has offered none yet.
    if source is None and not register():
        raise MissingDependencyError(
            _("Slicer's Sample Data module, which loads the samples, is switched off."),
            _(
                "Switch it on in Edit > Application Settings > Modules and restart, or drag "
                "the files SSRKD_frontal.dcm and SSRKD_lateral.dcm of the folder '{folder}' "
                "into Slicer."
            ).format(folder=FOLDER),
        )
    import SampleData

    # The widget's logic writes into the widget's log.
    widget = getattr(slicer.modules, "SampleDataWidget", None)
    logic = widget.logic if widget is not None else SampleData.SampleDataLogic()
    source = source or logic.sourceForSampleName(RADIOGRAPHS)
    nodes = logic.downloadFromSource(source)
    if len(nodes) != len(source.fileNames) or not all(hasattr(node, "GetID") for node in nodes):
        return nodes
    rig = rig_from_dicom(*logic.downloadSourceIntoCache(source)[:2])
    for index, node in enumerate(nodes[:2]):
        storeRig(node, rig, index)
    for node in nodes[2:]:
        _showAsTruth(node)
    for node, file in zip(nodes, SAMPLES[RADIOGRAPHS].files):
        node.SetAttribute(_FILE, file.name)
    return nodes


def _showAsTruth(modelNode):
    """The bone's own colour, seen through, so that a reconstruction inside it shows."""
    from SSRKDLib.core.anatomy import COLOURS

    bone = next(bone for bone in COLOURS if bone in modelNode.GetName().lower())
    modelNode.CreateDefaultDisplayNodes()
    displayNode = modelNode.GetDisplayNode()
    displayNode.SetScalarVisibility(False)
    displayNode.SetColor(*COLOURS[bone])
    displayNode.SetOpacity(0.3)

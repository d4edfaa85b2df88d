"""Many pairs of radiographs at once: a folder that holds a folder of files for each."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.errors import ImageError, InputError
from SSRKDLib.radiographs.rig_file import read_rig

from ..scene.folders import uniqueName
from ..scene.parameters import VIEWS
from ..scene.words import word
from .radiographs import suggestPair
from .view_setup import pairOf

_ENDINGS = (
    ".dcm", ".ima", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".nrrd", ".nii", ".nii.gz", ".mha",
    ".mhd",
)  # fmt: skip


def pairFolders(folder):
    """The sub-folders of a folder, which hold a pair each, by name.

    Raises:
        InputError: it cannot be read, or has none.
    """
    entries = _visible(Path(folder), _("Choose another one."))
    found = [one for one in entries if one.is_dir()]
    if not found:
        raise InputError(
            _("There are no folders in '{folder}'.").format(folder=folder),
            _("Put the files of each pair into a folder of its own, and these into one folder."),
        )
    return sorted(found, key=lambda one: one.name.lower())


def loadPair(parameters):
    """Load and choose the radiographs of a case that a folder was opened for, where that has not
    happened yet: those that its rig names, or else the two images that lie there.

    Args:
        parameters: :class:`~SSRKDSlicer.scene.parameters.Parameters` of the case.

    Raises:
        SSRKDError: no pair, or files that cannot be read. Nothing is left in the scene then.
    """
    if not parameters.pairFolder or any(parameters.nodeOf(view) is not None for view in VIEWS):
        return
    folder = Path(parameters.pairFolder)
    entries = _visible(folder, _("Connect its disk, or open the folder of pairs again."))
    files = sorted(one for one in entries if one.is_file())
    rigs = [one for one in files if one.suffix.lower() == ".json"]
    images = [one for one in files if one.name.lower().endswith(_ENDINGS) or _isExport(one)]
    if len(rigs) > 1:
        raise InputError(
            _("'{folder}' contains {count} rigs.").format(folder=folder.name, count=len(rigs)),
            _("Leave one JSON file there."),
        )
    if rigs:
        images = [source.image for _view, source in pairOf(read_rig(rigs[0]))]
    if len(images) != len(VIEWS) or None in images:
        raise InputError(
            _("'{folder}' contains {count} images; a pair is two.").format(
                folder=folder.name, count=sum(one is not None for one in images)
            ),
            _("Leave a frontal and a lateral one there, or a rig that names them."),
        )
    nodes = _load(images)
    pair = nodes if rigs else suggestPair(nodes)
    if None in pair:
        _remove(nodes)
        raise InputError(
            _("Neither the tags nor the names in '{folder}' tell a pair of one patient.").format(
                folder=folder.name
            ),
            _("Name the files 'frontal' and 'lateral', and check that both are of one patient."),
        )
    for view, node in zip(VIEWS, pair):
        node.SetName(uniqueName(f"{folder.name} ({word(view)})"))
        parameters.setNode(view, "", node)
    parameters.geometry = "rig" if rigs else "images"
    parameters.rigFile = str(rigs[0]) if rigs else ""


def _visible(folder, remedy):
    """What a folder holds, but for hidden files. Raises InputError with the remedy."""
    try:
        return [one for one in folder.iterdir() if one.name[0] != "."]
    except OSError as error:
        raise InputError(
            _("The folder '{folder}' cannot be read ({reason}).").format(
                folder=folder, reason=error.strerror
            ),
            remedy,
        ) from error


def _isExport(file):
    """Whether a file may be a DICOM image as archives export them: without an ending."""
    return not file.suffix and file.name.upper() != "DICOMDIR"


def _load(images):
    nodes = []
    for image in images:
        try:
            # Views go on showing what they show.
            nodes.append(slicer.util.loadVolume(str(image), {"singleFile": True, "show": False}))
        except RuntimeError as error:
            _remove(nodes)
            raise ImageError(
                _("'{name}' could not be loaded.").format(name=Path(image).name),
                _("Check that it is a whole image; Slicer's error log says more."),
            ) from error
    return nodes


def _remove(nodes):
    for node in nodes:
        slicer.mrmlScene.RemoveNode(node)

"""Radiographs that are loaded in Slicer: their pixels, their DICOM file, their stored geometry."""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import dataclass, replace

import numpy as np
import slicer
from slicer.i18n import tr as _

from SSRKDLib.core.errors import GeometryError, ImageError, SSRKDError
from SSRKDLib.radiographs.dicom_tags import read_dicom_tags, tags_from_dict, tags_to_dict
from SSRKDLib.radiographs.exposure import sources_of
from SSRKDLib.radiographs.intensity import guess_values, values_as_shown, values_from_dicom
from SSRKDLib.radiographs.rig_file import view_to_dict
from SSRKDLib.radiographs.rig_from_dicom import view_from_tags

from ..scene.disk import ReadOnce, stampOf
from ..scene.stored import storedObject
from ..scene.words import word

#: Node attribute: how a radiograph was taken, as JSON.
STORED_RIG = "SSRKD.Rig"

_STORED_RIG = {
    "frame": str, "laterality": ({"L", "R"}, None), "patient_to_rig": ([[float]], None),
    "simultaneous?": bool, "view": {},
}  # fmt: skip

#: Node attribute: the geometry in the DICOM file's tags, as JSON, for when a saved scene is
#: opened where the file is not. No name, no date: see SSRKDLib.radiographs.dicom_tags.
KEPT_TAGS = "SSRKD.DicomTags"


@dataclass(frozen=True)
class Pixels:
    """What a radiograph shows.

    Attributes:
        array: ``[rows, columns]``, or with a last axis of colours.
        field: bool ``[rows, columns]``, the collimated field that the file declares, or None.
        notes: sentences on what was assumed.
    """

    array: np.ndarray
    field: np.ndarray | None = None
    notes: tuple = ()


class RadiographNode:
    """A volume node with one slice: i is the column of the radiograph, j its row.

    Raises:
        ImageError: no volume, no image in it, or several slices.
    """

    def __init__(self, node, role):
        self.node, self.role = node, role
        if node is None:
            raise ImageError(
                _("No {role} radiograph is chosen.").format(role=word(role)),
                _("Choose one, or load it first."),
            )
        image = node.GetImageData()
        if image is None or 0 in image.GetDimensions():
            raise ImageError(
                _("The {role} radiograph '{name}' holds no image.").format(
                    role=word(role), name=node.GetName()
                ),
                _("Load it again."),
            )
        columns, rows, slices = image.GetDimensions()
        if slices != 1:
            raise ImageError(
                _("'{name}' has {slices} slices; a radiograph has one.").format(
                    name=node.GetName(), slices=slices
                ),
                _("Choose a radiograph. To make radiographs from a CT, use the section From CT."),
            )
        self.size = (columns, rows)

    @property
    def name(self):
        return self.node.GetName()

    def dicomPath(self):
        """The DICOM file that the volume was loaded from, or None."""
        uids = (self.node.GetAttribute("DICOM.instanceUIDs") or "").split()
        database = getattr(slicer, "dicomDatabase", None)
        if len(uids) == 1 and database is not None and database.isOpen:
            stamp = stampOf(database.databaseFilename)
            path = _once(uids[0], stamp, lambda: database.fileForInstance(uids[0]))
            if path and os.path.isfile(path):
                return path
        storage = self.node.GetStorageNode()
        path = storage.GetFullNameFromFileName() if storage is not None else ""
        return path if path and os.path.isfile(path) and _isDicom(path) else None

    def dicomTags(self):
        """The geometry-relevant DICOM tags, or None where the volume does not come from DICOM.

        Raises:
            ImageError: the file is no radiograph.
        """
        path = self.dicomPath()
        if path is None:
            kept = self.node.GetAttribute(KEPT_TAGS)
            try:
                return tags_from_dict(storedObject(kept, {})) if kept else None
            except ValueError as error:
                raise ImageError(
                    _("The DICOM tags kept with '{name}' are damaged.").format(name=self.name),
                    _("Load the file again."),
                ) from error
        tags = _tagsOf(path, os.stat(path).st_mtime_ns)
        if tags.size != self.size:
            return None  # the volume was cut or resampled; the tags do not speak of it
        text = json.dumps(tags_to_dict(tags))
        if self.node.GetAttribute(KEPT_TAGS) != text:
            self.node.SetAttribute(KEPT_TAGS, text)
        return tags

    def values(self):
        """(kind, notes) of the pixel values that :meth:`pixels` gives, from the DICOM tags; the
        kind is None where there are none or they do not define it."""
        tags = self.dicomTags()
        if tags is None:
            return None, ()
        fromFile = self.dicomPath() is not None
        return values_from_dicom(tags) if fromFile else values_as_shown(tags)

    def guessedValues(self):
        """(kind, sentence) of the pixel values, from the image; see
        :func:`SSRKDLib.radiographs.intensity.guess_values`."""
        key = (self.node.GetID(), self.node.GetImageData().GetMTime())
        if key not in _guesses:
            if len(_guesses) > 8:
                _guesses.clear()
            _guesses[key] = guess_values(self.grey())
        return _guesses[key]

    def storedRig(self):
        """What :func:`storeRig` left with the node, as a dictionary, or None."""
        text = self.node.GetAttribute(STORED_RIG)
        if not text:
            return None
        try:
            return storedObject(text, _STORED_RIG)
        except ValueError as error:
            raise GeometryError(
                _("The geometry stored with '{name}' is damaged.").format(name=self.name),
                _("Choose another source of the geometry."),
            ) from error

    def pixels(self):
        """What is reconstructed: of DICOM files what they store, else the volume's voxels.

        Raises:
            ImageError: the file cannot be read.
        """
        path = self.dicomPath()
        if path is not None:
            from SSRKDLib.radiographs.reading import read_radiograph

            radiograph = read_radiograph(path)
            if radiograph.size == self.size:
                return Pixels(radiograph.pixels, radiograph.valid, radiograph.notes)
        return Pixels(slicer.util.arrayFromVolume(self.node)[0])

    def isEightBit(self):
        """Whether the volume's voxels are 8-bit numbers."""
        return slicer.util.arrayFromVolume(self.node).dtype == np.uint8

    def grey(self):
        """The volume's voxels in shades of grey, ``[rows, columns]``."""
        array = slicer.util.arrayFromVolume(self.node)[0]
        return array if array.ndim == 2 else array[..., :3].mean(-1)


#: Files of DICOM instances, and whether files are DICOM.
_once = ReadOnce()

#: Kind of pixel values by node and state of its image: a large film takes a third of a second.
_guesses = {}


@functools.lru_cache(maxsize=64)
def _tagsOf(path, modified):
    """The DICOM tags of a file; ``modified`` distinguishes files of one name."""
    return read_dicom_tags(path)


def _isDicom(path):
    def read():
        try:
            with open(path, "rb") as file:
                return file.read(132)[128:] == b"DICM"
        except OSError:
            return False

    return _once(path, stampOf(path), read)


def storeRig(node, rig, index):
    """Let a view of a rig, and the rig's entries on the patient, travel with a volume node."""
    pose = rig.patient_to_rig
    data = {
        "frame": rig.frame,
        "laterality": rig.laterality,
        "patient_to_rig": None if pose is None else pose.tolist(),
        "simultaneous": rig.simultaneous,
        "view": view_to_dict(rig.views[index], replace(sources_of(rig)[index], image=None)),
    }
    node.SetAttribute(STORED_RIG, json.dumps(data))


def suggestPair(nodes):
    """Which of the scene's volumes are probably the frontal and the lateral radiograph.

    Args:
        nodes: volume nodes.

    Returns:
        (frontal, lateral); None where nothing speaks for any.
    """
    found = {"frontal": [], "lateral": []}
    for node in nodes:
        try:
            radiograph = RadiographNode(node, "")
            role, tags = _roleOf(radiograph), radiograph.dicomTags()
        except SSRKDError:
            continue
        if role is not None:
            found[role].append((node, tags.patient if tags is not None else ""))
    for frontal, patient in found["frontal"]:
        for lateral, other in found["lateral"]:
            if patient == other:
                return frontal, lateral
    return None, None


#: Words in names that identify the view.
_WORDS = {
    "frontal": ("frontal", "ap", "pa", "anteroposterior", "front"),
    "lateral": ("lateral", "lat", "ll", "rl", "side"),
}


def _roleOf(radiograph):
    role = _roleFromTags(radiograph)
    if role is not None:
        return role
    words = re.split("[^a-z]+", radiograph.name.lower())
    for role, known in _WORDS.items():
        if any(one in known for one in words):
            return role
    return None


def _roleFromTags(radiograph):
    try:
        tags = radiograph.dicomTags()
        if tags is None or not (
            tags.views or tags.primary_angle is not None or tags.patient_orientation
        ):
            return None
        view, _ = view_from_tags(tags, "frontal", "L")
    except SSRKDError:
        return None
    return "frontal" if abs(view.axis[1]) > 0.7 else "lateral" if abs(view.axis[0]) > 0.7 else None

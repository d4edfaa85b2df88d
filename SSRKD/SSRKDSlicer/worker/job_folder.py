"""The private folder through which a job's images and surfaces travel.

Only its owner can read it, and nothing in it names a patient: pixels and geometry, no tags.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.messages import about
from SSRKDLib.core.output_file import acquire_lock, release_lock, remove_scratch
from SSRKDLib.images.writing import write_array, write_image
from SSRKDLib.radiographs.exposure import sources_of, with_sources
from SSRKDLib.radiographs.rig_file import write_rig

#: In every folder of a job, locked as long as its Slicer lives.
MARK = ".ssrkd-job"

#: A younger folder may be about to be locked, s.
_JUST_MADE = 60


def sweep(parent):
    """Remove what crashed sessions left: the images of patients do not pile up. A folder is one of
    theirs where it has the mark and no process holds it."""
    for folder in Path(parent).glob("ssrkd-*"):
        mark = folder / MARK
        with suppress(OSError):
            if folder.is_symlink() or time.time() - mark.stat().st_mtime < _JUST_MADE:
                continue
            lock = acquire_lock(mark, wait=False)
            if lock is not None:
                release_lock(mark, lock)
                remove_scratch(folder)


class JobFolder:
    """A new folder under Slicer's temporary one; remove it when the job has ended.

    Raises:
        OutputError: the temporary folder cannot be written.
    """

    def __init__(self, parent):
        try:
            Path(parent).mkdir(parents=True, exist_ok=True)
            sweep(parent)
            self.path = Path(tempfile.mkdtemp(prefix="ssrkd-", dir=parent))  # mode 0700
            self._lock = acquire_lock(self.path / MARK)
        except OSError as error:
            raise OutputError(
                _("The temporary folder '{parent}' cannot be written ({reason}).").format(
                    parent=parent, reason=error.strerror or error
                ),
                _(
                    "Make space on that disk, or choose another temporary folder in Slicer's "
                    "application settings."
                ),
            ) from error

    @property
    def output(self):
        """Where the worker puts its result; it does not exist before."""
        return self.path / "result"

    def remove(self):
        """Remove everything; what cannot be removed now, the system removes some day."""
        release_lock(self.path / MARK, self._lock)
        self._lock = None
        remove_scratch(self.path)

    def writeSetup(self, setup, masks=(None, None)):
        """Write the cropped radiographs and how they were taken.

        Args:
            setup: :class:`~SSRKDSlicer.radiographs.view_setup.Setup`.
            masks: per view bool ``[4, rows, columns]`` on the whole image, or None.

        Returns:
            (request, notes): the entries ``rig``, ``fields`` and ``masks`` of a request, and
            sentences on the images.

        Raises:
            ImageError, OutputError: an image that cannot be read, a disk that is full.
        """
        rig = setup.croppedRig()
        sources, fields, written, notes = [], [], [], []
        for index, (source, radiograph, crop) in enumerate(
            zip(sources_of(rig), setup.radiographs, setup.crops)
        ):
            pixels = radiograph.pixels()
            notes += [about(radiograph.role, note) for note in pixels.notes]
            name = f"view_{index}.nrrd"
            write_image(self.path / name, _cut(pixels.array, crop), compress=False)
            sources.append(replace(source, image=str(self.path / name)))
            field = None if pixels.field is None else _cut(pixels.field, crop)
            fields.append(self._array(f"field_{index}.npy", field))
            mask = masks[index]
            if mask is not None:
                mask = np.stack([_cut(one, crop) for one in mask]).astype(np.uint8) * 255
            written.append(self._array(f"edited_{index}.npy", mask))
        path = self.path / "rig.json"
        write_rig(with_sources(rig, sources), path)
        return {"rig": str(path), "fields": fields, "masks": written}, tuple(notes)

    def _array(self, name, array):
        if array is None:
            return None
        write_array(self.path / name, array)
        return str(self.path / name)


def _cut(array, crop):
    if crop is None:
        return array
    left, top, columns, rows = crop
    return array[top : top + rows, left : left + columns]


def uncropped(probabilities, setup, index):
    """Masks of the cropped image on the whole one, bool ``[4, rows, columns]``."""
    masks = probabilities > 127
    crop = setup.crops[index]
    if crop is None:
        return masks
    left, top, columns, rows = crop
    width, height = setup.radiographs[index].size
    whole = np.zeros((len(masks), height, width), dtype=bool)
    whole[:, top : top + rows, left : left + columns] = masks
    return whole

"""The slices of a CT in DICOM files: one each or, in enhanced files, one per frame.

Source: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.16 (functional groups), C.8.2.1 (CT image).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from SSRKDLib.core.errors import ImageError
from SSRKDLib.images.dicom_files import damage_told, is_dicom, read_dicom
from SSRKDLib.radiographs.dicom_values import decimal, number, values_of

if TYPE_CHECKING:
    import pydicom

_GROUPS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]

_TAGS = [
    "Modality", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "ImageType", "SeriesNumber",
    "SeriesDescription", "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "AcquisitionNumber", "InstanceNumber", "RescaleSlope", "RescaleIntercept",
    "NumberOfFrames", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PatientName", "PatientBirthDate", "PatientSex", *_GROUPS,
]  # fmt: skip

#: How far directions may be from perpendicular ones of length 1.
_ASKEW = 0.01

#: What is no CT, whatever its values.
_NO_CT = {"MR", "PT", "NM", "US"}


class Slice(NamedTuple):
    """A slice; ``frame``, which one of its file, None where that contains no other."""

    path: Path
    tags: pydicom.Dataset
    frame: int | None = None

    @property
    def position(self) -> np.ndarray | None:
        """Of its first voxel, ``(3,)`` LPS mm."""
        return self._numbers("ImagePositionPatient", 3)

    @property
    def directions(self) -> np.ndarray | None:
        """Along its rows and along its columns, ``(2, 3)``."""
        found = self._numbers("ImageOrientationPatient", 6)
        return None if found is None else found.reshape(2, 3)

    @property
    def spacing(self) -> np.ndarray | None:
        """Between rows and between columns, ``(2,)`` mm."""
        return self._numbers("PixelSpacing", 2)

    @property
    def scale(self) -> tuple[float | None, float | None]:
        """RescaleSlope and RescaleIntercept."""
        return number(self.tags, "RescaleSlope"), number(self.tags, "RescaleIntercept")

    @property
    def order(self) -> tuple[int, int]:
        """Acquisition and instance number."""
        names = ("AcquisitionNumber", "InstanceNumber")
        return tuple(int(number(self.tags, name) or 0) for name in names)

    def check(self) -> None:
        """Raise :class:`~SSRKDLib.core.errors.ImageError` where a tag cannot be a CT's."""
        slope, _ = self.scale
        directions, spacing = self.directions, self.spacing
        if self.tags.get("Modality") in _NO_CT:
            raise self._impossible("Modality")
        if self.tags.get("PhotometricInterpretation") not in (None, "MONOCHROME2"):
            raise self._impossible("PhotometricInterpretation")
        if slope is not None and slope <= 0:
            raise self._impossible("RescaleSlope")
        bits = [number(self.tags, name) for name in ("BitsAllocated", "BitsStored", "HighBit")]
        allocated, stored, high = bits
        if allocated is not None and allocated not in (8, 16, 32):
            raise self._impossible("BitsAllocated")
        if None not in (allocated, stored) and not 1 <= stored <= allocated:
            raise self._impossible("BitsStored")
        if None not in bits and not stored <= high + 1 <= allocated:
            raise self._impossible("HighBit")
        if spacing is not None and spacing.min() <= 0:
            raise self._impossible("PixelSpacing")
        if directions is not None and np.abs(directions @ directions.T - np.eye(2)).max() > _ASKEW:
            raise self._impossible("ImageOrientationPatient")

    def _numbers(self, name: str, count: int) -> np.ndarray | None:
        try:
            values = [decimal(value) for value in values_of(self.tags.get(name))]
        except Exception as error:  # pydicom raises many kinds on damaged files
            raise self._impossible(name) from error
        if values and (len(values) != count or None in values):
            raise self._impossible(name)
        return np.array(values) if values else None

    def _impossible(self, name: str) -> ImageError:
        return ImageError(
            "The DICOM tag {name} of '{path}' has a value that no CT slice can have.",
            "Give the CT's own series, or export it again, as NIfTI or NRRD for example.",
            name=name,
            path=self.path,
        )


def read_slices(paths: Iterable[Path]) -> list[Slice]:
    """The slices in those of the files that are images of a series.

    Raises:
        ImageError: a file is damaged, or has frames of which it does not say where they lie.
    """
    found: list[Slice] = []
    for path in paths:
        if not is_dicom(path):
            continue
        tags = read_dicom(path, _TAGS)
        with damage_told(path):
            if tags.get("Rows") and tags.get("SeriesInstanceUID"):
                found += _slices(path, tags)
    return found


def _slices(path: Path, tags: pydicom.Dataset) -> Iterator[Slice]:
    frames = tags.get("NumberOfFrames") or 1
    shared, groups = (tags.get(name) or [] for name in _GROUPS)
    if frames == 1 and not groups:
        yield Slice(path, tags)
        return
    if len(groups) != frames:
        raise ImageError(
            "'{path}' contains {frames} images and does not say where each of them lies.",
            "Export the scan again as CT images, or as NIfTI or NRRD.",
            path=path,
            frames=frames,
        )
    from pydicom import Dataset

    for frame, group in enumerate(groups):
        one = Dataset({tag: tags[tag] for tag in list(tags.keys()) if tags[tag].VR != "SQ"})
        for item in (*shared[:1], group):
            for element in item:
                if element.VR == "SQ" and element.value:
                    one.update(element.value[0])
        if frames > 1:
            one.InstanceNumber = frame + 1
        yield Slice(path, one, frame if frames > 1 else None)

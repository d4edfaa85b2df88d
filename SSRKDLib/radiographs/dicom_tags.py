"""The tags of a DICOM radiograph that describe how it was taken, without its pixels.

Only what geometry and pixel values need is kept: no name, no date, nothing that identifies a
person. Whether two files name the same patient, and the same day, is compared and then forgotten.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np

from SSRKDLib.core.errors import ImageError, SSRKDError
from SSRKDLib.core.messages import Message
from SSRKDLib.core.reading_child import apart
from SSRKDLib.core.system_errors import failed_call
from SSRKDLib.images.dicom_files import DicomFile, read_dicom
from SSRKDLib.radiographs.dicom_oddities import oddities
from SSRKDLib.radiographs.dicom_values import (
    find,
    low_byte_first,
    number,
    positive,
    spacing,
    text_of,
)
from SSRKDLib.radiographs.dicom_words import side_in_words, side_key, view_key
from SSRKDLib.radiographs.slot_scanners import is_slot_spacing, scanner_named

#: Modalities that are no projection radiographs.
_NOT_RADIOGRAPHS = {"CT", "MR", "PT", "NM", "US", "SEG", "RTDOSE"}


@dataclass(frozen=True)
class DicomTags:
    """Tags of one radiograph. Empty or missing ones are None or "".

    Attributes:
        modality: (0008,0060).
        size: (columns, rows) pixels, from (0028,0011) and (0028,0010).
        laterality: "L", "R", "B" or "": (0020,0062), else (0020,0060).
        laterality_contradicts: whether these two tags disagree.
        views: what names the view, best first: value and meaning of the view code (0054,0220), view
            position (0018,5101).
        patient_orientation: (0020,0020): where the column index grows, where the row index grows.
        positioner_type: (0018,1508).
        primary_angle, secondary_angle: (0018,1510), (0018,1511), degrees.
        source_to_detector: (0018,1110), mm.
        source_to_isocentre: (0018,9402), else (0018,1111), mm.
        magnification: (0018,1114).
        imager_spacing: (0018,1164), mm, (between columns, between rows).
        pixel_spacing: (0028,0030), mm, (between columns, between rows).
        calibration_type: (0028,0A02).
        scanned_spacing: (0018,2010), mm, (between columns, between rows).
        element_spacing: (0018,7022) times (0018,701A), mm, (between columns, between rows).
        isocentre_pixel: (column, row) where the central ray meets the image, from (0018,9430) and
            (0018,7030).
        problems: sentences on tags that are present and not used, or used although they should not
            have to be.
        photometric: (0028,0004).
        relationship: (0028,1040).
        relationship_sign: (0028,1041): 1, -1 or None.
        intent: (0008,0068).
        negative_slope: whether the modality transform (0028,1053 or 0028,3000) turns the sign over.
        falling_voi: whether the VOI LUT (0028,3010) falls: what is stored bright is shown dark.
        lut_shape: (2050,0020).
        dark_bone: whether bone is dark in the picture itself, where its pixels were read and show
            it; else None.
        hints: views that descriptions name, as :func:`~SSRKDLib.radiographs.dicom_words.view_key`
            gives them.
        slot_scanner: which of :data:`~SSRKDLib.radiographs.slot_scanners.SCANNERS` took it,
            "unnamed" for another slot scanner, "" for none.
        patient: fingerprint of the patient ID, "" when there is none.
        day: on which it was taken, its number in the calendar (:meth:`datetime.date.toordinal`).
    """

    modality: str
    size: tuple[int, int]
    laterality: str = ""
    laterality_contradicts: bool = False
    views: tuple[str, ...] = ()
    patient_orientation: tuple[str, str] | None = None
    positioner_type: str = ""
    primary_angle: float | None = None
    secondary_angle: float | None = None
    source_to_detector: float | None = None
    source_to_isocentre: float | None = None
    magnification: float | None = None
    imager_spacing: tuple[float, float] | None = None
    pixel_spacing: tuple[float, float] | None = None
    calibration_type: str = ""
    scanned_spacing: tuple[float, float] | None = None
    element_spacing: tuple[float, float] | None = None
    isocentre_pixel: tuple[float, float] | None = None
    problems: tuple[str, ...] = ()
    photometric: str = ""
    relationship: str = ""
    relationship_sign: int | None = None
    intent: str = ""
    negative_slope: bool = False
    falling_voi: bool = False
    lut_shape: str = ""
    dark_bone: bool | None = None
    hints: tuple[str, ...] = ()
    slot_scanner: str = ""
    patient: str = ""
    day: int | None = None


def read_dicom_dataset(path: str | os.PathLike, file: DicomFile | None = None):
    """The pydicom dataset of a radiograph.

    Args:
        path: of the file.
        file: the file where it is open already: then it is read with its pixels, which otherwise
            are left out.

    Raises:
        ImageError: absent, no DICOM file, no image, no radiograph, or several frames.
    """
    dataset = read_dicom(path) if file is None else file.dataset(pixels=True)
    with understood_tags(path, dataset):
        _check_radiograph(dataset, path)
    return dataset


def _check_radiograph(dataset, path: str | os.PathLike) -> None:
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise ImageError(
            "'{path}' contains no DICOM image.", "Choose the file of a radiograph.", path=path
        )
    if text_of(dataset, "Modality") in _NOT_RADIOGRAPHS:
        raise ImageError(
            "'{path}' is of modality {modality}, not a radiograph.",
            "Choose a CR, DX, XA or RF image.",
            path=path,
            modality=text_of(dataset, "Modality"),
        )
    frames = number(dataset, "NumberOfFrames") or 1
    if frames > 1:
        raise ImageError(
            "'{path}' contains {frames:g} frames.",
            "Export the one frame that shows the knee best as a single-frame image.",
            path=path,
            frames=frames,
        )


@apart(ImageError)
def read_dicom_tags(path: str | os.PathLike) -> DicomTags:
    """The geometry-relevant tags of a DICOM radiograph (raises as :func:`read_dicom_dataset`)."""
    dataset = read_dicom_dataset(path)
    with understood_tags(path, dataset):
        return tags_from_dataset(dataset)


def tags_to_dict(tags: DicomTags) -> dict:
    """Tags as plain JSON values, without the day, and without the fingerprint of the patient ID: a
    short number can be found from it by trying."""
    data = {**asdict(tags), "patient": "", "day": None}
    data["oddities"] = data.pop("problems")  # the key in scenes that were saved
    return data


def tags_from_dict(data: dict) -> DicomTags:
    """The way back of :func:`tags_to_dict`.

    Raises:
        ImageError: these are no tags.
    """
    try:
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
        values["problems"] = values.pop("oddities", ())
        return DicomTags(**values)
    except (TypeError, AttributeError) as error:
        raise ImageError(
            "The DICOM tags that were kept are of another version.", "Load the file again."
        ) from error


@contextmanager
def understood_tags(path: str | os.PathLike, dataset) -> Iterator[None]:
    """Tags of the wrong kind (two numbers for one, text for a number, a table without entries)
    raise from many places: here they become one :class:`ImageError`, which names the tag, where it
    can be told, and never a value."""
    try:
        yield
    except (SSRKDError, MemoryError):
        raise
    except Exception as error:
        if failed_call(error):  # of a temporary file, say
            raise
        which = _unreadable_tag(dataset)
        raise ImageError(
            "'{path}' contains DICOM tags that cannot be interpreted"
            + (" (the first is {which})." if which else " ({error})."),
            "Export the radiograph again, or as NRRD with the geometry in a rig.",
            path=path,
            which=which,
            error=type(error).__name__,
        ) from error


def _unreadable_tag(dataset) -> str:
    """The first tag whose bytes are no value of its kind, or that has several values for one."""
    from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag

    for tag in list(dataset.keys()):
        name = keyword_for_tag(tag)
        try:
            element = dataset[tag]
            several = name and element.VM > 1 and dictionary_VM(tag) == "1"
            if not several and (not name or element.VR in dictionary_VR(tag)):
                continue
        except Exception:  # that is what is looked for
            pass
        return f"{name} {tag}".strip()
    return ""


def tags_from_dataset(dataset) -> DicomTags:
    """The geometry-relevant tags of a pydicom dataset, enhanced XA's functional groups included."""
    image_side, series_side = (
        side_key(text_of(dataset, first) or text_of(dataset, second))
        for first, second in (("ImageLaterality", "FrameLaterality"), ("Laterality", "Laterality"))
    )
    side, problems = image_side or series_side, ()
    if not side:
        side, problems = _described_side(dataset)
    orientation = find(dataset, "PatientOrientation")
    if orientation is None or isinstance(orientation, str) or len(orientation) != 2:
        orientation = None
    slope = number(dataset, "RescaleSlope")
    patient = str(dataset.get("PatientID") or "")
    sign = number(dataset, "PixelIntensityRelationshipSign")
    isocentre_pixel, more = _isocentre_pixel(dataset)
    binning = spacing(dataset, "DetectorBinning") or (1.0, 1.0)
    element = spacing(dataset, "DetectorElementSpacing")
    return DicomTags(
        modality=text_of(dataset, "Modality"),
        size=(int(dataset.Columns), int(dataset.Rows)),
        laterality=side,
        laterality_contradicts={image_side, series_side} == {"L", "R"},
        views=_views(dataset),
        patient_orientation=None if orientation is None else tuple(map(str, orientation)),
        positioner_type=text_of(dataset, "PositionerType"),
        primary_angle=number(dataset, "PositionerPrimaryAngle"),
        secondary_angle=number(dataset, "PositionerSecondaryAngle"),
        source_to_detector=positive(dataset, "DistanceSourceToDetector"),
        source_to_isocentre=positive(dataset, "DistanceSourceToIsocenter")
        or positive(dataset, "DistanceSourceToPatient"),
        magnification=positive(dataset, "EstimatedRadiographicMagnificationFactor"),
        imager_spacing=spacing(dataset, "ImagerPixelSpacing"),
        pixel_spacing=spacing(dataset, "PixelSpacing"),
        calibration_type=text_of(dataset, "PixelSpacingCalibrationType"),
        scanned_spacing=spacing(dataset, "NominalScannedPixelSpacing"),
        element_spacing=element and (element[0] * binning[0], element[1] * binning[1]),
        isocentre_pixel=isocentre_pixel,
        problems=problems + more + oddities(dataset),
        photometric=text_of(dataset, "PhotometricInterpretation"),
        relationship=text_of(dataset, "PixelIntensityRelationship"),
        relationship_sign=None if not sign else int(math.copysign(1, sign)),
        intent=text_of(dataset, "PresentationIntentType"),
        negative_slope=(slope is not None and slope < 0) or _falls(modality_lut(dataset)),
        falling_voi=_falls(_lut(dataset, "VOILUTSequence")),
        lut_shape=text_of(dataset, "PresentationLUTShape"),
        hints=tuple(filter(None, map(view_key, _descriptions(dataset)))),
        slot_scanner=_slot_scanner(dataset),
        patient=hashlib.sha256(patient.encode()).hexdigest()[:16] if patient else "",
        day=_day(dataset),
    )


def _day(dataset) -> int | None:
    """Of the exposure, else of the study."""
    for name in ("AcquisitionDate", "ContentDate", "StudyDate"):
        with suppress(ValueError):  # none, or not written as a date (20261128)
            return datetime.strptime(text_of(dataset, name), "%Y%m%d").toordinal()
    return None


def modality_lut(dataset) -> tuple[np.ndarray, int] | None:
    """The Modality LUT (0028,3000) as (values, first stored value mapped), or None (C.11.1)."""
    return _lut(dataset, "ModalityLUTSequence")


def _lut(dataset, sequence: str) -> tuple[np.ndarray, int] | None:
    if not dataset.get(sequence):
        return None
    item = dataset[sequence].value[0]
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    data = low_byte_first(dataset, item["LUTData"])
    if isinstance(data, bytes):
        # A table of 8 bits may be packed two entries to a word (C.11.1.1.1).
        packed = bits == 8 and len(data) < 2 * (entries or 65536)
        data = np.frombuffer(data, dtype="u1" if packed else "<u2")
    table = np.asarray(data, dtype=np.float32)[: entries or 65536]
    if not table.size:
        raise ValueError(f"an empty {sequence}")
    return table, first


def _falls(lut: tuple[np.ndarray, int] | None) -> bool:
    return lut is not None and bool(lut[0][0] > lut[0][-1])


def _descriptions(dataset) -> list[str]:
    names = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
    return [text for name in names if (text := text_of(dataset, name))]


def _described_side(dataset) -> tuple[str, tuple[str, ...]]:
    """The side of the region's modifier, else that descriptions name, and a sentence on it."""
    codes = []
    for region in [dataset, *(dataset.get("AnatomicRegionSequence") or [])]:
        for modifier in region.get("AnatomicRegionModifierSequence") or []:
            codes.append(str(modifier.get("CodeValue") or ""))
    texts = [*_descriptions(dataset), text_of(dataset, "BodyPartExamined")]
    texts.append(text_of(dataset, "StudyDescription"))
    side = side_in_words(texts, codes)
    if not side:
        return "", ()
    source = "modifier of the region" if side == side_in_words((), codes) else "description"
    return side, (
        Message(
            "The laterality tags are empty; the side, {side}, is that of the {source}.",
            side=side,
            source=source,
        ),
    )


def _slot_scanner(dataset) -> str:
    maker = f"{text_of(dataset, 'Manufacturer')} {text_of(dataset, 'ManufacturerModelName')}"
    named = scanner_named(maker)
    is_one = is_slot_spacing(
        spacing(dataset, "ImagerPixelSpacing"),
        positive(dataset, "DistanceSourceToDetector"),
        positive(dataset, "DistanceSourceToPatient"),
    )
    return named or ("unnamed" if is_one else "")


def _views(dataset) -> tuple[str, ...]:
    sequence = find(dataset, "ViewCodeSequence")
    code = [sequence[0].get(key) for key in ("CodeValue", "CodeMeaning")] if sequence else []
    named = [*(str(part or "") for part in code), text_of(dataset, "ViewPosition")]
    return tuple(name for name in named if name)


def _isocentre_pixel(dataset) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Where the central ray meets the image (C.8.19.5, C.8.11.4.1.1), and why it was not used."""
    position = find(dataset, "PositionOfIsocenterProjection")
    if position is None or len(position) != 2:
        return None, ()
    turned = (
        number(dataset, "FieldOfViewRotation")
        or text_of(dataset, "FieldOfViewHorizontalFlip") == "YES"
    )
    if turned:
        return None, ("The position of the isocentre on a turned field of view is ignored.",)
    origin = find(dataset, "FieldOfViewOrigin")
    origin = (0, 0) if origin is None or len(origin) != 2 else origin
    pixel = spacing(dataset, "ImagerPixelSpacing")
    element = spacing(dataset, "DetectorElementSpacing") or pixel
    # Elements may be binned into pixels; both count from the centre of their own first one.
    scale = [e / p for e, p in zip(element, pixel)] if element and pixel else [1.0, 1.0]
    row, column = (float(p) - float(o) for p, o in zip(position, origin))
    return ((column + 0.5) * scale[0] - 0.5, (row + 0.5) * scale[1] - 0.5), ()

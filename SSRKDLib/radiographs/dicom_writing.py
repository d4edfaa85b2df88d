"""Write a simulated radiograph as a DICOM file with the true tags of its view.

For tests, the demo and sample data: digital X-ray (DX, PS3.3 A.26), computed radiography (CR, A.2)
or X-ray angiography (XA, A.14), one frame, uncompressed, of nobody (``SSRKD^VIRTUAL``).

Where the central ray does not meet the middle of the image, Position of Isocenter Projection
(0018,9430; C.8.19.5) gives where it does. Those modules belong to the enhanced XA image; here they
make a Standard Extended SOP Class, which PS3.2 allows.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from SSRKDLib.core.errors import GeometryError, ImageError
from SSRKDLib.core.output_file import cannot_write
from SSRKDLib.geometry.centred_views import positioner_from_angles, source_angles
from SSRKDLib.geometry.detector_pose import LETTERS, orientation_letters
from SSRKDLib.geometry.views import View
from SSRKDLib.radiographs.dicom_tags import tags_from_dataset
from SSRKDLib.radiographs.rig_from_dicom import view_from_tags

#: How line integrals become stored values.
STYLES = ("log", "linear", "presentation")

#: Largest error that the tags may make anywhere within 100 mm of the iso-centre, pixels.
TOLERANCE_PIXELS = 0.05

_SOP_CLASSES = {
    ("DX", False): "1.2.840.10008.5.1.4.1.1.1.1.1",
    ("DX", True): "1.2.840.10008.5.1.4.1.1.1.1",
    ("CR", False): "1.2.840.10008.5.1.4.1.1.1",
    ("CR", True): "1.2.840.10008.5.1.4.1.1.1",
    ("XA", False): "1.2.840.10008.5.1.4.1.1.12.1",
    ("XA", True): "1.2.840.10008.5.1.4.1.1.12.1",
}
_NAMED_VIEWS = {"AP": "P", "PA": "A", "LL": "L", "RL": "R"}
_VIEW_CODES = {
    "AP": ("399348003", "antero-posterior"),
    "PA": ("272479007", "postero-anterior"),
    "LL": ("399173006", "left lateral"),
    "RL": ("399198007", "right lateral"),
}


def write_dicom(
    path: str | os.PathLike,
    line_integral: np.ndarray,
    view: View,
    *,
    laterality: str | None = None,
    modality: str = "DX",
    style: str = "log",
    case: str = "knee",
    instance: int = 1,
) -> None:
    """Write one radiograph so that ``rig_from_dicom`` finds its view again.

    Args:
        path: file to write; its folder must exist.
        line_integral: ``[rows, columns]``, ln(I0/I).
        view: in LPS. Its central ray (the perpendicular from the source to the detector) must pass
            through the origin, and the detector's edges must be those of a C-arm turned by primary
            and secondary angle (any quarter turn or flip); its detector may be shifted.
        laterality: "L", "R" or None (not written).
        modality: "DX", "CR" or "XA".
        style: "log" (16 bit, proportional to the line integral, bright bone), "linear" (16 bit
            counts, dark bone; for processing) or "presentation" (12 bit MONOCHROME1, a sigmoid
            display curve as workstations apply it).
        case: patient ID; files of one case share a study.
        instance: instance number within the case.

    Raises:
        ImageError: pixels that do not fit the view, or an unknown style or modality.
        GeometryError: a view that DICOM tags cannot express to 0.05 pixels.
        OutputError: the file cannot be written.
    """
    if line_integral.shape != (view.size[1], view.size[0]):
        raise ImageError(
            "The image has {columns} x {rows} pixels, its view {view_columns} x {view_rows}.",
            "Give the image that belongs to the view.",
            columns=line_integral.shape[1],
            rows=line_integral.shape[0],
            view_columns=view.size[0],
            view_rows=view.size[1],
        )
    if style not in STYLES or (modality, False) not in _SOP_CLASSES:
        raise ImageError(
            "Nothing is written as '{modality}' in style '{style}'.",
            "Use DX, CR or XA, and {styles}.",
            modality=modality,
            style=style,
            styles=", ".join(STYLES),
        )
    dataset = _dataset(modality, style, laterality, case, instance)
    _add_geometry(dataset, view, modality)
    _add_pixels(dataset, np.asarray(line_integral, dtype=np.float64), style, modality)
    _check_round_trip(dataset, view)
    try:
        dataset.save_as(Path(path), enforce_file_format=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _dataset(modality: str, style: str, laterality: str | None, case: str, instance: int):
    """Patient, study, series, equipment and anatomy modules."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.SOPClassUID = _SOP_CLASSES[modality, style == "presentation"]
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["SSRKD", case])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["SSRKD", case, modality, style])
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "SSRKD^VIRTUAL"
    dataset.PatientID = case
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = instance
    dataset.Modality = modality
    dataset.Manufacturer = "SSRKD simulator"
    dataset.BodyPartExamined = "KNEE"
    dataset.BurnedInAnnotation = "NO"
    dataset.ImageType = ["DERIVED" if style == "presentation" else "ORIGINAL", "PRIMARY", ""]
    if modality == "XA":
        dataset.ImageType[2] = "SINGLE PLANE"
    for empty in (
        "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
        "ReferringPhysicianName", "ContentDate", "ContentTime", "KVP",
    ):  # fmt: skip
        setattr(dataset, empty, None)
    if modality == "DX":
        dataset.PresentationIntentType = (
            "FOR PRESENTATION" if style == "presentation" else "FOR PROCESSING"
        )
        dataset.DetectorType = "DIRECT"
        dataset.AcquisitionContextSequence = []
        dataset.AnatomicRegionSequence = [_code("72696002", "Knee")]
    if laterality is not None:
        dataset.Laterality = laterality
        dataset.ImageLaterality = laterality
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _code(value: str, meaning: str):
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _add_geometry(dataset, view: View, modality: str) -> None:
    sdd = view.source_to_detector_distance
    sod = float(-view.source @ view.normal)
    foot = view.project((view.source + sdd * view.normal)[None])[0]
    dataset.DistanceSourceToDetector = _decimal(sdd)
    dataset.DistanceSourceToPatient = _decimal(sod)
    if sod > 0:
        dataset.EstimatedRadiographicMagnificationFactor = _decimal(sdd / sod)
    # DICOM gives the distance between rows first; spacing and (row, column) alike.
    dataset.ImagerPixelSpacing = [_decimal(s) for s in reversed(view.pixel_spacing)]
    dataset.FieldOfViewOrigin = ["0", "0"]
    dataset.PositionOfIsocenterProjection = [float(foot[1]), float(foot[0])]
    dataset.PatientOrientation = [
        orientation_letters(view.column_direction),
        orientation_letters(view.row_direction),
    ]
    named = [n for n, to in _NAMED_VIEWS.items() if LETTERS[to] @ view.normal > 1 - 1e-12]
    if named and modality != "XA":
        dataset.ViewPosition = named[0]
        dataset.ViewCodeSequence = [_code(*_VIEW_CODES[named[0]])]
        dataset.PositionerType = "COLUMN"
        return
    primary, secondary = positioner_from_angles(*source_angles(-view.normal))
    dataset.PositionerType = "CARM"
    dataset.PositionerPrimaryAngle = _decimal(primary)
    dataset.PositionerSecondaryAngle = _decimal(secondary)


def _decimal(number: float) -> str:
    """A DS value: at most 16 characters (PS3.5 6.2)."""
    return f"{0.0 if abs(number) < 1e-9 else number:.9g}"


def _add_pixels(dataset, line_integral: np.ndarray, style: str, modality: str) -> None:
    """Image pixel and X-ray image modules; C.8.11.3.1.2 defines the sign."""
    bits, sign, photometric = 16, -1, "MONOCHROME2"
    if style == "log":
        # Noise makes air slightly negative; 16 bits span -0.25 to 16.1 in steps of 1/4000.
        stored = 1000 + 4000 * line_integral
    elif style == "linear":
        stored, sign = 50000 * np.exp(-line_integral), 1
    else:
        bits, sign = 12, 1
        low, high = np.percentile(line_integral, (1, 99))
        level = (line_integral - (low + high) / 2) / max(high - low, 1e-6)
        stored = 4095 * (1 - 1 / (1 + np.exp(-4 * level)))
    if sign > 0 and modality != "XA":  # XA knows MONOCHROME2 only (C.8.7.1.1.1)
        photometric = "MONOCHROME1"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.Rows, dataset.Columns = line_integral.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship = "LIN" if style == "linear" else "LOG"
    dataset.PixelIntensityRelationshipSign = sign
    dataset.LossyImageCompression = "00"
    if modality == "DX":
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
        dataset.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    stored = np.clip(np.rint(stored), 0, 2**bits - 1).astype("<u2")
    low, high = np.percentile(stored, (1, 99))
    dataset.WindowCenter = _decimal((low + high) / 2)
    dataset.WindowWidth = _decimal(max(high - low, 1))
    dataset.PixelData = stored.tobytes()


def _check_round_trip(dataset, view: View) -> None:
    """What reads the tags must find the view again."""
    grid = np.stack(np.meshgrid(*[np.linspace(-100, 100, 3)] * 3), axis=-1).reshape(-1, 3)
    try:
        again, _ = view_from_tags(tags_from_dataset(dataset), view.name, None)
        error = float(np.nanmax(np.abs(again.project(grid) - view.project(grid))))
    except GeometryError as problem:
        error, reason = math.inf, f" ({problem.cause})"
    else:
        reason = f" (error {error:.2f} pixels)"
    if not error <= TOLERANCE_PIXELS:
        raise GeometryError(
            "View '{view}' cannot be described by DICOM tags{reason}.",
            "Its central ray must pass through the origin, its detector must be "
            "perpendicular to it and not be rolled about it.",
            view=view.name,
            reason=reason,
        )

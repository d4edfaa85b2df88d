"""What DICOM files of radiographs say in another way than the standard's: sentences on how it is
taken."""

from __future__ import annotations

from SSRKDLib.core.messages import Message
from SSRKDLib.radiographs.dicom_values import decimal, find, number, spacing, text_of, values_of


def oddities(dataset) -> tuple[str, ...]:
    """Sentences on what a pydicom dataset has that is ignored, or read otherwise than it stands."""
    return _tilts(dataset) + _unusual_numbers(dataset) + _body_part(dataset) + _pixel_shape(dataset)


def _tilts(dataset) -> tuple[str, ...]:
    """Sentences on detectors that are said to be askew."""
    names = {
        "ColumnAngulation": "column angulation (0018,1450)",
        "DetectorPrimaryAngle": "detector primary angle (0018,1530)",
        "DetectorSecondaryAngle": "detector secondary angle (0018,1531)",
    }
    return tuple(
        Message(
            "The {name} of {angle:g} degrees is ignored: the beam is taken to meet the "
            "detector at a right angle.",
            name=name,
            angle=angle,
        )
        for key, name in names.items()
        if abs(angle := number(dataset, key) or 0.0) > 0.5
    )


def _unusual_numbers(dataset) -> tuple[str, ...]:
    """Sentences on numbers that a device wrote in another way than the standard's, or that are
    impossible."""
    notes = []
    if number(dataset, "RescaleSlope") == 0:
        notes.append(
            Message(
                "The rescale slope (0028,1053) is not used: it is 0, as of an image of one grey."
            )
        )
    for keyword, name in {
        "ImagerPixelSpacing": "imager pixel spacing (0018,1164)",
        "PixelSpacing": "pixel spacing (0028,0030)",
        "DistanceSourceToDetector": "source-to-detector distance (0018,1110)",
        "DistanceSourceToPatient": "source-to-patient distance (0018,1111)",
    }.items():
        written = [str(value) for value in values_of(find(dataset, keyword))]
        if any("," in text and decimal(text) is not None for text in written):
            notes.append(
                Message(
                    "The {name} {written} is read with a decimal comma.",
                    name=name,
                    written=" and ".join(written),
                )
            )
        if keyword.endswith("Spacing") and len(written) == 1 and decimal(written[0]) is not None:
            notes.append(
                Message(
                    "The {name} has one value, {written}; it is used in both directions.",
                    name=name,
                    written=written[0],
                )
            )
        if keyword.endswith("Spacing") and written and spacing(dataset, keyword) is None:
            notes.append(
                Message(
                    "The {name} is not used: it is {written}.",
                    name=name,
                    written=" and ".join(written),
                )
            )
    return tuple(notes)


#: Body parts (0018,0015) whose radiographs show no knee; hip and ankle are in those of whole legs.
_ELSEWHERE = {
    "ABDOMEN", "ARM", "BREAST", "CHEST", "CLAVICLE", "CSPINE", "ELBOW", "FINGER", "FOOT", "FOREARM",
    "HAND", "HEAD", "HUMERUS", "JAW", "LSPINE", "NECK", "RADIUS", "SCAPULA", "SHOULDER", "SKULL",
    "SPINE", "SSPINE", "STERNUM", "THUMB", "TOE", "TSPINE", "ULNA", "WRIST",
}  # fmt: skip


def _body_part(dataset) -> tuple[str, ...]:
    """A sentence on another part of the body than the knee."""
    part = text_of(dataset, "BodyPartExamined")
    if part not in _ELSEWHERE:
        return ()
    return (
        Message(
            "The body part examined (0018,0015) is {part}, and no knee; it is ignored.",
            part=part,
        ),
    )


def _pixel_shape(dataset) -> tuple[str, ...]:
    """A sentence on pixels that are said not to be as wide and high as their spacing."""
    notes = []
    ratio = [decimal(value) for value in values_of(find(dataset, "PixelAspectRatio"))]
    if len(ratio) == 2 and all(ratio) and ratio[0] != ratio[1]:
        sides = spacing(dataset, "ImagerPixelSpacing") or spacing(dataset, "PixelSpacing")
        if sides is None or abs(sides[1] / sides[0] * ratio[1] / ratio[0] - 1) > 0.01:
            notes.append(
                Message(
                    "The pixel aspect ratio (0028,0034) of {high:g} to {wide:g} is ignored: the "
                    "pixel spacing tells the pixels' size.",
                    high=ratio[0],
                    wide=ratio[1],
                )
            )
    return tuple(notes)

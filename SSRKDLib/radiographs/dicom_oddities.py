"""What DICOM files of radiographs say in another way than the standard's: sentences on how it is
taken."""

from __future__ import annotations

from SSRKDLib.core.messages import Message
from SSRKDLib.radiographs.dicom_values import decimal, find, number, spacing, values_of


def oddities(dataset) -> tuple[str, ...]:
    """Sentences on what a pydicom dataset has that is ignored, or read otherwise than it stands."""
    return _tilts(dataset) + _unusual_numbers(dataset)


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

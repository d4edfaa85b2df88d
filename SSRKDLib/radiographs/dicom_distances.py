"""Distances and pixel spacing of a DICOM radiograph: what its tags give, and what is assumed.

Source: DICOM PS3.3, see :mod:`SSRKDLib.radiographs.rig_from_dicom`.
"""

from __future__ import annotations

from dataclasses import dataclass

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.messages import Message
from SSRKDLib.radiographs.dicom_tags import DicomTags

#: Assumed where a file gives no distance: a bucky table, and a C-arm (XA, RF), mm.
TABLE_DISTANCE, TABLE_OBJECT_GAP = 1150.0, 50.0
CARM_DISTANCE, CARM_OBJECT_SHARE = 1000.0, 0.7


@dataclass(frozen=True)
class Overrides:
    """What the user knows better than the file; None leaves a value to the file.

    Attributes:
        sdd, sod: source to detector, source to the knee, mm.
        pixel_spacing: mm on the detector, (between columns, between rows).
        view_position: AP, PA, LL, RL, mediolateral, lateromedial or lateral.
        values, air: as in :class:`~SSRKDLib.radiographs.exposure.Source`.
    """

    sdd: float | None = None
    sod: float | None = None
    pixel_spacing: tuple[float, float] | None = None
    view_position: str | None = None
    values: str | None = None
    air: float | None = None


def distances(tags: DicomTags, own: Overrides, label: str) -> tuple[float, float, list[str]]:
    """Source to detector and source to iso-centre, mm, and sentences on what was assumed."""
    share = _object_share(tags)
    sdd, sod, notes = _stated_distances(tags, own, label)
    if tags.modality == "DX" and own.sod is None and sod is not None:
        # For DX, (0018,1111) ends at the table or bucky beside the patient (C.8.11.5), which many
        # devices ignore; a magnification is of the patient.
        if share is not None and sdd is not None:
            sod = sdd * share
        else:
            notes.append(
                Message(
                    "{label}: the source-to-patient distance is taken to be to the knee.",
                    label=label,
                )
            )
    is_carm = tags.modality in ("XA", "RF") or tags.positioner_type == "CARM"
    if sdd is None:
        if sod is not None and share is not None:
            sdd = sod / share
        else:
            sdd = CARM_DISTANCE if is_carm else TABLE_DISTANCE
            notes.append(
                Message(
                    "{label}: no source-to-detector distance; taken as {sdd:g} mm.",
                    label=label,
                    sdd=sdd,
                )
            )
    if sod is None:
        if share is not None:
            sod = sdd * share
        else:
            sod = sdd * CARM_OBJECT_SHARE if is_carm else sdd - TABLE_OBJECT_GAP
            notes.append(
                Message(
                    "{label}: no source-to-knee distance; taken as {sod:g} mm.",
                    label=label,
                    sod=sod,
                )
            )
    return sdd, sod, notes


def _stated_distances(
    tags: DicomTags, own: Overrides, label: str
) -> tuple[float | None, float | None, list[str]]:
    """The distances that the user or else the file states, mm; of the file's, those in centimetres
    or metres are converted, and an impossible one to the patient counts as absent."""
    sdd, sod, notes = tags.source_to_detector, tags.source_to_isocentre, []
    if own.sdd is not None:
        sdd = own.sdd
    elif sdd is not None:
        stated, (sdd, unit) = sdd, _in_millimetres(sdd)
        if unit:
            notes.append(
                Message(
                    "{label}: the source-to-detector distance {stated:g} is read as {unit}.",
                    label=label,
                    stated=stated,
                    unit=unit,
                )
            )
    if own.sod is not None or sod is None:
        return sdd, own.sod, notes
    # A small C-arm has its source within 300 mm of the patient: ten times that is too far then.
    converted, unit = _in_millimetres(sod)
    if unit and (sdd is None or converted < sdd):
        notes.append(
            Message(
                "{label}: the source-to-patient distance {sod:g} is read as {unit}.",
                label=label,
                sod=sod,
                unit=unit,
            )
        )
        sod = converted
    if sod < 100 or (sdd is not None and sod >= sdd):
        notes.append(
            Message(
                "{label}: the source-to-patient distance of {sod:g} mm is impossible and is not "
                "used.",
                label=label,
                sod=sod,
            )
            if sdd is None
            else Message(
                "{label}: the source-to-patient distance of {sod:g} mm is impossible with the "
                "detector at {sdd:g} mm and is not used.",
                label=label,
                sod=sod,
                sdd=sdd,
            )
        )
        sod = None
    return sdd, sod, notes


def _in_millimetres(distance: float) -> tuple[float, str]:
    """A distance of an X-ray set-up, and the unit that it must have been stated in, "" where it is
    none of these."""
    for unit, factor in (("centimetres", 10.0), ("metres", 1000.0)):
        if 600 <= factor * distance <= 3000:
            return factor * distance, unit
    return distance, ""


def origins_of_distances(tags: DicomTags, own: Overrides) -> tuple[str, str]:
    """Where :func:`distances` has source to detector and source to iso-centre from, each one of
    :data:`SSRKDLib.geometry.known.ORIGINS`."""
    given = (own.sdd, own.sod)
    stated = _stated_distances(tags, own, "")[:2]
    known = _object_share(tags) is not None and stated != (None, None)
    return tuple(
        "typed" if typed is not None else "stated" if value is not None or known else "assumed"
        for typed, value in zip(given, stated)
    )


def _object_share(tags: DicomTags) -> float | None:
    """SOD / SID from the magnification, or from calibrated over imager pixel spacing."""
    # Devices that do not know it write a magnification of 1: the knee would be in the detector.
    if tags.magnification is not None and tags.magnification > 1:
        return 1 / tags.magnification
    if tags.imager_spacing and tags.pixel_spacing:
        share = tags.pixel_spacing[0] / tags.imager_spacing[0]
        return share if 0.4 < share < 0.999 else None
    return None


def spacing_on_detector(
    tags: DicomTags, own: Overrides, share: float, label: str
) -> tuple[tuple[float, float], list[str]]:
    """Pixel spacing on the detector (10.7.1.1, 10.7.1.3, C.8.11.4), mm, (between columns, between
    rows), and sentences on what was assumed.

    Raises:
        GeometryError: the file gives none.
    """
    if own.pixel_spacing:
        return own.pixel_spacing, []
    if tags.imager_spacing:
        return tags.imager_spacing, []
    if tags.pixel_spacing and tags.calibration_type in ("GEOMETRY", "FIDUCIAL"):
        spacing = tuple(s / share for s in tags.pixel_spacing)
        note = f"{spacing[0]:.4g} mm, comes from that calibrated at the knee"
        return spacing, [
            Message(
                "{label}: the pixel spacing on the detector, {note} ({calibration_type}).",
                label=label,
                note=note,
                calibration_type=tags.calibration_type,
            )
        ]
    spacing = tags.pixel_spacing or tags.scanned_spacing
    if spacing:
        return spacing, [
            Message("{label}: the pixel spacing is taken to be that on the detector.", label=label)
        ]
    if tags.element_spacing:
        return tags.element_spacing, [
            Message(
                "{label}: no pixel spacing; that of the detector's elements (0018,7022) is used.",
                label=label,
            )
        ]
    raise GeometryError(
        Message("{label} gives no pixel spacing, (0018,1164) or (0028,0030).", label=label)
        + "".join(f" {problem}" for problem in tags.problems if "pixel spacing" in problem),
        "Measure it (an object of known size on the detector) and state it in mm.",
    )

"""What the DICOM files of slot scanners say, and what is known of the scanners themselves.

Such a file is recognised by its maker's and model's name, or by pixels that are longer across than
along the patient by just the magnification. See B. Groisser, "Geometry of the EOS radiographic
scanner", arXiv 1904.06711, and :class:`~SSRKDLib.geometry.slot_view.SlotView`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.messages import Message
from SSRKDLib.geometry.slot_view import SlotView
from SSRKDLib.geometry.views import Rig


@dataclass(frozen=True)
class Scanner:
    """A kind of slot scanner.

    Attributes:
        names: pattern of its maker's and model's name, in capitals.
        sdd: from the focal spot's line to the detector, mm.
        sod: to the isocentre, mm, in the frontal and in the lateral view; not from a document of
            the maker. Pixels are the patient's own at the isocentre, so that 5 % more or less
            change what lies 100 mm before or behind it by 0.5 %.
    """

    names: str
    sdd: float
    sod: tuple[float, float]


#: Scanners by name. Their files state the distances, too; these count where one does not.
SCANNERS = {"EOS": Scanner(r"\bEOS\b|EOSEDGE|\bSTEREOS\b", 1300.0, (987.0, 918.0))}

#: A cone beam's detector is no higher, mm: the largest are 17 inches, and their diagonal 610 mm.
_HIGHEST_MM = 620.0

#: Pixels that are so near to the magnification, longer across than along, are a slot scanner's.
_ALIKE = 0.02


def scanner_named(text: str) -> str:
    """Which of :data:`SCANNERS` a maker's and model's name in capitals means, or ""."""
    return next((name for name, one in SCANNERS.items() if re.search(one.names, text)), "")


def is_slot_spacing(
    spacing: tuple[float, float] | None, sdd: float | None, sod: float | None
) -> bool:
    """Whether pixels (across, along), mm, are of an image that is magnified across only."""
    if not (spacing and sdd and sod and sod < 0.97 * sdd):
        return False
    return abs(spacing[0] / spacing[1] / (sdd / sod) - 1) < _ALIKE


def slot_distances(
    scanner: str, frontal: bool, sdd: float | None, sod: float | None, label: str
) -> tuple[float, float, list[str]]:
    """From the focal spot's line to the detector and to the isocentre, mm, and sentences on what
    was assumed.

    Args:
        scanner: one of :data:`SCANNERS`, or "unnamed".
        frontal: whether it is the frontal view.
        sdd, sod: as typed or as the file states them, or None.
        label: of the file, for messages.

    Raises:
        GeometryError: not stated, and not known of the scanner.
    """
    notes, known = [], SCANNERS.get(scanner)
    if known is None and None in (sdd, sod):
        raise GeometryError(
            "{label} comes from a slot scanner and does not state its distances, (0018,1110) and "
            "(0018,1111).",
            "State both in mm, or export the scanner's own image.",
            label=label,
        )
    if sdd is None:
        sdd = known.sdd
        notes.append(
            Message(
                "{label}: no source-to-detector distance; {sdd:g} mm are assumed, as {scanner}'s.",
                label=label,
                sdd=sdd,
                scanner=scanner,
            )
        )
    if sod is None:
        sod = known.sod[0 if frontal else 1]
        notes.append(
            Message(
                "{label}: no source-to-isocentre distance; {sod:g} mm are assumed, as {scanner}'s.",
                label=label,
                sod=sod,
                scanner=scanner,
            )
        )
    return sdd, sod, notes


def slot_spacing(
    imager: tuple[float, float] | None, true: tuple[float, float] | None, sdd: float, sod: float,
    label: str,
) -> tuple[tuple[float, float], list[str]]:  # fmt: skip
    """Pixels of a slot scanner's image, mm, (across, on the detector; along the patient), and
    sentences on what was assumed.

    Args:
        imager: (across, along) of (0018,1164), or None.
        true: (across, along) of (0028,0030): the patient's at the isocentre, or None.
        sdd, sod: mm.
        label: of the file, for messages.

    Raises:
        GeometryError: neither is there.
    """
    if is_slot_spacing(imager, sdd, sod):
        return imager, []
    if true:
        return (true[0] * sdd / sod, true[1]), []
    if imager:
        note = Message(
            "{label}: the imager pixel spacing is taken to be the detector's in both directions, "
            "of an image scaled to the isocentre.",
            label=label,
        )
        return (imager[0], imager[1] * sod / sdd), [note]
    raise GeometryError(
        "{label} gives no pixel spacing, (0028,0030) or (0018,1164).",
        "Export the scanner's own image, not a screen capture.",
        label=label,
    )


def higher_than_detectors(rig: Rig) -> list[str]:
    """A sentence on each view of a cone beam that is too high for one detector."""
    return [
        Message(
            "The {view} radiograph is {height:.0f} mm high, more than any detector, and described "
            "as one exposure of a cone beam. If a slot scanner took it, its heights are not "
            "magnified, and its view should say so ('type': 'slot'). If it was joined from several "
            "exposures, use the one of the knee.",
            view=view.name,
            height=height,
        )
        for view in rig.views
        if not isinstance(view, SlotView)
        and (height := max(n * mm for n, mm in zip(view.size, view.pixel_spacing))) > _HIGHEST_MM
    ]


def pixels_of_slot_scanners(rig: Rig) -> list[str]:
    """A sentence on each view of a cone beam whose pixels are longer across than along by just the
    magnification: bones would come out too short."""
    middle = [*rig.central_point(), 1.0]
    return [
        Message(
            "The pixels of the {view} radiograph are {ratio:.2f} times as long across as along the "
            "leg, as where a slot scanner magnifies across only, but it is described as one "
            "exposure of a cone beam. If a slot scanner took it, the bones are too short, and its "
            "view should say so ('type': 'slot').",
            view=view.name,
            ratio=view.pixel_spacing[0] / view.pixel_spacing[1],
        )
        for view in rig.views
        if not isinstance(view, SlotView)
        and is_slot_spacing(view.pixel_spacing, 1.0, (view.projection_matrix @ middle)[2])
    ]

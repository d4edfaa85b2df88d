"""Whether two DICOM radiographs are of one knee, and which knee that is."""

from __future__ import annotations

from collections.abc import Sequence

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.core.messages import Message
from SSRKDLib.radiographs.dicom_tags import DicomTags


def stated_laterality(tags: list[DicomTags], given: str | None) -> tuple[str | None, list[str]]:
    """The side that files state, or the one given, and sentences on what is open.

    Raises:
        GeometryError: the files contradict each other.
    """
    stated = [t.laterality if t.laterality in ("L", "R") else None for t in tags]
    if given is not None:
        against = any(s is not None and s != given for s in stated)
        return given, ["The files name the other knee; the given side is used."] if against else []
    contradiction = None
    if set(stated) >= {"L", "R"}:
        contradiction = Message(
            "The frontal file is of side {first_stated}, the lateral one of side {second_stated}.",
            first_stated=stated[0],
            second_stated=stated[1],
        )
    elif any(t.laterality_contradicts for t in tags):
        contradiction = "A file names both sides in its laterality tags (0020,0060) and (0020,0062)"
    if contradiction:
        raise GeometryError(
            contradiction, "Choose two files of the same knee, or state the side (L or R)."
        )
    side = next((s for s in stated if s), None)
    return side, [] if side else ["The files do not state whether this is a left or a right knee."]


def doubts_of_pair(tags: Sequence[DicomTags]) -> list[str]:
    """Sentences on a frontal and a lateral file that may not be of one person or one visit."""
    said = []
    first, second = tags
    if first.patient and second.patient and first.patient != second.patient:
        said.append("The two files carry different patient IDs.")
    if first.day is not None and second.day is not None and first.day != second.day:
        said.append(
            Message(
                "The two radiographs were taken {days} day(s) apart, as their files say; the bones "
                "are taken to be the same in both.",
                days=abs(first.day - second.day),
            )
        )
    return said

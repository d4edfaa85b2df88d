"""Single values of a pydicom dataset, as devices write them and not only as the standard does."""

from __future__ import annotations

import math
import re

import numpy as np

#: UID of the transfer syntax Explicit VR Big Endian.
_BIG_ENDIAN = "1.2.840.10008.1.2.2"


def values_of(value) -> list:
    """The values of a tag, which may have one or several, or None. A text in which several numbers
    stand, as under a VR without several values, is divided."""
    if value is None:
        return []
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        return [one for one in value if one != ""] if hasattr(value, "__iter__") else [value]
    text = value.strip(" \0\\")
    for between in () if decimal(text) is not None else (r"[\\;\s]+", r"[\\;,\s]+"):
        parts = re.split(between, text)
        if len(parts) > 1 and all(decimal(part) is not None for part in parts):
            return parts
    return [text]


def decimal(value) -> float | None:
    """A finite number; programs on some computers write it with a decimal comma, which is no
    character of a DS or IS value (PS3.5 6.2)."""
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def find(dataset, keyword: str):
    """A tag at the top level, or in the functional groups of an enhanced image; None if empty."""
    places = [dataset]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for item in (dataset.get(groups) or [])[:1]:
            places += [e.value[0] for e in item if e.VR == "SQ" and e.value]
    for place in places:
        value = place.get(keyword)
        if value is not None and value != "" and not (hasattr(value, "__len__") and not len(value)):
            return value
    return None


def text_of(dataset, keyword: str) -> str:
    value = find(dataset, keyword)
    return "" if value is None else str(value).strip().upper()


def number(dataset, keyword: str) -> float | None:
    values = values_of(find(dataset, keyword))
    return decimal(values[0]) if len(values) == 1 else None


def positive(dataset, keyword: str) -> float | None:
    """A number above zero; devices write 0 for a distance that they do not know."""
    found = number(dataset, keyword)
    return found if found is not None and found > 0 else None


def spacing(dataset, keyword: str) -> tuple[float, float] | None:
    """(between columns, between rows); DICOM stores the distance between rows first (10.7.1.3)."""
    values = [decimal(value) for value in values_of(find(dataset, keyword))]
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2 or not all(value is not None and value > 0 for value in values):
        return None
    return values[1], values[0]


def low_byte_first(dataset, element) -> bytes:
    """The bytes of an element of the dataset, or of a sequence in it; of a big-endian file the two
    of each 16-bit word (OW) change places (PS3.5, A.3)."""
    if element.VR != "OW" or not is_big_endian(dataset):
        return element.value
    return np.frombuffer(element.value, ">u2").astype("<u2").tobytes()


def is_big_endian(dataset) -> bool:
    """Whether a file has the high byte of each number first: its transfer syntax says so, or where
    it states none, pydicom (from version 3 on) found it out."""
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    found = getattr(dataset, "original_encoding", (None, None))[1] is False
    return found if syntax is None else syntax == _BIG_ENDIAN

"""JPEG and TIFF files: whether they end, and how their picture is to be turned."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.messages import Message

#: The tag that says it, in both.
_ORIENTATION = 0x0112

#: What a TIFF or BigTIFF file begins with, and how many pages it may have.
_TIFF, _MOST_PAGES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), 10_000

_AGAIN = "Copy or export it again."


def check_tiff(path: Path) -> None:
    """Directories of a TIFF or BigTIFF follow each other to an end; libtiff goes round in circles
    (TIFF 6.0, section 2)."""
    with path.open("rb") as stream:
        start = stream.read(16)
        if start[:4] not in _TIFF:
            return
        order = "<" if start[:2] == b"II" else ">"
        big = start[2:4] in (b"+\0", b"\0+")
        count, entry, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
        place = struct.unpack_from(order + pointer, start.ljust(16, b"\0"), 8 if big else 4)[0]
        seen: set[int] = set()
        while place and len(seen) < _MOST_PAGES and place not in seen:
            seen.add(place)
            stream.seek(min(place, 1 << 62))
            head = stream.read(struct.calcsize(order + count))
            if len(head) < struct.calcsize(order + count):
                break  # libtiff says so
            stream.seek(struct.unpack(order + count, head)[0] % (1 << 32) * entry, os.SEEK_CUR)
            after = stream.read(struct.calcsize(order + pointer))
            if len(after) < struct.calcsize(order + pointer):
                break
            place = struct.unpack(order + pointer, after)[0]
        else:
            if place:
                raise ImageError(Message("'{path}' has pages without end.", path=path), _AGAIN)
    orientation = tiff_orientation(path)
    if orientation > 1:  # which libtiff turns wrongly, and makes 8 bits of 16
        raise ImageError(
            "'{path}' is stored turned or mirrored (TIFF orientation {orientation}).",
            "Save it upright, as PNG for example.",
            path=path,
            orientation=orientation,
        )


def check_jpeg(path: Path) -> None:
    """libjpeg fills what is missing with grey. Some programs add zeros behind the end marker."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4096))
        if not stream.read().rstrip(b"\0\r\n").endswith(b"\xff\xd9"):
            raise ImageError(Message("'{path}' is cut off or damaged.", path=path), _AGAIN)


def jpeg_orientation(path: Path) -> int:
    """How a JPEG file's picture is to be turned, 1 to 8 (EXIF 2.3, 4.6.4 A); 1, not, without it."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    at = start.find(b"Exif\0\0")
    tiff = start[at + 6 :]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if at < 4 or start[at - 4 : at - 2] != b"\xff\xe1" or order is None:
        return 1
    try:
        place = struct.unpack_from(f"{order}I", tiff, 4)[0]
        for entry in range(struct.unpack_from(f"{order}H", tiff, place)[0]):
            tag, *_, value = struct.unpack_from(f"{order}HHIH", tiff, place + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # a damaged table of contents: the picture may be whole
        pass
    return 1


def tiff_orientation(path: Path) -> int:
    """Of the first picture of a TIFF or BigTIFF, 1 to 8 (TIFF 6.0, section 8); 1 without it."""
    with path.open("rb") as stream:
        start = stream.read(16)
        order = "<" if start[:2] == b"II" else ">"
        big = start[2:4] in (b"+\0", b"\0+")
        pointer, count, entry = ("8xQ", "Q", "HHQH6x") if big else ("4xI", "H", "HHIH2x")
        try:
            stream.seek(struct.unpack_from(order + pointer, start)[0])
            number = struct.unpack(order + count, stream.read(struct.calcsize(order + count)))[0]
            table = stream.read(min(number, 4096) * struct.calcsize(order + entry))
            for tag, *_, value in struct.iter_unpack(order + entry, table):
                if tag == _ORIENTATION:
                    return value if 1 <= value <= 8 else 1
        except (struct.error, OSError, OverflowError):  # libtiff says so
            pass
    return 1

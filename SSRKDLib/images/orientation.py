"""How the picture in a JPEG or TIFF file is to be turned."""

from __future__ import annotations

import struct
from pathlib import Path

#: The tag that says it, in both.
_ORIENTATION = 0x0112


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

"""Compressed MetaImage files, whose pixels MetaIO gives as they lie in memory where zlib fails."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from SSRKDLib.core.errors import ImageError

_DATA = re.compile(rb"(?im)^[^\S\n]*ElementDataFile\s*=[ \t]*([^\r\n]*)\r?\n")
_PACKED = re.compile(rb"(?im)^[^\S\n]*CompressedData\s*=\s*T")
_SIZE = re.compile(rb"(?im)^[^\S\n]*CompressedDataSize\s*=\s*(\d+)")


def check_compressed(path: Path, needed: int) -> None:
    """Whether what a compressed file holds unpacks to all its pixels.

    Args:
        path: of the file, or of the header beside its data.
        needed: bytes that the pixels take.

    Raises:
        ImageError: it does not, or the size that it states is not that of its data.
    """
    with path.open("rb") as stream:
        header = stream.read(1 << 20)
        named = _DATA.search(header)
        if named is None or not _PACKED.search(header[: named.start()]):
            return
        local, place = named[1].strip().upper() == b"LOCAL", named.end()
    stated = _SIZE.search(header[: named.start()])
    data = path if local else path.parent / named[1].strip().decode(errors="replace")
    length = data.stat().st_size - (place if local else 0)
    whole = stated is not None and int(stated[1]) <= length
    if whole:
        whole = _unpacked_size(data, place if local else 0, int(stated[1]), needed) == needed
    if not whole:
        raise ImageError(
            "The compressed pixels of '{path}' are cut off or damaged.",
            "Copy the file again, or export it uncompressed.",
            path=path,
        )


def _unpacked_size(path: Path, place: int, length: int, most: int) -> int | None:
    """Bytes that so many packed ones make, up to one more than ``most``; None of no such stream."""
    unpack, total = zlib.decompressobj(zlib.MAX_WBITS | 32), 0
    with path.open("rb") as stream:
        stream.seek(place)
        try:
            while length > 0 and total <= most and (packed := stream.read(min(length, 1 << 20))):
                length -= len(packed)
                while packed and total <= most:
                    total += len(unpack.decompress(packed, 1 << 22))
                    packed = unpack.unconsumed_tail
        except zlib.error:
            return None
    return total if unpack.eof else None

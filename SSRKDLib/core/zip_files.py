"""Zip archives of strangers before they are opened: Python keeps a record of every member."""

from __future__ import annotations

import os
import struct
import zipfile

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.input_files import regular_file

#: Largest table of contents, bytes; weights, cases and checkpoints have some thousand members.
_LARGEST_TABLE = 4 << 20

#: The record at the end, without its comment, and how long that may be (APPNOTE 6.3.9, 4.3.16).
_END, _COMMENT = 22, 1 << 16


def open_zip(path: str | os.PathLike, kind: type[InputError] = InputError) -> zipfile.ZipFile:
    """An archive to read, of no more members than those of this program's have.

    Raises:
        InputError: as :func:`~SSRKDLib.core.input_files.regular_file`.
        BadZipFile: it is none, or its table of contents is too large.
    """
    path = regular_file(path, kind)
    with path.open("rb") as stream:
        # Where a table of 64 bits' sizes is, it stands before the record: 56 bytes and 20 more.
        start = max(0, path.stat().st_size - _END - _COMMENT - 76)
        stream.seek(start)
        tail = stream.read(_END + _COMMENT + 76)
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and len(tail) >= at + _END:
        (size,) = struct.unpack_from("<I", tail, at + 12)
        if at >= 76 and tail[at - 20 : at - 16] == b"PK\6\7":
            size = max(size % 0xFFFFFFFF, *struct.unpack_from("<Q", tail, at - 36))
        if size > _LARGEST_TABLE:
            raise zipfile.BadZipFile(f"its table of contents takes {size} bytes")
    return zipfile.ZipFile(path)

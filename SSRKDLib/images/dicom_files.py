"""DICOM files through pydicom, within bounds: zeros are elements without end."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

from SSRKDLib.core.errors import ImageError
from SSRKDLib.core.input_files import beginning, regular_file

#: How often a file is read from, at most: twice or thrice per element, and once per 8 KB of pixels.
_MOST_READS = 1_000_000

#: The first tag's group, 2 or 8, of a file without a preamble.
_GROUPS = (b"\x02\0", b"\x08\0", b"\0\x08")


class DicomFile(io.BufferedReader):
    """An open file, which is read from so often and no more.

    Raises:
        ImageError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__(io.FileIO(regular_file(path, ImageError)))
        self._path, self._left = path, _MOST_READS
        self._start = self.peek(132)[:132]

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ImageError(
                "'{path}' is a damaged DICOM file: it has elements without end.",
                "Copy or export it again.",
                path=self._path,
            )
        return super().read(size)

    @property
    def has_preamble(self) -> bool:
        """Whether it begins as DICOM files do (PS3.10, 7.1)."""
        return _has_preamble(self._start)

    def dataset(self, tags: list[str] | None = None, pixels: bool = False):
        """The pydicom dataset of a file that is still at its beginning.

        Args:
            tags: keywords of those that are wanted; None, all.
            pixels: whether the pixels, and what stands behind them, are read too.

        Raises:
            ImageError: no DICOM file, or damaged.
        """
        import pydicom

        if not _is_dicom(self._start):
            raise ImageError(
                "'{path}' contains no DICOM image.",
                "Choose the file of a radiograph.",
                path=self._path,
            )
        with damage_told(self._path):
            return pydicom.dcmread(
                self, stop_before_pixels=not pixels, force=True, specific_tags=tags
            )


@contextmanager
def damage_told(path: str | os.PathLike) -> Iterator[None]:
    """Whatever pydicom raises while a file or its tags are read becomes an
    :class:`~SSRKDLib.core.errors.ImageError` that names the file."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # pydicom raises many kinds on damaged files
        raise ImageError(
            "'{path}' is a damaged DICOM file ({error}).",
            "Copy or export it again.",
            path=path,
            error=type(error).__name__,
        ) from error


def has_preamble(path: str | os.PathLike) -> bool:
    """As :attr:`DicomFile.has_preamble`, of whatever there is."""
    return _has_preamble(beginning(path, 132))


def is_dicom(path: str | os.PathLike) -> bool:
    """Whether there is a DICOM file, with or without a preamble."""
    return _is_dicom(beginning(path, 132))


def read_dicom(path: str | os.PathLike, tags: list[str] | None = None, pixels: bool = False):
    """:meth:`DicomFile.dataset` of a file.

    Raises:
        ImageError: absent, no DICOM file, or damaged.
    """
    with DicomFile(path) as file:
        return file.dataset(tags, pixels)


def _has_preamble(start: bytes) -> bool:
    return start[128:] == b"DICM"


def _is_dicom(start: bytes) -> bool:
    return _has_preamble(start) or start[:2] in _GROUPS

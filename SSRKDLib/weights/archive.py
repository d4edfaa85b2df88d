"""The two members of a weights bundle, in a folder or in a zip archive: bytes in, bytes out.

An archive is never unpacked to disk; names, sizes and compression are checked before a byte of it
is used.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from SSRKDLib.core.errors import OutputError, WeightsError
from SSRKDLib.core.input_files import beginning, json_or_none, regular_file
from SSRKDLib.core.messages import Message
from SSRKDLib.core.output_file import new_parents, write_file
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.core.output_manifest import ResultKind
from SSRKDLib.core.zip_files import open_zip

MANIFEST = "bundle.json"
TENSORS = "model.safetensors"

#: Largest members read, in bytes: the official networks together need 0.3 GB.
LIMITS = {MANIFEST: 1 << 20, TENSORS: 2 << 30}
#: Trained weights hardly compress; an archive that declares more is not one of ours.
LARGEST_RATIO = 100

GET_ANOTHER = "Get the file again, from where it came, and import it once more."
# What zipfile raises on damage: RuntimeError covers encryption and unknown compression.
_ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    RuntimeError,
    ValueError,
)


def read_member(path: Path, member: str) -> bytes:
    """One member of a bundle. Raises :class:`~SSRKDLib.core.errors.WeightsError` where the bundle
    is absent, damaged, incomplete, or contains anything else."""
    if not path.exists():
        raise WeightsError(
            "There are no weights at {path}.",
            "Check the path, or import the weights again.",
            path=path,
        )
    try:
        if path.is_dir():
            return _read_from_folder(path, member)
        return _read_from_archive(regular_file(path, WeightsError), member)
    except _ZIP_DAMAGE as error:
        raise WeightsError(
            Message(
                "{path}: the archive is damaged or was cut off ({error}).", path=path, error=error
            ),
            GET_ANOTHER,
        ) from error
    except OSError as error:
        raise WeightsError(
            "{path} cannot be read ({reason}).",
            "Check that the disk is there and that you may read the file.",
            path=path,
            reason=error.strerror or error,
        ) from error


def _read_from_folder(path: Path, member: str) -> bytes:
    file = path / member
    if not file.is_file():
        raise _no_member(path, member)
    _check_size(path, member, file.stat().st_size)
    return file.read_bytes()


def _read_from_archive(path: Path, member: str) -> bytes:
    with path.open("rb") as file:
        begins_as_zip = file.read(2) == b"PK"
    if not begins_as_zip:
        raise WeightsError(
            "{path} is neither a folder nor a zip archive.",
            "Choose a weights bundle (.zip), or import an official checkpoint first.",
            path=path,
        )
    with open_zip(path, WeightsError) as archive:
        members = archive.infolist()
        if any(i.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for i in members):
            raise WeightsError(
                "{path} is compressed in an unusual way.",
                "Use a plain (deflated) zip archive.",
                path=path,
            )
        _check_names(path, [info.filename for info in members])
        for info in members:
            _check_size(path, info.filename, info.file_size)
            if info.file_size > LARGEST_RATIO * max(info.compress_size, 1):
                raise WeightsError(
                    "{path}: {filename} declares an unpacked size that no weights have "
                    "({file_size} bytes from {compress_size}).",
                    "Do not use this file; get the weights from a source that you trust.",
                    path=path,
                    filename=info.filename,
                    file_size=info.file_size,
                    compress_size=info.compress_size,
                )
        # zipfile never yields more than the size checked above, and checks the CRC.
        return archive.read(member)


def _check_names(path: Path, names: list[str]) -> None:
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in name:
            raise WeightsError(
                "{path}: the archive contains a file that would be written outside of its "
                "folder ({name!r}).",
                "Do not use this file; get the weights from a source that you trust.",
                path=path,
                name=name,
            )
    for member in (MANIFEST, TENSORS):
        if member not in names:
            raise _no_member(path, member)
    if len(names) != 2:
        other = next((n for n in names if n not in LIMITS), "a file twice")
        raise WeightsError(
            "{path}: the archive contains more than a weights bundle ({other!r}).",
            "Leave only {manifest} and {tensors} in it.",
            path=path,
            other=other,
            manifest=MANIFEST,
            tensors=TENSORS,
        )


def _no_member(path: Path, member: str) -> WeightsError:
    return WeightsError(
        "{path} contains no {member}, so it is not a complete weights bundle.",
        "Choose another file; where this one contains official checkpoints, unpack "
        "it and import the checkpoints themselves.",
        path=path,
        member=member,
    )


def _check_size(path: Path, member: str, size: int) -> None:
    if size > LIMITS[member]:
        raise WeightsError(
            "{path}: {member} has an absurd size ({size} bytes, {limit} allowed).",
            "Do not use this file; get the weights from a source that you trust.",
            path=path,
            member=member,
            size=size,
            limit=LIMITS[member],
        )


def _earlier(folder: Path) -> Collection[str]:
    data = json_or_none(folder / MANIFEST)
    return set(LIMITS) if isinstance(data, dict) and "networks" in data else ()


#: A bundle that is a folder.
BUNDLE = ResultKind("weights", _earlier)


def write_members(path: Path, manifest: bytes, data: bytes, compressed: bool = False) -> None:
    """Write both members, completely or not at all; a bundle that is there is replaced.

    An archive where ``path`` ends in ``.zip``, its tensors deflated if ``compressed``, else a
    folder. Raises :class:`~SSRKDLib.core.errors.OutputError`.
    """
    members = {MANIFEST: manifest, TENSORS: data}
    if path.suffix.lower() != ".zip":
        with replaced_folder(path, BUNDLE) as folder:
            for name, content in members.items():
                write_file(folder / name, content)
        return
    _check_replaceable(path)
    with new_parents(path):
        write_file(path, partial(_write_archive, members, compressed))


def is_written_archive(path: Path) -> bool:
    """Whether a file is one of :func:`write_members`; a damaged one begins as a bundle does, a
    whole one has its two members and no other. A link is none."""
    start = beginning(path, 30 + len(MANIFEST))
    if path.is_symlink() or not (start.startswith(b"PK") and start.endswith(MANIFEST.encode())):
        return False
    try:
        with open_zip(path) as archive:
            return sorted(archive.namelist()) == sorted(LIMITS)
    except (*_ZIP_DAMAGE, OSError):
        return True


def _check_replaceable(path: Path) -> None:
    """Refuse to replace any other file than a bundle."""
    if os.path.lexists(path) and not is_written_archive(path):
        raise OutputError(
            "'{path}' is not a weights bundle, and would be replaced.",
            "Choose another name for the weights.",
            path=path,
        )


def _write_archive(members: Mapping[str, bytes], compressed: bool, stream: BinaryIO) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            # A fixed date: the same weights make the same file.
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            if compressed and name == TENSORS:
                info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content, compresslevel=9)

"""Which files in a result folder this program wrote, and which of them were changed since.

The manifest of a folder (:data:`MANIFEST`) is JSON: ``written_by``, ``kind`` (what wrote it) and
``files`` (name to SHA-256), in a folder that grows also ``replaced`` (as ``files``: what the file
written last was before). A name has ``/`` between folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from SSRKDLib import __version__
from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.input_files import beginning, json_or_none
from SSRKDLib.core.output_file import write_file

MANIFEST = ".ssrkd-manifest.json"

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ResultKind:
    """What writes a result folder; a folder of another kind is not replaced.

    Attributes:
        name: stands in the manifest.
        earlier: names of the files that versions before the manifest wrote into the folder given.
            The rule: a file counts where its own content is what this program writes under that
            name, for each file by itself, and none where the file that describes the result (a
            report, a rig, settings) is absent or somebody else's. A folder without a manifest may
            be replaced only where it contains nothing else.
    """

    name: str
    earlier: Callable[[Path], Collection[str]] = lambda folder: ()


def files_with(folder: Path, marks: Mapping[str, bytes]) -> set[str]:
    """Those of the files whose first 4 kB contain their mark: what a :class:`ResultKind`'s
    ``earlier`` goes by."""

    return {name for name, mark in marks.items() if mark in beginning(folder / name, 4096)}


def own_files(path: Path, kind: ResultKind) -> dict[str, str]:
    """SHA-256 of the files of an earlier result, by name; raises where there is anything else."""
    if not os.path.isdir(path):
        return {}
    try:
        recorded = read_manifest(path, kind, path)
        if recorded is not None:
            return unchanged_files(path, recorded, path)
        # Only what may be a result is read: the folder may be anybody's, and large.
        known = sorted(kind.earlier(path)) if any(path.iterdir()) else ()
        own = {name: digest for name in known if (digest := file_hash(path, name))}
        other = foreign_names(path, own, ())
        if other:
            raise OutputError(
                "The folder '{path}' contains other things than an earlier result ('{name}').",
                "Choose a new or an empty folder.",
                path=path,
                name=other[0],
            )
        return own
    except OSError as error:
        raise OutputError(
            "The folder '{path}' cannot be read ({reason}).",
            "Choose another folder.",
            path=path,
            reason=error.strerror or error,
        ) from error


def read_manifest(folder: Path, kind: ResultKind, path: Path) -> dict[str, str] | None:
    """What was written into a folder that belongs at ``path``; None where nothing tells."""
    try:
        found, files = recorded_files(folder)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OutputError(
            "'{manifest}' is damaged, so that nothing tells which files in the folder are results.",
            "Choose another folder, or move what you need out of this one and remove it.",
            manifest=path / MANIFEST,
        ) from error
    if found != kind.name:
        raise OutputError(
            "The folder '{path}' contains a result of another kind ({found}, not {kind}).",
            "Choose a new or an empty folder.",
            path=path,
            found=found,
            kind=kind.name,
        )
    return files


def recorded_files(folder: Path) -> tuple[str, dict[str, str]]:
    """Kind and files of a manifest. Raises FileNotFoundError, or ValueError where it is damaged."""
    place = folder / MANIFEST
    if not stat.S_ISREG(place.lstat().st_mode):
        raise ValueError("not a file")
    data = json_or_none(place)
    kind, files = (data.get("kind"), data.get("files")) if isinstance(data, dict) else (None, None)
    before = data.get("replaced", {}) if isinstance(data, dict) else {}
    if not isinstance(kind, str) or not all(isinstance(names, dict) for names in (files, before)):
        raise ValueError("not a manifest")
    for name, digest in (*files.items(), *before.items()):
        inside = PurePath(name)  # by the rules of this computer
        os.fsencode(name)  # raises where no file can have the name
        if not inside.parts or inside.anchor or ".." in inside.parts or "\0" in name:
            raise ValueError("a name of no file in the folder")
        if name == MANIFEST or not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise ValueError("not a manifest")
    not_yet = {name: old for name, old in before.items() if file_hash(folder, name) == old}
    return kind, {**files, **not_yet}


def write_manifest(
    folder: Path,
    kind: ResultKind,
    files: Mapping[str, str],
    replaced: Mapping[str, str] | None = None,
) -> None:
    """Write what a folder's files are; ``replaced``: what some of them still are until a moment
    later, so that a process may be killed in between."""
    data = {"written_by": f"SSRKD {__version__}", "kind": kind.name, "files": dict(files)}
    if replaced:
        data["replaced"] = dict(replaced)
    write_file(folder / MANIFEST, json.dumps(data, indent=1) + "\n")


def unchanged_files(folder: Path, recorded: Mapping[str, str], path: Path) -> dict[str, str]:
    """Those of the recorded files that are there; raises where one was changed."""
    there = {}
    for name, digest in recorded.items():
        found = file_hash(folder, name)
        if found not in (None, digest):
            raise OutputError(
                "'{name}' was changed since this program wrote it, and would be replaced.",
                "Move or rename it, or choose another output folder.",
                name=path / name,
            )
        if found is not None:
            there[name] = digest
    return there


def foreign_names(
    folder: Path, own: Collection[str], shared: Collection[str], below: str = ""
) -> list[str]:
    """Names of what is not this program's: files, links, and folders that contain only such.

    Folders that contain files of ``own`` or ``shared`` are looked into. Links are not followed.
    """
    found = []
    for entry in sorted(os.scandir(folder / below), key=lambda entry: entry.name):
        name = below + entry.name
        if name in own or name == MANIFEST:
            continue
        into = any(other.startswith(f"{name}/") for other in (*own, *shared))
        if into and entry.is_dir(follow_symlinks=False):
            found += foreign_names(folder, own, shared, f"{name}/")
        else:
            found.append(name)
    return found


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder but the manifest, by name, ``/`` between folders."""
    names = [
        (Path(place) / file).relative_to(folder).as_posix()
        for place, _, files in os.walk(folder)
        for file in files
    ]
    return {name: str(file_hash(folder, name)) for name in sorted(names) if name != MANIFEST}


def file_hash(folder: Path, name: str) -> str | None:
    """SHA-256 of a file; "" for what is not one (a link, a folder), None where there is nothing."""
    place = folder
    for part in PurePath(name).parent.parts:
        place /= part
        if place.is_symlink():
            return None
    place = folder / name
    try:
        if not stat.S_ISREG(place.lstat().st_mode):
            return ""
    except (FileNotFoundError, NotADirectoryError):
        return None
    digest = hashlib.sha256()
    with place.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def not_written(path: Path) -> OutputError:
    """The error on something in the way that no manifest names."""
    return OutputError(
        "'{path}' was not written by this program, and would be replaced.",
        "Move or rename it, or choose another output folder.",
        path=path,
    )

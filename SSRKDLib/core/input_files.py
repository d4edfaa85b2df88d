"""Files of strangers before they are opened: regular ones, and text of a size that people write."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.messages import Message

#: Largest rig, calibration, table or other text, and largest file of any kind, bytes: no volume is
#: larger than 2 GB.
LARGEST_TEXT, LARGEST_FILE = 16 << 20, 4 << 30

#: How many files in a folder, and below it, are looked at; a study's are some thousands.
MOST_FILES = 50_000


def regular_file(
    path: str | os.PathLike, kind: type[InputError] = InputError, largest: int = LARGEST_FILE
) -> Path:
    """The path of a file that is there, no folder, pipe or device, not empty, and not larger than
    those of its kind, bytes.

    Raises:
        InputError: it is not; of the kind that is asked for.
    """
    path = Path(path)
    try:
        str(path).encode()  # ITK ends the process over a name that is not
        status = path.stat()
    except UnicodeEncodeError as error:
        shown = os.fsencode(path).decode("utf-8", "replace")
        raise kind(
            "The name of the file '{shown}' is not UTF-8.", "Rename it, or its folder.", shown=shown
        ) from error
    except FileNotFoundError as error:
        raise kind("'{path}' was not found.", "Check the path.", path=path) from error
    except (OSError, ValueError) as error:
        raise kind(
            "'{path}' cannot be read ({error}).", "Check the path.", path=path, error=error
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise kind("'{path}' is a folder.", "Choose one file.", path=path)
    if not stat.S_ISREG(status.st_mode):
        raise kind("'{path}' is a pipe or a device, no file.", "Choose a file.", path=path)
    if status.st_size == 0:
        raise kind("'{path}' is empty.", "Copy or export it again.", path=path)
    if status.st_size > largest:
        raise kind(
            "'{path}' is larger than {most}, and no file of its kind is.",
            "Check the path.",
            path=path,
            most=_as_size(largest),
        )
    return path


def _as_size(count: int) -> str:
    for unit, one in {"GB": 1 << 30, "MB": 1 << 20}.items():
        if count >= one:
            return f"{count // one} {unit}"
    return f"{count >> 10} kB"


def files_below(folder: Path, kind: type[InputError] = InputError) -> list[Path]:
    """The files in a folder and below it, by name.

    Raises:
        InputError: there are more than :data:`MOST_FILES`; of the kind asked for.
    """
    found: list[Path] = []
    for place, _, names in os.walk(folder):
        found += [Path(place, name) for name in names]
        if len(found) > MOST_FILES:
            raise kind(
                "'{folder}' and what is below it are more than {most} files.",
                "Choose the folder that contains the files of one scan.",
                folder=folder,
                most=MOST_FILES,
            )
    return sorted(path for path in found if path.is_file())


def read_text_bytes(
    path: str | os.PathLike, kind: type[InputError] = InputError, largest: int = LARGEST_TEXT
) -> bytes:
    """The content of a rig, calibration, table or the like, of at most so many bytes.

    Raises:
        InputError: absent, no regular file, not readable, or too large; of the kind asked for.
    """
    path = regular_file(path, kind, largest)
    try:
        with path.open("rb") as stream:
            return stream.read(largest)
    except OSError as error:
        raise kind(
            "'{path}' cannot be read ({error}).", "Check the path.", path=path, error=error
        ) from error


def read_json(
    path: str | os.PathLike, kind: type[InputError] = InputError, remedy: str = ""
) -> Any:
    """The values in a JSON file.

    Raises:
        InputError: as :func:`read_text_bytes`, or it is no JSON; of the kind asked for.
    """
    content = read_text_bytes(path, kind)
    try:
        return parse_json(content)
    except (ValueError, RecursionError) as error:
        raise kind(
            Message(
                "'{path}' cannot be read as JSON ({reason}).", path=path, reason=str(error)[:160]
            ),
            remedy,
        ) from error


def parse_json(content: bytes) -> Any:
    """The values in JSON, UTF-8 (raises ValueError or RecursionError). A key that stands twice in
    an object is refused: the standard leaves open which counts (RFC 8259, 4); so are NaN and
    Infinity, which it does not have."""
    return json.loads(
        content.decode("utf-8-sig"),
        object_pairs_hook=_without_doubles,
        parse_constant=_no_number,
    )


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {ascii(key[:40])} stands twice in one object")
        values[key] = value
    return values


def json_or_none(path: str | os.PathLike) -> Any:
    """The values in a JSON file that may be there, whatever its name; None where there is none."""
    content = beginning(path, LARGEST_TEXT + 1)
    try:
        return parse_json(content) if len(content) <= LARGEST_TEXT else None
    except (ValueError, RecursionError):
        return None


def beginning(path: str | os.PathLike, count: int) -> bytes:
    """The first bytes of a file that may be there, whatever its name; none where there is none."""
    try:
        status = os.stat(path)
        # A pipe would be waited for, and so would some of the system's own files, which say 0.
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            return b""
        with open(path, "rb") as stream:
            return stream.read(count)
    except (OSError, ValueError):
        return b""

"""Files of strangers before they are opened: regular ones, and text of a size that people write."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.messages import Message

#: Largest rig, calibration, table or other text, bytes.
LARGEST_TEXT = 16 << 20


def regular_file(path: str | os.PathLike, kind: type[InputError] = InputError) -> Path:
    """The path of a file that is there, no folder, pipe or device, and not empty.

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
    return path


def read_text_bytes(path: str | os.PathLike, kind: type[InputError] = InputError) -> bytes:
    """The content of a rig, calibration, table or the like.

    Raises:
        InputError: absent, no regular file, not readable, or too large; of the kind asked for.
    """
    path = regular_file(path, kind)
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_TEXT + 1)
    except OSError as error:
        raise kind(
            "'{path}' cannot be read ({error}).", "Check the path.", path=path, error=error
        ) from error
    if len(content) > LARGEST_TEXT:
        raise kind(
            "'{path}' is larger than {megabytes} MB, too large for text.",
            "Check the path.",
            path=path,
            megabytes=LARGEST_TEXT >> 20,
        )
    return content


def read_json(
    path: str | os.PathLike, kind: type[InputError] = InputError, remedy: str = ""
) -> Any:
    """The values in a JSON file.

    Raises:
        InputError: as :func:`read_text_bytes`, or it is no JSON; of the kind asked for.
    """
    content = read_text_bytes(path, kind)
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise kind(
            Message(
                "'{path}' cannot be read as JSON ({reason}).", path=path, reason=str(error)[:160]
            ),
            remedy,
        ) from error


def json_or_none(path: str | os.PathLike) -> Any:
    """The values in a JSON file that may be there, whatever its name; None where there is none."""
    content = beginning(path, LARGEST_TEXT + 1)
    try:
        return json.loads(content.decode("utf-8-sig")) if len(content) <= LARGEST_TEXT else None
    except (ValueError, RecursionError):
        return None


def beginning(path: str | os.PathLike, count: int) -> bytes:
    """The first bytes of a file that may be there, whatever its name; none where there is none."""
    try:
        if not os.path.isfile(path):  # a pipe would be waited for
            return b""
        with open(path, "rb") as stream:
            return stream.read(count)
    except (OSError, ValueError):
        return b""

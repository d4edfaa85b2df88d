"""Logs that users are asked to send, without the names of their files, which may name patients."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath

#: A path in quotation marks, which may hold blanks, or one without.
_PATHS = re.compile(
    r"""(?P<mark>['"])(?P<quoted>[^'"\n]*[\\/][^'"\n]*)(?P=mark)"""
    r"""|(?<![\w<.])(?P<bare>(?:[A-Za-z]:)?(?:[\w.~$%-]*[\\/])+[^\s'",;:()<>]*[^\s'",;:()<>.])"""
)

#: Not the user's: the lines of a traceback, and what names no file.
_OURS = re.compile(r"\.pyc?$|^[\\/]*$|^\w+/\w+$")


def shortened(text: str, arguments: Iterable[str] = ()) -> str:
    """The text with ``<file>.dcm`` in place of each path to a file of that ending.

    Args:
        arguments: of a command line: those that are files' names are shortened wherever they
            stand, without a folder too.
    """
    for value in sorted(_names(arguments), key=len, reverse=True):
        text = text.replace(repr(value)[1:-1], _short(value)).replace(value, _short(value))

    def short(found: re.Match) -> str:
        path, mark = found["quoted"] or found["bare"], found["mark"] or ""
        return found[0] if _OURS.search(path) else f"{mark}{_short(path)}{mark}"

    return _PATHS.sub(short, text)


def _names(arguments: Iterable[str]) -> set[str]:
    """Paths among the arguments, and their last parts."""
    names = set()
    for argument in arguments:
        value = argument.partition("=")[2] if argument.startswith("--") else argument
        last = PureWindowsPath(value).name
        if (last != value and len(last) > 2) or re.search(r"\.[A-Za-z]\w*$", last):
            names.update((value, last))
    return names


def _short(path: str) -> str:
    name = PurePosixPath(path.replace("\\", "/")).name
    ending = re.search(r"(\.(nii|seg))?\.[A-Za-z]\w{0,5}$", name)
    return f"<file>{ending[0] if ending else ''}"

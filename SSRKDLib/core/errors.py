"""Errors that reach a person: what is wrong, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps

from SSRKDLib.core.messages import Message, as_message


class SSRKDError(Exception):
    """Base of every error this project raises on purpose.

    ``str(error)`` is one line, cause then remedy, ready for a message box or a
    terminal; the two parts stay available for a user interface that shows them
    apart, or in another language.

    Args:
        cause, remedy: templates for the values, if there are any, else sentences.
        values: what stands in the templates' placeholders.
    """

    cause: Message
    remedy: Message

    def __init__(self, cause: str, remedy: str = "", /, **values: object) -> None:
        self.cause, self.remedy = as_message(cause, values), as_message(remedy, values)
        super().__init__(f"{self.cause} {self.remedy}".strip())


class InputError(SSRKDError):
    """The input cannot be used (command line: exit code 2)."""


class GeometryError(InputError):
    """The rig, or what it was made from, is missing something or impossible."""


class ImageError(InputError):
    """A radiograph or volume cannot be read or holds nothing usable."""


class MeshError(InputError):
    """A surface cannot be read, or is not a surface of a bone."""


class WeightsError(InputError):
    """A weights file is absent, damaged or of another architecture."""


class OutputError(InputError):
    """The result cannot be written to the path that was given."""


class MissingDependencyError(SSRKDError):
    """An optional package is needed for the request."""


class DeviceMemoryError(SSRKDError):
    """The GPU's or the computer's memory does not suffice, with the smallest batch too."""


class TrainingError(SSRKDError):
    """A training, or a step of an experiment, cannot go on."""


class Cancelled(SSRKDError):
    """The user stopped the job."""

    def __init__(self) -> None:
        super().__init__("Cancelled.", "")


def script(main: Callable[[], object]) -> Callable[[], int]:
    """A script's main function, returning its exit code: 0, or 2 after an error in one line."""

    @wraps(main)
    def run() -> int:
        try:
            main()
        except SSRKDError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return 0

    return run


def describe_unexpected(error: BaseException) -> str:
    """One sentence about an error that nobody foresaw; the traceback is for the log."""
    what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return f"Internal error ({what})."

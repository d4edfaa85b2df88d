"""How long work reports its progress, and how a command shows it on stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import Protocol, TextIO

from SSRKDLib.core.messages import one_line

_BAR = 24


class Progress(Protocol):
    """Called by long work at every step; what it raises (:class:`~SSRKDLib.core.errors.Cancelled`)
    ends the work.

    Args:
        stage: name of what is being done.
        fraction: share of the whole that is done, 0 to 1.
        message: for people; empty keeps the one before.
    """

    def __call__(self, stage: str, fraction: float, message: str) -> None: ...


#: Called with a sentence on what is being done, by work that knows no share of the whole.
Reporter = Callable[[str], None]


def no_progress(stage: str, fraction: float, message: str) -> None:
    """The :class:`Progress` of callers that want none."""


class ProgressLine:
    """Shows stage, share done and message; a context manager that clears the bar at the end.

    In a terminal one line is rewritten. Elsewhere (a log, a pipe) nothing is shown unless
    ``verbose``, which prints each new message on a line of its own.

    Args:
        verbose: see above.
        stream: default: stderr.
    """

    def __init__(self, verbose: bool = False, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._verbose = verbose
        self._message = ""
        self._shown = ""

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def show(self, stage: str, fraction: float, message: str = "") -> None:
        """Show a step.

        Args:
            stage: name of what is being done; ``done`` removes the bar, for output to follow.
            fraction: share of the whole that is done, 0 to 1.
            message: for people, perhaps with names of others; empty keeps the one before.
        """
        message = one_line(message)
        if stage == "done":
            self.clear()
            return
        changed = bool(message) and message != self._message
        self._message = message or self._message or stage
        if self._terminal:
            self._draw(fraction)
        elif self._verbose and changed:
            print(f"{fraction:4.0%}  {message}", file=self._stream, flush=True)

    def clear(self) -> None:
        """Remove the bar, so that other output starts on a clean line."""
        if self._shown:
            self._stream.write("\r" + " " * len(self._shown) + "\r")
            self._stream.flush()
            self._shown = ""

    def _draw(self, fraction: float) -> None:
        filled = round(_BAR * min(max(fraction, 0.0), 1.0))
        text = f"[{'#' * filled}{'.' * (_BAR - filled)}] {fraction:4.0%}  {self._message}"
        # A line that wraps could not be rewritten.
        text = text[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + text.ljust(len(self._shown)))
        self._stream.flush()
        self._shown = text

"""Seconds by stage, and progress on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from SSRKDLib.core.progress import Progress


class Stages:
    """Measures stages and reports them.

    Attributes:
        seconds: by stage, of those that ended.
    """

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._last = ("", 0.0)

    @contextmanager
    def stage(self, name: str, fraction: float, message: str) -> Iterator[None]:
        """Report a stage that begins, and measure it."""
        self.report(name, fraction, message)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)

    def report(self, name: str, fraction: float, message: str = "") -> None:
        """Report where a stage stands."""
        self._last = (name, fraction)
        self._progress(name, fraction, message)

    def repeat(self) -> None:
        """Report again where the work stands, so that it can be ended between two reports."""
        self._progress(*self._last, "")

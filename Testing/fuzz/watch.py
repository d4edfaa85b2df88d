"""A process that reads damaged files, and is looked at from outside."""

from __future__ import annotations

import multiprocessing
import resource
import warnings
from pathlib import Path

import psutil

from SSRKDLib.core.errors import SSRKDError
from Testing.fuzz.readers import READERS

#: What a file may take: s of the processor, so many times longer by the clock (beside other work),
#: and bytes beyond those of the process before.
SECONDS, CLOCK, MEMORY = 30.0, 10, 1 << 30


class Watched:
    """A process that reads files, one at a time, and is replaced when one ends it."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,))
        self._process.start()
        other.close()

    def read(self, reader: str, path: Path) -> str:
        """``read``, ``refused``, or what nobody may see."""
        self._pipe.send((reader, path))
        said, process = "hung", psutil.Process(self._process.pid)
        try:
            before = sum(process.cpu_times()[:2])
            for _ in range(CLOCK):
                if self._pipe.poll(SECONDS):
                    return self._pipe.recv()
                if sum(process.cpu_times()[:2]) - before > SECONDS:
                    break
        except (EOFError, OSError, psutil.Error):
            said = "died"
        self.end()
        self._start()
        return said

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def _serve(pipe) -> None:
    warnings.simplefilter("ignore")
    while True:
        reader, path = pipe.recv()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            READERS[reader](path)
            said = "read"
        except SSRKDError as error:
            said = "refused" if "\n" not in str(error) else "several lines"
        except BaseException as error:  # which is what is looked for
            said = type(error).__name__
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        pipe.send(said if grown * 1024 < MEMORY else "over 1 GB")

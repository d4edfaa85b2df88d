"""The worker's loop: jobs in, progress and results out; see :mod:`SSRKDLib.worker.protocol`."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import BinaryIO

from SSRKDLib import __version__
from SSRKDLib.core.errors import Cancelled, SSRKDError
from SSRKDLib.core.progress import Progress
from SSRKDLib.worker.protocol import LineReader, encode

#: A task: arguments and progress in, JSON values out.
Task = Callable[[dict, Progress], dict]

#: Progress within a stage is told this often at most, s.
_TELL_EVERY = 0.05


class Server:
    """Runs jobs for one client.

    Args:
        source: binary stream of requests; the process ends when it ends.
        sink: binary stream of answers.
        tasks: by name.
        leave: ends the process; replaced in tests.
    """

    def __init__(
        self,
        source: BinaryIO,
        sink: BinaryIO,
        tasks: dict[str, Task],
        leave: Callable[[int], None] = os._exit,
    ) -> None:
        self._source, self._sink, self._tasks, self._leave = source, sink, tasks, leave
        self._jobs: queue.Queue[dict | None] = queue.Queue()
        self._stops: dict[object, threading.Event] = {}
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Serve until the source ends."""
        self._say({"event": "ready", "version": __version__, "pid": os.getpid()})
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            request = self._jobs.get()
            if request is None:
                return
            self._run(request)

    def _listen(self) -> None:
        """Sort what comes in. At the end of the source nobody waits for the running job: the
        process ends in the middle of it."""
        reader = LineReader()
        while True:
            data = os.read(self._source.fileno(), 65536)
            if not data:
                self._jobs.put(None)
                self._leave(0)
                return
            for message in reader.feed(data):
                if "cancel" in message:
                    stop = self._stops.get(message["cancel"])
                    if stop is not None:
                        stop.set()
                else:
                    self._stops[message.get("id")] = threading.Event()
                    self._jobs.put(message)

    def _run(self, request: dict) -> None:
        job, stop = request.get("id"), self._stops[request.get("id")]
        told = [0.0, ""]

        def progress(stage: str, fraction: float, message: str) -> None:
            if stop.is_set():
                raise Cancelled
            now = time.monotonic()
            if stage != told[1] or message or now - told[0] > _TELL_EVERY:
                told[:] = [now, stage]
                self._say(
                    {
                        "id": job,
                        "event": "progress",
                        "stage": stage,
                        "fraction": round(float(fraction), 4),
                        "message": message,
                    }
                )

        try:
            progress("start", 0.0, "")
            result = self._task(request)(request, progress)
            answer = {"event": "result", "result": result}
        except Cancelled:
            answer = {"event": "cancelled"}
        except SSRKDError as error:
            answer = _error(type(error).__name__, error.cause, error.remedy)
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            answer = _error(
                "Unexpected",
                f"This should not have happened ({what[:200]}).",
                "The log tells more; please report it.",
                traceback.format_exc(),
            )
        del self._stops[job]
        self._say({"id": job, **answer})

    def _task(self, request: dict) -> Task:
        try:
            return self._tasks[request.get("do")]
        except KeyError as error:
            raise SSRKDError(
                f"The worker knows no task '{request.get('do')}'.",
                "Restart Slicer: its module and the worker belong to different versions.",
            ) from error

    def _say(self, message: dict) -> None:
        with self._writing:
            try:
                self._sink.write(encode(message))
                self._sink.flush()
            except OSError:  # the client is gone
                self._leave(0)


def _error(kind: str, cause: str, remedy: str, log: str = "") -> dict:
    return {"event": "error", "kind": kind, "cause": cause, "remedy": remedy, "log": log}


def serve_standard_streams(tasks: dict[str, Task]) -> None:
    """Serve on this process's standard input and output, and on them nothing else.

    The protocol gets duplicates. What any library prints to standard output goes to standard error
    from here on, and who reads standard input finds it empty.
    """
    source, sink = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    os.dup2(2, 1)
    Server(source, sink, tasks).serve()

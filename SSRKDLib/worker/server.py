"""The worker's loop: jobs in, progress and results out; see :mod:`SSRKDLib.worker.protocol`."""

from __future__ import annotations

import faulthandler
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import BinaryIO

from SSRKDLib import __version__
from SSRKDLib.core.errors import Cancelled, InputError, SSRKDError, describe_unexpected
from SSRKDLib.core.log_text import shortened
from SSRKDLib.core.output_folder import abandon
from SSRKDLib.core.progress import Progress
from SSRKDLib.core.system_errors import of_the_system
from SSRKDLib.worker.protocol import LineReader, encode

#: A task: arguments and progress in, JSON values out.
Task = Callable[[dict, Progress], dict]

#: Shortest time between two reports of progress within a stage, s.
_REPORT_EVERY = 0.05

#: Bytes that are read at once.
_CHUNK = 1 << 16


class Server:
    """Runs jobs for one client.

    Args:
        source: binary stream of requests; the process ends when it ends.
        sink: binary stream of replies.
        tasks: by name.
        leave: ends the process; replaced in tests.
    """

    def __init__(
        self,
        source: BinaryIO,
        sink: BinaryIO,
        tasks: dict[str, Task],
        leave: Callable[[int], None] | None = None,
    ) -> None:
        self._source, self._sink, self._tasks, self._leave = source, sink, tasks, leave or _leave
        self._jobs: queue.Queue[dict | None] = queue.Queue()
        self._stops: dict[int | str, threading.Event] = {}
        self._used: set[int | str] = set()
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Serve until the source ends."""
        self._send({"event": "ready", "version": __version__, "pid": os.getpid()})
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            request = self._jobs.get()
            if request is None:
                return
            self._run(request)

    def _listen(self) -> None:
        """Sort what comes in. At the end of the source nobody waits for the running job: the
        process ends in the middle of it."""
        try:
            self._hear()
        except Exception:
            traceback.print_exc()
        finally:  # a worker that hears nothing must not live on
            self._jobs.put(None)
            self._leave(0)

    def _hear(self) -> None:
        reader = LineReader(keep=_CHUNK)
        while True:
            try:
                data = os.read(self._source.fileno(), _CHUNK)
            except OSError:
                return
            if not data:
                return
            for message in reader.feed(data):
                try:
                    self._accept(message)
                except Exception as error:  # whatever is in a line, the next one is heard
                    known = isinstance(error, SSRKDError)
                    self._refuse(error if known else _bad_request(describe_unexpected(error)))
            for line in reader.noise:
                self._refuse(_bad_request(f"A line is not a JSON object ({line[:80]!r})."))
            reader.noise.clear()

    def _accept(self, message: dict) -> None:
        """Queue a job, stop one, or answer a ping.

        Raises:
            InputError: an id that is not one, or that was used before.
        """
        if "ping" in message:
            self._send({"event": "pong"})
            return
        if "cancel" in message:
            stop = self._stops.get(_checked_id(message["cancel"]))
            if stop is not None:
                stop.set()
            return
        job = _checked_id(message.get("id"))
        if job in self._used:
            raise _bad_request(f"The id {job!r} was used before.")
        self._used.add(job)
        self._stops[job] = threading.Event()
        self._jobs.put(message)

    def _refuse(self, error: SSRKDError) -> None:
        """Report a request that is not a job: the reply has no job's id."""
        self._send({"id": None, **_error(type(error).__name__, error.cause, error.remedy)})

    def _run(self, request: dict) -> None:
        job, stop = request["id"], self._stops[request["id"]]
        last = [0.0, ""]

        def progress(stage: str, fraction: float, message: str) -> None:
            if stop.is_set():
                raise Cancelled
            now = time.monotonic()
            if stage != last[1] or message or now - last[0] > _REPORT_EVERY:
                last[:] = [now, stage]
                self._send(
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
            reply = {"event": "result", "result": result}
            encode(reply)  # JSON cannot hold every value
        except Cancelled:
            reply = {"event": "cancelled"}
        except Exception as error:
            told = error if isinstance(error, SSRKDError) else of_the_system(error)
            if told is not None:
                reply = _error(type(told).__name__, told.cause, told.remedy)
            else:
                reply = _error(
                    "Unexpected",
                    describe_unexpected(error),
                    "Please report it with the log.",
                    shortened(traceback.format_exc()),
                )
        del self._stops[job]
        self._send({"id": job, **reply})

    def _task(self, request: dict) -> Task:
        name = request.get("do")
        if not isinstance(name, str) or name not in self._tasks:
            shown = repr(name[:80]) if isinstance(name, str) else "that is not text"
            raise SSRKDError(
                "The worker has no task {shown}.",
                "Restart Slicer: its module and the worker belong to different versions.",
                shown=shown,
            )
        return self._tasks[name]

    def _send(self, message: dict) -> None:
        with self._writing:
            try:
                self._sink.write(encode(message))
                self._sink.flush()
            except OSError:  # the client is gone
                self._leave(0)


def _leave(code: int) -> None:
    """End in the middle of the running job, which leaves nothing behind."""
    abandon()
    os._exit(code)


def _checked_id(value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or len(str(value)) > 200:
        raise _bad_request(f"{str(value)[:80]!r} is not an id of a job.")
    return value


def _bad_request(cause: str) -> InputError:
    return InputError(cause, "Give every job an id of its own, a whole number or text.")


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
    faulthandler.enable(2, all_threads=False)
    Server(source, sink, tasks).serve()

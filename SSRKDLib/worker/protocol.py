"""The messages between a client and its worker: one JSON object per line, UTF-8.

The client sends::

    {"id": 1, "do": "reconstruct", ...}     a job, see SSRKDLib.worker.tasks for its arguments
    {"cancel": 1}                           stop that job
    {"ping": 1}                             say that you listen, also in the middle of a job

The worker sends::

    {"event": "ready", "version": "0.1.0", "pid": 4711}
    {"event": "pong"}
    {"id": 1, "event": "progress", "stage": "field", "fraction": 0.6, "message": "..."}
    {"id": 1, "event": "result", "result": {...}}
    {"id": 1, "event": "error", "kind": "ImageError", "cause": "...", "remedy": "...", "log": ""}
    {"id": 1, "event": "cancelled"}

Every job ends with exactly one of the last three. An id is a whole number or text, used once; a
request without one, and a line that is not a JSON object, gets an error whose id is null. Jobs run
one after the other, in the order in which they came. ``log`` holds a traceback where the error was
not foreseen. The worker ends when its standard input closes. A crash in native code is its last
word on standard error, as Python's ``faulthandler`` writes it.

Torch-free: both sides import it.
"""

from __future__ import annotations

import json

#: Longer lines are no messages; guards a reader against a broken peer.
LONGEST_LINE = 16 * 2**20


def encode(message: dict) -> bytes:
    """A message as a line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


class LineReader:
    """Cuts a stream of bytes into messages; what is no message is kept apart.

    Attributes:
        noise: beginnings of lines that were no JSON object, newest last, at most ``keep``.
    """

    def __init__(self, keep: int = 50) -> None:
        self._rest, self._keep = b"", keep
        self.noise: list[str] = []

    def feed(self, data: bytes) -> list[dict]:
        """The messages that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines, self._rest = [*lines, self._rest[:200]], b""
        messages = []
        for line in lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):  # no JSON, or nested too deeply for one
                message = None
            if isinstance(message, dict):
                messages.append(message)
            elif line.strip():
                self.noise.append(line[:200].decode(errors="replace"))
                del self.noise[: -self._keep]
        return messages

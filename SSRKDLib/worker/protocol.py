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
not foreseen. ``said``, where it is, holds what the message's sentences were made of, by sentence:
who reads them gets :class:`~SSRKDLib.core.messages.Message`, which Slicer's panel can say in the
user's language. The worker ends when its standard input closes. A crash in native code is its last
word on standard error, as Python's ``faulthandler`` writes it.

Torch-free: both sides import it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from SSRKDLib.core.messages import Message, from_plain, to_plain

#: Longer lines are no messages; guards a reader against a broken peer.
LONGEST_LINE = 16 * 2**20

#: Longest sentence that is made again from its template, characters.
_LONGEST_SENTENCE = 1 << 20

#: A template as this program's are: values by name, rounded perhaps. Python's own are a small
#: language, in which a line could ask for attributes, or for more text than fits the memory.
_TEMPLATE = re.compile(r"(?:[^{}]|\{\{|\}\}|\{\w+(?:!r)?(?::\+?(?:\.\d)?[defg]?)?\})*")

#: Most characters that such a placeholder makes of a number.
_NUMBER = 400


def _each_text(value: object, change: Callable[[str], object]) -> object:
    """A value of JSON, of which every text but the keys is what a function makes of it."""
    if isinstance(value, dict):
        return {key: _each_text(one, change) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each_text(one, change) for one in value]
    return change(value) if isinstance(value, str) else value


def encode(message: dict) -> bytes:
    """A message as a line."""
    said: dict[str, list] = {}

    def note(text: str) -> str:
        if isinstance(text, Message) and text.values:
            said[str(text)] = to_plain(text)
        return text

    _each_text(message, note)
    if said:
        message = {**message, "said": said}
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


class LineReader:
    """Cuts a stream of bytes into messages; what is no message is kept apart.

    Attributes:
        noise: beginnings of lines that were no JSON object, newest last, at most ``keep``.
    """

    def __init__(self, keep: int = 50) -> None:
        self._rest, self._keep = bytearray(), keep
        self.noise: list[str] = []

    def feed(self, data: bytes) -> list[dict]:
        """The messages that are complete now."""
        lines = data.split(b"\n")
        self._rest += lines[0]  # not copied for each part of a long line
        if len(lines) > 1:
            lines[0], self._rest = self._rest, bytearray(lines.pop())
        else:
            lines = []
        if len(self._rest) > LONGEST_LINE:
            lines, self._rest = [*lines, self._rest[:200]], bytearray()
        messages = []
        for line in filter(bytes.strip, map(bytes, lines)):
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):  # no JSON, or nested too deeply for one
                message = None
            if isinstance(message, dict):
                messages.append(_with_sentences(message))
            else:
                self.noise.append(line[:200].decode(errors="replace"))
                del self.noise[: -self._keep]
        return messages


def _with_sentences(message: dict) -> dict:
    """A message whose sentences are messages again, with their templates and values."""
    said = message.pop("said", None)
    if not isinstance(said, dict):
        return message
    try:
        if max(map(_longest, said.values()), default=0) > _LONGEST_SENTENCE:
            return message
        made = map(from_plain, said.values())
        known = {text: one for text, one in zip(said, made) if text == one}
        return _each_text(message, lambda text: known.get(text, text))
    except Exception:  # of another version, or of a broken peer: the sentences stay English
        return message


def _longest(plain: list) -> int:
    """Length that a sentence does not exceed; ValueError where its template is none of ours."""
    template, values = plain
    if not values:
        return len(template)
    if len(template) > _LONGEST_SENTENCE or not _TEMPLATE.fullmatch(template):
        raise ValueError(template[:80])
    lengths = [_longest(one) if isinstance(one, list) else len(str(one)) for one in values.values()]
    return len(template) + template.count("{") * max(_NUMBER, *lengths)

"""Sentences for a person that can be said in another language, too."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping


class Message(str):
    """A sentence in English, beside which lie the template and the values that it was made of.

    It prints, compares and is stored as the plain sentence, on one line. What Python's string
    methods make of it is plain text.

    Args:
        template: a literal, with named placeholders where there are values.
        values: for the placeholders: numbers, text, other messages.

    Attributes:
        template: the key under which a translator finds the sentence.
        values: by placeholder: numbers, text, messages.
    """

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Message:
        made = super().__new__(cls, one_line(template.format(**values) if values else template))
        made.template = template
        made.values = {name: _kept(value) for name, value in values.items()}
        return made

    def __reduce__(self) -> tuple:
        return from_plain, (to_plain(self),)


def one_line(text: str) -> str:
    """Text of others as it may be shown: on one line, without control characters."""
    if isinstance(text, Message):
        return text
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def as_message(text: str, values: Mapping[str, object]) -> Message:
    """A sentence as a message; one that is a message already stays what it is."""
    return text if isinstance(text, Message) else Message(text, **values)


def joined(sentences: Iterable[str], separator: str = "; ") -> Message:
    """Several sentences as one message."""
    parts = {f"part{number}": sentence for number, sentence in enumerate(sentences, 1)}
    return Message(separator.join(f"{{{name}}}" for name in parts), **parts)


def about(what: str, sentence: str) -> Message:
    """A sentence on something that is named before it."""
    return Message("{what}: {sentence}", what=what, sentence=sentence)


def _kept(value: object) -> object:
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else str(value)


def to_plain(message: Message) -> list:
    """JSON that :func:`from_plain` makes the same message of: [template, values]."""
    return [
        message.template,
        {
            name: to_plain(value) if isinstance(value, Message) else value
            for name, value in message.values.items()
        },
    ]


def from_plain(plain: list) -> Message:
    """A message from what :func:`to_plain` made of it.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: of something else.
    """
    template, values = plain
    return Message(
        template,
        **{
            name: from_plain(value) if isinstance(value, list) else value
            for name, value in values.items()
        },
    )

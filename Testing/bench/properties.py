"""Qt properties for stand-ins, written in a line each."""

from __future__ import annotations

from PySide6 import QtCore


def stored(kind, default, changed: str | None = None) -> QtCore.Property:
    """A property that keeps its value.

    Args:
        kind: ``bool``, ``int``, ``float``, ``str`` or the name of a Qt type.
        default: value until it is set.
        changed: method to call after it was set.
    """
    key = f"_stored_{next(_numbers)}"

    def read(self):
        return self.__dict__.get(key, default)

    def write(self, value):
        self.__dict__[key] = value
        if changed is not None:
            getattr(self, changed)()

    return QtCore.Property(kind, read, write)


def forwarded(kind, inner: str, name: str) -> QtCore.Property:
    """A property of a widget inside, such as the ``minimum`` of a slider's spin box.

    Args:
        kind: as for :func:`stored`.
        inner: attribute that holds the widget inside.
        name: the property's name there.
    """
    setter = f"set{name[0].upper()}{name[1:]}"

    def read(self):
        return getattr(getattr(self, inner), name)()

    def write(self, value):
        getattr(getattr(self, inner), setter)(value)

    return QtCore.Property(kind, read, write)


def _count():
    number = 0
    while True:
        yield number
        number += 1


_numbers = _count()

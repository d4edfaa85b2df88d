"""``object.connect('signal(types)', slot)`` as PythonQt has it.

The signal is named by its C++ signature and must exist. The slot gets as many arguments as it
takes, at most as many as the signature has. An exception in a slot is printed and forgotten in
Slicer; here it is kept as well, see :mod:`.faults`. A connection keeps its slot alive.
"""

from __future__ import annotations

import inspect
from typing import NamedTuple

import shiboken6
from PySide6 import QtCore

from . import faults


class _Connection(NamedTuple):
    signal: str
    slot: object
    wrapper: object
    alias: str | None


#: By address of the sender in C++: Python's wrapper of it may come and go.
_connections: dict[int, list[_Connection]] = {}


def connect(sender, signal, *target) -> bool:
    """Call a slot whenever a signal is sent.

    Args:
        sender: a QObject.
        signal: its C++ signature, such as ``clicked(bool)``.
        target: a callable, or a QObject and the signature of one of its methods.

    Raises:
        RuntimeError: there is no such signal.
    """
    signal = _normalised(signal)
    slot = _slot(*target)
    alias = getattr(type(sender), "_cpp_signals", {}).get(signal)
    if alias is None and sender.metaObject().indexOfSignal(signal) < 0:
        name = sender.metaObject().className()
        raise RuntimeError(f"QObject::connect: signal '{signal}' does not exist on {name}")
    wrapper = guarded(slot, _number_of_types(signal))
    if alias is not None:
        getattr(sender, alias).connect(wrapper)
    else:
        QtCore.QObject.connect(sender, QtCore.SIGNAL(signal), wrapper)
    _records(sender).append(_Connection(signal, slot, wrapper, alias))
    return True


def disconnect(sender, signal, *target) -> bool:
    """Undo :func:`connect`, for one slot or all; tells whether there was a connection."""
    signal = _normalised(signal)
    slot = _slot(*target) if target else None
    records = _records(sender)
    chosen = [r for r in records if r.signal == signal and (slot is None or r.slot == slot)]
    for record in chosen:
        records.remove(record)
        if record.alias is not None:
            getattr(sender, record.alias).disconnect(record.wrapper)
        else:
            QtCore.QObject.disconnect(sender, QtCore.SIGNAL(signal), record.wrapper)
    return bool(chosen)


def _records(sender) -> list[_Connection]:
    address = shiboken6.getCppPointer(sender)[0]
    if address not in _connections:
        _connections[address] = []
        sender.destroyed.connect(lambda *_: _connections.pop(address, None))
    return _connections[address]


def _normalised(signal) -> str:
    text = signal.decode() if isinstance(signal, bytes) else signal
    if "(" not in text:
        raise RuntimeError(f"QObject::connect: '{text}' is not a signature, such as 'clicked()'")
    return bytes(QtCore.QMetaObject.normalizedSignature(text.lstrip("2"))).decode()


def _number_of_types(signal: str) -> int:
    return len([kind for kind in signal[signal.index("(") + 1 : -1].split(",") if kind])


def _slot(receiver, method=None):
    if method is None:
        if not callable(receiver):
            raise TypeError(f"connect: {receiver!r} is not callable")
        return receiver
    return getattr(receiver, method.lstrip("12").split("(")[0])


def _arguments_taken(slot) -> int | None:
    """How many arguments a Python function takes; None for any number, or an unknown one."""
    bound = inspect.ismethod(slot)
    function = slot.__func__ if bound else slot
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - bound


def guarded(slot, sent: int):
    taken = _arguments_taken(slot)
    passed = sent if taken is None else min(sent, taken)

    def call(*arguments):
        try:
            slot(*arguments[:passed])
        except Exception as fault:
            faults.record(fault)

    return call

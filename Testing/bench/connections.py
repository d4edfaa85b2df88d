"""``object.connect('signal(types)', slot)`` as PythonQt has it.

The signal is named by its C++ signature and must exist. The slot gets as many arguments as it
takes, at most as many as the signature has. An exception in a slot is printed and forgotten in
Slicer; here it is kept as well, see :mod:`.faults`. A connection keeps its slot alive.

PythonQt deletes an object that Python owns, and that has no parent, with its last reference. Where
that happens in a slot of one of the object's own signals, Slicer goes on with freed memory. Here
the object lives until its slots have returned, and the fault is kept.
"""

from __future__ import annotations

import inspect
import sys
import weakref
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


def connect(sender, signal, slot) -> bool:
    """Call a Python function whenever a signal, such as ``clicked(bool)``, is sent.

    Raises:
        RuntimeError: there is no such signal.
        TypeError: the slot cannot be called.
    """
    signal = _normalised(signal)
    if not callable(slot):
        raise TypeError(f"connect: {slot!r} is not callable")
    alias = getattr(type(sender), "_cpp_signals", {}).get(signal)
    if alias is None and sender.metaObject().indexOfSignal(signal) < 0:
        name = sender.metaObject().className()
        raise RuntimeError(f"QObject::connect: signal '{signal}' does not exist on {name}")
    wrapper = _watching(sender, signal, guarded(slot, _number_of_types(signal)))
    if alias is not None:
        getattr(sender, alias).connect(wrapper)
    else:
        QtCore.QObject.connect(sender, QtCore.SIGNAL(signal), wrapper)
    _records(sender).append(_Connection(signal, slot, wrapper, alias))
    return True


def _watching(sender, signal, slot):
    """The slot, after which it is asked whether the sender outlives it."""
    reference = weakref.ref(sender)

    def call(*arguments):
        alive = reference()
        slot(*arguments)
        if alive is not None and _dies_with_its_last_reference(alive):
            faults.record(
                RuntimeError(
                    f"{alive.metaObject().className()} lost its last reference while its signal "
                    f"{signal} was delivered. Slicer crashes: give it a parent, use deleteLater."
                )
            )
            QtCore.QTimer.singleShot(0, lambda kept=alive: None)  # spares this process the crash

    return call


def _dies_with_its_last_reference(sender) -> bool:
    """Whether a caller's variable is all that keeps an object alive."""
    if not shiboken6.isValid(sender) or sender.parent() is not None:
        return False
    waiting = sender in _waiting
    owned = waiting or shiboken6.ownedByPython(sender)
    return owned and _references(sender) - waiting <= _HELD


def _references(anything) -> int:
    return sys.getrefcount(anything)


def _count_held() -> int:
    def ask(sender):
        return _references(sender)

    alive = type("Any", (), {})()
    return ask(alive)


#: References to an object that only a caller's variable keeps, as that function counts them.
_HELD = _count_held()


#: Python's objects that wait for ``deleteLater``. PySide6 gives them to Qt and keeps a reference.
_waiting = weakref.WeakSet()


def delete_later(qobject) -> None:
    """``deleteLater``: in PythonQt, Python stays the owner of what is its own."""
    if shiboken6.ownedByPython(qobject):
        _waiting.add(qobject)
    qobject.deleteLater()


def disconnect(sender, signal, slot) -> bool:
    """Undo :func:`connect`; return whether there was a connection."""
    signal = _normalised(signal)
    records = _records(sender)
    chosen = [r for r in records if r.signal == signal and r.slot == slot]
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


def _normalised(signal: str) -> str:
    if "(" not in signal:
        raise RuntimeError(f"QObject::connect: '{signal}' is not a signature, such as 'clicked()'")
    return bytes(QtCore.QMetaObject.normalizedSignature(signal)).decode()


def _number_of_types(signal: str) -> int:
    return len([kind for kind in signal[signal.index("(") + 1 : -1].split(",") if kind])


def _arguments_taken(slot) -> int | None:
    """How many arguments a Python function takes; None for any number, or an unknown one."""
    bound = inspect.ismethod(slot)
    function = slot.__func__ if bound else slot
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - bound


def guarded(slot, sent: int):
    """A function that hands a slot what it takes of the arguments sent, and keeps its faults."""
    taken = _arguments_taken(slot)
    passed = sent if taken is None else min(sent, taken)

    def call(*arguments):
        try:
            slot(*arguments[:passed])
        except Exception as fault:
            faults.record(fault)

    return call

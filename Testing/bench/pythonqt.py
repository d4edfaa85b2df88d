"""Dresses PySide6's objects as PythonQt's: what Slicer's Python code sees of Qt.

Emulated strictly, on every QObject:

- Properties are attributes (``button.enabled = False``, ``edit.text``); a method of the same
  name is hidden, so ``edit.text()`` fails here as in Slicer. ``name`` is ``objectName``.
- Setting an unknown attribute, a method or a read-only property, or a value of the wrong type,
  raises; so does reading an unknown attribute. Classes derived in Python may have any attribute.
- Of a class that PythonQt has no wrapper for, written by hand, as those of CTK and Slicer, only
  properties, signals, slots and invokable methods are there: what its stand-in names as exposed.
- Arguments by name raise ValueError, of constructors and of methods.
- ``object.connect('signal(types)', slot)`` and ``disconnect``; see :mod:`.connections`.
- Lists come as tuples from properties; enums are numbers; ``exec_`` is there.

Code of the bench itself sees PySide6.
"""

from __future__ import annotations

import functools
import itertools
import sys
import types

from PySide6 import QtCore

from . import connections

_NATIVE_PACKAGES = ("Testing.bench", "PySide6", "shiboken6", "shibokensupport", "trame_slicer")
#: Replace attributes for a test, whatever PythonQt would say.
_PATCHERS = ("_pytest.monkeypatch", "unittest.mock")

_plain_get = QtCore.QObject.__getattribute__
# The attribute setter of Shiboken's base class: the last one not in the way of patched classes.
_plain_base_set = QtCore.QObject.__mro__[-2].__setattr__


def stand_in(signals: dict[str, str] | None = None, exposed: str = ""):
    """Marks a Python class that stands for a C++ class: it is as strict as a C++ one.

    Args:
        exposed: names of methods and attributes that are slots, invokable methods or properties in
            the C++ header, or added to it by Slicer's own decorators for PythonQt. Qt's properties
            and signals of the Python class, and what Qt's base class has, need no mention;
            everything else is the bench's own, and is not seen by the module.
        signals: by C++ signature, signals whose types Qt does not know, such as
            ``{"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged"}``.
    """

    def mark(kind):
        kind._stands_for_cpp = kind.__name__
        if "__init__" in vars(kind):
            _refuse_named_in_constructor(kind)
        kind._exposed = frozenset(exposed.split())
        kind._cpp_signals = {**getattr(kind, "_cpp_signals", {}), **(signals or {})}
        return kind

    return mark


class Inside:
    """What a stand-in has for tests, which is not shown to the module: ``Inside(manager).grab``."""

    def __init__(self, stand_in):
        self._stand_in = stand_in

    def __getattr__(self, name):
        return _plain_get(self._stand_in, name)


_numbers = itertools.count()


def stored(kind, default, changed: str | None = None) -> QtCore.Property:
    """A Qt property of a stand-in that keeps its value.

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


def dress() -> None:
    """Change how attributes of all QObjects are read and set, in this process."""
    import qt

    kinds = [kind for kind in vars(qt).values() if isinstance(kind, type)]
    objects = [kind for kind in kinds if issubclass(kind, QtCore.QObject)]
    for kind in objects:
        for base in kind.__mro__:
            if issubclass(base, QtCore.QObject) and "__setattr__" in vars(base):
                base.__setattr__ = _set_attribute
    for kind in objects:
        _refuse_named_in_constructor(kind)
    QtCore.QObject.__getattribute__ = _get_attribute
    # It has a reader of its own, as QFile, QLibrary and QMenu have, which must keep theirs.
    QtCore.QProcess.__getattribute__ = _get_attribute
    QtCore.QObject.__setattr__ = _set_attribute


def class_name(qobject) -> str:
    """Name of an object's C++ class."""
    return _plain_get(qobject, "metaObject")().className()


@functools.cache
def _is_native(module: str) -> bool:
    return module in _PATCHERS or any(
        module == package or module.startswith(package + ".") for package in _NATIVE_PACKAGES
    )


def _native_caller() -> bool:
    try:
        return _is_native(sys._getframe(2).f_globals.get("__name__", ""))
    except ValueError:  # called by Qt, with no Python around it
        return True


def _python_member(qobject, name: str):
    """What a class written in Python, among the bases, defines under a name; None if nothing."""
    for kind in type(qobject).__mro__:
        if kind.__module__.startswith(("PySide6", "Shiboken", "shiboken6")):
            return None
        if name in vars(kind):
            return vars(kind)[name]
    return None


def _is_the_benchs_own(qobject, name: str) -> bool:
    """Whether what a stand-in has under a name is not there in C++, or not shown by PythonQt."""
    for kind in type(qobject).__mro__:
        if kind.__module__.startswith("PySide6"):
            return False
        inside = name in vars(kind) or (kind is type(qobject) and name in qobject.__dict__)
        if inside and "_stands_for_cpp" in vars(kind):
            shown = isinstance(vars(kind).get(name), (QtCore.Property, QtCore.Signal))
            return not shown and name not in kind._exposed
        if inside:
            return False
    return False


def _of_qt(qobject, name: str) -> bool:
    """Whether Qt's own class, from which a stand-in is derived, has an attribute of a name."""
    base = next(kind for kind in type(qobject).__mro__ if kind.__module__.startswith("PySide6"))
    return hasattr(base, name)


def _property(qobject, name: str):
    """Qt's property of a name, as ``(name, QMetaProperty or None)``."""
    if name == "name":
        name = "objectName"
    meta = _plain_get(qobject, "metaObject")()
    index = meta.indexOfProperty(name)
    return name, meta.property(index) if index >= 0 else None


def _as_pythonqt(value):
    return tuple(value) if isinstance(value, list) else value


def _method_of_pythonqt(qobject, name: str):
    """A method that PythonQt adds to every object; None for another name."""
    if name in ("connect", "disconnect"):
        return functools.partial(getattr(connections, name), qobject)
    if name == "deleteLater":
        return functools.partial(connections.delete_later, qobject)
    if name == "className":
        return functools.partial(class_name, qobject)
    if name == "children":
        return lambda: tuple(_plain_get(qobject, "children")())
    return None


def _get_attribute(self, name):
    if name.startswith("__") or _native_caller():
        return _plain_get(self, name)
    hidden = _is_the_benchs_own(self, name)
    own = _plain_get(self, "__dict__")
    if name in own and not hidden:
        return own[name]
    if _python_member(self, name) is not None and not hidden:
        return _as_pythonqt(_plain_get(self, name))
    qt_name, qt_property = _property(self, name)
    if qt_property is not None:
        return _as_pythonqt(_plain_get(self, "property")(qt_name))
    method = _method_of_pythonqt(self, name)
    if method is not None:
        return method
    try:
        if hidden and not _of_qt(self, name):
            raise AttributeError
        found = _plain_get(self, name.removesuffix("_"))  # exec_
    except AttributeError:
        message = f"{class_name(self)} has no attribute named '{name}'"
        raise AttributeError(message) from None
    return _Method(found) if isinstance(found, types.BuiltinMethodType) else found


class _Method:
    """A method of Qt, which takes no arguments by name."""

    def __init__(self, function):
        self._function = function

    def __call__(self, *arguments, **named):
        _refuse_named(self._function.__name__, named)
        return self._function(*arguments)

    def __eq__(self, other):
        return isinstance(other, _Method) and self._function == other._function

    def __hash__(self):
        return hash(self._function)

    def __getattr__(self, name):
        return getattr(self._function, name)


def _refuse_named(what, named) -> None:
    if named:
        raise ValueError(f"{what}: PythonQt takes no arguments by name, such as {min(named)!r}")


def _refuse_named_in_constructor(kind) -> None:
    plain = kind.__init__

    @functools.wraps(plain)
    def construct(self, *arguments, **named):
        if not _native_caller():
            _refuse_named(kind.__name__, named)
        plain(self, *arguments, **named)

    kind.__init__ = construct


def _set_attribute(self, name, value):
    member = _python_member(self, name)
    if name.startswith("__") or _native_caller():
        if isinstance(member, QtCore.Property):
            _plain_get(self, "setProperty")(name, value)
        else:
            _plain_base_set(self, name, value)
        return
    qt_name, qt_property = _property(self, name)
    hidden = not (member is None or isinstance(member, QtCore.Property) or _is_cpp(self))
    if qt_property is not None and not hidden:
        _set_property(self, qt_name, qt_property, value)
    elif not _is_cpp(self):
        _plain_base_set(self, name, value)
    elif hasattr(type(self), name):
        raise AttributeError(f"Slot '{name}' can not be overwritten on {class_name(self)} object")
    else:
        raise AttributeError(
            f"'{name}' does not exist on {class_name(self)} and creating new attributes on C++ "
            "objects is not allowed"
        )


def _is_cpp(qobject) -> bool:
    kind = type(qobject)
    return kind.__module__.startswith("PySide6") or "_stands_for_cpp" in vars(kind)


# What PythonQt takes for a property of a basic type; numpy's numbers are not among it, other than
# float64 as a float.
_ACCEPTED = {
    "QString": (str, bytes),
    "bool": (bool, int),
    "int": (int, float),
    "double": (int, float),
}


def _set_property(qobject, name, qt_property, value) -> None:
    if not qt_property.isWritable():
        raise AttributeError(f"Property '{name}' of {class_name(qobject)} object is not writable")
    kind = qt_property.typeName()
    given = value
    fits = kind not in _ACCEPTED or isinstance(value, _ACCEPTED[kind])
    if kind == "int" and type(value).__module__ == "numpy":
        fits = False
    if fits and kind == "int":
        value = int(value)
    if not fits or not _plain_get(qobject, "setProperty")(name, value):
        raise AttributeError(
            f"Property '{name}' of type '{kind}' does not accept an object of type "
            f"{type(given).__name__} ({given!r})"
        )

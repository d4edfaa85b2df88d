"""A bench for scripted Slicer modules: one runs here as in 3D Slicer, without the application.

Real on the bench: the MRML scene and its nodes, the logics, displayable managers and
``slicer.util`` of the ``slicer-core`` wheel; slice and 3D views drawn off screen by VTK; a Qt
panel that is clicked, typed into and photographed.

What stands in for Slicer here, and so proves nothing about Slicer's own:

- Qt is PySide6 (Qt 6) dressed as PythonQt (:mod:`Testing.bench.pythonqt` says in what). It is
  stricter than PythonQt where a method takes an enum (no plain int), looser where PySide6 knows
  more (scoped enums, lists from methods, keyword arguments).
- ``ctk`` and ``qMRML*`` widgets are five look-alikes with those properties, signals and slots of
  the C++ headers that the panel uses; not their pixels, not their menus and pop-ups.
- ``slicer.app``, reading and writing of files, the layout manager, ``ScriptedLoadableModule`` and
  ``SampleData`` are written after Slicer's behaviour, as far as tests of this project need them:
  other classes, methods, file types, options and layout elements are missing, and most raise.
- A view is drawn when it is asked for, never by itself: nothing here shows a missing or a
  superfluous render, nor an interaction that needs an event loop of VTK.
- Absent: CMake and packaging, the extension manager, pip, the DICOM module and browser (a
  look-up of instances is there), subject hierarchy plugins of Qt (items are made for nodes; their
  menus, icons and roles are not), CLI modules, the segment editor widget, parameter node
  wrappers, translations, module selection and its history, a developer's buttons of a module, the
  data probe and view controllers.

Use: :func:`boot` once, then :func:`load_module` and :func:`open_module`.
"""

from __future__ import annotations

import importlib

from .boot import boot

_OF_MODULE_HOST = (
    "close_module",
    "load_module",
    "open_module",
    "reload_module",
    "shut_down_module",
    "start_up",
)

__all__ = ["boot", *_OF_MODULE_HOST]


def __getattr__(name: str):
    # Not imported above: PySide6 must not be loaded before boot() has set its environment.
    if name in _OF_MODULE_HOST:
        return getattr(importlib.import_module(".module_host", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")

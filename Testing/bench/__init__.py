"""A bench for scripted Slicer modules: one runs here as in 3D Slicer, without the application.

Real on the bench: the MRML scene and its nodes, the logics, displayable managers and
``slicer.util`` of the ``slicer-core`` wheel; slice and 3D views drawn off screen by VTK; a Qt
panel that is clicked, typed into and photographed.

What stands in for Slicer here, and so proves nothing about Slicer's own. Each line names the steps
of ``Docs/first-run.md`` in which somebody who has Slicer sees the real thing:

- Qt is PySide6 (Qt 6) dressed as PythonQt (:mod:`Testing.bench.pythonqt` says in what,
  ``facts.json`` what PythonQt does). It is stricter than PythonQt where a method takes an enum (no
  plain int), looser where PySide6 knows more (scoped enums, lists from methods). Steps 2, 3.
- ``ctk`` and ``qMRML*`` widgets are look-alikes with those properties, signals and slots of the
  C++ headers that the panel uses; not their pixels, not their menus and pop-ups. Steps 3, 4.
- ``slicer.app``, ``ScriptedLoadableModule`` and ``SampleData`` are written after Slicer's
  behaviour, as far as tests of this project need them; a developer's buttons of a module and the
  module selection with its history are absent. Steps 1, 2, 3, 4, 20.
- Files and scenes are read and written by the storage nodes of ``slicer-core``, in the formats that
  tests need; Slicer's own readers and writers are not here. Steps 14, 15, 16.
- The layout manager makes views off screen, with their names and sizes; view controllers, the data
  probe and Slicer's layout menu itself are absent. Steps 4, 5, 13.
- A view is drawn when it is asked for, never by itself: nothing here shows a missing or a
  superfluous render, nor an interaction that needs an event loop of VTK. Steps 6, 7, 8, 11, 17.
- The DICOM module and browser are absent (a look-up of instances is there). Step 4.
- The Segment Editor is absent: its widget is replaced by one that remembers. Step 9.
- Subject hierarchy items are made for nodes; their plugins, menus, icons and roles are absent.
  Step 15.
- pip, the Extensions Manager and the PyTorch extension are absent. Step 10.
- Networks run in the same worker process as in Slicer, but under this Python. Steps 11, 12, 18, 19.

Absent, and not used by the module: CLI modules, parameter node wrappers. CMake and packaging are
built by a job of ``.github/workflows/slicer.yml`` against Slicer's own build.

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

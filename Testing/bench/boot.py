"""Brings the bench up: once per process, in the order that its parts need."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import types

# Like Slicer's launcher of Python: the interpreter is a child, and outlives a launcher killed.
_PYTHON_SLICER = """#!/bin/sh
"{python}" "$@"
exit $?
"""


@functools.cache
def boot():
    """Make ``slicer``, ``qt``, ``ctk`` and ``SampleData`` importable as inside Slicer.

    Returns:
        The package ``slicer``, with ``mrmlScene``, ``app``, ``modules`` and ``util``.

    Raises:
        RuntimeError: packages or system libraries are missing; the message names them. Or
            PySide6 was imported already, without the bench's settings.
    """
    from . import check

    _keep_singletons()
    _set_environment()
    if missing := check.complaint():
        raise RuntimeError(missing)
    slicer = _build()
    _install_python_slicer()
    return slicer


def _keep_singletons() -> None:
    """Spare the interpreter what PySide6 takes too much of.

    PySide6 gives back one reference too many where a null pointer becomes None: a widget's
    parent(), layout(), a timer's slot. From Python 3.12 on None is immortal; before, some minutes
    of a panel's tests use up its references and the interpreter aborts as it shuts down.
    """
    if sys.version_info < (3, 12):
        for singleton in (None, True, False):
            # Its reference count is an object's first field.
            ctypes.c_ssize_t.from_address(id(singleton)).value += 1 << 40


def _set_environment() -> None:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["VTK_DEFAULT_OPENGL_WINDOW"] = "vtkEGLRenderWindow"
    # PythonQt's enums are numbers. Read by PySide6 when it is first imported.
    if "PySide6" in sys.modules:
        raise RuntimeError("Call Testing.bench.boot() before PySide6 is imported")
    os.environ["PYSIDE6_OPTION_PYTHON_ENUM"] = "0x02"


def _build() -> types.ModuleType:
    from . import faults, pythonqt, qt_module

    faults.watch()
    qt_module.start_application()
    sys.modules["qt"] = qt_module.build()
    pythonqt.dress()

    import slicer
    import slicer.util  # noqa: F401

    from . import (
        application,
        ctk_widgets,
        layout_manager,
        module_host,
        mrml_widgets,
        sample_data,
        scene,
        scripted_module,
        ui_loader,
    )

    slicer.app = application.SlicerApplication()
    scene.build()
    sys.modules["ctk"] = ctk = types.ModuleType("ctk", ctk_widgets.__doc__)
    for module, widgets in ((ctk, ctk_widgets.WIDGETS), (slicer, mrml_widgets.WIDGETS)):
        vars(module).update(widgets)
        ui_loader.stand_ins.update(widgets)
    module_host.install()
    scripted_module.install()
    sample_data.install()
    slicer.app.layouts = layout_manager.LayoutManager()
    return slicer


def _install_python_slicer() -> None:
    """Put ``PythonSlicer``, Slicer's launcher of its Python interpreter, first on PATH."""
    from . import folders

    launcher = folders.inside("bin") / "PythonSlicer"
    launcher.write_text(_PYTHON_SLICER.format(python=sys.executable), encoding="utf-8")
    launcher.chmod(0o755)
    os.environ["PATH"] = os.pathsep.join([str(launcher.parent), os.environ.get("PATH", "")])

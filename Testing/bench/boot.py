"""Brings the bench up: once per process, in the order that its parts need."""

from __future__ import annotations

import ctypes
import os
import sys

_booted = False


def boot():
    """Make ``slicer``, ``qt``, ``ctk`` and ``SampleData`` importable as inside Slicer.

    Returns:
        The package ``slicer``, with ``mrmlScene``, ``app``, ``modules`` and ``util``.

    Raises:
        RuntimeError: packages or system libraries are missing; the message names them. Or
            PySide6 was imported already, without the bench's settings.
    """
    global _booted
    if not _booted:
        _keep_singletons()
        _set_environment()
        _demand_requirements()
        _build()
        _booted = True
    import slicer

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


def _demand_requirements() -> None:
    from . import check

    missing = check.complaint()
    if missing:
        raise RuntimeError(missing)


def _build() -> None:
    from . import faults, launcher, pythonqt, qt_module

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
        node_combo_box,
        sample_data,
        scene,
        scripted_module,
        ui_loader,
    )

    slicer.app = application.SlicerApplication()
    scene.build()
    sys.modules["ctk"] = ctk_widgets.module()
    widgets = {**ctk_widgets.WIDGETS, **mrml_widgets.WIDGETS, **node_combo_box.WIDGETS}
    ui_loader.register(widgets)
    for name, widget in {**mrml_widgets.WIDGETS, **node_combo_box.WIDGETS}.items():
        setattr(slicer, name, widget)
    module_host.install()
    scripted_module.install()
    sample_data.install()
    slicer.app.adopt(layout_manager.LayoutManager())
    launcher.install()

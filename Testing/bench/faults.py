"""What went wrong where no caller could see it: in slots, in VTK observers, inside VTK.

Slicer prints such faults and goes on. The bench does so too, and keeps them, so that a test can
fail on them.
"""

from __future__ import annotations

import contextlib
import sys
import traceback

#: Faults since the last :func:`take`, as text.
_faults: list[str] = []


def record(fault: BaseException) -> None:
    """Print an exception that nobody will catch, and keep it."""
    text = "".join(traceback.format_exception(type(fault), fault, fault.__traceback__))
    _faults.append(text)
    print(text, file=sys.stderr, end="")


def take() -> list[str]:
    """The faults since the last call; they are forgotten."""
    taken = _faults[:]
    _faults.clear()
    return taken


@contextlib.contextmanager
def warnings_unprinted():
    """Print nothing that VTK says; its errors are kept all the same."""
    import vtk

    window = vtk.vtkOutputWindow.GetInstance()
    mode = window.GetDisplayMode()
    window.SetDisplayMode(vtk.vtkOutputWindow.NEVER)
    try:
        yield
    finally:
        window.SetDisplayMode(mode)


def watch() -> None:
    """Keep exceptions that PySide6 and VTK hand to ``sys.excepthook``, and VTK's error lines."""
    _watch_exceptions()
    _watch_vtk()


def _watch_exceptions() -> None:
    previous = sys.excepthook

    def hook(kind, fault, trace):
        _faults.append("".join(traceback.format_exception(kind, fault, trace)))
        previous(kind, fault, trace)

    sys.excepthook = hook


def _watch_vtk() -> None:
    import vtk

    window = vtk.vtkOutputWindow()
    window.SetDisplayModeToAlwaysStdErr()
    vtk.vtkOutputWindow.SetInstance(window)
    # VTK's logger would print every message a second time.
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)

    @vtk.calldata_type(vtk.VTK_STRING)
    def error(_caller, _event, text):
        _faults.append(text)

    window.AddObserver(vtk.vtkCommand.ErrorEvent, error)

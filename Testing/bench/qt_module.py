"""The module ``qt``: all of Qt's classes in one place, as PythonQt has them in Slicer."""

from __future__ import annotations

import sys
import types

from PySide6 import QtCore, QtGui, QtWidgets

from . import connections, folders

#: Static methods that would wait for a user for ever; a test replaces those it expects.
_BLOCKING = {
    "QFileDialog": ("getOpenFileName", "getOpenFileNames", "getSaveFileName",
                    "getExistingDirectory"),
    "QMessageBox": ("question", "information", "warning", "critical", "about"),
    "QDesktopServices": ("openUrl",),
}  # fmt: skip


def start_application() -> QtWidgets.QApplication:
    """The QApplication, with settings in the bench's temporary folder."""
    QtCore.qInstallMessageHandler(_print_message)
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
    application.setStyle("Fusion")
    application.setQuitOnLastWindowClosed(False)
    application.setOrganizationName("NA-MIC")
    application.setApplicationName("Slicer")
    settings = str(folders.inside("settings"))
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    QtCore.QSettings.setPath(
        QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, settings
    )
    return application


def _print_message(_kind, _context, text: str) -> None:
    if "propagateSizeHints" not in text:  # the off-screen platform says it of every window
        print(text, file=sys.stderr)


def build() -> types.ModuleType:
    """Make the module."""
    from . import ui_loader

    module = types.ModuleType("qt", "Qt as PythonQt has it, on PySide6.")
    for part in (QtCore, QtGui, QtWidgets):
        for name in dir(part):
            if not name.startswith("_"):
                setattr(module, name, getattr(part, name))
    module.QUiLoader = ui_loader.UiLoader
    for kind, names in _BLOCKING.items():
        for name in names:
            setattr(getattr(module, kind), name, staticmethod(_refusal(kind, name)))
    module.QTimer.singleShot = staticmethod(_single_shot)
    return module


_plain_single_shot = QtCore.QTimer.singleShot


def _single_shot(milliseconds, slot):
    """``QTimer.singleShot``: the slot's errors are recorded like those of all slots."""
    _plain_single_shot(milliseconds, connections.guarded(slot, 0))


def _refusal(kind: str, name: str):
    def refuse(*_arguments, **_named):
        raise RuntimeError(
            f"qt.{kind}.{name} was called, and nobody is there to answer. Replace it in the "
            f'test: monkeypatch.setattr(qt.{kind}, "{name}", ...)'
        )

    return refuse

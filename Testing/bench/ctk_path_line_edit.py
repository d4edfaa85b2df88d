"""``ctkPathLineEdit``: a field for a path, with its history and a button that opens a dialog.

Written after the behaviour of CTK: it tells of a path only where that is of a kind that its name
filters take, and an empty one is none unless any file is taken.
"""

from __future__ import annotations

import fnmatch
import re

from PySide6 import QtCore, QtWidgets

from .pythonqt import stand_in, stored

_KEPT = 5  # paths in a history


@stand_in(exposed="addCurrentPathToHistory browse retrieveHistory setCurrentPath")
class ctkPathLineEdit(QtWidgets.QWidget):
    """A path to type, to choose from the latest ones, or to choose in a dialog."""

    Dirs, Files, Readable, Writable, Executable = 0x1, 0x2, 0x10, 0x20, 0x40
    AdjustToContents, AdjustToContentsOnFirstShow, AdjustToMinimumContentsLength = range(3)

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    filters = stored(int, Dirs | Files | Readable | Executable)
    label = stored(str, "")
    nameFilters = stored("QStringList", [])
    sizeAdjustPolicy = stored(int, AdjustToContentsOnFirstShow)
    minimumContentsLength = stored(int, 0, "updateGeometry")
    settingKey = stored(str, "", "retrieveHistory")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._combo, self._button = QtWidgets.QComboBox(self), QtWidgets.QToolButton(self)
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        self._combo.setCompleter(None)
        ignored = QtWidgets.QSizePolicy.Policy.Ignored
        self._combo.setSizePolicy(ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        self._button.setText("...")
        self._button.clicked.connect(self.browse)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._combo)
        layout.addWidget(self._button)
        self._valid = False
        self._combo.editTextChanged.connect(self._tell)

    currentPath = QtCore.Property(
        str, lambda self: self._combo.currentText(), lambda self, path: self.setCurrentPath(path)
    )

    def setCurrentPath(self, path):
        self._combo.setEditText(path)

    def _is_valid(self, path) -> bool:
        patterns = re.findall(r"\*[^ )]*", " ".join(self.nameFilters))
        if not patterns:
            return path != ""
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)

    def _tell(self, path):
        valid, before = self._is_valid(path), self._valid
        self._valid = valid
        if valid:
            self.currentPathChanged.emit(path)
        if valid != before:
            self.validInputChanged.emit(valid)

    def browse(self):
        import qt  # where tests put a user's answer

        dialog, path = qt.QFileDialog, self.currentPath
        if self.filters & self.Files:
            chosen = dialog.getOpenFileName(self, "Open a file", path, ";;".join(self.nameFilters))
        else:
            chosen = dialog.getExistingDirectory(self, "Select a directory...", path)
        if chosen:
            self.setCurrentPath(chosen)

    def _history(self) -> str:
        return f"ctkPathLineEdit/{self.settingKey or self.objectName()}"

    def _paths(self) -> list[str]:
        paths = QtCore.QSettings().value(self._history(), [])
        return [paths] if isinstance(paths, str) else list(paths or [])

    def retrieveHistory(self):
        """The latest path stands in the field where that is empty."""
        path = self.currentPath
        blocked = self.blockSignals(True)
        self._combo.clear()
        self._combo.addItems(self._paths()[:_KEPT])
        if path:
            self.setCurrentPath(path)
        self.blockSignals(blocked)
        if not path:
            self._combo.setCurrentIndex(0)

    def addCurrentPathToHistory(self):
        """As in CTK, signals tell of the paths in between."""
        path = self.currentPath
        if not path:
            return
        paths = [path, *(one for one in self._paths() if one != path)]
        QtCore.QSettings().setValue(self._history(), paths)
        index = self._combo.findText(path)
        if index >= 0:
            self._combo.removeItem(index)
        self._combo.insertItem(0, path)
        self._combo.setCurrentIndex(0)
        self._combo.setEditText(path)

    def minimumSizeHint(self):
        letters = self.minimumContentsLength or max(7, len(self.currentPath))
        width = letters * self.fontMetrics().horizontalAdvance("X") + 30
        button = self._button.minimumSizeHint()
        return QtCore.QSize(width + button.width(), self._combo.minimumSizeHint().height())

    sizeHint = minimumSizeHint

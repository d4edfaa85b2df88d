"""The module ``ctk``: look-alikes of the CTK widgets that panels use."""

from __future__ import annotations

import os
import types

from PySide6 import QtCore, QtGui, QtWidgets

from .properties import forwarded, stored
from .pythonqt import stand_in

_HEADER = 24  # pixels of a collapsible button's title


@stand_in()
class ctkCollapsibleButton(QtWidgets.QAbstractButton):  # noqa: N801
    """A titled section; a click on the title folds or unfolds it."""

    contentsCollapsed = QtCore.Signal(bool)  # noqa: N815

    def __init__(self, *arguments):
        text = next((a for a in arguments if isinstance(a, str)), "")
        parent = next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(6, _HEADER + 2, 6, 6)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Preferred, policy.Preferred)
        self.toggled.connect(lambda unfolded: self._fold(not unfolded))

    def setCollapsed(self, collapsed):  # noqa: N802
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), setCollapsed)
    contentsFrameShape = stored(int, 6)  # noqa: N815
    contentsFrameShadow = stored(int, 16)  # noqa: N815
    contentsLineWidth = stored(int, 1)  # noqa: N815
    contentsMidLineWidth = stored(int, 0)  # noqa: N815
    collapsedHeight = stored(int, 10)  # noqa: N815
    buttonTextAlignment = stored(int, 0x81)  # noqa: N815
    indicatorAlignment = stored(int, 0x81)  # noqa: N815
    flat = stored(bool, False)

    def _fold(self, collapsed):
        # As in CTK: children are hidden and come back as they were, hidden ones hidden.
        for child in self.findChildren(
            QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly
        ):
            if collapsed:
                child.setProperty("_visible_unfolded", not child.isHidden())
                child.hide()
            elif child.property("_visible_unfolded") is not False:
                child.show()
        self.setMaximumHeight(_HEADER if collapsed else 16777215)
        if self.layout() is not None:
            self.layout().invalidate()
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def childEvent(self, event):  # noqa: N802
        super().childEvent(event)
        child = event.child()
        if event.added() and isinstance(child, QtWidgets.QWidget) and not self.isChecked():
            child.hide()

    def sizeHint(self):  # noqa: N802
        if self.layout() is None or not self.isChecked():
            return QtCore.QSize(200, _HEADER)
        return self.layout().totalSizeHint()

    def minimumSizeHint(self):  # noqa: N802
        if self.layout() is None or not self.isChecked():
            return QtCore.QSize(100, _HEADER)
        return self.layout().totalMinimumSize()

    def hasHeightForWidth(self):  # noqa: N802
        return self.isChecked() and self.layout() is not None and self.layout().hasHeightForWidth()

    def heightForWidth(self, width):  # noqa: N802
        return self.layout().totalHeightForWidth(width) if self.hasHeightForWidth() else -1

    def hitButton(self, position):  # noqa: N802
        return position.y() < _HEADER

    def paintEvent(self, _event):  # noqa: N802
        painter = QtWidgets.QStylePainter(self)
        if self.isChecked():
            painter.setPen(self.palette().mid().color())
            painter.drawRect(0, _HEADER // 2, self.width() - 1, self.height() - _HEADER // 2 - 1)
        bevel = QtWidgets.QStyleOptionButton()
        bevel.initFrom(self)
        bevel.rect = QtCore.QRect(0, 0, self.width(), _HEADER - 2)
        bevel.state |= QtWidgets.QStyle.StateFlag.State_Raised
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, bevel)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, 5, 12, 12)
        primitive = QtWidgets.QStyle.PrimitiveElement
        down, right = primitive.PE_IndicatorArrowDown, primitive.PE_IndicatorArrowRight
        painter.drawPrimitive(down if self.isChecked() else right, arrow)
        group = QtGui.QPalette.ColorGroup.Active
        if not self.isEnabled():
            group = QtGui.QPalette.ColorGroup.Disabled
        painter.setPen(self.palette().color(group, QtGui.QPalette.ColorRole.WindowText))
        box = QtCore.QRect(24, 0, self.width() - 28, _HEADER - 2)
        painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignVCenter, self.text())


@stand_in()
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):  # noqa: N801
    """A group box whose check mark folds it."""

    def __init__(self, *arguments):
        super().__init__(*[a for a in arguments if a is not None])
        self.setCheckable(True)
        self.toggled.connect(self._show_contents)

    def setCollapsed(self, collapsed):  # noqa: N802
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), setCollapsed)
    collapsedHeight = stored(int, 0)  # noqa: N815

    def _show_contents(self, shown):
        for child in self.findChildren(
            QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly
        ):
            child.setVisible(shown)
            child.setEnabled(True)  # folding hides, it does not disable
        self.setMaximumHeight(16777215 if shown else _HEADER)


@stand_in()
class ctkPathLineEdit(QtWidgets.QWidget):  # noqa: N801
    """A path to type, with a history and a button to browse."""

    currentPathChanged = QtCore.Signal(str)  # noqa: N815
    validInputChanged = QtCore.Signal(bool)  # noqa: N815

    # QDir's filters
    Dirs, Files, Drives, NoSymLinks = 0x001, 0x002, 0x004, 0x008
    Readable, Writable, Executable, Hidden = 0x010, 0x020, 0x040, 0x100
    AllDirs, NoDot, NoDotDot, NoDotAndDotDot = 0x400, 0x2000, 0x4000, 0x6000
    AllEntries = Dirs | Files | Drives

    def __init__(self, parent=None):
        super().__init__(parent)
        self._edit = QtWidgets.QComboBox()
        self._edit.setEditable(True)
        policy = QtWidgets.QSizePolicy.Policy
        self._edit.setSizePolicy(policy.Expanding, policy.Fixed)
        self._edit.setMinimumContentsLength(10)
        self._button = QtWidgets.QToolButton()
        self._button.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._edit, 1)
        layout.addWidget(self._button)
        self.setFocusProxy(self._edit)
        self._edit.editTextChanged.connect(self._on_text)
        self._button.clicked.connect(self.browse)

    def setCurrentPath(self, path):  # noqa: N802
        self._edit.setEditText(path)

    currentPath = QtCore.Property(  # noqa: N815
        str, lambda self: self._edit.currentText(), setCurrentPath
    )
    filters = stored(int, Files)
    nameFilters = stored("QStringList", [])  # noqa: N815
    label = stored(str, "")
    settingKey = stored(str, "")  # noqa: N815
    options = stored(int, 0)
    sizeAdjustPolicy = stored(int, 0)  # noqa: N815
    minimumContentsLength = stored(int, 0)  # noqa: N815
    showBrowseButton = stored(bool, True, "_show_button")  # noqa: N815
    showHistoryButton = stored(bool, True)  # noqa: N815

    def comboBox(self):  # noqa: N802
        return self._edit

    def lineEdit(self):  # noqa: N802
        return self._edit.lineEdit()

    def addCurrentPathToHistory(self):  # noqa: N802
        path = self._edit.currentText()
        if path and self._edit.findText(path) < 0:
            self._edit.addItem(path)

    def browse(self):
        """Ask for a path with ``qt.QFileDialog``, which a test replaces."""
        dialog, folder = QtWidgets.QFileDialog, self._edit.currentText()
        if self.filters & self.Files and self.filters & self.Writable:
            path = dialog.getSaveFileName(self, "Save file", folder)
        elif self.filters & self.Files:
            path = dialog.getOpenFileName(self, "Open file", folder, ";;".join(self.nameFilters))
        else:
            path = dialog.getExistingDirectory(self, "Select a folder", folder)
        if path:
            self.setCurrentPath(path)

    def _on_text(self, text):
        self.currentPathChanged.emit(text)
        self.validInputChanged.emit(os.path.exists(text))

    def _show_button(self):
        self._button.setVisible(self.showBrowseButton)


@stand_in()
class ctkSliderWidget(QtWidgets.QWidget):  # noqa: N801
    """A slider with a spin box."""

    valueChanged = QtCore.Signal(float)  # noqa: N815
    valueIsChanging = QtCore.Signal(float)  # noqa: N815

    _STEPS = 10000

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._slider.setRange(0, self._STEPS)
        self._spin = QtWidgets.QDoubleSpinBox()
        self._spin.setRange(0.0, 99.0)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin)
        self.setFocusProxy(self._spin)
        self._spin.valueChanged.connect(self._on_value)
        self._slider.valueChanged.connect(self._on_slider)

    def setValue(self, value):  # noqa: N802
        self._spin.setValue(value)

    def setRange(self, lowest, highest):  # noqa: N802
        self._spin.setRange(lowest, highest)

    value = QtCore.Property(float, lambda self: self._spin.value(), setValue)
    minimum = forwarded(float, "_spin", "minimum")
    maximum = forwarded(float, "_spin", "maximum")
    singleStep = forwarded(float, "_spin", "singleStep")  # noqa: N815
    decimals = forwarded(int, "_spin", "decimals")
    suffix = forwarded(str, "_spin", "suffix")
    prefix = forwarded(str, "_spin", "prefix")
    pageStep = stored(float, 10.0)  # noqa: N815
    tickInterval = stored(float, 0.0)  # noqa: N815
    tracking = stored(bool, True)
    spinBoxVisible = stored(bool, True, "_show_spin_box")  # noqa: N815

    def spinBox(self):  # noqa: N802
        return self._spin

    def slider(self):
        return self._slider

    def _on_value(self, value):
        span = self._spin.maximum() - self._spin.minimum()
        share = (value - self._spin.minimum()) / span if span else 0.0
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round(share * self._STEPS))
        self._slider.blockSignals(blocked)
        self.valueIsChanging.emit(value)
        self.valueChanged.emit(value)

    def _on_slider(self, position):
        span = self._spin.maximum() - self._spin.minimum()
        self._spin.setValue(self._spin.minimum() + span * position / self._STEPS)

    def _show_spin_box(self):
        self._spin.setVisible(self.spinBoxVisible)


@stand_in()
class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):  # noqa: N801
    """A spin box; here a plain one."""

    decimalsOption = stored(int, 0)  # noqa: N815


@stand_in()
class ctkComboBox(QtWidgets.QComboBox):  # noqa: N801
    """A combo box with a text of its own when nothing is chosen."""

    defaultText = stored(str, "")  # noqa: N815
    elideMode = stored(int, 3)  # noqa: N815


@stand_in()
class ctkMessageBox(QtWidgets.QMessageBox):  # noqa: N801
    """A message box that can be told not to come again."""

    dontShowAgain = stored(bool, False)  # noqa: N815
    dontShowAgainVisible = stored(bool, False)  # noqa: N815
    dontShowAgainSettingsKey = stored(str, "")  # noqa: N815


WIDGETS = {
    kind.__name__: kind
    for kind in (
        ctkCollapsibleButton,
        ctkCollapsibleGroupBox,
        ctkPathLineEdit,
        ctkSliderWidget,
        ctkDoubleSpinBox,
        ctkComboBox,
        ctkMessageBox,
    )
}


def module() -> types.ModuleType:
    """The module ``ctk``."""
    ctk = types.ModuleType("ctk", "Look-alikes of CTK's widgets.")
    for name, kind in WIDGETS.items():
        setattr(ctk, name, kind)
    return ctk

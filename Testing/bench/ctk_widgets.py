"""The module ``ctk``: look-alikes of the CTK widgets that the panel uses."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from .ctk_path_line_edit import ctkPathLineEdit
from .pythonqt import stand_in

_HEADER = 24  # pixels of a section's title
_NO_LIMIT = 16777215  # Qt's QWIDGETSIZE_MAX


def _children(section) -> list:
    return [child for child in section.children() if isinstance(child, QtWidgets.QWidget)]


def _fold_children(section, unfolded) -> None:
    """As in CTK: children are hidden and come back as they were, hidden ones hidden."""
    for child in _children(section):
        if not unfolded:
            child.setProperty("_visible_unfolded", not child.isHidden())
            child.hide()
        elif child.property("_visible_unfolded") is not False:
            child.show()


def _hide_added(section, event) -> None:
    """As in CTK: a child that is added to a folded section waits until it is unfolded."""
    child = event.child()
    if event.added() and isinstance(child, QtWidgets.QWidget) and not section.isChecked():
        child.hide()


def _set_collapsed(section, collapsed) -> None:
    section.setChecked(not collapsed)


@stand_in()
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A titled section; a click on the title folds or unfolds it."""

    contentsCollapsed = QtCore.Signal(bool)
    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), _set_collapsed)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(6, _HEADER + 2, 6, 6)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Preferred, policy.Preferred)
        self.toggled.connect(self._fold)

    def _fold(self, unfolded):
        _fold_children(self, unfolded)
        self.setMaximumHeight(_NO_LIMIT if unfolded else _HEADER)
        if self.layout() is not None:
            self.layout().invalidate()
        self.updateGeometry()
        self.contentsCollapsed.emit(not unfolded)

    def childEvent(self, event):
        super().childEvent(event)
        _hide_added(self, event)

    def _shows_contents(self) -> bool:
        return self.layout() is not None and self.isChecked()

    def sizeHint(self):
        shown = self._shows_contents()
        return self.layout().totalSizeHint() if shown else QtCore.QSize(200, _HEADER)

    def minimumSizeHint(self):
        shown = self._shows_contents()
        return self.layout().totalMinimumSize() if shown else QtCore.QSize(100, _HEADER)

    def hasHeightForWidth(self):
        return self._shows_contents() and self.layout().hasHeightForWidth()

    def hitButton(self, position):
        return position.y() < _HEADER

    def paintEvent(self, _event):
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
        groups = QtGui.QPalette.ColorGroup
        group = groups.Active if self.isEnabled() else groups.Disabled
        painter.setPen(self.palette().color(group, QtGui.QPalette.ColorRole.WindowText))
        box = QtCore.QRect(24, 0, self.width() - 28, _HEADER - 2)
        painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignVCenter, self.text())


@stand_in()
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box whose check mark folds it."""

    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), _set_collapsed)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setCheckable(True)
        self.toggled.connect(self._show_contents)

    def _show_contents(self, shown):
        _fold_children(self, shown)
        for child in _children(self):
            child.setEnabled(True)  # folding hides, it does not disable
        self.setMaximumHeight(_NO_LIMIT if shown else _HEADER)

    def childEvent(self, event):
        super().childEvent(event)
        _hide_added(self, event)


WIDGETS = {
    kind.__name__: kind for kind in (ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkPathLineEdit)
}

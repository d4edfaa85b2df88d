"""A user's hands: clicks and keys, sent by QtTest to whatever lies under them."""

from __future__ import annotations

from PySide6 import QtCore, QtTest, QtWidgets

from .ctk_widgets import ctkCollapsibleButton

_LEFT = QtCore.Qt.MouseButton.LeftButton


def click(widget) -> None:
    """Click a widget in its middle; a section on its title, a check box on its mark.

    Raises:
        AssertionError: the widget is hidden or disabled, so that no user could.
    """
    _demand_usable(widget)
    position = _usual_place(widget)
    target = widget.childAt(position) or widget
    QtTest.QTest.mouseClick(target, _LEFT, pos=target.mapFrom(widget, position))


def type_text(widget, text: str) -> None:
    """Replace an edit field's text by typing, and press Enter.

    Not Tab: off screen no window is active, and the focus, whose loss makes most fields announce
    their new text, may stay.
    """
    target = _part(widget, QtWidgets.QLineEdit)
    _demand_usable(target)
    target.setFocus()
    target.selectAll()
    QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_Delete)
    for letter in text:  # as slowly as people: what a key sets off happens before the next one
        QtTest.QTest.keyClick(target, letter)
        QtWidgets.QApplication.processEvents()
    QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_Return)


def press(widget, key) -> None:
    """Press a key on a widget."""
    target = widget.focusProxy() or widget
    _demand_usable(target)
    QtTest.QTest.keyClick(target, key)


def choose(widget, text: str) -> None:
    """Choose an item of a combo box, of a node's too, by its text, with the keyboard.

    Raises:
        AssertionError: there is no such item.
    """
    combo = _part(widget, QtWidgets.QComboBox)
    _demand_usable(combo)
    texts = [combo.itemText(index) for index in range(combo.count())]
    assert text in texts, f"'{text}' is not among {texts}"
    combo.setFocus()
    combo.showPopup()
    view = combo.view()
    view.setCurrentIndex(
        combo.model().index(texts.index(text), combo.modelColumn(), combo.rootModelIndex())
    )
    QtTest.QTest.keyClick(view, QtCore.Qt.Key.Key_Return)
    # The list closes in an event, and gives the focus back then.
    QtWidgets.QApplication.processEvents()


def _usual_place(widget) -> QtCore.QPoint:
    if isinstance(widget, ctkCollapsibleButton):
        return QtCore.QPoint(40, 10)
    if isinstance(widget, (QtWidgets.QCheckBox, QtWidgets.QRadioButton)):
        return QtCore.QPoint(8, widget.height() // 2)
    return widget.rect().center()


def _demand_usable(widget) -> None:
    name = widget.objectName() or type(widget).__name__
    assert widget.isVisible(), f"{name} is not visible: a section is folded or the panel is closed"
    assert widget.isEnabled(), f"{name} is disabled"


def _part(widget, kind):
    """A widget of some kind: this one, or the one inside it."""
    return widget if isinstance(widget, kind) else widget.findChild(kind)

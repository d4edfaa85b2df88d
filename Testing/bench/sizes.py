"""A panel at the widths that users give it: what is cut, overlaps or sticks out.

Slicer shows a module in a scroll area that never scrolls sideways: a panel that needs more than the
user's width pushes the views away.
"""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

#: Points of Slicer's font.
FONT = 9

_ONE_LINE = (QtWidgets.QPushButton, QtWidgets.QToolButton, QtWidgets.QCheckBox)


def in_scroll_area(panel, width: int, height: int = 900) -> QtWidgets.QScrollArea:
    """Show a panel as Slicer's main window does, at a width in pixels."""
    area = QtWidgets.QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(panel)
    area.resize(width, height)
    area.show()
    panel.show()
    for _ in range(3):  # texts that wrap need the width before they know their height
        QtWidgets.QApplication.processEvents()
    return area


def release(area) -> None:
    """Take the panel out of its scroll area again."""
    area.takeWidget().setParent(None)
    area.deleteLater()


def complaints(area) -> list[str]:
    """What does not fit: one sentence each, with the widget's name."""
    panel, found = area.widget(), []
    if panel.width() > area.viewport().width():
        found.append(
            f"the panel needs {panel.width()} px of {area.viewport().width()}: {_widest(panel)}"
        )
    for widget in panel.findChildren(QtWidgets.QWidget):
        if widget.isVisible() and widget.objectName() and not widget.objectName().startswith("qt_"):
            found += [f"{widget.objectName()}: {what}" for what in _complaints_of(widget)]
    return found


def _widest(panel) -> str:
    """The innermost named widget that needs the most."""
    widgets = [w for w in panel.findChildren(QtWidgets.QWidget) if w.isVisible() and w.objectName()]
    widest = max(widgets, key=lambda w: (w.minimumSizeHint().width(), len(_ancestors(w))))
    return f"{widest.objectName()} {widest.minimumSizeHint().width()}"


def _ancestors(widget) -> list:
    parent = widget.parentWidget()
    return [] if parent is None else [parent, *_ancestors(parent)]


def _complaints_of(widget):
    if isinstance(widget, QtWidgets.QTableWidget):
        yield from _cut_in_table(widget)
    elif isinstance(widget, QtWidgets.QLabel) and widget.wordWrap():
        if widget.heightForWidth(widget.width()) > widget.height():
            yield f"'{widget.text()[:40]}' needs more lines"
        if widget.minimumSizeHint().width() > widget.width():
            yield f"a word of '{widget.text()[:40]}' is cut"
    elif isinstance(widget, (QtWidgets.QLabel, *_ONE_LINE)):
        lacking = widget.sizeHint() - widget.size()
        if max(lacking.width(), lacking.height()) > 0:
            yield f"'{widget.text()[:40]}' is cut"
    yield from _overlaps(widget)


def _cut_in_table(table):
    header, view = table.horizontalHeader(), table.viewport()
    if table.verticalHeader().length() > view.height():
        yield f"rows take {table.verticalHeader().length()} px of {view.height()}"
    if header.length() > view.width():
        yield f"columns take {header.length()} px of {view.width()}"
    for row in range(table.rowCount()):
        wanted = max(table.sizeHintForRow(row), table.verticalHeader().minimumSectionSize())
        if table.rowHeight(row) != wanted:
            yield f"row {row} is {table.rowHeight(row)} px high, its text {wanted}"
    for column in range(table.columnCount()):
        if header.sectionSizeFromContents(column).width() > header.sectionSize(column):
            yield f"the title '{table.horizontalHeaderItem(column).text()}' is cut"


def _overlaps(widget):
    children = [
        child
        for child in widget.children()
        if isinstance(child, QtWidgets.QWidget) and child.isVisible() and child.objectName()
    ]
    for index, one in enumerate(children):
        for other in children[index + 1 :]:
            if one.geometry().intersects(other.geometry()):
                yield f"{one.objectName()} lies over {other.objectName()}"

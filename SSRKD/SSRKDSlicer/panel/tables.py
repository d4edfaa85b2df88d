"""Tables of the panel: exactly as high as their header and rows, read only."""

from __future__ import annotations

import qt


def setColumns(table, titles, stretched=0, most=None):
    """Prepare a table for rows of text.

    Args:
        table: QTableWidget.
        titles: of the columns.
        stretched: column that takes what the others, as wide as their texts, leave.
        most: rows that are shown at a time, where there may be any number; None: all.
    """
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(list(titles))
    table.verticalHeader().setVisible(False)
    header = table.horizontalHeader()
    header.setMinimumSectionSize(24)
    header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    header.setSectionResizeMode(stretched, qt.QHeaderView.Stretch)
    for setPolicy in (table.setVerticalScrollBarPolicy, table.setHorizontalScrollBarPolicy):
        setPolicy(qt.Qt.ScrollBarAlwaysOff)
    # A narrower column wraps its text into more lines. Not at once: the columns are resized one
    # after the other, and rows would be as high as the narrowest column once was.
    later = qt.QTimer(table)
    later.setSingleShot(True)
    later.connect("timeout()", lambda: fitHeight(table, most))
    header.connect("sectionResized(int,int,int)", lambda: later.start(0))


def fitHeight(table, most=None):
    """Make a table as high as its header and rows, or the first ``most`` of them."""
    table.resizeRowsToContents()
    count = table.rowCount
    if most is not None:
        # Never as needed: a bar narrows the column, which makes rows higher, which needs a bar.
        on, off = qt.Qt.ScrollBarAlwaysOn, qt.Qt.ScrollBarAlwaysOff
        table.setVerticalScrollBarPolicy(on if count > most else off)
        count = min(count, most)
    rows = sum(table.rowHeight(row) for row in range(count))
    table.setFixedHeight(table.horizontalHeader().sizeHint.height() + rows + 2 * table.frameWidth)


def measured(value, unit, sign="", expected=None):
    """A clinical measure as a table shows it: degrees by their sign, with the error to be expected.

    Args:
        value: number or None, which is a dash.
        unit: "deg", "mm" or "".
        sign: "+": also of positive numbers.
        expected: number or None.
    """
    if value is None:
        return "–"
    decimals = 1 if unit else 2
    value = round(value, decimals) + 0.0  # no minus before a zero
    after = {"deg": "°", "": ""}.get(unit, f" {unit}")
    error = "" if expected is None else f" ± {expected:.{decimals}f}"
    return f"{value:{sign}.{decimals}f}{after}{error}"


def fillTable(table, rows):
    """Show rows: (texts, tool tip) each."""
    table.setRowCount(len(rows))
    for index, (texts, tip) in enumerate(rows):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setFlags(qt.Qt.ItemIsEnabled)
            item.setToolTip(tip)
            table.setItem(index, column, item)
    fitHeight(table)

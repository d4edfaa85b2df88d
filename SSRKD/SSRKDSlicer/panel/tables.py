"""Tables of the panel: as high as their rows, read only."""

from __future__ import annotations

import qt


def setColumns(table, titles):
    """Prepare a table for rows of text."""
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(list(titles))
    table.verticalHeader().setVisible(False)
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
    table.setSizeAdjustPolicy(qt.QAbstractScrollArea.AdjustToContents)
    table.setVerticalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)


def fillTable(table, rows):
    """Show rows: (texts, tool tip) each."""
    table.setRowCount(len(rows))
    for index, (texts, tip) in enumerate(rows):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setFlags(qt.Qt.ItemIsEnabled)
            item.setToolTip(tip)
            table.setItem(index, column, item)
    table.updateGeometry()

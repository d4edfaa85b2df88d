"""Pictures of panels, alone and beside the views, as Slicer's main window shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

_BAR = 18  # pixels of the coloured bar above a view
_GAP = 2  # pixels between views
_TITLE = 26  # pixels of the module's title


def panel_picture(widget, path, width: int = 480) -> Path:
    """Save a picture of a panel, or of a section of it, at the height that it needs.

    Args:
        widget: a widget; its place and size are put back afterwards.
        path: PNG to write.
        width: of the picture, in pixels, unless the widget stands inside another.

    Returns:
        The path.
    """
    return _save(_panel_image(widget, width), path)


def window_picture(
    panel, path, size=(1600, 900), panel_width: int = 480, scroll: int = 0, title: str = ""
) -> Path:
    """Save a picture of a module's panel at the left and the current layout's views at the right.

    Args:
        panel: the module's panel.
        path: PNG to write.
        size: of the picture, ``(width, height)`` in pixels; a height of 0 takes the panel's.
        panel_width: pixels.
        scroll: pixels by which the panel is scrolled down.
        title: of the module, above the panel.

    Returns:
        The path.
    """
    left = _panel_image(panel, panel_width)
    width, height = size
    height = height or left.height() + _TITLE
    picture = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB888)
    picture.fill(QtGui.QColor("#efefef"))
    painter = QtGui.QPainter(picture)
    _draw_title(painter, title or _title_of(panel), panel_width)
    shown = QtCore.QRect(0, scroll, panel_width, height - _TITLE)
    painter.drawImage(QtCore.QPoint(0, _TITLE), left, shown)
    _draw_views(painter, panel_width + 2 * _GAP, width, height)
    painter.end()
    return _save(picture, path)


def _panel_image(widget, width: int) -> QtGui.QImage:
    if widget.parentWidget() is None:
        size = widget.size()
        widget.ensurePolished()
        widget.show()
        # Texts that wrap need the width before they know their height.
        for _ in range(2):
            layout = widget.layout()
            tall = layout.totalHeightForWidth(width) if layout and layout.hasHeightForWidth() else 0
            widget.resize(width, max(tall, widget.sizeHint().height()))
            QtWidgets.QApplication.processEvents()
        image = widget.grab().toImage()
        widget.resize(size)
    else:
        image = widget.grab().toImage()
    return image.convertToFormat(QtGui.QImage.Format.Format_RGB888)


def _title_of(panel) -> str:
    name = panel.objectName().removeprefix("qSlicer").removesuffix("ModuleWidget")
    module = getattr(slicer.modules, name.lower(), None)
    return module.title if module is not None else name


def _draw_title(painter, title: str, width: int) -> None:
    box = QtCore.QRect(8, 0, width - 16, _TITLE)
    font = painter.font()
    font.setBold(True)
    painter.setFont(font)
    painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignVCenter, f"Modules:  {title}")
    font.setBold(False)
    painter.setFont(font)


def _draw_views(painter, left: int, width: int, height: int) -> None:
    manager = slicer.app.layoutManager()
    places = manager.arrange(width - left, height)
    for name, (x, y, w, h) in places.items():
        manager.resize(name, w - _GAP, h - _BAR - _GAP)
        image = _as_image(manager.grab(name))
        bar = QtCore.QRect(left + x, y, w - _GAP, _BAR)
        painter.fillRect(bar, QtGui.QColor.fromRgbF(*manager.colour(name)))
        painter.drawText(bar.adjusted(6, 0, 0, 0), QtCore.Qt.AlignmentFlag.AlignVCenter,
                         manager.label(name))  # fmt: skip
        painter.drawImage(left + x, y + _BAR, image)


def _as_image(pixels: np.ndarray) -> QtGui.QImage:
    rows, columns, _ = pixels.shape
    kind = QtGui.QImage.Format.Format_RGB888
    return QtGui.QImage(pixels.data, columns, rows, 3 * columns, kind).copy()


def _save(image, path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not image.save(str(path), "PNG"):
        raise OSError(f"Could not write {path}")
    return path

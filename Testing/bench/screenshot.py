"""Pictures of panels, alone and beside the views, as Slicer's main window shows them."""

from __future__ import annotations

from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui

from . import application

_PANEL = 480  # pixels of the panel's width
_BAR = 18  # pixels of the coloured bar above a view
_GAP = 2  # pixels between views
_TITLE = 26  # pixels of the module's title

_RGB = QtGui.QImage.Format.Format_RGB888
_MIDDLE = QtCore.Qt.AlignmentFlag.AlignVCenter


def panel_picture(panel, path) -> Path:
    """Save a picture of a panel, at the height that it needs, as PNG; return the path."""
    return _save(_panel_image(panel), path)


def window_picture(panel, path, size=(1600, 0)) -> Path:
    """Save a picture of a module's panel at the left and the current layout's views at the right.

    Args:
        panel: the module's panel.
        path: PNG to write.
        size: of the picture, ``(width, height)`` in pixels; a height of 0 takes the panel's.

    Returns:
        The path.
    """
    left = _panel_image(panel)
    width, height = size
    height = height or left.height() + _TITLE
    picture = QtGui.QImage(width, height, _RGB)
    picture.fill(QtGui.QColor("#efefef"))
    painter = QtGui.QPainter(picture)
    _draw_title(painter, panel)
    painter.drawImage(0, _TITLE, left)
    _draw_views(painter, _PANEL + 2 * _GAP, width, height)
    painter.end()
    return _save(picture, path)


def _panel_image(panel) -> QtGui.QImage:
    size = panel.size()
    panel.ensurePolished()
    panel.show()
    for _ in range(3):  # texts and tables need the width before they know their height
        layout = panel.layout()
        tall = layout.totalHeightForWidth(_PANEL) if layout and layout.hasHeightForWidth() else 0
        panel.resize(_PANEL, max(tall, panel.sizeHint().height()))
        application.settle()
    image = panel.grab().toImage()
    panel.resize(size)
    return image.convertToFormat(_RGB)


def _draw_title(painter, panel) -> None:
    name = panel.objectName().removeprefix("qSlicer").removesuffix("ModuleWidget")
    module = getattr(slicer.modules, name.lower(), None)
    plain, bold = painter.font(), painter.font()
    bold.setBold(True)
    painter.setFont(bold)
    box = QtCore.QRect(8, 0, _PANEL - 16, _TITLE)
    painter.drawText(box, _MIDDLE, f"Modules:  {module.title if module else name}")
    painter.setFont(plain)


def _draw_views(painter, left: int, width: int, height: int) -> None:
    manager = slicer.app.layoutManager()
    places = manager.arrange(width - left, height)
    for name, (x, y, w, h) in places.items():
        manager.resize(name, w - _GAP, h - _BAR - _GAP)
        pixels = manager.grab(name)
        rows, columns, _ = pixels.shape
        node = manager.view_node(name)
        bar = QtCore.QRect(left + x, y, w - _GAP, _BAR)
        painter.fillRect(bar, QtGui.QColor.fromRgbF(*node.GetLayoutColor()))
        painter.drawText(bar.adjusted(6, 0, 0, 0), _MIDDLE, node.GetLayoutLabel() or name)
        image = QtGui.QImage(pixels.data, columns, rows, 3 * columns, _RGB)
        painter.drawImage(left + x, y + _BAR, image)


def _save(image, path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not image.save(str(path), "PNG"):
        raise OSError(f"Could not write {path}")
    return path

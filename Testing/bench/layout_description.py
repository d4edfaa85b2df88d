"""Layouts as Slicer describes them in XML: boxes in boxes, with views in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

SLICE, THREE_D = "vtkMRMLSliceNode", "vtkMRMLViewNode"


@dataclass(frozen=True)
class View:
    """A view of a layout.

    Attributes:
        kind: class of its view node.
        name: its singleton tag: ``Red``, ``1``.
        orientation: of a slice view, None if the layout names none.
    """

    kind: str
    name: str
    orientation: str | None = None


@dataclass
class Box:
    """Views and boxes in a row, a column or a grid.

    Attributes:
        direction: ``horizontal``, ``vertical``, ``grid`` or ``tab``.
        children: what is inside.
        shares: a number for each child: its share of the box, in any unit.
        cells: row and column of each child of a grid.
    """

    direction: str
    children: list = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    cells: list[tuple[int, int]] = field(default_factory=list)


def parse(xml: str) -> Box:
    """Read a description; ``multiple`` views count once."""
    return _box(ET.fromstring(xml))


def views(box: Box) -> list[View]:
    """All views, in the order of the description."""
    found = []
    for child in box.children:
        found += views(child) if isinstance(child, Box) else [child]
    return found


def rectangles(box: Box, x: int, y: int, width: int, height: int) -> dict[str, tuple]:
    """Where views stand when a box fills a rectangle: ``(x, y, width, height)`` by view name."""
    places = {}
    for child, place in zip(box.children, _cells(box, x, y, width, height)):
        if isinstance(child, Box):
            places.update(rectangles(child, *place))
        else:
            places[child.name] = place
    return places


def _box(element) -> Box:
    box = Box(element.get("type", "horizontal"))
    for item in element.findall("item"):
        content = item.find("layout")
        view = item.find("view")
        if content is not None:
            child = _box(content)
        elif view is not None and view.get("class") in (SLICE, THREE_D):
            child = _view(view)
        else:
            continue  # a table or a plot: the bench shows none
        box.children.append(child)
        box.shares.append(float(item.get("splitSize") or 0) or 1.0)
        box.cells.append((int(item.get("row") or 0), int(item.get("column") or 0)))
    if any(item.get("splitSize") in (None, "", "0") for item in element.findall("item")):
        box.shares = [1.0] * len(box.children)
    return box


def _view(element) -> View:
    properties = {item.get("name"): item.text for item in element.findall("property")}
    name = element.get("singletontag") or ""
    return View(element.get("class"), name, properties.get("orientation"))


def _cells(box: Box, x, y, width, height):
    if box.direction == "tab":
        return [(x, y, width, height)] * min(1, len(box.children))
    if box.direction == "grid":
        rows = 1 + max((row for row, _ in box.cells), default=0)
        columns = 1 + max((column for _, column in box.cells), default=0)
        w, h = width // columns, height // rows
        return [(x + column * w, y + row * h, w, h) for row, column in box.cells]
    cells, total, done = [], sum(box.shares), 0.0
    for share in box.shares:
        start, end = done / total, (done + share) / total
        if box.direction == "vertical":
            top = round(height * start)
            cells.append((x, y + top, width, round(height * end) - top))
        else:
            left = round(width * start)
            cells.append((x + left, y, round(width * end) - left, height))
        done += share
    return cells

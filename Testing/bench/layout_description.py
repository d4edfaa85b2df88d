"""Layouts as Slicer describes them in XML: rows and columns, one in another, of views."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import NamedTuple

SLICE, THREE_D = "vtkMRMLSliceNode", "vtkMRMLViewNode"


class View(NamedTuple):
    """A view of a layout.

    Attributes:
        kind: class of its view node.
        name: its singleton tag: ``Red``, ``1``.
        orientation: of a slice view, None if the layout names none.
    """

    kind: str
    name: str
    orientation: str | None


@dataclass
class Box:
    """Views and boxes in a row or a column.

    Attributes:
        direction: ``horizontal`` or ``vertical``; others are read, but have no rectangles here.
        children: what is inside.
        shares: a number for each child: its share of the box, in any unit.
    """

    direction: str
    children: list = field(default_factory=list)
    shares: list[float] = field(default_factory=list)


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
            properties = {item.get("name"): item.text for item in view.findall("property")}
            child = View(view.get("class"), view.get("singletontag"), properties.get("orientation"))
        else:
            continue  # a table or a plot: the bench shows none
        box.children.append(child)
        box.shares.append(float(item.get("splitSize") or 0) or 1.0)
    if any(item.get("splitSize") in (None, "", "0") for item in element.findall("item")):
        box.shares = [1.0] * len(box.children)
    return box


def _cells(box: Box, x, y, width, height):
    if box.direction not in ("horizontal", "vertical"):
        raise NotImplementedError(f"The bench does not arrange layouts of type '{box.direction}'")
    total, start = sum(box.shares), 0.0
    for share in box.shares:
        end = start + share / total
        if box.direction == "vertical":
            top, bottom = round(height * start), round(height * end)
            yield x, y + top, width, bottom - top
        else:
            left, right = round(width * start), round(width * end)
            yield x + left, y, right - left, height
        start = end

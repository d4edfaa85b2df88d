"""The module's layouts as Slicer knows them: described, and offered in the layout menu.

Made known when Slicer has started, so nothing but the standard library and Slicer is imported here.
"""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

#: Any numbers that Slicer and other extensions do not use: both radiographs and a 3D view; a
#: comparison in one 3D view with slice views of the CT; a comparison in two 3D views.
RADIOGRAPHS = 20813
OVERLAY = RADIOGRAPHS + 1
SIDE_BY_SIDE = RADIOGRAPHS + 2

#: Singleton tags of the radiographs' slice views, by role.
TAGS = {"frontal": "SSRKDFrontal", "lateral": "SSRKDLateral"}

#: View group of each: whoever links the views of one group changes no radiograph.
GROUPS = {role: RADIOGRAPHS + index for index, role in enumerate(TAGS)}

#: Slice views of a comparison's CT: singleton tag, orientation, colour.
STANDARD = (
    ("Red", "Axial", "#F34A33"),
    ("Green", "Coronal", "#6EB04B"),
    ("Yellow", "Sagittal", "#EDD54C"),
)

_ICONS = Path(__file__).resolve().parents[2] / "Resources" / "Icons"

#: Layout number: title in the menu, tool tip, icon.
_IN_MENU = {
    RADIOGRAPHS: (
        _("Knee radiographs"),
        _("Frontal and lateral radiograph, 3D"),
        "LayoutRadiographs",
    ),
    OVERLAY: (_("Knee comparison"), _("Bones and reference in one 3D view, CT"), "LayoutOverlay"),
    SIDE_BY_SIDE: (
        _("Knees side by side"),
        _("Bones and reference in two 3D views"),
        "LayoutSideBySide",
    ),
}

_SLICE = """<view class="vtkMRMLSliceNode" singletontag="{tag}">
  <property name="orientation" action="default">{orientation}</property>
  <property name="viewlabel" action="default">{label}</property>
  <property name="viewcolor" action="default">{colour}</property></view>"""

_THREE_D = """<view class="vtkMRMLViewNode" singletontag="{tag}">
  <property name="viewlabel" action="default">{tag}</property></view>"""


def _row(*items):
    """Views, or columns of them, side by side; (share, description) each."""
    inside = "".join(f'<item splitSize="{share}">{item}</item>' for share, item in items)
    return f'<layout type="horizontal" split="true">{inside}</layout>'


def _column(views):
    """Slice views, (tag, orientation, label, colour) each, one below the other."""
    keys = ("tag", "orientation", "label", "colour")
    inside = "".join(f"<item>{_SLICE.format(**dict(zip(keys, view)))}</item>" for view in views)
    return f'<layout type="vertical" split="true">{inside}</layout>'


def _descriptions():
    radiographs = (
        (TAGS["frontal"], "Coronal", "F", "#6EB04B"),
        (TAGS["lateral"], "Sagittal", "L", "#EDD54C"),
    )
    standard = [(tag, orientation, tag[0], colour) for tag, orientation, colour in STANDARD]
    first, second = (_THREE_D.format(tag=tag) for tag in ("1", "2"))
    return {
        RADIOGRAPHS: _row((500, _column(radiographs)), (500, first)),
        OVERLAY: _row((600, first), (400, _column(standard))),
        SIDE_BY_SIDE: _row((500, first), (500, second)),
    }


def register():
    """Make the layouts known, and offer them in Slicer's menu of layouts; again is harmless."""
    manager = slicer.app.layoutManager()
    if manager is None:  # no main window: a script
        return
    node = manager.layoutLogic().GetLayoutNode()
    for number, description in _descriptions().items():
        if node.IsLayoutDescription(number):
            node.SetLayoutDescription(number, description)
        else:
            node.AddLayoutDescription(number, description)
    _offer()


def _offer():
    window = slicer.util.mainWindow()
    bar = window.findChild(qt.QToolBar, "ViewToolBar") if window is not None else None
    button = bar.widgetForAction(bar.actions()[0]) if bar is not None and bar.actions() else None
    if button is None or button.menu() is None:  # a customised application without the menu
        return
    menu = button.menu()
    present = [action.data() for action in menu.actions()]
    for number, (title, tip, icon) in _IN_MENU.items():
        if number not in present:
            action = menu.addAction(title)
            action.setData(number)
            action.setToolTip(tip)
            action.setIcon(qt.QIcon(str(_ICONS / f"{icon}.png")))

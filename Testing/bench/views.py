"""Slice and 3D views: drawn by trame-slicer's views off screen, with Slicer's names on top."""

from __future__ import annotations

import slicer
from trame_slicer.views.abstract_view import AbstractView, ViewProps
from trame_slicer.views.render_scheduler import NoScheduleRendering
from trame_slicer.views.slice_view import SliceView
from trame_slicer.views.threed_view import ThreeDView

from . import faults

# Rendering behind a test's back would also render while a scene is closing, and VTK then floods
# the log with errors: views are drawn when somebody asks.
_ON_DEMAND = NoScheduleRendering


class _Quiet:
    """Takes the layout's node, and leaves it and its camera alone when the scene is closed."""

    def set_scene(self, scene):
        AbstractView.set_scene(self, scene)
        self._logic.SetMRMLScene(scene)
        if self._view_node is None:
            self._adopt(scene.GetSingletonNode(self.name, self.node_class))

    def _adopt(self, node):
        self.set_view_node(node)

    def reset_view(self):
        pass


class _QuietSliceView(_Quiet, SliceView):
    node_class = "vtkMRMLSliceNode"

    def _adopt(self, node):
        self._logic.SetSliceNode(node)
        self.set_view_node(node)

    def _reset_node_view_properties(self):
        node = self._view_node
        if node is not None and self._view_properties.orientation is not None:
            node.SetOrientation(self._view_properties.orientation)


class _QuietThreeDView(_Quiet, ThreeDView):
    node_class = "vtkMRMLViewNode"


def make_view(kind: str, name: str, orientation: str | None = None):
    """An off-screen view.

    Args:
        kind: class of its view node.
        name: its singleton tag.
        orientation: of a slice view.
    """
    made = _QuietSliceView if kind == _QuietSliceView.node_class else _QuietThreeDView
    logic = slicer.app.applicationLogic()
    with faults.warnings_unprinted():  # of VTK, about an event that trame-slicer observes
        view = made(slicer.mrmlScene, logic, name, scheduled_render_strategy=_ON_DEMAND())
    # With multisampling, translucent models vanish from off-screen pictures.
    view.render_window().SetMultiSamples(0)
    if made is _QuietSliceView:
        view.set_view_properties(ViewProps(orientation=orientation))
    return view


def observe(view, node) -> None:
    """Let a view's displayable managers follow its node, and so the scene; with None, nothing."""
    view._displayable_manager_group.SetMRMLDisplayableNode(node)


def lay_out(view, width: int, height: int) -> None:
    """Give a view a size as Slicer's layout does: a slice view keeps the height that it showed."""
    view.render_window().SetSize(width, height)
    view.interactor().UpdateSize(width, height)
    if isinstance(view, SliceView):
        view._logic.ResizeSliceNode(width, height)


def resize(view, width: int, height: int) -> None:
    """Give a view a size in pixels; a slice view keeps in sight what it showed."""
    if tuple(view.render_window().GetSize()) == (width, height):
        return
    if not isinstance(view, SliceView):
        lay_out(view, width, height)
        return
    node = view.get_view_node()
    shown = node.GetFieldOfView()
    columns, rows, slices = node.GetDimensions()
    lay_out(view, width, height)
    if columns > 1 and rows > 1:
        spacing = max(shown[0] / width, shown[1] / height)
        node.SetDimensions(width, height, slices)
        node.SetFieldOfView(spacing * width, spacing * height, shown[2])


def _stand_in(name: str, methods: dict):
    """A class of Slicer's name.

    Args:
        name: of the class.
        methods: by their names in Slicer, functions of trame-slicer's view.
    """

    def method(function):
        return lambda self: function(self._view)

    members = {key: method(function) for key, function in methods.items()}
    members["__init__"] = lambda self, view: setattr(self, "_view", view)
    return type(name, (), members)


_RESET = {"resetFocalPoint": lambda view: view.reset_focal_point()}
_VIEW = {
    "renderWindow": lambda view: view.render_window(),
    "forceRender": lambda view: view.render(),
    "cameraNode": lambda view: view.get_camera_node(),
}

SliceWidget = _stand_in(
    "qMRMLSliceWidget",
    {
        "sliceLogic": lambda view: view._logic,
        "mrmlSliceNode": lambda view: view.get_view_node(),
        "interactorStyle": lambda view: view._interactor_observer,
    },
)
ThreeDWidget = _stand_in(
    "qMRMLThreeDWidget",
    {
        "threeDController": _stand_in("qMRMLThreeDViewControllerWidget", _RESET),
        "threeDView": _stand_in("qMRMLThreeDView", {**_RESET, **_VIEW}),
        "mrmlViewNode": lambda view: view.get_view_node(),
    },
)

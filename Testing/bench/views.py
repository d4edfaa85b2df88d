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


class _QuietSliceView(SliceView):
    """Takes the layout's slice node; leaves it alone when the scene is closed: MRML resets it."""

    def set_scene(self, scene):
        AbstractView.set_scene(self, scene)
        self._logic.SetMRMLScene(scene)
        if self._view_node is None:
            node = scene.GetSingletonNode(self.name, "vtkMRMLSliceNode")
            self._logic.SetSliceNode(node)
            self.set_view_node(node)

    def _reset_node_view_properties(self):
        node = self._view_node
        if node is not None and self._view_properties.orientation is not None:
            node.SetOrientation(self._view_properties.orientation)

    def reset_view(self):
        pass


class _QuietThreeDView(ThreeDView):
    """Takes the layout's view node; keeps the camera when the scene is closed, as Slicer does."""

    def set_scene(self, scene):
        AbstractView.set_scene(self, scene)
        self._logic.SetMRMLScene(scene)
        if self._view_node is None:
            node = scene.GetSingletonNode(self.name, "vtkMRMLViewNode")
            self.set_view_node(node)

    def reset_view(self):
        pass


def make_slice_view(name: str, orientation: str | None):
    """An off-screen slice view named by its singleton tag."""
    view = _make(_QuietSliceView, name)
    view.set_view_properties(ViewProps(orientation=orientation))
    return view


def make_three_d_view(name: str):
    """An off-screen 3D view named by its singleton tag."""
    return _make(_QuietThreeDView, name)


def _make(kind, name: str):
    logic = slicer.app.applicationLogic()
    with faults.warnings_unprinted():  # of VTK, about an event that trame-slicer observes
        view = kind(slicer.mrmlScene, logic, name, scheduled_render_strategy=_ON_DEMAND())
    # With multisampling, translucent models vanish from off-screen pictures.
    view.render_window().SetMultiSamples(0)
    return view


def detach(view) -> None:
    """Let a view's displayable managers look away from the scene, until :func:`attach`."""
    view._displayable_manager_group.SetMRMLDisplayableNode(None)


def attach(view) -> None:
    """Let a view's displayable managers look at the scene again."""
    view._displayable_manager_group.SetMRMLDisplayableNode(view.get_view_node())


def resize(view, width: int, height: int) -> None:
    """Give a view a size in pixels; a slice view keeps in sight what it showed."""
    if tuple(view.render_window().GetSize()) == (width, height):
        return
    view.render_window().SetSize(width, height)
    view.interactor().UpdateSize(width, height)
    if not isinstance(view, SliceView):
        return
    node = view.get_view_node()
    shown = node.GetFieldOfView()
    columns, rows, slices = node.GetDimensions()
    view._logic.ResizeSliceNode(width, height)
    if columns > 1 and rows > 1:
        spacing = max(shown[0] / width, shown[1] / height)
        node.SetDimensions(width, height, slices)
        node.SetFieldOfView(spacing * width, spacing * height, shown[2])


class ViewFace:
    """What qMRMLSliceView and qMRMLThreeDView have in common."""

    def __init__(self, view):
        self._view = view

    def renderWindow(self):  # noqa: N802
        return self._view.render_window()

    def interactor(self):
        return self._view.interactor()

    def interactorStyle(self):  # noqa: N802
        return self._view._interactor_observer

    def forceRender(self):  # noqa: N802
        self._view.render()

    def scheduleRender(self):  # noqa: N802
        """Does nothing: a view is drawn when it is asked for."""

    def displayableManagerByClassName(self, name):  # noqa: N802
        return self._view.get_displayable_manager_by_class(name)


class SliceViewFace(ViewFace):
    """qMRMLSliceView."""

    def mrmlSliceNode(self):  # noqa: N802
        return self._view.get_view_node()


class ThreeDViewFace(ViewFace):
    """qMRMLThreeDView."""

    def mrmlViewNode(self):  # noqa: N802
        return self._view.get_view_node()

    def cameraNode(self):  # noqa: N802
        return self._view.get_camera_node()

    def renderer(self):
        return self._view.renderer()

    def resetFocalPoint(self):  # noqa: N802
        """Look at the middle of what is visible; the camera's distance stays."""
        self._view.reset_focal_point()

    def resetCamera(self, rotation=True, translation=True, distance=True):  # noqa: N802
        self.cameraNode().Reset(rotation, translation, distance, self._view.renderer())

    def lookFromAxis(self, axis, _up=None):  # noqa: N802
        """Look from a side: 1 right, 2 left, 3 posterior, 4 anterior, 5 inferior, 6 superior."""
        self.cameraNode().RotateTo(_DIRECTIONS[int(axis)])


# ctkAxesWidget's sides as vtkMRMLCameraNode's directions.
_DIRECTIONS = {
    1: slicer.vtkMRMLCameraNode.Right,
    2: slicer.vtkMRMLCameraNode.Left,
    3: slicer.vtkMRMLCameraNode.Posterior,
    4: slicer.vtkMRMLCameraNode.Anterior,
    5: slicer.vtkMRMLCameraNode.Inferior,
    6: slicer.vtkMRMLCameraNode.Superior,
}


class Controller:
    """The bar above a view; nothing of it is drawn."""

    def __init__(self, view, face):
        self._view = view
        self._face = face

    def setVisible(self, _visible):  # noqa: N802
        """Does nothing."""

    def fitSliceToBackground(self):  # noqa: N802
        self._view._logic.FitSliceToBackground()

    def setSliceVisible(self, visible):  # noqa: N802
        self._view.get_view_node().SetSliceVisible(visible)

    def setSliceOffsetValue(self, offset):  # noqa: N802
        self._view._logic.SetSliceOffset(offset)

    def resetFocalPoint(self):  # noqa: N802
        self._face.resetFocalPoint()


class SliceWidget:
    """qMRMLSliceWidget."""

    def __init__(self, view):
        self._view = view
        self._face = SliceViewFace(view)
        self._controller = Controller(view, self._face)

    def sliceLogic(self):  # noqa: N802
        return self._view._logic

    def mrmlSliceNode(self):  # noqa: N802
        return self._view.get_view_node()

    def mrmlSliceCompositeNode(self):  # noqa: N802
        return self._view._logic.GetSliceCompositeNode()

    def sliceView(self):  # noqa: N802
        return self._face

    def sliceController(self):  # noqa: N802
        return self._controller

    def interactorStyle(self):  # noqa: N802
        return self._face.interactorStyle()

    def fitSliceToBackground(self):  # noqa: N802
        self._controller.fitSliceToBackground()


class ThreeDWidget:
    """qMRMLThreeDWidget."""

    def __init__(self, view):
        self._view = view
        self._face = ThreeDViewFace(view)
        self._controller = Controller(view, self._face)

    def threeDView(self):  # noqa: N802
        return self._face

    def threeDController(self):  # noqa: N802
        return self._controller

    def mrmlViewNode(self):  # noqa: N802
        return self._view.get_view_node()

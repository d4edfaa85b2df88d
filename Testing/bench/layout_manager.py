"""``slicer.app.layoutManager()``: layouts of the scene's layout node, with views to look at."""

from __future__ import annotations

import contextlib

import numpy as np
import slicer
import vtk
from PySide6 import QtCore
from vtk.util.numpy_support import vtk_to_numpy

from . import layout_description, views
from .pythonqt import stand_in

FOUR_UP = 3
_SIZE = (400, 300)  # pixels of a view that no window has sized


@stand_in(exposed="layoutLogic setLayout sliceWidget mrmlSliceLogics threeDWidget resetThreeDViews")
class LayoutManager(QtCore.QObject):
    """Makes the views that layouts name, when a layout first shows them."""

    def __init__(self):
        super().__init__()
        self._views = {}  # trame-slicer's, by singleton tag
        self._widgets = {}
        self._unsized = set()  # views of the layout that no event has given their size yet
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._logic.SetMRMLScene(slicer.mrmlScene)
        node = self._logic.GetLayoutNode()
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_layout)
        scene = slicer.mrmlScene
        scene.AddObserver(scene.EndCloseEvent, self._on_layout)
        scene.AddObserver(scene.EndImportEvent, self._on_layout)
        self.setLayout(FOUR_UP)

    # Slicer's names

    def layoutLogic(self):
        return self._logic

    def setLayout(self, layout):
        self._logic.GetLayoutNode().SetViewArrangement(layout)
        self._on_layout()

    layout = QtCore.Property(
        int, lambda self: self._logic.GetLayoutNode().GetViewArrangement(), setLayout
    )

    def _of_kind(self, kind) -> dict:
        return {name: w for name, w in self._widgets.items() if isinstance(w, kind)}

    def sliceWidget(self, name):
        return self._of_kind(views.SliceWidget).get(name)

    def mrmlSliceLogics(self):
        return slicer.app.applicationLogic().GetSliceLogics()

    threeDViewCount = QtCore.Property(int, lambda self: len(self._of_kind(views.ThreeDWidget)))

    def threeDWidget(self, index):
        widgets = list(self._of_kind(views.ThreeDWidget).values())
        return widgets[index] if index < len(widgets) else None

    def resetThreeDViews(self):
        for widget in self._of_kind(views.ThreeDWidget).values():
            widget.threeDController().resetFocalPoint()

    # The bench's

    def _current(self) -> layout_description.Box:
        return layout_description.parse(self._logic.GetLayoutNode().GetCurrentLayoutDescription())

    def arrange(self, width: int, height: int) -> dict[str, tuple]:
        """Size the current layout's views to fill a window.

        Returns:
            By name of each view, its place in the window: ``(x, y, width, height)``, in pixels.
        """
        places = layout_description.rectangles(self._current(), 0, 0, width, height)
        for name, (_, _, w, h) in places.items():
            self.resize(name, w, h)
        return places

    def resize(self, name: str, width: int, height: int) -> None:
        """Give a view a size in pixels."""
        self._unsized.discard(name)
        views.resize(self._views[name], max(int(width), 16), max(int(height), 16))

    def grab(self, name: str) -> np.ndarray:
        """Draw a view; return its picture, uint8 ``[row, column, RGB]``, top row first."""
        view = self._views[name]
        view.render()
        view.render_window().Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(view.render_window())
        grabber.SetInputBufferTypeToRGB()
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOff()
        grabber.Update()
        image = grabber.GetOutput()
        columns, rows, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)
        return np.ascontiguousarray(pixels[::-1])

    def view_node(self, name: str):
        """A view's node."""
        return self._views[name].get_view_node()

    def reset(self) -> None:
        """Slicer's first layout, views of the first size, cameras where they start."""
        self.setLayout(FOUR_UP)
        for name in self._views:
            self.resize(name, *_SIZE)
        for widget in self._of_kind(views.ThreeDWidget).values():
            camera = widget.threeDView().cameraNode()
            camera.SetFocalPoint(0.0, 0.0, 0.0)
            camera.SetPosition(0.0, 500.0, 0.0)
            camera.SetViewUp(0.0, 0.0, 1.0)

    @contextlib.contextmanager
    def detached(self):
        """Let no view look at the scene.

        While a scene is read, the subject hierarchy is not resolved, and a 3D view's managers
        would walk up from a model in a folder for ever.
        """
        for view in self._views.values():
            views.observe(view, None)
        try:
            yield
        finally:
            for view in self._views.values():
                views.observe(view, view.get_view_node())
            self._on_layout()

    # Making and mapping views

    def _on_layout(self, *_) -> None:
        if slicer.mrmlScene.IsClosing() or slicer.mrmlScene.IsImporting():
            return
        node = self._logic.GetLayoutNode()
        if node is None or not node.GetCurrentLayoutDescription():
            return
        shown = layout_description.views(self._current())
        for view in shown:
            if view.name not in self._views:
                self._make(view)
        names = {view.name for view in shown}
        for name, view in self._views.items():
            if name in names and not view.get_view_node().IsMappedInLayout():
                self._unsized.add(name)
                QtCore.QTimer.singleShot(0, self._lay_out)
            view.set_mapped_in_layout(name in names)

    def _make(self, view: layout_description.View) -> None:
        made = views.make_view(view.kind, view.name, view.orientation)
        widget = views.SliceWidget if view.kind == layout_description.SLICE else views.ThreeDWidget
        self._views[view.name], self._widgets[view.name] = made, widget(made)

    def _lay_out(self) -> None:
        """Size views that a layout shows anew, as Slicer's window does once events are handled."""
        for name in self._unsized:
            views.lay_out(self._views[name], *_SIZE)
        self._unsized.clear()

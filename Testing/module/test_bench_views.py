"""The bench's views: layouts, slices, models and markups in them, pictures."""

from __future__ import annotations

import numpy as np
import pytest
import vtk

from Testing.bench import layout_description, screenshot

LAYOUT = """
<layout type="horizontal" split="true">
 <item splitSize="500"><layout type="vertical" split="true">
  <item><view class="vtkMRMLSliceNode" singletontag="BenchFrontal">
   <property name="orientation" action="default">Coronal</property>
   <property name="viewlabel" action="default">F</property>
   <property name="viewcolor" action="default">#6EB04B</property></view></item>
  <item><view class="vtkMRMLSliceNode" singletontag="BenchLateral">
   <property name="orientation" action="default">Sagittal</property>
   <property name="viewlabel" action="default">L</property>
   <property name="viewcolor" action="default">#EDD54C</property></view></item>
 </layout></item>
 <item splitSize="500"><view class="vtkMRMLViewNode" singletontag="1">
   <property name="viewlabel" action="default">1</property></view></item>
</layout>"""
NUMBER = 777


@pytest.fixture
def manager(slicer):
    """The layout manager, with the default layout."""
    return slicer.app.layoutManager()


@pytest.fixture
def two_films(manager):
    """A layout with two slice views and a 3D view."""
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(NUMBER):
        node.AddLayoutDescription(NUMBER, LAYOUT)
    manager.setLayout(NUMBER)
    return manager


def box(slicer, size=(40.0, 60.0, 80.0), centre=(0.0, 0.0, 0.0), colour=(1.0, 0.0, 0.0)):
    source = vtk.vtkCubeSource()
    source.SetXLength(size[0])
    source.SetYLength(size[1])
    source.SetZLength(size[2])
    source.SetCenter(*centre)
    source.Update()
    node = slicer.modules.models.logic().AddModel(source.GetOutput())
    node.GetDisplayNode().SetColor(*colour)
    return node


def coloured(picture, channel=0):
    """Pixels in which one channel stands out."""
    others = [c for c in range(3) if c != channel]
    return (picture[..., channel] > 90) & (picture[..., others].max(axis=-1) < 60)


def extent(mask):
    """Width and height in pixels of what is set."""
    rows, columns = np.nonzero(mask)
    return np.ptp(columns) + 1, np.ptp(rows) + 1


def test_slicer_s_views_are_there(manager):
    assert {"Red", "Green", "Yellow"} <= set(manager.sliceViewNames())
    assert (manager.layout, manager.threeDViewCount) == (3, 1)
    assert manager.sliceWidget("Red").mrmlSliceNode().GetOrientation() == "Axial"
    assert manager.sliceWidget("Nobody") is None
    assert manager.threeDWidget(0).threeDView().mrmlViewNode().GetID() == "vtkMRMLViewNode1"


def test_a_layout_of_one_s_own_makes_its_views(two_films, slicer):
    frontal = two_films.sliceWidget("BenchFrontal")
    node = frontal.mrmlSliceNode()
    assert node is slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeBenchFrontal")
    assert (node.GetOrientation(), node.GetLayoutLabel()) == ("Coronal", "F")
    assert two_films.sliceWidget("BenchLateral").mrmlSliceNode().GetOrientation() == "Sagittal"
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    assert node.IsMappedInLayout() and not red.IsMappedInLayout()
    places = two_films.arrange(1000, 600)
    assert places["BenchFrontal"] == (0, 0, 500, 300)
    assert places["BenchLateral"] == (0, 300, 500, 300)
    assert places["1"] == (500, 0, 500, 600)


def test_layouts_set_on_the_node_are_followed_and_told(manager):
    told = []
    manager.connect("layoutChanged(int)", told.append)
    manager.layoutLogic().GetLayoutNode().SetViewArrangement(4)  # 3D only
    assert told == [4]
    assert [view.name for view in layout_description.views(manager.current())] == ["1"]
    manager.disconnect("layoutChanged(int)", told.append)


def test_a_model_is_cut_by_a_slice_view_at_its_size(two_films, slicer):
    display = box(slicer).GetDisplayNode()
    assert not coloured(two_films.grab("BenchFrontal")).any()
    display.SetVisibility2D(True)
    two_films.resize("BenchFrontal", 400, 400)
    node = two_films.sliceWidget("BenchFrontal").mrmlSliceNode()
    node.SetFieldOfView(200.0, 200.0, 1.0)
    width, height = extent(coloured(two_films.grab("BenchFrontal")))
    assert (width, height) == (pytest.approx(80, abs=4), pytest.approx(160, abs=4))
    node.SetSliceOffset(100.0)  # beside the model
    assert not coloured(two_films.grab("BenchFrontal")).any()
    display.SetSliceDisplayModeToProjection()
    width, height = extent(coloured(two_films.grab("BenchFrontal")))
    assert (width, height) == (pytest.approx(80, abs=4), pytest.approx(160, abs=4))


def test_a_model_is_shown_only_in_the_views_it_names(two_films, slicer):
    display = box(slicer).GetDisplayNode()
    display.SetVisibility2D(True)
    display.AddViewNodeID("vtkMRMLSliceNodeBenchLateral")
    assert not coloured(two_films.grab("BenchFrontal")).any()
    assert coloured(two_films.grab("BenchLateral")).any()
    assert not coloured(two_films.grab("1")).any()


def test_a_translucent_model_is_seen_in_the_3d_view(manager, slicer):
    display = box(slicer).GetDisplayNode()
    slicer.util.resetThreeDViews()
    solid = coloured(manager.grab("1")).sum()
    assert solid > 1000
    empty_corner = manager.grab("1")[5, 5].astype(int)
    display.SetOpacity(0.5)
    picture = manager.grab("1").astype(int)
    centre = picture[150, 200]
    assert centre[0] > centre[2]
    assert centre[2] > 40  # the background shines through
    assert np.array_equal(picture[5, 5], empty_corner)


def film(slicer, rows=60, columns=40):
    array = np.zeros((1, rows, columns), np.uint8)
    array[0, :20, :10] = 255  # upper left
    matrix = np.array([[2.0, 0, 0, -40], [0, 0, 1.0, 0], [0, -2.0, 0, 60], [0, 0, 0, 1]])
    node = slicer.util.addVolumeFromArray(array, matrix, "Film")
    node.GetDisplayNode().SetInterpolate(False)
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(255, 127)
    return node


def show(manager, name, volume):
    logic = manager.sliceWidget(name).sliceLogic()
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
    manager.sliceWidget(name).sliceController().fitSliceToBackground()


def test_a_volume_is_shown_in_a_slice_view_and_its_plane_in_3d(two_films, slicer):
    show(two_films, "BenchFrontal", film(slicer))
    picture = two_films.grab("BenchFrontal")[..., 0]
    rows, columns = np.nonzero(picture > 200)
    height, width = picture.shape
    assert len(rows) > 500
    assert rows.mean() < height / 2
    assert columns.mean() > width / 2  # the patient's right, -x, is at the left: column 0 at right
    node = two_films.sliceWidget("BenchFrontal").mrmlSliceNode()
    before = two_films.grab("1")
    node.SetSliceVisible(1)
    white = (two_films.grab("1").min(axis=-1) > 230) & (before.min(axis=-1) <= 230)
    assert white.sum() > 200
    node.SetSliceVisible(0)
    assert np.array_equal(two_films.grab("1"), before)


def test_a_segmentation_is_shown_in_slices_and_in_3d(two_films, slicer):
    array = np.zeros((40, 40, 40), np.int16)
    volume = slicer.util.addVolumeFromArray(array, name="CT")
    show(two_films, "BenchFrontal", volume)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("a", "a", (0.0, 1.0, 0.0))
    array[10:30, 10:30, 10:30] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(array.astype(np.uint8), node, "a", volume)
    assert (two_films.grab("BenchFrontal")[..., 1] > 200).sum() > 50
    assert not coloured(two_films.grab("1"), 1).any()
    node.CreateClosedSurfaceRepresentation()
    slicer.util.resetThreeDViews()
    assert coloured(two_films.grab("1"), 1).sum() > 100


@pytest.mark.parametrize("kind", ["Line", "Fiducial", "ClosedCurve", "ROI"])
def test_markups_are_drawn(two_films, slicer, kind):
    plain = two_films.grab("BenchFrontal")
    node = slicer.mrmlScene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node")
    for x, z in ((-30, -30), (30, -30), (30, 30))[: 2 if kind in ("Line", "ROI") else 3]:
        node.AddControlPoint(x, 0, z)
    if kind == "ROI":
        node.SetSize(60, 60, 60)
    node.CreateDefaultDisplayNodes()
    assert (two_films.grab("BenchFrontal") != plain).any(axis=-1).sum() > 30


def test_a_point_is_placed_by_a_click(two_films, slicer):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.CreateDefaultDisplayNodes()
    slicer.modules.markups.logic().StartPlaceMode(False)
    slicer.app.applicationLogic().GetSelectionNode().SetReferenceActivePlaceNodeID(node.GetID())
    widget = two_films.sliceWidget("BenchFrontal")
    two_films.grab("BenchFrontal")
    width, height = widget.sliceView().renderWindow().GetSize()
    middle = (width // 2, height // 2)
    slicer.util.clickAndDrag(widget, start=middle, end=middle, steps=0)
    assert node.GetNumberOfDefinedControlPoints() == 1
    assert np.allclose(node.GetNthControlPointPosition(0), 0.0, atol=1.0)


def test_views_outlive_a_closed_scene(two_films, slicer):
    box(slicer)
    two_films.grab("1")
    slicer.mrmlScene.Clear(0)
    assert two_films.layout == NUMBER
    node = two_films.sliceWidget("BenchFrontal").mrmlSliceNode()
    assert node is slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeBenchFrontal")
    assert node.IsMappedInLayout()
    assert not coloured(two_films.grab("1")).any()
    box(slicer).GetDisplayNode().SetVisibility2D(True)
    slicer.util.resetThreeDViews()
    assert coloured(two_films.grab("1")).sum() > 1000
    assert coloured(two_films.grab("BenchFrontal")).any()


def test_cameras_are_nodes_and_can_be_reset(manager, slicer):
    box(slicer, centre=(300.0, 0.0, 0.0))
    view = manager.threeDWidget(0).threeDView()
    view.resetFocalPoint()
    assert view.cameraNode().GetFocalPoint()[0] == pytest.approx(300, abs=1)
    view.resetCamera()
    assert coloured(manager.grab("1")).sum() > 1000


def test_pictures_show_panel_and_views(two_films, slicer, tmp_path):
    import qt

    box(slicer).GetDisplayNode().SetVisibility2D(True)
    slicer.util.resetThreeDViews()
    panel = qt.QWidget()
    layout = qt.QVBoxLayout(panel)
    label = qt.QLabel("<b>x</b>")
    label.styleSheet = "background: #00ff00"
    layout.addWidget(label)
    path = screenshot.window_picture(panel, tmp_path / "w.png", size=(900, 500), panel_width=300)
    image = qt.QImage(str(path))
    assert (image.width(), image.height()) == (900, 500)
    colours = {image.pixelColor(x, y).name() for x in range(0, 900, 3) for y in range(0, 500, 3)}
    assert {"#00ff00", "#6eb04b", "#edd54c", "#000000"} <= colours
    single = qt.QImage(str(screenshot.panel_picture(label, tmp_path / "p.png")))
    assert single.width() == label.width
    assert single.pixelColor(2, 2).name() == "#00ff00"

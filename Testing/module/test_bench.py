"""Contracts of the bench: what the module's tests take for granted of it."""

from __future__ import annotations

import functools
import hashlib
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import qt
import vtk
from PIL import Image

from SSRKDLib.surfaces.mesh_files import read_mesh
from Testing import bench
from Testing.bench import application, check, faults, mrml_widgets, screenshot, user
from Testing.bench.pythonqt import Inside
from Testing.module.cases import ROOT

TOOL = """
from slicer.ScriptedLoadableModule import *
VERSION = 1
class BenchTool(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        self.parent.categories = ["Testing"]
class BenchToolWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        self.calls = []
        for call in ("enter", "exit", "cleanup"):
            setattr(self, call, lambda call=call: self.calls.append(call))
class BenchToolLogic(ScriptedLoadableModuleLogic):
    pass
"""


def test_bench_boots_alone_without_torch_and_before_pyside():
    code = "from Testing import bench; assert bench.boot() is bench.boot(); import sys; "
    code += "print({'torch', 'matplotlib'} & set(sys.modules))"
    for before, words in (("", "set()"), ("import PySide6; ", "before PySide6 is imported")):
        command = [sys.executable, "-c", before + code]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert words in done.stdout + done.stderr


def test_bench_check_names_the_packages_to_install(monkeypatch):
    assert check.complaint() == ""
    monkeypatch.setattr(check, "LIBRARIES", {"libnot-there.so.7": ("libnot7",)})
    monkeypatch.setattr(check, "PACKAGES", {"not_there": "not-there"})
    assert "apt-get install libnot7" in check.complaint()
    assert "missing: not-there. Run: make setup" in check.complaint()


def test_bench_hosts_a_module_from_loading_to_shutting_down(slicer, tmp_path):
    path = tmp_path / "BenchTool.py"
    with pytest.raises(FileNotFoundError):
        bench.load_module(path)
    path.write_text(TOOL)
    logic = bench.load_module(path).BenchToolLogic()
    assert slicer.modules.benchtool.categories == ("Testing",)
    old = bench.open_module("BenchTool")
    assert old.parent.isEntered
    path.write_text(TOOL.replace("VERSION = 1", "VERSION = 22"))
    new = bench.reload_module("BenchTool")
    assert sys.modules["BenchTool"].VERSION == 22
    assert slicer.modules.BenchToolWidget is new is not old
    bench.close_module("BenchTool")
    bench.shut_down_module("BenchTool")
    assert (old.calls, new.calls) == (["enter", "cleanup"], ["exit", "cleanup"])
    assert not hasattr(slicer.modules, "BenchToolWidget")
    assert logic.getParameterNode() is logic.getParameterNode()
    slicer.mrmlScene.Clear(0)
    assert logic.getParameterNode().GetAttribute("ModuleName") == "BenchTool"


def test_bench_keeps_faults_in_slots_observers_and_vtk(slicer, capfd):
    def fail(*_):
        raise ValueError("unseen")

    button = qt.QPushButton()
    button.connect("clicked()", fail)
    button.click()
    qt.QTimer.singleShot(0, fail)
    application.settle()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, fail)
    node.Modified()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLNoSuchNode")
    kept = faults.take()
    assert ["ValueError: unseen" in text for text in kept] == [True, True, True, False]
    assert "ERROR: In " in kept[3]
    assert capfd.readouterr().err.count("ValueError: unseen") == 3


def test_bench_records_dialogs_and_refuses_those_that_nobody_answers(slicer, dialogs):
    slicer.util.errorDisplay("no")
    dialogs.answer = lambda kind, text: "yes" in text
    assert not slicer.util.confirmYesNoDisplay("and now?")
    assert dialogs.shown == [("error", "no"), ("yes_no", "and now?")]
    with pytest.raises(RuntimeError, match="nobody is there"):
        qt.QFileDialog.getOpenFileName(None, "Open")
    with pytest.raises(RuntimeError, match="installs nothing"):
        slicer.util.pip_install("torch")


def test_bench_python_slicer_is_a_launcher_whose_child_outlives_it(slicer):
    process = qt.QProcess()
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(30)"
    process.start("PythonSlicer", ["-c", code])
    assert process.waitForReadyRead(20000)
    child = int(process.readAllStandardOutput().data())
    process.kill()
    assert process.waitForFinished(5000)
    os.kill(child, 0)  # it is still there
    os.kill(child, signal.SIGKILL)


def test_bench_properties_are_attributes_enums_numbers_and_lists_tuples():
    button = qt.QPushButton("Go")
    button.enabled, button.name = False, "goButton"
    assert (button.text, button.enabled, button.objectName) == ("Go", False, "goButton")
    with pytest.raises(TypeError):
        button.text()
    spin = qt.QSpinBox()
    spin.value = 999
    assert (spin.value, type(qt.QDoubleSpinBox().value)) == (99, float)
    assert qt.Qt.Checked == 2
    assert isinstance(qt.QWidget().children(), tuple)


@pytest.mark.parametrize(
    ("kind", "name", "value", "words"),
    [
        ("QPushButton", "tooltip", "typo", "does not exist"),
        ("QPushButton", "click", 3, "can not be overwritten"),
        ("QPushButton", "text", 5, "does not accept"),
        ("QPushButton", "text", None, "does not accept"),
        ("QPushButton", "checked", np.bool_(True), "does not accept"),
        ("QPushButton", "width", 5, "not writable"),
        ("ctkCollapsibleButton", "collapse", True, "does not exist"),
        ("qMRMLNodeComboBox", "nodeType", ["x"], "does not exist"),
    ],
)
def test_bench_raises_on_wrong_attributes_of_cpp_objects(slicer, kind, name, value, words):
    import ctk

    made = next(getattr(m, kind) for m in (qt, ctk, slicer) if hasattr(m, kind))()
    with pytest.raises(AttributeError, match=words):
        setattr(made, name, value)
    with pytest.raises(AttributeError, match="no attribute named 'nope'"):
        _ = made.nope
    derived = type("Mine", (type(made),), {})()
    derived.other = 2
    assert derived.other == 2


def test_bench_slots_get_the_arguments_they_take_of_signals_that_exist():
    got, button = [], qt.QPushButton()
    button.checkable = True
    button.connect("clicked(bool)", lambda on: got.append(on))
    button.connect("clicked()", lambda *a: got.append(a))
    button.connect("clicked(bool)", lambda: got.append("none"))
    button.connect("toggled(bool)", functools.partial(lambda tag, *a: got.append((tag, *a)), "t"))
    with pytest.raises(RuntimeError, match="'clickd.bool.' does not exist"):
        button.connect("clickd(bool)", print)
    assert button.connect("clicked()", got.clear)
    assert button.disconnect("clicked()", got.clear)
    assert not button.disconnect("clicked()", got.clear)
    button.click()
    assert sorted(map(str, got)) == sorted(["True", "()", "none", "('t', True)"])


def test_bench_sections_fold_and_keep_hidden_what_was_hidden():
    import ctk

    section, shown, hidden = ctk.ctkCollapsibleButton(), qt.QLineEdit(), qt.QLabel("b")
    layout = qt.QVBoxLayout(section)
    for widget in (shown, hidden):
        layout.addWidget(widget)
    hidden.hide()
    section.show()
    user.click(section)
    assert section.collapsed
    with pytest.raises(AssertionError, match="not visible"):
        user.type_text(shown, "7.5")
    section.collapsed = False
    user.type_text(shown, "7.5")
    assert (shown.text, shown.visible, hidden.visible) == ("7.5", True, False)


@pytest.fixture
def selector(slicer):
    """A combo box of volumes."""
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    selector.show()
    return selector


def test_bench_a_node_combo_box_follows_the_scene(slicer, selector):
    chosen, added = [], []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda n: chosen.append(n and n.GetName()))
    add = slicer.mrmlScene.AddNewNodeByClass
    first, second = (add("vtkMRMLScalarVolumeNode", name) for name in ("AP", "Lateral"))
    add("vtkMRMLTextNode", "Note")
    second.SetName("LAT")
    with pytest.raises(AssertionError, match="'Note' is not among .'AP', 'LAT'"):
        user.choose(selector, "Note")
    user.choose(selector, "LAT")
    slicer.mrmlScene.RemoveNode(second)
    selector.noneEnabled, selector.baseName = True, "Film"
    selector.connect("nodeAddedByUser(vtkMRMLNode*)", added.append)
    user.choose(selector, "Create new Film")
    assert added == [selector.currentNode()]
    user.choose(selector, "None")
    selector.setCurrentNode(first)
    slicer.mrmlScene.Clear(0)
    assert chosen == ["AP", "LAT", "AP", "Film", None, "AP", None]


def test_bench_a_node_combo_box_that_is_gone_no_longer_listens(slicer, selector, monkeypatch):
    heard = []
    kind = mrml_widgets.qMRMLNodeComboBox
    monkeypatch.setattr(kind, "_fits", lambda self, node: heard.append(id(self)))
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert id(selector) in heard
    selector.deleteLater()
    application.settle()
    heard.clear()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert id(selector) not in heard


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_bench_pictures_keep_their_first_row_on_top(slicer, tmp_path, ending):
    rows = np.zeros((40, 60), np.uint8)
    rows[:10, :20] = 200
    Image.fromarray(rows).save(tmp_path / f"film.{ending}")
    grey = slicer.util.loadVolume(str(tmp_path / f"film.{ending}"), {"singleFile": True})
    (read,) = slicer.util.arrayFromVolume(grey)
    np.testing.assert_allclose(read.astype(int), rows, atol=30)


def test_bench_refuses_files_and_options_that_it_cannot_read(slicer, tmp_path):
    with pytest.raises(RuntimeError, match="File not found"):
        slicer.util.loadVolume(str(tmp_path / "none.nrrd"))
    with pytest.raises(NotImplementedError, match="reads no VolumeFile with .*labelmap"):
        slicer.util.loadVolume(str(tmp_path / "none.nrrd"), {"labelmap": True})
    with pytest.raises(NotImplementedError, match=r"to \.mrb files only"):
        slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    path = tmp_path / "x.ui"
    path.write_text('<ui version="4.0"><widget class="qMRMLSegmentEditorWidget" name="y"/></ui>')
    with pytest.raises(RuntimeError, match="without a stand-in: qMRMLSegmentEditorWidget"):
        slicer.util.loadUI(str(path))


def test_bench_samples_are_checked(slicer, tmp_path, caplog):
    import SampleData

    film = tmp_path / f"{tmp_path.name}.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(film)
    source = [
        "Film",
        [film.as_uri()],
        [film.name],
        ["Film"],
        ["VolumeFile"],
        [f"SHA256:{'0' * 64}"],
    ]
    logic = SampleData.SampleDataLogic()
    assert logic.click(SampleData.SampleDataSource(*source)) == []
    assert "checksum" in caplog.text
    source[-1] = ["SHA256:" + hashlib.sha256(film.read_bytes()).hexdigest()]
    (node,) = logic.click(SampleData.SampleDataSource(*source))
    assert (node.GetName(), node.GetStorageNode()) == ("Film", None)


def box(slicer):
    """A red model of 40 x 60 x 80 mm, seen in slice views."""
    source = vtk.vtkCubeSource()
    source.SetBounds(-20, 20, -30, 30, -40, 40)
    source.Update()
    node = slicer.modules.models.logic().AddModel(source.GetOutput())
    node.GetDisplayNode().SetColor(1.0, 0.0, 0.0)
    node.GetDisplayNode().SetVisibility2D(True)
    return node


def test_bench_exports_in_world_coordinates_when_asked(slicer, tmp_path):
    model = box(slicer)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, np.diag([2.0, 2.0, 2.0, 1.0]))
    model.SetAndObserveTransformNodeID(transform.GetID())
    for world, size in ((False, 40.0), (True, 80.0)):
        path = str(tmp_path / f"{world}.ply")
        assert slicer.util.exportNode(model, path, {}, world=world)
        assert np.ptp(read_mesh(path).vertices[:, 0]) == pytest.approx(size)
    assert model.GetStorageNode() is None


@pytest.fixture
def views(slicer):
    """The layout manager, showing Red, Green, Yellow and one 3D view."""
    return Inside(slicer.app.layoutManager())


def extent(picture, channel=0):
    """Width and height in pixels of what has one colour."""
    others = np.delete(picture, channel, axis=-1).max(axis=-1)
    rows, columns = np.nonzero((picture[..., channel] > 90) & (others < 60))
    return (np.ptp(columns) + 1, np.ptp(rows) + 1) if len(rows) else (0, 0)


def test_bench_views_are_those_of_the_layout(views, slicer):
    red = views.sliceWidget("Red").mrmlSliceNode()
    assert (red.GetID(), red.GetOrientation()) == ("vtkMRMLSliceNodeRed", "Axial")
    assert views.sliceWidget("Nobody") is None
    places = views.arrange(1000, 600)
    assert places["Red"] == (0, 0, 500, 300)
    assert places["Yellow"] == (500, 300, 500, 300)
    views.layoutLogic().GetLayoutNode().SetViewArrangement(4)  # 3D only
    assert (views.layout, red.IsMappedInLayout(), views.threeDViewCount) == (4, False, 1)


def test_bench_models_are_cut_at_their_size_where_they_may_be_seen(views, slicer):
    display = box(slicer).GetDisplayNode()
    views.resize("Green", 400, 400)
    node = views.sliceWidget("Green").mrmlSliceNode()
    node.SetFieldOfView(200.0, 200.0, 1.0)
    size = (pytest.approx(80, abs=4), pytest.approx(160, abs=4))
    assert extent(views.grab("Green")) == size
    node.SetSliceOffset(100.0)  # beside the model
    assert extent(views.grab("Green")) == (0, 0)
    display.SetSliceDisplayModeToProjection()
    assert extent(views.grab("Green")) == size
    display.AddViewNodeID("vtkMRMLSliceNodeYellow")
    assert extent(views.grab("Green")) == extent(views.grab("1")) == (0, 0)
    assert min(extent(views.grab("Yellow"))) > 30


def test_bench_volumes_and_segmentations_are_where_they_belong(views, slicer):
    array = np.zeros((40, 40, 40), np.uint8)
    array[20:, :, 20:] = 200  # towards the head and, by this matrix, the patient's left
    ct = slicer.util.addVolumeFromArray(array, np.diag([-1.0, -1.0, 1.0, 1.0]), "CT")
    slicer.util.setSliceViewerLayers(background=ct, fit=True)
    rows, columns = np.nonzero(views.grab("Green").min(axis=-1) > 150)
    assert len(rows) > 500
    assert rows.mean() < 150 < 200 < columns.mean()  # above, and at the right
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    node.GetSegmentation().AddEmptySegment("a", "a", (0.0, 1.0, 0.0))
    slicer.util.updateSegmentBinaryLabelmapFromArray(array // 200, node, "a", ct)
    node.CreateClosedSurfaceRepresentation()
    slicer.util.resetThreeDViews()
    assert min(extent(views.grab("1"), 1)) > 5


def test_bench_views_outlive_a_closed_scene_and_show_what_is_behind_models(views, slicer):
    node, blue = views.sliceWidget("Green").mrmlSliceNode(), []
    for opacity in (1.0, 0.5):
        box(slicer).GetDisplayNode().SetOpacity(opacity)
        blue.append(views.grab("1")[130:170, 190:210, 2].mean())
        slicer.mrmlScene.Clear(0)
    assert blue[0] + 30 < blue[1] < views.grab("1")[130:170, 190:210, 2].mean() - 30
    assert node is slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeGreen")
    assert node.IsMappedInLayout()


def test_bench_a_point_is_placed_by_a_click_and_drawn(views, slicer):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.CreateDefaultDisplayNodes()
    slicer.modules.markups.logic().StartPlaceMode(False)
    slicer.app.applicationLogic().GetSelectionNode().SetReferenceActivePlaceNodeID(node.GetID())
    before = views.grab("Green")
    slicer.util.clickAndDrag(views.sliceWidget("Green"), start=(200, 150), end=(200, 150), steps=0)
    assert np.allclose(node.GetNthControlPointPosition(0), 0.0, atol=1.0)
    assert (views.grab("Green") != before).any(axis=-1).sum() > 30


def test_bench_pictures_show_panel_and_views(views, slicer, tmp_path):
    panel = qt.QLabel("x")
    panel.styleSheet = "background: #00ff00"
    path = screenshot.window_picture(panel, tmp_path / "w.png", size=(1100, 500))
    image = np.asarray(Image.open(path))
    assert image.shape == (500, 1100, 3)
    assert (image[26:, :480] == (0, 255, 0)).all(axis=-1).any()
    red = np.multiply(slicer.util.getNode("vtkMRMLSliceNodeRed").GetLayoutColor(), 255)
    assert (image[5, 484:780] == np.round(red)).all(axis=-1).any()

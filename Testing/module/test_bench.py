"""The bench: it comes up alone, hosts a module, sees faults, launches Python, reads and writes."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import vtk

from Testing import bench
from Testing.bench import check, dicom, faults, module_host, user

ROOT = Path(__file__).resolve().parents[2]

TOOL = """
import vtk
import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

VERSION = 1


class BenchTool(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Bench tool")
        self.parent.categories = ["Testing"]
        slicer.app.connect("startupCompleted()", self.onStartup)
        self.started = 0

    def onStartup(self):
        self.started += 1


class BenchToolWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.calls = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        ui = slicer.util.loadUI(self.resourcePath("UI/BenchTool.ui"))
        self.layout.addWidget(ui)
        self.ui = slicer.util.childWidgetVariables(ui)
        ui.setMRMLScene(slicer.mrmlScene)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onClosed)

    def onApply(self):
        self.calls.append(self.ui.selector.currentNode().GetName())

    def onClosed(self, caller, event):
        self.calls.append("closed")

    def enter(self):
        self.calls.append("enter")

    def exit(self):
        self.calls.append("exit")

    def cleanup(self):
        self.calls.append("cleanup")
        self.removeObservers()


class BenchToolLogic(ScriptedLoadableModuleLogic):
    pass


class BenchToolTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.delayDisplay("testing")
        self.assertEqual(slicer.util.modulePath("BenchTool"), __file__)
        BenchToolTest.ran = True
"""

PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>BenchTool</class>
<widget class="qMRMLWidget" name="BenchTool"><layout class="QVBoxLayout">
 <item><widget class="ctkCollapsibleButton" name="section">
  <property name="text"><string>Input</string></property>
  <property name="collapsed"><bool>true</bool></property>
  <layout class="QFormLayout">
   <item row="0" column="0"><widget class="QLabel" name="label">
    <property name="text"><string>Model:</string></property></widget></item>
   <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="selector">
    <property name="nodeTypes"><stringlist><string>vtkMRMLModelNode</string></stringlist></property>
    <property name="noneEnabled"><bool>true</bool></property>
    <property name="addEnabled"><bool>false</bool></property></widget></item>
   <item row="1" column="1"><widget class="ctkPathLineEdit" name="folder">
    <property name="filters"><set>ctkPathLineEdit::Dirs|ctkPathLineEdit::NoDot</set></property>
   </widget></item>
   <item row="2" column="1"><widget class="ctkSliderWidget" name="slider">
    <property name="maximum"><double>10.0</double></property>
    <property name="value"><double>2.5</double></property></widget></item>
  </layout></widget></item>
 <item><widget class="QPushButton" name="applyButton">
  <property name="text"><string>Apply</string></property></widget></item>
</layout></widget>
<customwidgets><customwidget><class>qMRMLWidget</class><extends>QWidget</extends>
<header>qMRMLWidget.h</header><container>1</container></customwidget></customwidgets>
<resources/><connections><connection><sender>BenchTool</sender>
<signal>mrmlSceneChanged(vtkMRMLScene*)</signal><receiver>selector</receiver>
<slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>
"""


@pytest.fixture
def tool(tmp_path, slicer):
    """A small module, loaded from files of its own."""
    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    (tmp_path / "Resources" / "UI" / "BenchTool.ui").write_text(PANEL)
    path = tmp_path / "BenchTool.py"
    path.write_text(TOOL)
    yield bench.load_module(path)
    module_host.unload_module("BenchTool")
    sys.path.remove(str(tmp_path))


def sphere(slicer, name="Ball", radius=30.0):
    source = vtk.vtkSphereSource()
    source.SetRadius(radius)
    source.SetThetaResolution(32)
    source.SetPhiResolution(32)
    source.Update()
    node = slicer.modules.models.logic().AddModel(source.GetOutput())
    node.SetName(name)
    return node


def test_boots_alone_and_without_torch_and_matplotlib():
    code = (
        "import sys\n"
        "from Testing import bench\n"
        "assert bench.boot() is bench.boot()\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "ERROR" not in result.stderr


def test_check_names_the_packages_to_install(monkeypatch):
    assert check.complaint() == ""
    monkeypatch.setattr(check, "LIBRARIES", {"libnot-there.so.7": ("libnot7",)})
    assert "apt-get install libnot7" in check.complaint()


def test_a_module_is_loaded_opened_closed_and_shut_down(tool, slicer):
    assert slicer.modules.benchtool.title == "Bench tool"
    assert slicer.modules.benchtool.categories == ("Testing",)
    assert "BenchTool" in slicer.util.moduleNames()
    bench.start_up()
    assert slicer.modules.BenchToolInstance.started == 1
    widget = bench.open_module("BenchTool")
    assert slicer.util.getModuleWidget("BenchTool") is widget
    assert widget.parent.isEntered
    slicer.mrmlScene.Clear(0)
    bench.close_module("BenchTool")
    bench.shut_down_module("BenchTool")
    assert widget.calls == ["enter", "closed", "exit", "cleanup"]
    slicer.mrmlScene.Clear(0)
    assert widget.calls[-1] == "cleanup"


def test_a_panel_is_clicked_and_typed_into(tool, slicer, tmp_path):
    widget = bench.open_module("BenchTool")
    ui = widget.ui
    assert ui.section.collapsed
    with pytest.raises(AssertionError, match="not visible"):
        user.click(ui.slider)
    user.click(ui.section)
    assert not ui.section.collapsed
    assert (ui.slider.value, ui.slider.maximum, ui.folder.filters) == (2.5, 10.0, 0x2001)
    user.type_text(ui.folder, str(tmp_path))
    assert ui.folder.currentPath == str(tmp_path)
    user.type_text(ui.slider, "7.5")
    assert ui.slider.value == 7.5
    sphere(slicer, "Knee")
    assert ui.selector.currentNode() is None
    user.choose(ui.selector, "Knee")
    user.click(ui.applyButton)
    assert widget.calls == ["enter", "Knee"]


def test_a_module_is_reloaded_from_its_changed_source(tool, slicer, tmp_path):
    old = bench.open_module("BenchTool")
    path = tmp_path / "BenchTool.py"
    path.write_text(TOOL.replace("VERSION = 1", "VERSION = 22"))
    new = bench.reload_module("BenchTool")
    assert sys.modules["BenchTool"].VERSION == 22
    assert new is not old
    assert old.calls[-1] == "cleanup"
    assert new.calls == []
    assert new.parent.isEntered
    assert new.ui.applyButton is not old.ui.applyButton
    assert slicer.modules.BenchToolWidget is new


def test_a_module_s_self_test_runs(tool, slicer):
    slicer.selfTests["BenchTool"]()
    assert tool.BenchToolTest.ran


def test_parameter_nodes_are_singletons_that_outlive_closing(tool, slicer):
    logic = tool.BenchToolLogic()
    node = logic.getParameterNode()
    assert logic.getParameterNode() is node
    assert node.GetAttribute("ModuleName") == "BenchTool"
    slicer.mrmlScene.Clear(0)
    assert logic.getParameterNode().GetAttribute("ModuleName") == "BenchTool"


def test_faults_in_slots_observers_and_vtk_are_kept(slicer, capfd):
    import qt

    def fail(*_):
        raise ValueError("in the dark")

    button = qt.QPushButton("x")
    button.connect("clicked()", fail)
    button.click()
    assert "in the dark" in faults.take()[0]
    button.clicked.connect(fail)
    button.click()
    assert len(faults.take()) == 2
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, fail)
    node.Modified()
    assert "ValueError" in faults.take()[0]
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLNoSuchNode")
    assert "ERROR: In " in faults.take()[0]
    assert "in the dark" in capfd.readouterr().err


def test_dialogs_are_recorded_and_answered(slicer, dialogs):
    slicer.util.errorDisplay("no")
    assert slicer.util.confirmOkCancelDisplay("sure?")
    dialogs.answer = lambda kind, text: "yes" in text
    assert not slicer.util.confirmYesNoDisplay("and now?")
    assert dialogs.shown == [("error", "no"), ("ok_cancel", "sure?"), ("yes_no", "and now?")]
    assert dialogs.texts("error") == ["no"]


def test_settings_clipboard_and_start_up_are_the_application_s(slicer):
    import qt

    slicer.app.settings().setValue("SSRKD/device", "cpu")
    assert qt.QSettings().value("SSRKD/device") == "cpu"
    assert slicer.util.settingsValue("SSRKD/device", "") == "cpu"
    slicer.app.settings().remove("SSRKD/device")
    assert not slicer.app.userSettings().contains("SSRKD/device")
    slicer.app.clipboard().setText("log")
    assert slicer.app.clipboard().text() == "log"
    assert slicer.util.mainWindow().className() == "qSlicerMainWindow"
    assert os.path.isdir(slicer.app.temporaryPath)
    assert slicer.util.tempDirectory().startswith(slicer.app.temporaryPath)


def test_dicom_instances_are_found(slicer, tmp_path):
    dicom.register_instance("1.2.3", tmp_path / "a.dcm")
    assert slicer.dicomDatabase.isOpen
    assert slicer.dicomDatabase.fileForInstance("1.2.3") == str(tmp_path / "a.dcm")
    assert slicer.app.dicomDatabase().fileForInstance("4") == ""


def test_python_slicer_forwards_streams_and_exit_code(slicer):
    import qt

    process = qt.QProcess()
    ends = []
    process.connect("finished(int,QProcess::ExitStatus)", lambda *how: ends.append(how))
    code = "import sys; print(sys.stdin.readline().upper(), file=sys.stderr); sys.exit(3)"
    process.start("PythonSlicer", ["-c", code])
    process.write(b"hello\n")
    assert process.waitForFinished(20000)
    assert process.readAllStandardError().data().strip() == b"HELLO"
    assert ends == [(3, 0)]
    assert process.state() == qt.QProcess.NotRunning == 0


def test_python_slicer_s_child_outlives_a_killed_launcher(slicer):
    import qt

    process = qt.QProcess()
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(30)"
    process.start("PythonSlicer", ["-c", code])
    assert process.waitForReadyRead(20000)
    child = int(process.readAllStandardOutput().data())
    assert child != process.processId()
    process.kill()
    assert process.waitForFinished(5000)
    os.kill(child, 0)  # it is still there
    os.kill(child, signal.SIGKILL)


SAMPLE = textwrap.dedent(
    """\
    # vtk DataFile Version 3.0
    triangle
    ASCII
    DATASET POLYDATA
    POINTS 3 float
    0 0 0  1 0 0  0 1 0
    POLYGONS 1 4
    3 0 1 2
    """
)


@pytest.mark.parametrize("right", [True, False])
def test_samples_are_fetched_checked_and_loaded(slicer, tmp_path, right):
    import SampleData

    file = tmp_path / "triangle.vtk"
    file.write_text(SAMPLE)
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if right else "0" * 64
    slicer.modules.sampleDataSources.clear()
    for _ in range(2):  # the second time it is there already
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="SSRKD",
            sampleName="Triangle",
            uris=file.as_uri(),
            fileNames=f"{tmp_path.name}.vtk",
            nodeNames="Tri",
            loadFileType="ModelFile",
            checksums=f"SHA256:{digest}",
        )
    assert len(slicer.modules.sampleDataSources["SSRKD"]) == 1
    logic = SampleData.SampleDataLogic()
    if not right:
        path = logic.downloadSamples("Triangle")[0]
        assert not os.path.exists(path)
        assert slicer.mrmlScene.GetFirstNodeByName("Tri") is None
        return
    node = logic.downloadSample("Triangle")
    assert node.GetName() == "Tri"
    assert node.GetPolyData().GetNumberOfPoints() == 3
    assert node.GetStorageNode() is None

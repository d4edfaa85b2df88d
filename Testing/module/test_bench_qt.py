"""The bench's Qt behaves like PythonQt; its ctk and qMRML widgets like Slicer's."""

from __future__ import annotations

import functools

import pytest

from Testing.bench import user


@pytest.fixture
def qt(slicer):
    import qt

    return qt


def test_properties_are_attributes(qt):
    button = qt.QPushButton("Go")
    button.enabled = False
    button.name = "goButton"
    button.toolTip = "Go on"
    assert (button.text, button.enabled, button.objectName) == ("Go", False, "goButton")
    assert button.name == "goButton"
    with pytest.raises(TypeError):
        button.text()
    button.setText("Stop")
    assert button.text == "Stop"
    spin = qt.QSpinBox()
    spin.maximum = 10
    spin.value = 99
    assert spin.value == 10
    assert isinstance(qt.QDoubleSpinBox().value, float)
    assert qt.QWidget().visible is False


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("tooltip", "typo", "does not exist"),
        ("click", 3, "can not be overwritten"),
        ("text", 5, "does not accept"),
        ("text", None, "does not accept"),
        ("width", 5, "not writable"),
    ],
)
def test_wrong_attributes_raise(qt, name, value, word):
    with pytest.raises(AttributeError, match=word):
        setattr(qt.QPushButton("Go"), name, value)


def test_unknown_attributes_raise_but_not_on_classes_of_one_s_own(qt, slicer):
    import ctk

    with pytest.raises(AttributeError, match="no attribute named 'nope'"):
        _ = qt.QLabel().nope
    with pytest.raises(AttributeError, match="does not exist"):
        slicer.qMRMLNodeComboBox().nodeType = ["x"]
    with pytest.raises(AttributeError, match="does not exist"):
        ctk.ctkCollapsibleButton().collapse = True

    class Mine(qt.QLabel):
        def __init__(self):
            qt.QLabel.__init__(self)
            self.mine = 1

    label = Mine()
    label.other = 2
    label.text = "x"
    assert (label.mine, label.other, label.text) == (1, 2, "x")


def test_dynamic_properties_are_attributes_once_they_are_there(qt):
    label = qt.QLabel()
    label.setProperty("bone", "femur")
    label.bone = "tibia"
    assert label.property("bone") == label.bone == "tibia"


def test_slots_get_the_arguments_they_take(qt):
    got = []
    button = qt.QPushButton()
    button.checkable = True
    button.connect("clicked(bool)", lambda on: got.append(on))
    button.connect("clicked()", lambda *a: got.append(a))
    button.connect("clicked(bool)", lambda: got.append("none"))
    button.connect("toggled(bool)", functools.partial(lambda tag, *a: got.append((tag, *a)), "t"))
    button.click()
    assert sorted(map(str, got)) == sorted(["True", "()", "none", "('t', True)"])


def test_connections_are_made_to_what_exists_and_undone(qt):
    got = []
    button = qt.QPushButton()
    with pytest.raises(RuntimeError, match="does not exist"):
        button.connect("clickd(bool)", print)
    with pytest.raises(RuntimeError, match="not a signature"):
        button.connect("clicked", print)
    assert button.connect("clicked()", got.append)
    assert button.disconnect("clicked()", got.append)
    assert not button.disconnect("clicked()", got.append)
    button.click()
    assert got == []


def test_enums_are_numbers_and_lists_are_tuples(qt):
    assert int(qt.Qt.Checked) == 2 == qt.Qt.Checked
    assert qt.QProcess.NotRunning == 0
    assert isinstance(qt.QWidget().children(), tuple)
    box = qt.QMessageBox
    assert int(box.Ok | box.Cancel) == 0x400 | 0x400000


def test_timers_fire_by_class_and_by_object(qt, slicer):
    fired = []
    qt.QTimer.singleShot(0, lambda: fired.append("static"))
    timer = qt.QTimer()
    timer.singleShot = True
    timer.interval = 1
    timer.connect("timeout()", lambda: fired.append("object"))
    timer.start()
    loop = qt.QEventLoop()
    qt.QTimer.singleShot(30, loop.quit)
    loop.exec_()
    assert fired == ["static", "object"]
    assert not timer.active


def test_the_widgets_of_a_panel_work(qt):
    combo = qt.QComboBox()
    combo.addItem("a", "A")
    combo.addItem("b", "B")
    chosen = []
    combo.connect("currentIndexChanged(int)", chosen.append)
    combo.currentIndex = 1
    assert (combo.currentText, combo.currentData, combo.count, chosen) == ("b", "B", 2, [1])
    combo.setCurrentIndex(combo.findData("A"))
    assert combo.itemData(0) == "A"
    group = qt.QButtonGroup()
    ids = []
    for number in range(2):
        group.addButton(qt.QRadioButton(str(number)), number)
    group.connect("idClicked(int)", ids.append)
    group.button(1).click()
    assert (group.checkedId(), ids) == (1, [1])
    table = qt.QTableWidget(2, 3)
    table.setItem(0, 0, qt.QTableWidgetItem("femur"))
    table.setCellWidget(0, 1, qt.QCheckBox())
    table.cellWidget(0, 1).checked = True
    assert (table.rowCount, table.columnCount) == (2, 3)
    assert table.item(0, 0).text() == "femur"
    assert table.cellWidget(0, 1).checked
    text = qt.QPlainTextEdit()
    text.appendPlainText("one")
    assert text.plainText == "one"
    progress = qt.QProgressBar()
    progress.value = 40
    assert (progress.value, progress.maximum) == (40, 100)
    form = qt.QFormLayout()
    form.addRow("x", text)
    assert form.rowCount() == 1
    dialog = qt.QDialog()
    qt.QTimer.singleShot(0, dialog.accept)
    assert dialog.exec_() == qt.QDialog.Accepted


def test_processes_tell_how_they_fare(qt):
    process = qt.QProcess()
    told = []
    process.connect("started()", lambda: told.append("started"))
    process.connect("errorOccurred(QProcess::ProcessError)", lambda how: told.append(int(how)))
    process.connect(
        "readyReadStandardOutput()",
        lambda: told.append(process.readAllStandardOutput().data()),
    )
    environment = qt.QProcessEnvironment.systemEnvironment()
    environment.insert("BONE", "patella")
    process.setProcessEnvironment(environment)
    process.start("sh", ["-c", "printf $BONE"])
    assert process.waitForFinished(10000)
    assert told == ["started", b"patella"]
    process.start("no-such-program", [])
    process.waitForFinished(1000)
    assert told[2:] == [int(qt.QProcess.FailedToStart)]


def test_dialogs_nobody_answers_say_so_and_can_be_replaced(qt, monkeypatch):
    import ctk

    with pytest.raises(RuntimeError, match="nobody is there"):
        qt.QFileDialog.getOpenFileName(None, "Open")
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: "/somewhere")
    edit = ctk.ctkPathLineEdit()
    edit.filters = ctk.ctkPathLineEdit.Dirs
    edit.browse()
    assert edit.currentPath == "/somewhere"


def test_sections_fold_and_keep_hidden_what_was_hidden(qt):
    import ctk

    section = ctk.ctkCollapsibleButton("Model")
    layout = qt.QVBoxLayout(section)
    labels = [qt.QLabel("a"), qt.QLabel("b")]
    for label in labels:
        layout.addWidget(label)
    labels[1].hide()
    section.show()
    told = []
    section.connect("contentsCollapsed(bool)", told.append)
    user.click(section)
    assert section.collapsed and not labels[0].visible
    section.collapsed = False
    assert (labels[0].visible, labels[1].visible) == (True, False)
    assert told == [True, False]


def test_a_slider_widget_keeps_slider_and_number_together(qt):
    import ctk

    widget = ctk.ctkSliderWidget()
    widget.minimum, widget.maximum, widget.decimals = 100.0, 300.0, 1
    widget.suffix = " mm"
    told = []
    widget.connect("valueChanged(double)", told.append)
    widget.value = 200
    assert widget.slider().value == 5000
    widget.slider().value = 10000
    assert (widget.value, told) == (300.0, [200.0, 300.0])


@pytest.fixture
def selector(slicer):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    selector.show()
    return selector


def volume(slicer, name):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def texts(selector):
    import qt

    combo = selector.children()[1]
    assert isinstance(combo, qt.QComboBox)
    return [combo.itemText(i) for i in range(combo.count)]


def test_a_node_combo_box_follows_the_scene(slicer, selector):
    selector.addEnabled = selector.removeEnabled = False
    told = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda n: told.append(n and n.GetName()))
    first, second = volume(slicer, "AP"), volume(slicer, "Lateral")
    assert selector.currentNode() is first  # something is selected where None is not offered
    selector.setCurrentNode(second)
    second.SetName("LAT")
    assert texts(selector) == ["AP", "LAT"]
    slicer.mrmlScene.RemoveNode(second)
    assert selector.currentNode() is first
    slicer.mrmlScene.Clear(0)
    assert selector.currentNode() is None
    assert told == ["AP", "Lateral", "AP", None]


def test_a_node_combo_box_offers_none_new_and_only_what_fits(slicer, selector):
    selector.noneEnabled = True
    selector.baseName = "Film"
    ids = []
    selector.connect("currentNodeIDChanged(QString)", ids.append)
    volume(slicer, "AP")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "Note")
    assert texts(selector)[:2] == ["None", "AP"]
    assert selector.currentNode() is None
    user.choose(selector, "Create new Film")
    made = selector.currentNode()
    assert made.GetName() == "Film"
    user.choose(selector, "None")
    assert ids == [made.GetID(), ""]
    selector.addAttribute("vtkMRMLScalarVolumeNode", "Radiograph", "1")
    assert "AP" not in texts(selector)
    made.SetAttribute("Radiograph", "1")
    selector.setCurrentNodeID(selector.addNode().GetID())
    assert selector.currentNode().GetAttribute("Radiograph") == "1"
    selector.setMRMLScene(None)
    assert selector.currentNode() is None


def test_a_node_combo_box_that_is_gone_no_longer_listens(slicer, selector):
    from Testing.bench import application

    selector.deleteLater()
    application.settle()
    volume(slicer, "AP")


def test_ui_files_with_unknown_widgets_are_refused(slicer, tmp_path):
    path = tmp_path / "x.ui"
    path.write_text(
        '<ui version="4.0"><class>X</class><widget class="QWidget" name="X">'
        '<widget class="qMRMLSegmentEditorWidget" name="y"/></widget></ui>'
    )
    with pytest.raises(RuntimeError, match="qMRMLSegmentEditorWidget"):
        slicer.util.loadUI(str(path))

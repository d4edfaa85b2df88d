"""Every control of the panel, by clicks and keys; every one says what it does."""

from __future__ import annotations

import numpy as np
import pytest
import qt

from SSRKDLib.geometry.rig_presets import orthogonal
from Testing.bench import user
from Testing.module.cases import (
    ballRadiograph,
    loadRadiographs,
    loadSampleFiles,
    settle,
    writeCalibration,
    writeRadiographs,
)
from Testing.module.conftest import MODULE

INTERACTIVE = (
    qt.QAbstractButton, qt.QComboBox, qt.QAbstractSpinBox, qt.QSlider, qt.QTableWidget,
    qt.QPlainTextEdit,
)  # fmt: skip


def pngPair(folder, slicer):
    """The knee of balls as 8-bit PNG files, which tell nothing, loaded."""
    from PIL import Image

    nodes = []
    for view in orthogonal().views:
        image = ballRadiograph(view)
        path = folder / f"{view.name}.png"
        Image.fromarray(np.round(255 * image / image.max()).astype(np.uint8)).save(path)
        nodes.append(slicer.util.loadVolume(str(path), {"singleFile": True}))
    slicer.app.processEvents()
    return nodes


def test_panel_every_control_has_a_tooltip(core):
    ui = core.ui
    named = [name for name in vars(ui) if name and not name.startswith(("qt_", "label_"))]
    assert len(named) > 60
    silent = []
    for name in named:
        widget = getattr(ui, name)
        asks = isinstance(widget, INTERACTIVE) or widget.className().startswith(("ctk", "qMRMLN"))
        if asks and not widget.toolTip:
            silent.append(name)
    assert not silent


def test_panel_sections_fold(core):
    for name in ("radiographsSection", "modelSection", "resultsSection", "ctSection"):
        section = getattr(core.ui, name)
        user.click(section)
        assert section.collapsed
        user.click(section)
        assert not section.collapsed


def test_panel_says_what_is_missing_before_anything_is_clicked(core, slicer):
    assert "No frontal radiograph is chosen" in core.ui.summaryLabel.text
    assert not core.ui.reconstructButton.enabled
    assert "No frontal radiograph" in core.ui.reconstructButton.toolTip
    for section in ("compareSection", "planSection", "casesSection"):
        getattr(core.ui, section).collapsed = False
    slicer.app.processEvents()
    files = (MODULE.parent / "Resources" / "UI").glob("*.ui")
    texts = "".join(path.read_text("utf-8") for path in files)
    buttons = slicer.modules.ssrkd.widgetRepresentation().findChildren(qt.QPushButton)
    off = [one for one in buttons if not one.enabled and one.toolTip]
    assert len(off) > 20
    # Not what it would do: why it is off.
    assert not [one.objectName for one in off if f"<string>{one.toolTip}</string>" in texts]


def test_panel_sample_button_loads_and_chooses(core, slicer):
    user.click(core.ui.sampleButton)
    slicer.app.processEvents()
    assert core.ui.frontalSelector.currentNode().GetName() == "Knee frontal"
    assert core.ui.reconstructButton.enabled
    assert "Left knee" in core.ui.summaryLabel.text


def test_panel_manual_distances_by_keys(core, slicer, tmp_path):
    pngPair(tmp_path, slicer)
    ui = core.ui
    assert "does not say how it was taken" in ui.summaryLabel.text
    user.choose(ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    assert "pixel spacing of the frontal radiograph is unknown" in ui.summaryLabel.text
    for view, angle in (("frontal", "0"), ("lateral", "90")):
        user.type_text(getattr(ui, f"{view}Sdd"), "1200")
        user.type_text(getattr(ui, f"{view}Sod"), "900")
        user.type_text(getattr(ui, f"{view}Spacing"), "1.171875")
        user.type_text(getattr(ui, f"{view}Angle"), angle)
    user.choose(ui.sideCombo, "Left")
    slicer.app.processEvents()
    setup = core.requireSetup()
    points = np.random.default_rng(0).uniform(-60, 60, (20, 3))
    for mine, preset in zip(setup.rig.views, orthogonal().views):
        np.testing.assert_allclose(mine.project(points), preset.project(points), atol=0.02)
    assert [source.values for source in setup.rig.sources] == ["display", "display"]
    assert "Bone is taken to be bright" in ui.summaryLabel.text
    user.choose(ui.valuesCombo, "Dark bone")
    assert core.requireSetup().rig.sources[0].values == "display_inverted"
    user.type_text(ui.frontalSod, "1300")  # behind the detector
    slicer.app.processEvents()
    assert "impossible" in ui.summaryLabel.text
    assert not ui.reconstructButton.enabled


def test_panel_standard_lateral_is_mediolateral_of_the_side(core, slicer, tmp_path):
    pngPair(tmp_path, slicer)
    user.choose(core.ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    for view in ("frontal", "lateral"):
        user.type_text(getattr(core.ui, f"{view}Spacing"), "1")
    for side, sign in (("Left", 1), ("Right", -1)):
        user.choose(core.ui.sideCombo, side)
        view = core.requireSetup().rig.views[1]
        assert np.sign(view.axis[0]) == sign  # the beam runs from the inner to the outer side


def test_panel_rig_file(core, slicer, tmp_path):
    path = writeRadiographs(orthogonal(), tmp_path)
    frontal, lateral = loadRadiographs(tmp_path)
    slicer.app.processEvents()
    user.choose(core.ui.geometryCombo, "Rig file")
    slicer.app.processEvents()
    assert "No rig file is chosen" in core.ui.summaryLabel.text
    user.type_text(core.ui.rigFile, str(tmp_path / "absent.json"))
    slicer.app.processEvents()
    assert "There is no rig file" in core.ui.summaryLabel.text
    user.type_text(core.ui.rigFile, str(path))
    slicer.app.processEvents()
    assert "SDD 1200 mm, SOD 900 mm" in core.ui.summaryLabel.text
    assert not core.ui.ballButton.enabled
    assert "already contains the scale" in core.ui.scaleLabel.text
    user.click(core.ui.placeButton)
    slicer.app.processEvents()
    assert "Radiographs in 3D shows them" in core.ui.statusLabel.text
    user.click(core.ui.in3DCheck)  # before there are any bones
    assert slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeSSRKDLateral").GetSliceVisible()
    placed = core.case().placed
    corner = orthogonal().views[0].detector_origin * [-1, -1, 1]
    np.testing.assert_allclose(placed[0].GetOrigin(), corner, atol=1e-6)


def test_panel_calibration_files(core, slicer, tmp_path):
    nodes = pngPair(tmp_path, slicer)
    files = []
    for view in orthogonal().views:
        files.append(tmp_path / f"{view.name}.txt")
        writeCalibration(files[-1], view)
    user.choose(core.ui.geometryCombo, "Calibration files")
    slicer.app.processEvents()
    assert "No calibration file is chosen for the frontal view" in core.ui.summaryLabel.text
    user.type_text(core.ui.frontalCalibration, str(files[0]))
    user.type_text(core.ui.lateralCalibration, str(files[1]))
    slicer.app.processEvents()
    points = np.random.default_rng(0).uniform(-60, 60, (20, 3))
    for mine, view in zip(core.requireSetup().rig.views, orthogonal().views):
        np.testing.assert_allclose(mine.project(points), view.project(points), atol=1e-3)
    assert nodes[0].GetName() == "frontal"


def test_panel_crop_is_used_and_removed(core, slicer):
    loadSampleFiles()
    slicer.app.processEvents()
    user.click(core.ui.frontalCropButton)
    roi = core.parameters.nodeOf("frontal", "Crop")
    assert core.requireSetup().crops == (None, None)  # it starts around everything
    size = np.array(roi.GetSize())
    roi.SetSize(*(size * [0.5, 0.5, 1]))
    assert core.requireSetup().crops[0] == (128, 128, 256, 256)
    view, whole = core.setup.croppedRig().views[0], core.setup.rig.views[0]
    point = np.array([[5.0, 6.0, 7.0]])
    np.testing.assert_allclose(view.project(point), whole.project(point) - 128, atol=1e-9)
    roi.SetSize(*(size * [0.01, 0.01, 1]))
    core.refresh()
    assert "crop region" in core.ui.summaryLabel.text
    user.click(core.ui.frontalCropButton)
    slicer.app.processEvents()
    assert core.parameters.nodeOf("frontal", "Crop") is None
    assert core.ui.reconstructButton.enabled
    user.click(core.ui.lateralCropButton)
    assert core.parameters.nodeOf("lateral", "Crop") is not None


def test_panel_ball_gives_the_scale(core, slicer, tmp_path):
    """A ball of 25 mm beside the knee: SDD 1200, SOD 900 magnify it by 4/3."""
    pngPair(tmp_path, slicer)
    node = core.ui.frontalSelector.currentNode()
    array = slicer.util.arrayFromVolume(node)
    row, column = np.mgrid[:256, :256]
    array[0][np.hypot(column - 40, row - 200) < 16.0] = 250
    slicer.util.arrayFromVolumeModified(node)
    ui = core.ui
    user.choose(ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    user.type_text(ui.frontalSdd, "1200")
    user.type_text(ui.frontalSod, "900")
    slicer.app.processEvents()
    user.click(ui.ballButton)
    assert ui.ballButton.checked
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    core.parameters.nodeOf("frontal", "Marker").AddControlPoint(*pixelRas(node, 43, 197))
    slicer.app.processEvents()
    assert not ui.ballButton.checked
    spacing = core.parameters.number("frontal", "ScaleSpacing")
    assert spacing == pytest.approx(25 * (4 / 3) / 32, rel=0.03)
    assert f"{spacing:.4f} mm" in ui.scaleLabel.text
    assert core.parameters.nodeOf("frontal", "Ball").GetNumberOfControlPoints() == 24
    user.type_text(ui.markerSize, "30")
    assert core.parameters.number("frontal", "ScaleSpacing") == pytest.approx(spacing * 1.2)
    user.choose(ui.markerPlace, "On the detector")
    assert core.parameters.number("frontal", "ScaleSpacing") == pytest.approx(spacing * 0.9)
    user.click(ui.clearScaleButton)
    slicer.app.processEvents()
    assert core.parameters.number("frontal", "ScaleSpacing") is None
    assert "Nothing was measured" in ui.scaleLabel.text


def test_panel_click_beside_the_ball_is_said(core, slicer, tmp_path):
    pngPair(tmp_path, slicer)
    user.choose(core.ui.geometryCombo, "Distances and angles")
    slicer.app.processEvents()
    user.click(core.ui.ballButton)
    node = core.ui.frontalSelector.currentNode()
    core.parameters.nodeOf("frontal", "Marker").AddControlPoint(*pixelRas(node, -30, 10))
    slicer.app.processEvents()
    assert "outside the radiograph" in core.ui.statusLabel.text
    assert core.parameters.number("frontal", "ScaleSpacing") is None
    user.click(core.ui.clearScaleButton)
    slicer.app.processEvents()
    assert core.parameters.nodeOf("frontal", "Marker") is None
    assert not core.ui.clearScaleButton.enabled
    user.click(core.ui.rulerButton)
    for pixel in ((40, 50), (40, 90)):
        core.parameters.nodeOf("frontal", "Marker").AddControlPoint(*pixelRas(node, *pixel))
    slicer.app.processEvents()
    assert core.parameters.number("frontal", "ScaleSpacing") and not core.ui.statusLabel.text


def test_panel_ruler_gives_the_scale(core, slicer, tmp_path):
    pngPair(tmp_path, slicer)
    user.choose(core.ui.geometryCombo, "Distances and angles")
    user.choose(core.ui.markerView, "Lateral")
    user.choose(core.ui.markerPlace, "On the detector")
    user.type_text(core.ui.markerSize, "100")
    slicer.app.processEvents()
    user.click(core.ui.rulerButton)
    node, marker = (
        core.ui.lateralSelector.currentNode(),
        core.parameters.nodeOf("lateral", "Marker"),
    )
    marker.AddControlPoint(*pixelRas(node, 50, 20))
    assert core.parameters.number("lateral", "ScaleSpacing") is None
    marker.AddControlPoint(*pixelRas(node, 50, 220))
    assert core.parameters.number("lateral", "ScaleSpacing") == pytest.approx(0.5)
    slicer.app.processEvents()
    user.choose(core.ui.markerView, "Frontal")  # what a user drags is measured anew, whatever is on
    marker.SetNthControlPointPositionWorld(1, *pixelRas(node, 50, 120))
    marker.InvokeEvent(marker.PointEndInteractionEvent)
    assert core.parameters.number("lateral", "ScaleSpacing") == pytest.approx(1.0)
    slicer.mrmlScene.RemoveNode(marker)
    user.choose(core.ui.markerView, "Lateral")
    user.type_text(core.ui.markerSize, "50")
    assert core.parameters.number("lateral", "ScaleSpacing") is None  # 100 mm were meant


def test_panel_ruler_beside_the_knee_is_magnified_as_the_files_say(core, slicer):
    nodes = loadSampleFiles()
    slicer.app.processEvents()
    view, rig = core.setup.rig.views[0], core.setup.rig
    factor = view.source_to_detector_distance / rig.source_to_object_distance(view)
    user.click(core.ui.rulerButton)
    for pixel in ((100, 50), (100, 150)):
        core.parameters.nodeOf("frontal", "Marker").AddControlPoint(*pixelRas(nodes[0], *pixel))
    slicer.app.processEvents()
    user.type_text(core.ui.markerSize, "40")
    assert core.parameters.number("frontal", "ScaleSpacing") == pytest.approx(0.4 * factor)


def test_panel_rulers_of_two_sizes_keep_them(core, slicer, tmp_path):
    pngPair(tmp_path, slicer)
    ui, chosen = core.ui, core.parameters
    user.choose(ui.geometryCombo, "Distances and angles")
    for view, place, size, row in (
        ("Lateral", "On the detector", "100", 220),
        ("Frontal", "Beside the knee", "25", 120),
    ):
        user.choose(ui.markerView, view)
        slicer.app.processEvents()
        user.choose(ui.markerPlace, place)
        user.type_text(ui.markerSize, size)
        user.click(ui.rulerButton)
        node, marker = chosen.nodeOf(view.lower()), chosen.nodeOf(view.lower(), "Marker")
        for end in (20, row):
            marker.AddControlPoint(*pixelRas(node, 50, end))
        slicer.app.processEvents()
    marker = chosen.nodeOf("lateral", "Marker")
    marker.SetNthControlPointPositionWorld(1, *pixelRas(chosen.nodeOf("lateral"), 50, 221))
    marker.InvokeEvent(marker.PointEndInteractionEvent)
    assert chosen.number("lateral", "ScaleSpacing") == pytest.approx(100 / 201)
    user.choose(ui.markerView, "Lateral")
    slicer.app.processEvents()
    assert (ui.markerSize.value, ui.markerPlace.currentText) == (100.0, "On the detector")
    user.click(ui.rulerButton)  # anew
    slicer.app.processEvents()
    assert (ui.markerSize.value, ui.markerPlace.currentText) == (100.0, "On the detector")


def pixelRas(node, column, row):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix.MultiplyPoint((column, row, 0, 1))[:3]


def test_panel_model_choices(core, slicer):
    ui = core.ui
    assert "(bundled)" in ui.weightsCombo.currentText
    assert "drive.google.com" in ui.officialLabel.text
    assert "237 MB" in ui.officialLabel.text
    for text, value in (("CPU", "cpu"), ("GPU", "cuda"), ("Automatic", "auto")):
        user.choose(ui.deviceCombo, text)
        assert core.parameters.device == value
    for text, value in (("0.5 mm (fine)", 0.5), ("2 mm (quick)", 2.0)):
        user.choose(ui.spacingCombo, text)
        assert core.parameters.spacing == value


def test_panel_learns_how_long_it_takes(core, slicer):
    loadSampleFiles()
    user.choose(core.ui.spacingCombo, "2 mm (quick)")
    slicer.app.processEvents()
    assert "Not run yet" in core.ui.estimateLabel.text
    user.click(core.ui.reconstructButton)
    settle(core)
    assert "from one earlier run)" in core.ui.estimateLabel.text
    user.choose(core.ui.spacingCombo, "0.5 mm (fine)")
    slicer.app.processEvents()
    assert "Not run yet" in core.ui.estimateLabel.text


def test_panel_imports_weights(core, slicer, tmp_path, monkeypatch):
    import json
    import zipfile

    from SSRKDLib.weights.catalogue import find_bundle

    monkeypatch.setenv("SSRKD_WEIGHTS", str(tmp_path / "own"))
    core.tasks.worker.stop()  # the next one sees the other folder
    renamed = tmp_path / "renamed.zip"
    with zipfile.ZipFile(find_bundle()) as source, zipfile.ZipFile(renamed, "w") as target:
        manifest = json.loads(source.read("bundle.json"))
        manifest.update(name="mine", title="My own weights")
        target.writestr("bundle.json", json.dumps(manifest))
        target.writestr("model.safetensors", source.read("model.safetensors"))
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(renamed.read_bytes()[:5000])
    chosen = [()]
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileNames", lambda *a, **k: chosen[0])
    user.click(core.ui.importButton)  # and changed his mind
    assert core.job is None
    chosen[0] = (str(damaged),)
    user.click(core.ui.importButton)
    settle(core)
    assert "✗" in core.ui.statusLabel.text
    assert core.parameters.weights == ""
    chosen[0] = (str(renamed),)
    user.click(core.ui.importButton)
    settle(core)
    assert core.parameters.weights == "mine"
    assert core.ui.weightsCombo.currentText == "My own weights (imported)"
    for index, name in ((0, ""), (1, "mine")):
        user.choose(core.ui.weightsCombo, core.ui.weightsCombo.itemText(index))
        assert core.parameters.weights == name
    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url))
    user.click(core.ui.folderButton)
    assert len(opened) == 1
    assert (tmp_path / "own").is_dir()
    core.tasks.worker.stop()

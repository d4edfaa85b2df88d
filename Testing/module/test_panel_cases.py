"""Several cases in one scene, and many pairs at once, with a worker that answers with balls."""

from __future__ import annotations

import shutil

import pytest
import qt

from SSRKDLib.geometry.rig_presets import orthogonal
from Testing import bench
from Testing.bench import application, user
from Testing.module import ball_worker
from Testing.module.cases import loadRadiographs, settle, writeRadiographs


@pytest.fixture
def core(panel, slicer):
    ball_worker.install(panel.panel)
    panel.ui.casesSection.collapsed = False
    application.settle()
    return panel.panel


def rows(core):
    table = core.ui.casesTable
    return [
        tuple(table.item(row, column).text() for column in (0, 1)) for row in range(table.rowCount)
    ]


def choose(core, row):
    core.ui.casesTable.selectRow(row)
    application.settle()


@pytest.fixture(scope="module")
def balls(tmp_path_factory):
    """A folder with two radiographs and their rig."""
    folder = tmp_path_factory.mktemp("balls")
    writeRadiographs(orthogonal(pixels=128), folder)
    return folder


def takeRadiographs(core, balls):
    loadRadiographs(balls)
    core.parameters.geometry = "rig"
    core.parameters.rigFile = str(balls / "rig.json")
    application.settle()


def twoCases(core, balls):
    """A pair reconstructed in one case, and loaded anew in another, which is called Right."""
    takeRadiographs(core, balls)
    user.click(core.ui.reconstructButton)
    settle(core)
    user.click(core.ui.newCaseButton)
    application.settle()
    assert core.ui.frontalSelector.currentNode() is None  # not the first case's
    takeRadiographs(core, balls)
    core.parameters.side = "R"
    core.ui.casesTable.item(1, 0).setText("Right")
    application.settle()


def test_panel_cases_keep_their_radiographs_rig_and_bones(core, slicer, balls, tmp_path):
    twoCases(core, balls)
    assert rows(core) == [("Knee of frontal", "4 bones"), ("Right", "Radiographs chosen")]
    assert core.case().models == {}
    user.click(core.ui.reconstructButton)
    settle(core)
    second = core.case()
    femur = second.models["femur"]
    femur.GetDisplayNode().SetOpacity(0.5)
    second.models["tibia"].GetDisplayNode().SetVisibility(False)
    choose(core, 0)
    first = core.case()
    assert len(first.models) == 4 and not set(first.models.values()) & set(second.models.values())
    assert core.ui.sideCombo.currentText == "Automatic"
    assert all(node.GetDisplayNode().GetVisibility() for node in first.models.values())
    assert not any(node.GetDisplayNode().GetVisibility() for node in second.models.values())
    from SSRKDSlicer.radiographs.outlines import outlinesOf

    assert all(n.GetDisplayNode().GetVisibility() for n in outlinesOf(first.models.values()))
    assert not any(n.GetDisplayNode().GetVisibility() for n in outlinesOf(second.models.values()))
    # Saved and loaded with the scene.
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    application.settle()
    assert rows(core) == [("Knee", "No radiographs")]
    slicer.util.loadScene(path)
    application.settle()
    assert rows(core) == [("Knee of frontal", "4 bones"), ("Right", "4 bones")]
    choose(core, 1)
    assert core.ui.sideCombo.currentText == "Right"
    models = core.case().models
    assert models["femur"].GetDisplayNode().GetOpacity() == 0.5
    seen = {bone: bool(node.GetDisplayNode().GetVisibility()) for bone, node in models.items()}
    assert seen == {"patella": True, "femur": True, "fibula": True, "tibia": False}


def test_panel_cases_stay_when_another_scene_is_added(core, slicer, balls, tmp_path):
    """Its parameter node takes the place of the one that is there."""
    without, path = str(tmp_path / "without.mrb"), str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(without)
    takeRadiographs(core, balls)
    user.click(core.ui.reconstructButton)
    settle(core)
    assert slicer.util.saveScene(path)
    mine = core.case()
    bench.close_module("SSRKD")  # to the Data module, say
    slicer.util.loadScene(without, {"clear": False})
    bench.open_module("SSRKD")
    application.settle()
    assert core.case() == mine and rows(core) == [("Knee of frontal", "4 bones")]
    assert mine.models["femur"].GetDisplayNode().GetVisibility()
    slicer.util.loadScene(path, {"clear": False})
    application.settle()
    assert [state for _, state in rows(core)] == ["4 bones"] * 2
    assert not set(core.case().models.values()) & set(mine.models.values())
    assert not mine.models["femur"].GetDisplayNode().GetVisibility()
    choose(core, 0)
    assert core.case() == mine and mine.models["femur"].GetDisplayNode().GetVisibility()


def test_panel_job_ends_where_another_scene_is_added(core, slicer, balls, tmp_path):
    """Its result would be filed with the pair of that scene."""
    path = str(tmp_path / "added.mrb")
    takeRadiographs(core, balls)
    assert slicer.util.saveScene(path)
    core._onProgress = lambda *told: slicer.util.loadScene(path, {"clear": False})
    core.how = {"progress": 0.4}
    user.click(core.ui.reconstructButton)
    settle(core)
    application.settle()
    assert [state for _, state in rows(core)] == ["Radiographs chosen"] * 2
    assert "A scene was added; the running job was stopped." in core.ui.logEdit.plainText


def test_panel_bone_whose_display_was_deleted_is_shown_again(core, slicer, balls):
    takeRadiographs(core, balls)
    user.click(core.ui.reconstructButton)
    settle(core)
    femur = core.case().models["femur"]
    colour = femur.GetDisplayNode().GetColor()
    slicer.mrmlScene.RemoveNode(femur.GetDisplayNode())
    application.settle()
    assert femur.GetDisplayNode().GetVisibility() and femur.GetDisplayNode().GetColor() == colour
    assert "✗" not in core.ui.logEdit.plainText


def test_panel_cases_are_removed_with_what_is_theirs_alone(core, slicer, balls, dialogs):
    twoCases(core, balls)
    choose(core, 0)
    dialogs.answer = False
    user.click(core.ui.removeCaseButton)
    assert len(rows(core)) == 2
    gone = [*core.case().models.values(), *core.case().placed, core.parameters.nodeOf("frontal")]
    folder = core.case().folder()
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert hierarchy.GetItemName(folder) == "Knee of frontal"
    dialogs.answer = True
    user.click(core.ui.removeCaseButton)
    application.settle()
    assert rows(core) == [("Right", "Radiographs chosen")]
    assert not any(slicer.mrmlScene.IsNodePresent(node) for node in gone)
    assert not hierarchy.GetItemChildWithName(hierarchy.GetSceneItemID(), "Knee of frontal")
    assert core.parameters.nodeOf("lateral") is not None
    user.click(core.ui.removeCaseButton)
    application.settle()
    assert rows(core) == [("Knee", "No radiographs")]
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")


def test_panel_another_pair_gets_a_case_of_its_own(core, slicer, balls):
    """The earlier bones stay in the list, with their radiographs, and are hidden."""
    takeRadiographs(core, balls)
    user.click(core.ui.reconstructButton)
    settle(core)
    first, pair = core.case(), core.parameters.nodeOf("lateral")
    user.click(core.ui.reconstructButton)  # the same pair again
    settle(core)
    assert rows(core) == [("Knee of frontal", "4 bones")] and core.case().models == first.models
    _frontal, again = loadRadiographs(balls)
    user.choose(core.ui.lateralSelector, again.GetName())  # one of the two is enough
    core.parameters.side = "R"
    user.click(core.ui.frontalCropButton)
    application.settle()
    user.click(core.ui.reconstructButton)
    settle(core)
    application.settle()
    assert [state for _, state in rows(core)] == ["4 bones"] * 2
    second = core.case()
    assert not set(second.models.values()) & set(first.models.values())
    assert core.parameters.nodeOf("lateral") is again
    assert core.parameters.side == "R" and core.ui.frontalCropButton.checked
    assert not any(node.GetDisplayNode().GetVisibility() for node in first.models.values())
    assert "is in the case 'Knee of frontal'" in core.ui.logEdit.plainText
    choose(core, 0)
    assert core.case() == first and core.parameters.nodeOf("lateral") is pair
    assert core.parameters.side == "auto"  # as it was when they were made
    assert all(node.GetDisplayNode().GetVisibility() for node in first.models.values())
    assert not any(node.GetDisplayNode().GetVisibility() for node in second.models.values())


def test_panel_pair_of_a_running_job_cannot_be_exchanged(core, slicer, balls):
    """Nor does one that was loaded take the place of a pair that was removed meanwhile."""
    takeRadiographs(core, balls)
    pair = [core.parameters.nodeOf(view) for view in ("frontal", "lateral")]
    loadRadiographs(balls)
    locked = ("frontalSelector", "lateralSelector", "sideCombo", "geometryCombo", "rigWidget")
    listen, seen = core._onProgress, []

    def act(*told):
        listen(*told)
        seen.extend(getattr(core.ui, name).enabled for name in locked)
        for node in pair:
            slicer.mrmlScene.RemoveNode(node)
        application.settle()
        seen.append(core.ui.frontalSelector.currentNode())

    core._onProgress, core.how = act, {"progress": 0.4}
    user.click(core.ui.reconstructButton)
    settle(core)
    assert seen == [False] * len(locked) + [None]
    assert all(getattr(core.ui, name).enabled for name in locked)
    assert "A radiograph was removed meanwhile" in core.ui.statusLabel.text
    assert rows(core) == [("Knee of frontal", "4 bones")]  # not after the pair that is left


def test_case_names(slicer):
    from SSRKDSlicer.scene.words import kneeOfPair

    for pair, name in (
        (("Knee frontal", "Knee lateral"), "Knee"),
        (("P07_AP", "P07_LAT"), "Knee of P07"),
        (("Ahrens (frontal)", "Ahrens (lateral)"), "Knee of Ahrens"),
        (("12: AP", "13: LAT"), "Knee of 12: AP"),
        (("frontal",), "Knee of frontal"),
    ):
        assert kneeOfPair(pair) == name


@pytest.fixture
def pairs(balls, tmp_path, monkeypatch):
    """A folder of four pairs; the second has one image, an image of the third is gone, and the
    fourth lacks its rig. It is what a user chooses."""
    for name in ("Ahrens", "Brandt", "Claus", "Doll"):
        shutil.copytree(balls, tmp_path / name)
    (tmp_path / "Brandt" / "rig.json").unlink()
    (tmp_path / "Brandt" / "lateral.nrrd").unlink()
    (tmp_path / "Claus" / "lateral.nrrd").unlink()
    (tmp_path / "Doll" / "rig.json").unlink()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *args: str(tmp_path))
    return tmp_path


def test_panel_many_pairs_run_one_after_the_other(core, slicer, balls, pairs):
    user.click(core.ui.pairsButton)
    settle(core)
    application.settle()
    names, states = zip(*rows(core))
    assert names == ("Ahrens", "Brandt", "Claus", "Doll")  # no row of the empty case before
    assert states[0] == "4 bones"
    assert "1 images; a pair is two" in states[1] and "'lateral.nrrd' could not be" in states[2]
    assert "does not say how it was taken" in states[3]
    assert "1 of 4 cases were reconstructed. 3 failed" in core.ui.statusLabel.text
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 6  # and no torn pair
    assert core.ui.frontalSelector.currentNode().GetName() == "Ahrens (frontal)"
    choose(core, 3)
    assert core.ui.frontalSelector.currentNode().GetName() == "Doll (frontal)"
    # What was mended, in the folder or in the panel, is reconstructed; only what has no bones is.
    shutil.copy(balls / "lateral.nrrd", pairs / "Claus")
    core.parameters.geometry, core.parameters.rigFile = "rig", str(balls / "rig.json")
    core.asked.clear()
    user.click(core.ui.reconstructAllButton)
    settle(core)
    application.settle()
    assert [state for _, state in rows(core)][2:] == ["4 bones"] * 2 and len(core.asked) == 2
    assert len(core.case().models) == 4


def test_panel_many_pairs_are_cancelled_and_gone_on_with(core, pairs, monkeypatch):
    from SSRKDSlicer.panel import run_section

    monkeypatch.setattr(run_section, "_DOUBLE_CLICK", 0.0)
    shutil.rmtree(pairs / "Doll")
    listen, seen = core._onProgress, []

    def cancel(stage, fraction, message):
        listen(stage, fraction, message)
        seen.append([state for _, state in rows(core)])
        user.click(core.ui.reconstructButton)

    core._onProgress = cancel
    core.how = {"progress": 0.4}
    user.click(core.ui.pairsButton)
    settle(core)
    application.settle()
    assert seen == [["Running, 40 %", "Waiting", "Waiting"]]
    assert [state for _, state in rows(core)] == ["Radiographs chosen", *["Not read yet"] * 2]
    assert "0 of 3" in core.ui.statusLabel.text and "goes on" in core.ui.statusLabel.text
    core._onProgress, core.how = listen, {}
    user.click(core.ui.reconstructAllButton)
    settle(core)
    application.settle()
    assert rows(core)[0][1] == "4 bones"


def test_panel_many_pairs_end_with_a_closed_scene(core, slicer, pairs):
    core._onProgress, core.how = lambda *told: slicer.mrmlScene.Clear(0), {"progress": 0.4}
    user.click(core.ui.pairsButton)
    settle(core)
    application.settle()
    assert rows(core) == [("Knee", "No radiographs")]
    assert core.ui.statusLabel.text == "0 of 4 cases were reconstructed."  # none to go on with


def test_panel_pair_that_nothing_tells_apart_leaves_no_image(core, slicer, pairs):
    for name in ("Ahrens", "Brandt", "Claus"):
        shutil.rmtree(pairs / name)
    for name, other in (("frontal", "one"), ("lateral", "two")):
        (pairs / "Doll" / f"{name}.nrrd").rename(pairs / "Doll" / f"{other}.nrrd")
    user.click(core.ui.pairsButton)
    settle(core)
    application.settle()
    assert "Neither the tags nor the names" in rows(core)[0][1]
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")


def test_panel_many_pairs_need_folders(core, tmp_path, monkeypatch):
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *args: str(tmp_path))
    user.click(core.ui.pairsButton)
    assert "There are no folders in" in core.ui.statusLabel.text
    assert core.job is None

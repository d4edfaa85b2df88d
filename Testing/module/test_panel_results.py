"""The panel's controls of results, CT and installation, by clicks and keys."""

from __future__ import annotations

import numpy as np
import pytest
import qt

from Testing.bench import user
from Testing.module.cases import SAMPLES, loadSampleFiles, settle

PAGE_DOWN = qt.Qt.Key_PageDown


def test_panel_results_controls(core, slicer, tmp_path, monkeypatch, dialogs):
    loadSampleFiles()
    user.choose(core.ui.spacingCombo, "2 mm (quick)")
    slicer.app.processEvents()
    user.click(core.ui.reconstructButton)
    settle(core)
    ui, models = core.ui, core.case().models
    from SSRKDSlicer.radiographs.outlines import outlinesOf

    check = ui.resultsTable.cellWidget(1, 0)
    user.click(check)
    slicer.app.processEvents()
    assert not models["femur"].GetDisplayNode().GetVisibility()
    assert not any(n.GetDisplayNode().GetVisibility() for n in outlinesOf([models["femur"]]))
    assert all(n.GetDisplayNode().GetVisibility() for n in outlinesOf([models["tibia"]]))
    models["femur"].GetDisplayNode().SetVisibility(True)  # by the eye in the Data module
    slicer.app.processEvents()
    assert check.checked
    assert ui.resultsTable.horizontalHeaderItem(1).toolTip() == "Opacity"
    assert ui.resultsTable.cellWidget(3, 1).accessibleName == "Opacity of the tibia."
    for _ in range(6):
        user.press(ui.resultsTable.cellWidget(3, 1), PAGE_DOWN)  # 10 % each
    assert models["tibia"].GetDisplayNode().GetOpacity() == pytest.approx(0.4)
    user.click(ui.in3DCheck)
    slicer.app.processEvents()
    for view in ("Frontal", "Lateral"):
        assert slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNodeSSRKD{view}").GetSliceVisible()
    user.click(ui.uncertaintyCheck)
    slicer.app.processEvents()
    femur = models["femur"].GetDisplayNode()
    assert femur.GetScalarVisibility() and femur.GetActiveScalarName() == "Uncertainty"
    assert femur.GetScalarRange() == (0.0, 4.0) and not core.parameters.colour
    user.click(ui.uncertaintyCheck)
    slicer.app.processEvents()
    assert not femur.GetScalarVisibility()
    user.click(ui.outlinesCheck)
    slicer.app.processEvents()
    assert not any(n.GetDisplayNode().GetVisibility() for n in outlinesOf(models.values()))
    slicer.app.layoutManager().setLayout(4)
    user.click(ui.layoutButton)
    assert slicer.app.layoutManager().layout == 20813
    for kind, count in (("OBJ", 8), ("PLY", 4), ("Label map", 1), ("STL", 4)):
        folder = tmp_path / kind
        folder.mkdir()
        user.choose(ui.exportFormatCombo, kind)
        user.type_text(ui.exportFolder, str(folder))
        user.click(ui.exportButton)
        # VTK writes a file of materials beside each OBJ.
        assert len(list(folder.iterdir())) == count, kind
        assert str(folder) in ui.statusLabel.text.replace("\u200b", "")
    assert not dialogs.shown and str(tmp_path) not in ui.logEdit.plainText
    assert "'<file>.obj'" in ui.logEdit.plainText
    for kind, ending in (("STL", ".stl"), ("OBJ", ".mtl")):
        (folder := tmp_path / "again" / kind).mkdir(parents=True)
        notes = folder / next((tmp_path / kind).glob(f"*{ending}")).name
        notes.write_text("not a bone")
        user.choose(ui.exportFormatCombo, kind)
        user.type_text(ui.exportFolder, str(folder))
        for dialogs.answer, replaced in ((False, False), (True, True)):
            user.click(ui.exportButton)
            assert (notes.read_bytes() != b"not a bone") == replaced
            assert notes.name in dialogs.texts("ok_cancel")[-1]
    assert len(dialogs.texts("ok_cancel")) == 4
    user.type_text(ui.exportFolder, str(tmp_path / "absent"))
    user.click(ui.exportButton)
    assert "does not exist" in ui.statusLabel.text.replace("\u200b", "")
    chosen = [""]
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *a, **k: chosen[0])
    user.type_text(ui.exportFolder, "")
    user.click(ui.exportButton)
    assert core.parameters.exportFolder == ""
    chosen[0] = str(tmp_path)
    user.click(ui.exportButton)
    assert core.parameters.exportFolder == str(tmp_path) and list(tmp_path.glob("*.obj"))
    user.click(ui.copyLogButton)
    assert slicer.app.clipboard().text() == ui.logEdit.plainText


def test_panel_from_ct_to_bones(core, slicer, tmp_path):
    """The sample's CT: radiographs around it, then bones where its segmentation is."""
    from SSRKDLib.evaluation.metrics import compare_meshes
    from SSRKDLib.surfaces.label_maps import read_reference
    from SSRKDSlicer.radiographs.outlines import worldMesh

    ct = slicer.util.loadVolume(str(SAMPLES / "SSRKD_CT.nrrd"))
    slicer.app.processEvents()
    ui = core.ui
    user.choose(ui.ctSelector, ct.GetName())
    user.choose(ui.ctSideCombo, "Right")
    user.choose(ui.ctPresetCombo, "C-arm")
    user.type_text(ui.ctEnergy, "70")
    user.click(ui.ctNoiseCheck)
    assert (core.parameters.ctEnergy, core.parameters.ctNoise) == (70.0, False)
    slicer.app.processEvents()
    user.click(ui.simulateButton)
    settle(core)
    assert ui.frontalSelector.currentNode().GetName().endswith("frontal")
    assert "Right knee" in ui.summaryLabel.text
    user.choose(ui.spacingCombo, "2 mm (quick)")
    slicer.app.processEvents()
    user.click(ui.reconstructButton)
    settle(core)
    truth = read_reference(SAMPLES / "SSRKD_CT.seg.nrrd").meshes
    made = {bone: worldMesh(node) for bone, node in core.case().models.items()}
    assert compare_meshes(made, truth)[-1]["assd_mm"] < 1.2
    # The simulated radiographs lie on their detectors already: no copies are made.
    assert core.case().placed == tuple(
        s.currentNode() for s in (ui.frontalSelector, ui.lateralSelector)
    )


def test_panel_ct_mistakes_are_said(core, slicer):
    flat = slicer.util.addVolumeFromArray(np.zeros((1, 64, 64), np.int16), name="film")
    labels = slicer.util.addVolumeFromArray(np.ones((40, 40, 40), np.uint8), name="labels")
    for node, words in ((flat, "single slice"), (labels, "Hounsfield")):
        user.choose(core.ui.ctSelector, node.GetName())
        slicer.app.processEvents()
        user.click(core.ui.simulateButton)
        settle(core)
        assert words in core.ui.statusLabel.text
    core.ui.ctSelector.setCurrentNode(labels)
    core.ui.ctRegionSelector.addNode()
    roi = core.parameters.nodeOf("ct", "Region")
    np.testing.assert_allclose(sorted(roi.GetSize()), [40, 40, 40])
    roi.SetXYZ(500.0, 0.0, 0.0)
    user.click(core.ui.simulateButton)
    settle(core)
    assert "hardly any of the CT" in core.ui.statusLabel.text


def test_panel_checks_the_installation(core, slicer):
    user.click(core.ui.checkButton)
    settle(core)
    assert "✓ PyTorch" in core.ui.installationLabel.text
    assert "✓ weights virtual-knee" in core.ui.installationLabel.text


def test_panel_installs_only_after_asking(core, there, extension, dialogs):
    there.add("safetensors")
    core.refresh()
    assert "PyTorch must be installed" in core.ui.installationLabel.text
    assert "--no-index" in core.ui.installationLabel.text  # offline: what to do
    dialogs.answer = False
    user.click(core.ui.installButton)
    (question,) = dialogs.texts("ok_cancel")
    assert "PyTorch extension" in question and "GB" in question
    assert extension.calls == [] and "Nothing was installed" in core.ui.statusLabel.text
    dialogs.answer = True
    extension.Logic.fails = ""  # it says nothing, but torch is not there
    user.click(core.ui.installButton)
    assert extension.calls == [("install", False, ">=2.10")]
    assert "still missing" in core.ui.statusLabel.text
    assert "Restart Slicer" in core.ui.statusLabel.text
    extension.Logic.fails = "no route to host"
    user.click(core.ui.installButton)
    assert "no route to host" in core.ui.statusLabel.text
    assert "Without internet" in core.ui.statusLabel.text
    there.add("torch")
    user.click(core.ui.installButton)
    assert "installed already" in core.ui.statusLabel.text


def test_panel_offers_the_extensions_manager_and_never_gives_torch_to_pip(
    core, slicer, there, dialogs, monkeypatch
):
    import types

    from SSRKDSlicer.worker import installation

    pip, opened = [], []
    monkeypatch.setattr(slicer.util, "pip_install", pip.append)
    there.add("safetensors")
    user.click(core.ui.installButton)  # a build without Extensions Manager
    assert "does not have" in core.ui.statusLabel.text
    assert "Extensions Manager" in core.ui.statusLabel.text
    app = types.SimpleNamespace(openExtensionsManagerDialog=lambda: opened.append(1))
    with_manager = types.SimpleNamespace(app=app, util=slicer.util)
    monkeypatch.setattr(installation, "slicer", with_manager)
    dialogs.answer = False
    user.click(core.ui.installButton)
    assert opened == []
    dialogs.answer = True
    user.click(core.ui.installButton)
    assert opened == [1] and pip == []
    assert "Extensions Manager" in dialogs.texts("ok_cancel")[-1]
    assert "Nothing was installed" in core.ui.statusLabel.text


def test_panel_gets_safetensors_as_slicer_wants_it(
    core, slicer, there, extension, dialogs, monkeypatch
):
    asked = []

    def ensure(what, prompt_install=True, requester=None):
        asked.append((what, prompt_install, requester))
        there.add("safetensors")

    monkeypatch.setattr(slicer.packaging, "pip_ensure", ensure, raising=False)
    user.click(core.ui.installButton)
    assert asked == [("safetensors>=0.4", False, "Knee Bone Reconstruction (SSR-KD)")]
    assert extension.calls == [("install", False, ">=2.10")]
    assert "PyTorch was installed" in core.ui.statusLabel.text


def test_panel_uninstalls_what_it_installed(core, slicer, there, extension, dialogs, monkeypatch):
    monkeypatch.setattr(slicer.util, "pip_uninstall", there.discard)
    core.refresh()
    assert not core.ui.uninstallButton.enabled
    assert core.ui.uninstallButton.toolTip == "Nothing of it is installed."
    there.update(("torch", "safetensors"))
    core.ui.installationLabel.text = ""
    core.refresh()
    assert core.ui.installationLabel.text == "PyTorch 2.13 and safetensors 2.13 are installed."
    dialogs.answer = False
    user.click(core.ui.uninstallButton)
    assert there and "Other extensions" in dialogs.texts("ok_cancel")[-1]
    dialogs.answer = True
    user.click(core.ui.uninstallButton)
    slicer.app.processEvents()
    assert not there and extension.calls == ["uninstall"]
    assert "were removed" in core.ui.statusLabel.text
    assert "must be installed" in core.ui.installationLabel.text


def test_intel_macs_are_asked_for_no_pytorch_that_was_never_made(monkeypatch):
    from SSRKDSlicer.worker import installation

    monkeypatch.setattr(installation, "installedVersion", lambda name: "2.2.2")
    assert installation.neededPackages() == ["torch"]
    monkeypatch.setattr(installation.sys, "platform", "darwin")
    monkeypatch.setattr(installation.platform, "machine", lambda: "x86_64")
    assert installation.neededPackages() == []
    assert installation.oldestTorch() == (2, 1)


def test_panel_edit_masks_opens_the_segment_editor(core, slicer, monkeypatch):
    from SSRKDSlicer.panel import run_section

    loadSampleFiles()
    slicer.app.processEvents()
    user.click(core.ui.segmentButton)
    settle(core)
    opened = []
    monkeypatch.setattr(run_section, "openSegmentEditor", lambda *nodes: opened.append(nodes))
    user.click(core.ui.editMasksButton)
    assert opened == [(core.case().masks[0], core.case().placed[0])]

"""The panel while another module is open, after a closed scene, and the node that all share."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from Testing import bench
from Testing.bench import application, dicom, user
from Testing.module.cases import SAMPLES, ballMeshes, loadSampleFiles


@pytest.fixture
def refreshed(panel, monkeypatch):
    """Counts the panel's refreshes."""
    calls, plain = [], panel.panel.refresh
    monkeypatch.setattr(panel.panel, "refresh", lambda: (calls.append(1), plain()))
    application.settle()
    calls.clear()
    return calls


def test_panel_away_leaves_the_scene_alone_and_catches_up(panel, slicer, refreshed):
    bench.close_module("SSRKD")
    loadSampleFiles()
    panel.panel.parameters.side = "L"
    application.settle()
    assert refreshed == []
    assert panel.ui.sideCombo.currentText == "Automatic"
    bench.open_module("SSRKD")
    assert refreshed
    assert panel.ui.sideCombo.currentText == "Left"
    assert panel.ui.frontalSelector.currentNode().GetName() == "SSRKD_frontal"
    refreshed.clear()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    application.settle()
    assert len(refreshed) == 1


def test_panel_waits_for_the_end_of_a_batch(panel, slicer, refreshed):
    scene = slicer.mrmlScene
    scene.StartState(scene.BatchProcessState)
    for _ in range(3):
        scene.AddNewNodeByClass("vtkMRMLTextNode")
        application.settle()
    assert refreshed == []
    scene.EndState(scene.BatchProcessState)
    application.settle()
    assert len(refreshed) == 1


def test_panel_follows_bones_that_are_hidden_elsewhere_while_away(panel, slicer, module):
    """Their outlines go with them."""
    from SSRKDSlicer.bones.results import modelPolyData
    from SSRKDSlicer.radiographs import outlines

    node = slicer.modules.models.logic().AddModel(modelPolyData(ballMeshes()["femur"]))
    outline = slicer.modules.models.logic().AddModel(modelPolyData(ballMeshes()["tibia"]))
    outline.SetNodeReferenceID("SSRKD.OutlineOf", node.GetID())
    outline.SetAttribute("SSRKD.Placed", "frontal")
    panel.panel.parameters.setNode("femur", "Model", node)
    application.settle()
    bench.close_module("SSRKD")
    node.GetDisplayNode().SetVisibility(False)
    application.settle()
    assert outlines.outlinesOf([node]) == [outline]
    assert not outline.GetDisplayNode().GetVisibility()


def test_panel_logic_and_scripts_share_one_node_that_survives_a_closed_scene(panel, slicer, module):
    node = panel.panel.parameters.node
    assert isinstance(panel.logic, sys.modules["SSRKD"].SSRKDLogic)
    assert panel.logic.getParameterNode() is node
    assert module.SSRKDLogic().getParameterNode() is node
    slicer.mrmlScene.Clear(0)
    application.settle()
    again = panel.panel.parameters.node
    assert again.GetAttribute("ModuleName") == "SSRKD"
    assert module.SSRKDLogic().getParameterNode() is again


def test_panel_reads_the_disk_once_until_it_changes(panel, slicer, monkeypatch, tmp_path):
    """Weights, versions of packages, the DICOM database: at every refresh they were read anew."""
    from SSRKDSlicer.worker import installation, weights_list

    read = []
    counted = (
        (weights_list, "list_bundles"),
        (installation.metadata, "version"),
        (dicom.ctkDICOMDatabase, "fileForInstance"),
    )
    for owner, name in counted:
        plain = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *a, plain=plain, name=name: (read.append(name), plain(*a))[1]
        )
    monkeypatch.setenv("SSRKD_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "packages")])
    for view, node in zip(("frontal", "lateral"), loadSampleFiles()):
        node.SetAttribute("DICOM.instanceUIDs", f"1.2.{view}")
        dicom.register_instance(f"1.2.{view}", SAMPLES / f"SSRKD_{view}.dcm")
    application.settle()  # the panel chooses the radiographs
    dicom.register_instance("1.2.1", tmp_path / "one.dcm")
    (tmp_path / "weights").mkdir()
    (tmp_path / "packages").mkdir()

    def refresh():
        read.clear()
        for _ in range(3):
            panel.panel.refresh()
        return {name: read.count(name) for name in set(read)}

    assert refresh() == {"list_bundles": 1, "version": 2, "fileForInstance": 2}
    assert refresh() == {}
    (tmp_path / "weights" / "new").mkdir()
    assert refresh() == {"list_bundles": 1}
    (tmp_path / "weights" / "new" / "bundle.json").write_text("{}")
    assert refresh() == {"list_bundles": 1}
    (tmp_path / "packages" / "torch-9.dist-info").mkdir()
    assert refresh() == {"version": 2}
    dicom.register_instance("1.2.3", tmp_path / "another.dcm")
    assert refresh() == {"fileForInstance": 2}


def test_views_wait_while_the_nodes_of_a_result_are_made(module, slicer, tmp_path):
    from SSRKDSlicer.tasks import Tasks

    class AtOnce:
        def submit(self, request, onProgress, onDone, onFailed):
            onDone({})

    happened = []
    slicer.app.connect("renderPaused(bool)", happened.append)

    def show(folder, result, prepared):
        happened.append("nodes")
        if prepared == "broken":
            raise ValueError("broken")

    for kind in ("whole", "broken"):
        Tasks(AtOnce()).run(lambda folder, kind=kind: ({}, kind), show, {})
    slicer.app.disconnect("renderPaused(bool)", happened.append)
    assert happened == [True, "nodes", False] * 2


def test_panel_takes_distance_colours_off_bones_that_were_loaded_with_them(panel, slicer):
    """The comparison itself is not saved; nor is the colour of what was not evaluated."""
    from SSRKDSlicer.bones import point_colours
    from SSRKDSlicer.bones.results import modelPolyData

    polydata = modelPolyData(ballMeshes()["femur"])
    node = slicer.modules.models.logic().AddModel(polydata)
    distances = np.full(polydata.GetNumberOfPoints(), np.nan)
    distances[:100] = np.linspace(-1, 1, 100)
    assert point_colours.setDistances(node, distances)
    kind = point_colours.DISTANCE
    point_colours.colour({"femur": node}, kind, True, 3.0)
    lookup = point_colours.colourNode(kind).GetLookupTable()
    grey = lookup.GetNanColor()
    lookup.SetNanColor(0.5, 0.0, 0.0, 1.0)  # what Slicer gives a table that it loads
    panel.panel.parameters.setNode("femur", "Model", node)
    panel.ui.compareSection.collapsed = False
    application.settle()
    assert lookup.GetNanColor() == grey
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(node)
    assert legend.GetVisibility() and not legend.GetVisibility2D()
    user.click(panel.ui.colourCheck)
    assert not node.GetDisplayNode().GetScalarVisibility()
    assert not legend.GetVisibility()

"""The panel while another module is open, after a closed scene, and the node that all share."""

from __future__ import annotations

import sys

import pytest

from Testing import bench
from Testing.bench import application
from Testing.module.cases import loadSampleFiles


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
    from Testing.module.cases import ballMeshes

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

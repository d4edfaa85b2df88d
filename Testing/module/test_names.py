"""The names of Slicer and VTK that the module uses are in what is installed."""

from __future__ import annotations

from Testing import names


def test_names_that_the_module_uses_are_all_there(slicer):
    assert names.missing_here() == []


def test_names_that_are_not_there_are_found_out(slicer):
    wrong = ["slicer.util.loadUi", ".GetPolydata", "slicer.vtkMRMLModellNode", "qt.QLabel.texts"]
    right = [
        "slicer.util.loadUI",
        ".GetPolyData",
        "slicer.vtkMRMLModelNode",
        "qt.QTimer.singleShot",
    ]
    assert names.there([*wrong, *right]) == right
    used = names.used()
    assert {"slicer.util.loadUI", ".SetViewGroup", "vtk.vtkTransform", "qt.QProcess"} <= set(used)
    assert used["qt.QProcess"].startswith("SSRKD/SSRKDSlicer/worker/worker_client.py:")


def test_names_were_seen_in_slicer_5_12_and_5_13(slicer):
    seen = names.read()[".GetPolyData"]
    assert {name.split()[1].rpartition(".")[0][:4] for name in seen} >= {"5.12", "5.13"}

"""The bench reads and writes files through ``slicer.util``, and keeps the subject hierarchy."""

from __future__ import annotations

import numpy as np
import pytest
import vtk

MATRIX = np.array([[2.0, 0, 0, -10], [0, 3.0, 0, 20], [0, 0, 4.0, 5], [0, 0, 0, 1]])


@pytest.fixture
def volume(slicer):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    return slicer.util.addVolumeFromArray(array, MATRIX, "CT")


def make_model(slicer, name="Ball"):
    source = vtk.vtkSphereSource()
    source.SetRadius(10.0)
    source.SetCenter(1.0, 2.0, 3.0)
    source.Update()
    node = slicer.modules.models.logic().AddModel(source.GetOutput())
    node.SetName(name)
    return node


@pytest.mark.parametrize("ending", ["nrrd", "nii.gz", "mha"])
def test_volumes_go_to_files_and_back(slicer, volume, tmp_path, ending):
    path = str(tmp_path / f"ct.{ending}")
    assert slicer.util.saveNode(volume, path)
    loaded = slicer.util.loadVolume(path, {"name": "Again"})
    assert loaded.GetName() == "Again"
    assert np.array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(volume))
    matrix = vtk.vtkMatrix4x4()
    loaded.GetIJKToRASMatrix(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), MATRIX, atol=1e-4)


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_pictures_keep_their_first_row_on_top(slicer, tmp_path, ending):
    from PIL import Image

    rows = np.zeros((40, 60), np.uint8)
    rows[:10, :20] = 200
    Image.fromarray(rows).save(tmp_path / f"film.{ending}")
    grey = slicer.util.loadVolume(str(tmp_path / f"film.{ending}"), {"singleFile": True})
    array = slicer.util.arrayFromVolume(grey)
    assert array.shape == (1, 40, 60)
    assert abs(int(array[0, 3, 3]) - 200) < 8
    assert abs(int(array[0, 30, 3])) < 8
    Image.fromarray(np.dstack([rows] * 3)).save(tmp_path / f"colour.{ending}")
    colour = slicer.util.loadVolume(str(tmp_path / f"colour.{ending}"))
    assert colour.GetClassName() == "vtkMRMLVectorVolumeNode"


def test_sixteen_bits_survive_in_png(slicer, tmp_path):
    from PIL import Image

    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(values).save(tmp_path / "film.png")
    node = slicer.util.loadVolume(str(tmp_path / "film.png"))
    assert np.array_equal(slicer.util.arrayFromVolume(node)[0], values)


@pytest.mark.parametrize("ending", ["stl", "ply", "obj", "vtp", "vtk"])
def test_models_go_to_files_and_back_in_place(slicer, tmp_path, ending):
    model = make_model(slicer)
    path = str(tmp_path / f"ball.{ending}")
    assert slicer.util.exportNode(model, path)
    assert model.GetStorageNode() is None
    loaded = slicer.util.loadModel(path)
    assert np.allclose(loaded.GetPolyData().GetBounds(), model.GetPolyData().GetBounds(), atol=1e-4)


def test_exported_models_are_in_world_coordinates_when_asked(slicer, tmp_path):
    model = make_model(slicer)
    moved = np.eye(4)
    moved[0, 3] = 100.0
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, moved)
    model.SetAndObserveTransformNodeID(transform.GetID())
    for world, middle in ((False, 1.0), (True, 101.0)):
        path = str(tmp_path / f"{world}.stl")
        assert slicer.util.exportNode(model, path, {}, world=world)
        bounds = slicer.util.loadModel(path).GetPolyData().GetBounds()
        assert (bounds[0] + bounds[1]) / 2 == pytest.approx(middle, abs=0.01)


def test_segmentations_tables_markups_transforms_and_texts_go_to_files_and_back(
    slicer, volume, tmp_path
):
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Bones")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.GetSegmentation().AddEmptySegment("femur", "Femur")
    mask = (slicer.util.arrayFromVolume(volume) > 11).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, "femur", volume)
    assert slicer.util.saveNode(segmentation, str(tmp_path / "bones.seg.nrrd"))
    loaded = slicer.util.loadSegmentation(str(tmp_path / "bones.seg.nrrd"))
    again = slicer.util.arrayFromSegmentBinaryLabelmap(loaded, "femur", volume)
    assert np.array_equal(again, mask)

    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Distances")
    slicer.util.updateTableFromArray(table, np.array([[1.0, 2.0], [3.0, 4.0]]), ["a", "b"])
    assert slicer.util.saveNode(table, str(tmp_path / "t.csv"))
    assert slicer.util.loadTable(str(tmp_path / "t.csv")).GetNumberOfRows() == 2

    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Ball")
    points.AddControlPoint(1.0, 2.0, 3.0)
    assert slicer.util.saveNode(points, str(tmp_path / "p.mrk.json"))
    place = slicer.util.arrayFromMarkupsControlPoints(
        slicer.util.loadMarkups(str(tmp_path / "p.mrk.json"))
    )
    assert np.allclose(place, [[1, 2, 3]])

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "T")
    slicer.util.updateTransformMatrixFromArray(transform, MATRIX)
    assert slicer.util.saveNode(transform, str(tmp_path / "t.h5"))
    loaded = slicer.util.loadTransform(str(tmp_path / "t.h5"))
    assert np.allclose(slicer.util.arrayFromTransformMatrix(loaded), MATRIX)


def test_missing_files_raise(slicer, tmp_path):
    with pytest.raises(RuntimeError, match="File not found"):
        slicer.util.loadVolume(str(tmp_path / "none.nrrd"))


@pytest.mark.parametrize("name", ["scene.mrb", "scene.mrml"])
def test_scenes_are_saved_and_loaded(slicer, volume, tmp_path, name):
    model = make_model(slicer)
    model.GetDisplayNode().SetColor(0.25, 0.5, 0.75)
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Knee")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(model), folder)
    parameters = slicer.vtkMRMLScriptedModuleNode()
    parameters.SetSingletonTag("Bench")
    parameters = slicer.mrmlScene.AddNode(parameters)
    parameters.SetParameter("Side", "L")
    parameters.SetNodeReferenceID("Frontal", volume.GetID())
    if name.endswith(".mrml"):  # keeps no data of its own
        assert slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"))
        assert slicer.util.saveNode(model, str(tmp_path / "ball.vtp"))
    assert slicer.util.saveScene(str(tmp_path / name))
    slicer.mrmlScene.Clear(0)
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    slicer.util.loadScene(str(tmp_path / name))
    assert slicer.util.arrayFromVolume(slicer.util.getNode("CT"))[1, 2, 3] == 23
    ball = slicer.util.getNode("Ball")
    assert ball.GetPolyData().GetNumberOfPoints() > 10
    assert ball.GetDisplayNode().GetColor() == (0.25, 0.5, 0.75)
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(ball))
    assert hierarchy.GetItemName(parent) == "Knee"
    parameters = slicer.mrmlScene.GetSingletonNode("Bench", "vtkMRMLScriptedModuleNode")
    assert parameters.GetParameter("Side") == "L"
    assert parameters.GetNodeReference("Frontal").GetName() == "CT"


def test_items_of_the_subject_hierarchy_come_and_go_with_nodes(slicer):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    model = make_model(slicer, "Femur")
    item = hierarchy.GetItemByDataNode(model)
    assert hierarchy.GetItemName(item) == "Femur"
    slicer.mrmlScene.RemoveNode(model)
    assert not hierarchy.GetItemByName("Femur")


def test_the_colour_tables_that_nodes_refer_to_are_there(slicer):
    assert slicer.mrmlScene.GetNodeByID("vtkMRMLColorTableNodeFileGenericColors.txt") is not None
    colours = slicer.mrmlScene.GetNodeByID("vtkMRMLColorTableNodeFileViridis.txt")
    assert colours.GetNumberOfColors() == 256
    low, high = np.zeros(4), np.zeros(4)
    colours.GetColor(0, low)
    colours.GetColor(255, high)
    assert np.allclose(low[:3], [0.267, 0.004, 0.329], atol=0.01)
    assert np.allclose(high[:3], [0.993, 0.906, 0.144], atol=0.01)

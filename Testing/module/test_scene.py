"""The scene: frames, placed radiographs, models, masks and outlines, each where it belongs."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

import numpy as np
import pytest
import vtk
from PIL import Image

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.errors import InputError, OutputError, SSRKDError
from SSRKDLib.geometry.rig_presets import orthogonal
from Testing.bench.pythonqt import Inside
from Testing.module.cases import ballMeshes, loadRadiographs, writeRadiographs
from Testing.support.asymmetric_rig import asymmetric
from Testing.support.ball_knee import BALLS

#: A shape without symmetry: a point per axis, LPS mm.
MARKS = np.array([[10.0, 0, 0], [0, 25.0, 0], [0, 0, 47.0], [-3.0, 8.0, 5.0]])


@pytest.fixture
def placed(module, tmp_path):
    """The knee of balls in the asymmetric rig: files, loaded, and placed by the logic."""
    rig = asymmetric()
    path = writeRadiographs(rig, tmp_path)
    frontal, lateral = loadRadiographs(tmp_path)
    case = module.SSRKDLogic().place(frontal, lateral, path)
    return rig, (frontal, lateral), case


def rasOf(node, column, row):
    """Where a pixel of a volume is, RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array(matrix.MultiplyPoint((column, row, 0, 1))[:3])


def test_scene_frame_conversion_is_its_own_inverse_and_known(module):
    from SSRKDSlicer.scene.frames import flipLpsRas

    np.testing.assert_array_equal(flipLpsRas([1.0, 2.0, 3.0]), [-1, -2, 3])
    np.testing.assert_array_equal(flipLpsRas(flipLpsRas(MARKS)), MARKS)
    matrix = np.array([[0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1.0]])
    point = np.array([1.0, 2.0, 3.0, 1.0])
    np.testing.assert_allclose((flipLpsRas(matrix) @ point)[:3], flipLpsRas((matrix @ point)[:3]))


def test_scene_placed_pixels_lie_on_the_rays_through_the_points(placed, slicer):
    """Source, point and pixel are on one line: rig file -> volume node, in RAS."""
    rig, _, case = placed
    flip = np.array([-1, -1, 1])
    for view, node in zip(rig.views, case.placed):
        source = view.source * flip
        for mark in MARKS:
            pixel = rasOf(node, *view.project(mark))
            towards, along = mark * flip - source, pixel - source
            across = np.linalg.norm(np.cross(towards, along)) / np.linalg.norm(along)
            assert across < 1e-3
            assert np.linalg.norm(along) > np.linalg.norm(towards)  # the detector is behind


def test_scene_placing_leaves_the_loaded_volume_alone(placed, slicer):
    rig, loaded, case = placed
    for view, node, copy in zip(rig.views, loaded, case.placed):
        assert copy is not node
        np.testing.assert_array_equal(
            slicer.util.arrayFromVolume(copy), slicer.util.arrayFromVolume(node)
        )
        assert not np.allclose(rasOf(copy, 0, 0), rasOf(node, 0, 0))
        np.testing.assert_allclose(copy.GetSpacing()[:2], view.pixel_spacing)


def test_scene_placing_again_moves_the_same_copies(placed, module, slicer):
    rig, (frontal, lateral), case = placed
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    moved = np.eye(4)
    moved[:3, 3] = [0, 0, 30.0]
    again = module.SSRKDLogic().place(frontal, lateral, rig.transformed(moved), case=case)
    assert again.placed == case.placed
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == count
    slicer.util.arrayFromVolume(frontal)[0, 5, 7] = 9.0  # another image in the same node
    slicer.util.arrayFromVolumeModified(frontal)
    again = module.SSRKDLogic().place(frontal, lateral, rig.transformed(moved), case=case)
    assert slicer.util.arrayFromVolume(again.placed[0])[0, 5, 7] == 9.0
    corner = rig.views[0].detector_origin * [-1, -1, 1] + [0, 0, 30]
    np.testing.assert_allclose(rasOf(again.placed[0], 0, 0), corner, atol=1e-6)


def test_scene_models_have_place_colour_name_and_terminology(placed, slicer, tmp_path):
    from SSRKDLib.surfaces.mesh_files import write_mesh
    from SSRKDSlicer.bones.results import addModels
    from SSRKDSlicer.tasks import Tasks

    for bone, mesh in ballMeshes().items():
        write_mesh(tmp_path / f"{bone}.ply", mesh)
    report = {
        "laterality": "R",
        "spacing_mm": 1.0,
        "bones": {b: {"volume_mm3": 1.0, "agreement": {}} for b in BONES},
    }
    folder = placed[2].folder()
    models = addModels(tmp_path, report, folder)
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    for bone, node in models.items():
        points = slicer.util.arrayFromModelPoints(node)
        np.testing.assert_allclose(points.mean(0), BALLS[bone][0] * np.array([-1, -1, 1]), atol=0.5)
        assert node.GetName() == f"Right {bone}"
        np.testing.assert_allclose(node.GetDisplayNode().GetColor(), COLOURS[bone], atol=1e-6)
        assert not node.GetDisplayNode().GetScalarVisibility()
        entry = node.GetAttribute(slicer.vtkSegment.GetTerminologyEntryTagName())
        assert f"^{bone.capitalize()}~SCT^24028007^Right~" in entry
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
        normals = slicer.util.arrayFromModelPointData(node, "Normals")
        outwards = points - points.mean(0)
        assert ((normals * outwards).sum(1) > 0).all()
    # Another result in the same case has no fibula: that of the one before does not stay.
    del report["bones"]["fibula"]
    (tmp_path / "fibula.ply").unlink()
    made = Tasks._showModels(SimpleNamespace(output=tmp_path), report, folder, models)
    assert made == {bone: models[bone] for bone in BONES if bone != "fibula"}
    assert not slicer.mrmlScene.IsNodePresent(models["fibula"])
    assert hierarchy.GetItemName(folder).startswith("Knee of")


def test_scene_models_keep_the_rig_of_the_cropped_images(placed, slicer, tmp_path):
    """A comparison evaluates what the reconstruction saw, not the whole radiographs."""
    from SSRKDLib.surfaces.mesh_files import write_mesh
    from SSRKDSlicer.bones.results import addModels, reconstructionRig
    from SSRKDSlicer.radiographs.view_setup import Setup, setupFromRig

    rig, nodes, case = placed
    whole = setupFromRig(*nodes, rig)
    setup = Setup(whole.rig, whole.radiographs, ((40, 60, 160, 170), None))
    for bone, mesh in ballMeshes().items():
        write_mesh(tmp_path / f"{bone}.ply", mesh)
    report = {"laterality": "R", "bones": {bone: {} for bone in BONES}}
    models = addModels(tmp_path, report, case.folder(), rig=setup.croppedRig())
    kept = reconstructionRig(models)
    assert kept.views[0].size == (160, 170)
    np.testing.assert_allclose(kept.views[0].source, setup.rig.views[0].source)
    again = addModels(tmp_path, report, case.folder(), models)
    assert reconstructionRig(again) is None  # such as from a CT


def test_scene_rig_of_more_than_two_views_says_which_are_used(placed):
    from dataclasses import replace

    from SSRKDSlicer.radiographs.view_setup import setupFromRig

    rig, nodes, _ = placed
    third = replace(rig.views[0], name="oblique", source=rig.views[0].source + [200.0, 0, 0])
    setup = setupFromRig(*nodes, replace(rig, views=(*rig.views, third)))
    assert len(setup.rig.views) == 2
    assert any("The rig has 3 views" in sentence for sentence in setup.summary()[1])


def test_scene_model_with_other_points_is_not_coloured(module, slicer):
    from SSRKDSlicer.bones.point_colours import DISTANCE, setDistances
    from SSRKDSlicer.bones.results import addModel
    from SSRKDSlicer.scene.folders import newFolder

    mesh = ballMeshes()["femur"]
    node = addModel("femur", mesh, "L", {}, newFolder("Knee"))
    assert not setDistances(node, np.zeros(len(mesh.vertices) + 1))
    assert not node.GetPolyData().GetPointData().HasArray(DISTANCE.array)
    assert setDistances(node, np.zeros(len(mesh.vertices)))
    assert node.GetPolyData().GetPointData().HasArray(DISTANCE.array)


def test_scene_pictures_of_radiographs_show_the_outlines_and_no_more_than_the_bones(placed, slicer):
    from SSRKDSlicer.bones.radiograph_pictures import radiographPictures
    from SSRKDSlicer.bones.results import addModel
    from SSRKDSlicer.radiographs.outlines import matchDisplay, outlinesOf, updateOutlines

    _, _, case = placed
    models = {b: addModel(b, mesh, "L", {}, case.folder()) for b, mesh in ballMeshes().items()}
    del models["fibula"]
    assert radiographPictures(case.placed, models.values()) == {}
    updateOutlines(models, case.placed, case.folder())
    models["patella"].GetDisplayNode().SetVisibility(False)
    matchDisplay(models.values(), False)
    made = radiographPictures((None, case.placed[1]), models.values())
    ((caption, png),) = made.items()
    assert caption.startswith("Lateral radiograph")
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    columns, rows, _ = case.placed[1].GetImageData().GetDimensions()
    assert picture.shape[0] < rows and picture.shape[1] < columns
    drawn = {}
    for bone in BONES:
        near = np.abs(picture - 255 * np.array(COLOURS[bone])).max(2) < 3
        drawn[bone] = np.argwhere(near)
    assert [bone for bone in BONES if len(drawn[bone])] == ["femur", "tibia"]
    toIjk = vtk.vtkMatrix4x4()
    case.placed[1].GetRASToIJKMatrix(toIjk)
    toRow = slicer.util.arrayFromVTKMatrix(toIjk)[1, :3]
    for outline in outlinesOf(models.values()):
        bone, role = outline.GetAttribute("SSRKD.Bone"), outline.GetAttribute("SSRKD.Placed")
        if role == "lateral" and bone in ("femur", "tibia"):
            height = np.ptp(slicer.util.arrayFromModelPoints(outline) @ toRow)
            assert abs(np.ptp(drawn[bone][:, 0]) - height) < 3
    grey = np.ptp(picture, axis=2) == 0
    assert 0.5 < grey.mean() < 1.0 and len(np.unique(picture[grey])) > 20


def silhouettePixels(view, bone):
    from Testing.support.ball_knee import ball_path

    return ball_path(view, bone) > 0


def test_scene_outlines_lie_on_the_images_of_the_balls(placed, slicer):
    """Model nodes -> outline nodes on the placed copies, against the balls' images there."""
    from SSRKDSlicer.bones.results import addModel
    from SSRKDSlicer.radiographs.outlines import updateOutlines

    rig, _, case = placed
    folder = case.folder()
    models = {b: addModel(b, mesh, "L", {}, folder) for b, mesh in ballMeshes().items()}
    nodes = updateOutlines(models, case.placed, folder)
    assert len(nodes) == 8
    for node in nodes:
        bone, role = node.GetAttribute("SSRKD.Bone"), node.GetAttribute("SSRKD.Placed")
        index = ("frontal", "lateral").index(role)
        view, volume = rig.views[index], case.placed[index]
        pixels = pixelsOf(volume, slicer.util.arrayFromModelPoints(node))
        drawn = np.zeros(view.size[::-1], bool)
        truth = silhouettePixels(view, bone)
        inside = (pixels > 1).all(1) & (pixels < np.array(view.size) - 2).all(1)
        column, row = np.round(pixels[inside]).astype(int).T
        drawn[row, column] = True
        # A border pixel of the image is within 1.5 pixels of the outline, and the other way round.
        from scipy import ndimage

        border = truth ^ ndimage.binary_erosion(truth)
        border[[0, -1]] = border[:, [0, -1]] = False
        assert border.any() and drawn.any()
        away = ndimage.distance_transform_edt(~border)[drawn]
        assert away.max() < 2.0, (bone, role, away.max())


def pixelsOf(volume, points):
    import slicer

    matrix = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(matrix)
    ijk = np.c_[points, np.ones(len(points))] @ slicer.util.arrayFromVTKMatrix(matrix).T
    assert np.abs(ijk[:, 2]).max() < 1e-3  # on the detector
    return ijk[:, :2]


def test_scene_outline_falls_on_its_image_in_the_slice_view(placed, slicer):
    """Pixels of the rendered view: the outline's colour surrounds what is bright."""
    from SSRKDSlicer.bones.results import addModel
    from SSRKDSlicer.radiographs.outlines import updateOutlines
    from SSRKDSlicer.scene import layouts

    rig, _, case = placed
    mesh = ballMeshes()["femur"]
    models = {"femur": addModel("femur", mesh, "L", {}, case.folder())}
    slicer.util.updateVolumeFromArray(
        case.placed[0], silhouettePixels(rig.views[0], "femur")[None].astype(np.float32)
    )
    display = case.placed[0].GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(1.0, 0.5)
    updateOutlines(models, case.placed, case.folder())
    layouts.showRadiographs(dict(zip(("frontal", "lateral"), case.placed)))
    image = Inside(slicer.app.layoutManager()).grab(layouts.sliceName("frontal")).astype(int)
    bright = image.min(2) > 180
    blue = (image[..., 2] - image[..., 0] > 60) & (image[..., 2] > 120)
    assert bright.sum() > 500
    assert blue.sum() > 50
    from scipy import ndimage

    border = ndimage.binary_dilation(bright, iterations=3) & ~ndimage.binary_erosion(
        bright, iterations=3
    )
    assert (blue & border).sum() > 0.95 * blue.sum()


def test_scene_masks_keep_their_pixels_when_the_radiograph_is_placed_anew(placed, module, slicer):
    from SSRKDSlicer.radiographs.radiographs import RadiographNode
    from SSRKDSlicer.scene.masks import editedMasks, readMasks, showMasks
    from SSRKDSlicer.tasks import _edited

    rig, (frontal, lateral), case = placed
    masks = np.stack([silhouettePixels(rig.views[0], bone) for bone in BONES])
    node = showMasks(masks, case.placed[0], "frontal", "L", case.folder())
    np.testing.assert_array_equal(readMasks(node, case.placed[0]), masks)
    assert editedMasks(node, case.placed[0]) is None
    segment = node.GetSegmentation().GetSegment("femur")
    assert segment.GetName() == "Left femur"
    np.testing.assert_allclose(segment.GetColor(), COLOURS["femur"], atol=1e-6)
    case.masks = (node, None)
    moved = np.eye(4)
    moved[:3, 3] = [4.0, 0, 30.0]
    module.SSRKDLogic().place(frontal, lateral, rig.transformed(moved), case=case)
    np.testing.assert_array_equal(readMasks(node, case.placed[0]), masks)
    assert editedMasks(node, case.placed[0]) is None
    edited = masks.copy()
    edited[1, 100:120, 90:110] ^= True
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        edited[1][None].astype(np.uint8), node, "femur", case.placed[0]
    )
    np.testing.assert_array_equal(editedMasks(node, case.placed[0]), edited)
    # They are used for this radiograph, and for no other.
    for radiograph, used in ((frontal, True), (case.placed[0], True), (lateral, False)):
        mine = _edited(RadiographNode(radiograph, "frontal"), case.placed[0], node)
        assert (mine is not None) == used


def test_scene_crop_of_a_region_is_in_pixels(module, slicer, tmp_path):
    from SSRKDSlicer.radiographs.radiographs import RadiographNode
    from SSRKDSlicer.radiographs.view_setup import cropOfRoi

    writeRadiographs(orthogonal(), tmp_path)
    frontal, _ = loadRadiographs(tmp_path)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    corners = [rasOf(frontal, c, r) for c, r in ((39.5, 59.5), (199.5, 229.5))]
    roi.SetXYZ(*(np.sum(corners, 0) / 2))
    size = np.abs(corners[1] - corners[0])
    roi.SetSize(*np.maximum(size, 5.0))
    assert cropOfRoi(roi, RadiographNode(frontal, "frontal")) == (40, 60, 160, 170)
    roi.SetSize(2000.0, 2000.0, 2000.0)
    assert cropOfRoi(roi, RadiographNode(frontal, "frontal")) is None
    roi.SetXYZ(5000.0, 0.0, 0.0)
    with pytest.raises(InputError, match="crop region"):
        cropOfRoi(roi, RadiographNode(frontal, "frontal"))


def test_scene_stored_geometry_travels_with_a_saved_scene(placed, slicer, tmp_path):
    from SSRKDSlicer.radiographs.placing import placedView

    rig, _, case = placed
    name = case.placed[1].GetName()
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    view = placedView(slicer.util.getNode(name))
    np.testing.assert_allclose(view.projection_matrix, rig.views[1].projection_matrix, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((5, 40, 40), "slices"), (None, "holds no image")],
)
def test_scene_what_is_no_radiograph_is_refused(module, slicer, shape, words):
    from SSRKDSlicer.radiographs.radiographs import RadiographNode

    if shape is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    else:
        node = slicer.util.addVolumeFromArray(np.zeros(shape, np.int16), name="ct")
    with pytest.raises(SSRKDError, match=words):
        RadiographNode(node, "frontal")


def test_scene_exports_are_where_the_models_are(placed, slicer, tmp_path, monkeypatch):
    import SimpleITK

    from SSRKDLib.surfaces.mesh_files import read_mesh
    from SSRKDSlicer.bones.results import addModel, exportModels

    case = placed[2]
    models = {b: addModel(b, m, "L", {}, case.folder()) for b, m in ballMeshes().items()}
    for kind, suffix in (("STL", "stl"), ("OBJ", "obj"), ("PLY", "ply")):
        exportModels(models, str(tmp_path), kind)
        for bone, (centre, _) in BALLS.items():
            mesh = read_mesh(tmp_path / f"left_{bone}.{suffix}")
            np.testing.assert_allclose(mesh.vertices.mean(0), centre, atol=0.5)
    (path,) = exportModels(models, str(tmp_path), "labelmap")
    image = SimpleITK.ReadImage(path)
    for label, (centre, radius) in enumerate(BALLS.values(), start=1):
        assert image[image.TransformPhysicalPointToIndex(centre)] == label
        beside = np.array(centre) + [radius + 2, 0, 0]
        assert image[image.TransformPhysicalPointToIndex(beside.tolist())] != label
    with monkeypatch.context() as patch:
        export = slicer.util.exportNode

        def full(node, path, *more, **options):
            return export(node, path, *more, **options) and not os.truncate(path, 20_000)

        patch.setattr(slicer.util, "exportNode", full)
        with pytest.raises(OutputError, match="disk with space left"):
            exportModels(models, str(tmp_path), "OBJ")
    with pytest.raises(InputError, match="not a folder|does not exist"):
        exportModels(models, str(tmp_path / "absent"), "STL")
    with pytest.raises(InputError, match="Reconstruct"):
        exportModels({}, str(tmp_path), "STL")

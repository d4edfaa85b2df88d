"""The geometry of prepared cases, proven on landmarks; real CT too."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.core.errors import GeometryError
from SSRKDLib.ct.hounsfield import attenuation
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.datasets.case_frame import CaseFrame, fitting_pixel
from SSRKDLib.datasets.prepare import Settings, label_map
from SSRKDLib.datasets.prepare_many import Outcome, run_job
from SSRKDLib.datasets.sources import FileSource, Job
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import read_mesh, write_mesh
from Testing.support.ball_knee import BALLS, ball, distances
from Testing.support.ball_scan import (
    BONE_HU,
    PLACE,
    SPACING,
    ball_ct,
    ball_meshes,
    posed,
    write_series,
)
from Testing.support.shared_data import SHARED

EXTENT, VOXELS = 160.0, 40
SETTINGS = Settings(size=VOXELS, detector=96, angles=9, extent=EXTENT,
                    surface_points=400, uniform_points=4000)  # fmt: skip
PELVIS = SHARED / "data" / "ct_pelvis"


@pytest.fixture(scope="module", params=["L", "R"])
def knee(request, tmp_path_factory) -> tuple[str, CaseFolder]:
    """A ball knee as files, prepared."""
    side, folder = request.param, tmp_path_factory.mktemp("knee")
    sitk.WriteImage(ball_ct(side), str(folder / "ct.nii.gz"))
    (folder / "bones").mkdir()
    for bone, mesh in ball_meshes(side).items():
        write_mesh(folder / "bones" / f"{bone}.ply", mesh)
    job = Job("knee", FileSource(folder / "ct.nii.gz", folder / "bones", side), "somebody", "F")
    assert run_job(job, folder / "processed", SETTINGS) == Outcome("knee")
    return side, CaseFolder(folder / "processed" / "knee")


# --- geometry ----------------------------------------------------------------------------------


def test_a_prepared_case_is_whole_and_says_what_it_is(knee):
    side, case = knee
    assert case.finished and case.labelled and case.missing() == []
    assert case.volume_sizes() == [VOXELS, 2 * VOXELS]
    record = case.record()
    expected = {"case": "knee", "person": "somebody", "sex": "F", "side": side, "labelled": True}
    expected["joint_centre"] = "area-weighted-1"
    assert {key: record[key] for key in expected} == expected
    assert not any(str(case.path.parent.parent) in path.read_text("utf-8", "replace")
                   for path in case.path.glob("*.json"))  # fmt: skip
    spacing = case.spacing()
    assert spacing["mesh"].tolist() == [EXTENT / 2] * 3
    assert spacing["ct"].tolist() == [EXTENT / (2 * VOXELS)] * 3


def test_meshes_come_back_to_the_patient_and_a_right_knee_is_mirrored(knee):
    side, case = knee
    frame, meshes = case.frame(), case.meshes()
    assert frame.mirrored == (side == "R")
    for bone, mesh in ball_meshes(side).items():
        assert meshes[bone].volume() == pytest.approx(mesh.volume(), rel=1e-5)
        back = meshes[bone].transformed(frame.to_world)
        assert back.bounds == pytest.approx(mesh.bounds, abs=1e-4)
    assert read_mesh(case.path / "submesh" / "sub_1.obj").volume() > 0
    assert len(read_mesh(case.path / "mesh.obj").faces) == sum(
        len(m.faces) for m in meshes.values()
    )
    # In a left knee the fibula is on the left, in front of which the patella lies.
    assert meshes["fibula"].vertices[:, 0].mean() - meshes["tibia"].vertices[:, 0].mean() > 30
    assert meshes["patella"].vertices[:, 1].mean() < meshes["femur"].vertices[:, 1].mean() - 30
    assert meshes["femur"].vertices[:, 2].mean() > meshes["tibia"].vertices[:, 2].mean() + 60


def test_volumes_keep_origin_and_spacing(knee):
    side, case = knee
    for size in (VOXELS, 2 * VOXELS):
        image = sitk.ReadImage(str(case.path / f"ct_{size}x.nii.gz"))
        assert image.GetSpacing() == pytest.approx([EXTENT / size] * 3)
        affine = case.frame().to_world @ case.frame().index_to_case(size)
        assert image.GetOrigin() == pytest.approx(affine[:3, 3], abs=1e-4)
        for bone in BONES:
            centre = posed(side) @ [*BALLS[bone][0], 1]
            index = image.TransformPhysicalPointToIndex(centre[:3].tolist())
            assert image.GetPixel(index) == 255


def test_the_coarser_volume_is_the_mean_of_the_finer(knee):
    _, case = knee
    fine, coarse = (case.volume(size).astype(float) for size in (2 * VOXELS, VOXELS))
    mean = fine.reshape((VOXELS, 2) * 3).mean(axis=(1, 3, 5))
    assert np.abs(mean - coarse).max() <= 1


def test_where_bones_overlap_label_maps_and_points_agree():
    both = {bone: ball((0.0, 0.0, 0.0), 30.0) for bone in BONES}
    frame = CaseFrame(40.0, np.eye(4), (0.0, 90.0), 1000.0, 2000.0, 64, 7.0)
    assert set(np.unique(label_map(both, frame, 16))) == {0, LABELS["tibia"]}


def test_voxels_and_labels_lie_where_the_meshes_are(knee):
    _, case = knee
    frame, meshes = case.frame(), case.meshes()
    labels = case.label_map()
    for size in (VOXELS, 2 * VOXELS):
        volume = case.volume(size)
        to_index = np.linalg.inv(frame.index_to_case(size))
        for bone, mesh in meshes.items():
            # The window's middle is passed at the surface: half way in, half way out.
            centre = mesh.bounds.mean(axis=0)
            normal = (mesh.vertices - centre) / np.linalg.norm(
                mesh.vertices - centre, axis=1, keepdims=True
            )
            step = 1.5 * EXTENT / size
            for offset, low, high in ((-step, 240, 255), (step, 0, 40)):
                index = (mesh.vertices + offset * normal) @ to_index[:3, :3].T + to_index[:3, 3]
                values = ndimage.map_coordinates(volume.astype(float), index.T[::-1], order=1)
                apart = np.abs(distances_to_others(mesh.vertices, bone, meshes)) > 3 * step
                assert low <= np.median(values[apart]) <= high
    index = np.argwhere(labels >= 0)[:, ::-1]
    world = index @ frame.index_to_case(2 * VOXELS)[:3, :3].T
    world += frame.index_to_case(2 * VOXELS)[:3, 3]
    back = world @ frame.to_world[:3, :3].T + frame.to_world[:3, 3]
    depth = distances((back - PLACE) @ posed(case.record()["side"])[:3, :3])
    truth = np.where(depth.max(axis=1) > 0, depth.argmax(axis=1) + 1, 0)
    sure = (np.abs(depth) > 0.1).all(axis=1)
    assert (labels.ravel() == truth)[sure].all()


def distances_to_others(points: np.ndarray, bone: str, meshes: dict[str, Mesh]) -> np.ndarray:
    """Distance of points to the nearest other ball, mm."""
    found = [
        np.linalg.norm(points - meshes[other].bounds.mean(axis=0), axis=1) - BALLS[other][1]
        for other in BONES
        if other != bone
    ]
    return np.min(found, axis=0)


def test_mesh_points_project_onto_their_mask_in_every_view(knee):
    _, case = knee
    masks = np.stack([case.bone_bits() >> k & 1 for k in range(4)], axis=1) > 0
    union, angles = case.masks()
    assert masks.shape == (9, 4, 96, 96) and (masks.any(1) == union).all()
    assert np.rad2deg(angles) == pytest.approx(np.linspace(0, 360, 9))
    pixel_grid = np.stack(np.meshgrid(np.arange(96), np.arange(96)), -1)
    for view, bones in zip(case.frame().views(), masks):
        for k, (bone, mesh) in enumerate(case.meshes().items()):
            # A ball's silhouette in closed form: rays that pass its centre closer than its radius.
            towards = mesh.bounds.mean(axis=0) - view.source
            past = np.linalg.norm(np.cross(view.rays(pixel_grid), towards), axis=-1)
            sure = np.abs(past - BALLS[bone][1]) > 0.1
            assert (bones[k] == (past < BALLS[bone][1]))[sure].all()
            columns, rows = np.rint(view.project(mesh.vertices)).astype(int).T
            assert ndimage.binary_dilation(bones[k], np.ones((3, 3)))[rows, columns].all()


def test_projections_show_the_bones_where_the_masks_are_and_hold_no_noise(knee):
    _, case = knee
    images, _ = case.line_integrals()
    window, _ = case.projections()
    masks, _ = case.masks()
    assert images.dtype == window.dtype == np.float32
    for image, seen, mask in zip(images, window, masks):
        # Two voxels, in pixels at the joint: linear interpolation on the way reaches so far.
        margin = 2 * EXTENT / (2 * VOXELS) / (case.frame().pixel / 2)
        well_out = ndimage.distance_transform_edt(~mask) > margin + 1
        well_in = ndimage.distance_transform_edt(mask) > margin + 1
        assert image[well_out].max() < 1e-6 and seen[well_out].max() < 1e-6
        assert image[well_in].min() > 0.1 and seen[well_in].min() > 2e-3
    # The lengths of the rays in the balls; the window's rim reaches a little further out.
    pixels = np.stack(np.meshgrid(np.arange(96), np.arange(96)), -1)
    for view, image, seen in zip(case.frame().views(), images, window):
        length = np.zeros((96, 96))
        for bone, mesh in case.meshes().items():
            towards = mesh.bounds.mean(axis=0) - view.source
            past = np.linalg.norm(np.cross(view.rays(pixels), towards), axis=-1)
            length += 2 * np.sqrt(np.clip(BALLS[bone][1] ** 2 - past**2, 0, None))
        dense = attenuation("water") * (1 + BONE_HU / 1000)
        assert image.sum() == pytest.approx(dense * length.sum(), rel=0.02)
        assert seen.sum() == pytest.approx(length.sum() / 1000, rel=0.06)


def test_points_have_the_labels_of_the_meshes(knee):
    side, case = knee
    frame = case.frame()
    points, labels = case.sampling().all_points()
    world = frame.millimetres(points) @ frame.to_world[:3, :3].T + frame.to_world[:3, 3]
    depth = distances((world - PLACE) @ posed(side)[:3, :3])
    truth = np.where(depth.max(axis=1) > 0, depth.argmax(axis=1) + 1, 0)
    sure = (np.abs(depth) > 0.1).all(axis=1)
    assert (labels == truth)[sure].all() and set(labels) == {0, *LABELS.values()}


@pytest.mark.parametrize("knee", ["R"], indirect=True)
def test_every_format_of_a_ct_and_a_label_map_make_the_same_case(knee, tmp_path):
    side, case = knee
    image = ball_ct(side)
    labels = sitk.GetArrayFromImage(image) > 0
    index = np.argwhere(labels)[:, ::-1] * SPACING
    world = index @ np.array(image.GetDirection()).reshape(3, 3).T + np.array(image.GetOrigin())
    found = np.zeros(labels.shape, np.uint8)
    found[labels] = distances((world - PLACE) @ posed(side)[:3, :3]).argmax(axis=1) + 1
    label_map = sitk.GetImageFromArray(found)
    label_map.CopyInformation(image)
    sitk.WriteImage(label_map, str(tmp_path / "bones.nii.gz"))
    dicom = tmp_path / "dicom"
    write_series(image, dicom)
    for name in ("ct.mhd", "ct.nrrd", "dicom"):
        if name != "dicom":
            sitk.WriteImage(image, str(tmp_path / name))
        job = Job(name, FileSource(tmp_path / name, tmp_path / "bones.nii.gz", side), name)
        assert run_job(job, tmp_path / "out", SETTINGS) == Outcome(name)
        made = CaseFolder(tmp_path / "out" / name)
        # The label map's surfaces put the joint a trifle elsewhere.
        shift = made.frame().to_world[:3, 3] - case.frame().to_world[:3, 3]
        assert np.abs(shift).max() < 1
        for bone, mesh in made.meshes().items():
            back = mesh.transformed(made.frame().to_world)
            assert back.bounds == pytest.approx(ball_meshes(side)[bone].bounds, abs=1.0)
        ours, theirs = (c.volume(VOXELS).astype(float) for c in (made, case))
        assert np.abs(ours - theirs).mean() < 4


# --- real CT -----------------------------------------------------------------------------------


@pytest.mark.skipif(not PELVIS.is_dir(), reason=f"no real CT at {PELVIS} (see SSRKD_SHARED)")
def test_a_real_ct_passes_with_its_geometry_intact(tmp_path):
    path = PELVIS / "totalseg_example_ct_pelvis_3mm.nii.gz"
    settings = Settings(size=64, detector=128, angles=5)
    assert run_job(Job("p", FileSource(path, None, None), "p"), tmp_path, settings) == Outcome("p")
    case, original = CaseFolder(tmp_path / "p"), sitk.ReadImage(str(path))
    assert not case.labelled and case.missing() == []
    image = sitk.ReadImage(str(tmp_path / "p" / "ct_128x.nii.gz"))
    hounsfield = sitk.GetArrayFromImage(original)
    truth = np.clip((hounsfield + 400.0) / 900, 0, 1) * 255
    index = np.argwhere((hounsfield > 250) & (np.abs(np.gradient(truth, axis=0)) > 30))[::50]
    assert len(index) > 100
    errors = {}
    for shift in (np.zeros(3), *(1.5 * np.eye(3)), *(-1.5 * np.eye(3))):
        errors[tuple(shift)] = np.mean([
            abs(value_at(image, np.array(point) + shift) - truth[tuple(at)])
            for at in index
            for point in [original.TransformIndexToPhysicalPoint([int(n) for n in at[::-1]])]
        ])  # fmt: skip
    assert min(errors, key=errors.get) == (0, 0, 0)
    # Metal in the left femur: brightest where it projects to, not a pixel beside it.
    metal = np.array([
        original.TransformIndexToPhysicalPoint([int(n) for n in at[::-1]])
        for at in np.argwhere(hounsfield > 2500)
    ])  # fmt: skip
    frame = case.frame()
    assert (metal[:, 0] > frame.to_world[0, 3]).all()
    images, _ = case.line_integrals()
    for view, seen in zip(frame.views(), images):
        at = view.project(metal - frame.to_world[:3, 3])
        sharp = seen - ndimage.gaussian_filter(seen, 4)
        score = {
            (x, y): ndimage.map_coordinates(sharp, (at + [x, y]).T[::-1], order=1).mean()
            for x in (-2, 0, 2)
            for y in (-2, 0, 2)
        }
        assert max(score, key=score.get) == (0, 0)


def value_at(image: sitk.Image, point: np.ndarray) -> float:
    index = image.TransformPhysicalPointToContinuousIndex(point.tolist())
    array = sitk.GetArrayViewFromImage(image)
    return ndimage.map_coordinates(array, np.array(index[::-1])[:, None], np.float64, 1)[0]


@pytest.mark.parametrize(
    ("pixels", "sod", "said"), [(40, 1000.0, "40 pixels.*11 mm.*--detector"), (400, 105.0, "large")]
)
def test_views_that_cannot_show_the_whole_cube_are_refused(pixels, sod, said):
    cube = np.array([[-100.0] * 3, [100.0] * 3])
    assert fitting_pixel(cube, (0.0, 90.0), 1000.0, 2000.0, 400) == pytest.approx(400 / 0.9 / 400)
    with pytest.raises(GeometryError, match=said):
        fitting_pixel(cube, (0.0, 90.0), sod, 2000.0, pixels)

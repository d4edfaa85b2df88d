"""Surfaces from label maps: place, size and names, in oblique and uneven voxels."""

from __future__ import annotations

import gzip
import json
import struct
from functools import cache

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from scipy.ndimage import find_objects

from SSRKDLib.core.errors import MeshError
from SSRKDLib.surfaces.label_checks import filled_window
from SSRKDLib.surfaces.label_maps import read_reference
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh

#: Centre (LPS mm) and radii (mm, along the axes) of the ellipsoid standing for each bone.
SHAPES = {
    "patella": ((10.0, -45.0, 20.0), (14.0, 9.0, 16.0)),
    "femur": ((12.0, 3.0, 40.0), (24.0, 20.0, 30.0)),
    "fibula": ((48.0, 15.0, -30.0), (9.0, 9.0, 25.0)),
    "tibia": ((8.0, 1.0, -35.0), (24.0, 18.0, 28.0)),
}


SPACING = np.array([1.0, 0.8, 1.5])


@cache
def grid(mirror: bool) -> tuple[np.ndarray, np.ndarray]:
    """Direction and origin of oblique axes with voxels of 1.0 x 0.8 x 1.5 mm, 160 x 200 x 110."""
    tilt, turn = np.radians([20.0, -35.0])
    about_x = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    about_z = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    direction = np.array(about_z) @ about_x @ np.diag([1, 1, -1 if mirror else 1])
    return direction, np.array([15.0, -5.0, 0.0]) - direction @ (SPACING * [159, 199, 109] / 2)


@cache
def inside(bone: str, mirror: bool) -> np.ndarray:
    direction, origin = grid(mirror)
    index = np.indices((110, 200, 160), np.float32)[::-1].reshape(3, -1).T * np.float32(SPACING)
    centre, radii = SHAPES[bone]
    relative = (index @ np.float32(direction.T) + np.float32(origin - centre)) / np.float32(radii)
    return ((relative**2).sum(axis=-1) <= 1).reshape(110, 200, 160)


def image_of(labels: dict[int, str], mirror: bool = False) -> sitk.Image:
    """A label map in the oblique grid."""
    direction, origin = grid(mirror)
    array = np.zeros((110, 200, 160), dtype=np.uint8)
    for value, bone in labels.items():
        array[inside(bone, mirror)] = value
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING.tolist())
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def check(bone: str, mesh: Mesh) -> None:
    """The mesh is the bone's ellipsoid, to a fraction of a voxel."""
    centre, radii = (np.array(value) for value in SHAPES[bone])
    assert mesh.is_closed
    assert mesh.volume() == pytest.approx(4 / 3 * np.pi * radii.prod(), rel=0.02)
    assert mesh.bounds.mean(axis=0) == pytest.approx(centre, abs=0.3)
    assert np.abs(mesh.bounds - [centre - radii, centre + radii]).max() < 0.7
    # First-order distance of the vertices to the ellipsoid.
    relative = (mesh.vertices - centre) / radii
    level = np.linalg.norm(relative, axis=1)
    gradient = np.linalg.norm(relative / radii, axis=1) / level
    assert np.abs((level - 1) / gradient).mean() < 0.15


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("name", ["knee.nii.gz", "knee.nrrd"])
def test_labels_1_to_4_become_bones_in_place(tmp_path, name, mirror):
    labels = {1: "patella", 2: "femur", 3: "fibula", 4: "tibia"}
    sitk.WriteImage(image_of(labels, mirror), str(tmp_path / name))
    meshes = read_reference(tmp_path).meshes
    assert list(meshes) == list(SHAPES)
    for bone, mesh in meshes.items():
        check(bone, mesh)


def test_names_of_segments_decide_over_values(tmp_path):
    image = image_of({7: "tibia", 1: "femur"})
    names = {0: ("Femur left", 1), 1: ("TIBIA", 7), 2: ("Skin", 3)}
    for number, (name, value) in names.items():
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
    sitk.WriteImage(image, str(tmp_path / "knee.seg.nrrd"))
    meshes = read_reference(tmp_path / "knee.seg.nrrd").meshes
    assert list(meshes) == ["femur", "tibia"]
    check("femur", meshes["femur"])
    check("tibia", meshes["tibia"])


def test_segments_in_layers_may_share_a_value(tmp_path):
    layers = [image_of({1: "femur"}), image_of({1: "patella"})]
    image = sitk.Compose(layers)
    for number, name in enumerate(("femur", "patella")):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", "1")
        image.SetMetaData(f"Segment{number}_Layer", str(number))
    sitk.WriteImage(image, str(tmp_path / "knee.seg.nrrd"))
    meshes = read_reference(tmp_path / "knee.seg.nrrd").meshes
    check("femur", meshes["femur"])
    check("patella", meshes["patella"])


def test_two_segments_of_one_bone_need_a_side(tmp_path):
    image = image_of({1: "femur", 2: "tibia"})
    for number, name in enumerate(("Left femur", "Right femur")):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
    sitk.WriteImage(image, str(tmp_path / "knee.seg.nrrd"))
    with pytest.raises(MeshError, match=r"two segments called femur \(Left femur, Right femur\)"):
        read_reference(tmp_path)
    assert list(read_reference(tmp_path, "L").meshes) == ["femur"]


VALUES = {1: "patella", 2: "femur", 3: "fibula", 4: "tibia"}


def test_a_segment_per_component_needs_no_layers(tmp_path):
    """As 3D Slicer up to 4.11 wrote it, the segments in any order."""
    image = sitk.Compose([image_of({1: bone}) for bone in ("tibia", "patella")])
    for number, name in enumerate(("tibia", "patella")):
        image.SetMetaData(f"Segment{number}_Name", name)
    sitk.WriteImage(image, str(tmp_path / "knee.seg.nrrd"))
    for bone, mesh in read_reference(tmp_path / "knee.seg.nrrd").meshes.items():
        check(bone, mesh)


def test_segments_of_one_place_are_refused(tmp_path):
    image = image_of({1: "tibia"})
    for number, name in enumerate(("tibia", "patella")):
        image.SetMetaData(f"Segment{number}_Name", name)
    sitk.WriteImage(image, str(tmp_path / "knee.seg.nrrd"))
    with pytest.raises(MeshError, match="which voxels belong to which segment"):
        read_reference(tmp_path)


@pytest.mark.filterwarnings("error")
def test_the_background_is_no_bone_and_a_lost_voxel_size_is_told(tmp_path):
    """A segment may be called a bone, and have the value 0."""
    image = sitk.Image(9, 9, 9, sitk.sitkUInt8)
    image[2:7, 2:7, 2:7] = 1
    sitk.WriteImage(image, str(tmp_path / "femur.nrrd"))
    said = "no voxel size other than 1 mm"
    assert said in " ".join(read_reference(tmp_path / "femur.nrrd").sentences)
    image.SetSpacing((1.5, 1.5, 1.5))
    sitk.WriteImage(image, str(tmp_path / "femur.nrrd"))
    assert said not in " ".join(read_reference(tmp_path / "femur.nrrd").sentences)
    with pytest.raises(MeshError, match="would be the value 0, which is the background"):
        read_reference(tmp_path / "femur.nrrd", chosen={"femur": "0"})
    image.SetMetaData("Segment0_Name", "femur")
    image.SetMetaData("Segment0_LabelValue", "0")
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    with pytest.raises(MeshError, match="would be the value 0, which is the background"):
        read_reference(tmp_path / "a.seg.nrrd")
    write_nifti(tmp_path / "far.nii", sitk.GetArrayFromImage(image), np.eye(4), slope=1e30)
    with pytest.raises(MeshError, match="not a label map"):
        read_reference(tmp_path / "far.nii")


def write_nifti(path, array: np.ndarray, sform: np.ndarray, slope: float = 1.0) -> None:
    """A NIfTI-1 file as other programs write it: any matrix (to RAS mm), any scale of values."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, *np.linalg.norm(sform[:3, :3], axis=0), 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352, slope, 0)
    header[123] = 2
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, *sform[:3].ravel())
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + array.astype("<i2").tobytes()))


@pytest.mark.parametrize("shear", [0.0003, 0.15])
def test_a_sheared_grid_lies_where_the_file_says(tmp_path, shear):
    """A hair off, as resampling tools leave it, and truly sheared."""
    sform = np.array([[-2, 0, 0, 60.0], [0, -2, 0, 70], [0, 2 * shear, 2, -90], [0, 0, 0, 1]])
    k, j, i = np.indices((90, 70, 60))
    ras = np.stack([i, j, k], -1) @ sform[:3, :3].T + sform[:3, 3]
    array = np.zeros(k.shape)
    for value, bone in VALUES.items():
        centre, radii = SHAPES[bone]
        array[(((ras * [-1, -1, 1] - centre) / radii) ** 2).sum(-1) <= 1] = value
    write_nifti(tmp_path / "knee.nii.gz", array, sform)
    for bone, mesh in read_reference(tmp_path).meshes.items():
        assert mesh.bounds.mean(axis=0) == pytest.approx(SHAPES[bone][0], abs=0.7)


def test_labels_a_hair_off_whole_numbers_are_rounded(tmp_path):
    sform = np.diag([1.0, 1, 1, 1])
    array = np.zeros((60, 30, 30))
    for place, value in ((50, 1), (40, 2), (10, 3), (20, 4)):
        array[place : place + 6, 5:15, 5:15] = 255 * value
    write_nifti(tmp_path / "knee.nii.gz", array, sform, 1 / 255)
    assert list(read_reference(tmp_path).meshes) == list(SHAPES)
    write_nifti(tmp_path / "knee.nii.gz", array, sform, 0.7 / 255)
    with pytest.raises(MeshError, match="not whole numbers"):
        read_reference(tmp_path)


def test_gzip_is_read_whatever_the_ending(tmp_path):
    sitk.WriteImage(image_of(VALUES), str(tmp_path / "a.nii.gz"))
    packed = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").unlink()
    for name, content in (("packed.nii", packed), ("plain.nii.gz", gzip.decompress(packed))):
        (tmp_path / name).write_bytes(content)
        check("femur", read_reference(tmp_path / name).meshes["femur"])
    (tmp_path / "packed.nii").write_bytes(packed[:-2000])
    with pytest.raises(MeshError, match="packed.nii' is cut off"):
        read_reference(tmp_path / "packed.nii")


def test_a_channel_per_label(tmp_path):
    """One-hot, with background first and without, as a fourth dimension."""
    labels = sitk.GetArrayFromImage(image_of(VALUES))
    for channels in (range(5), range(1, 5)):
        hot = np.stack([labels == value for value in channels]).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(hot, isVector=False), str(tmp_path / "hot.nii.gz"))
        (tmp_path / "hot.json").write_text(json.dumps({name: v for v, name in VALUES.items()}))
        masks = read_reference(tmp_path / "hot.nii.gz").masks
        for value, bone in VALUES.items():
            np.testing.assert_array_equal(masks[bone].array, labels == value)


def test_a_folder_of_one_file_per_structure(tmp_path):
    """TotalSegmentator's default: most are empty, the femora apart, the others of both legs."""
    for name in ("femur_left", "patella", "tibia", "fibula", "ulna"):
        bone = name.split("_")[0]
        sitk.WriteImage(
            image_of({1: bone} if bone in SHAPES else {}), str(tmp_path / f"{name}.nii.gz")
        )
    sitk.WriteImage(image_of({}), str(tmp_path / "femur_right.nii.gz"))
    found = read_reference(tmp_path)
    assert list(found.meshes) == list(SHAPES) and found.side == "L"
    for bone, mesh in found.meshes.items():
        check(bone, mesh)


@pytest.mark.parametrize("apart", [1.0, 0.45])
def test_of_two_legs_in_one_label_the_wanted_one_is_taken(tmp_path, apart):
    """Of knees side by side too, and where a bone is in pieces."""
    one = sitk.GetArrayFromImage(image_of(VALUES))
    middle = np.zeros_like(one)[:, :, : int(apart * one.shape[2])]
    image = sitk.GetImageFromArray(np.concatenate([one, middle, one], axis=2))
    sitk.WriteImage(image, str(tmp_path / "legs.nii.gz"))
    (tmp_path / "legs.json").write_text(json.dumps({name: v for v, name in VALUES.items()}))
    with pytest.raises(MeshError, match="both legs"):
        read_reference(tmp_path / "legs.nii.gz")
    for side, part in (("L", slice(-one.shape[2], None)), ("R", slice(0, one.shape[2]))):
        found = read_reference(tmp_path / "legs.nii.gz", side)
        for value, bone in VALUES.items():
            mask = found.masks[bone].array
            np.testing.assert_array_equal(mask[:, :, part], one == value)
            assert mask.sum() == (one == value).sum()
        assert any("shows both legs" in sentence for sentence in found.sentences)


@pytest.mark.parametrize(
    "values",
    [
        {1: "patella", 2: "tibia", 3: "fibula"},  # TotalSegmentator's appendicular_bones
        {1: "femur", 3: "tibia"},  # OAI-ZIB, whose 2 and 4 are cartilage
        {1: "femur", 2: "tibia", 3: "fibula", 4: "patella"},
        {1: "tibia", 2: "femur"},
    ],
)
def test_values_that_cannot_be_the_bones_are_refused_until_they_are_given(tmp_path, values):
    sitk.WriteImage(image_of(values), str(tmp_path / "knee.nii.gz"))
    with pytest.raises(MeshError, match="no names for its values, and they are not 1 "):
        read_reference(tmp_path)
    picked = {bone: str(value) for value, bone in values.items()}
    meshes = read_reference(tmp_path, chosen=picked).meshes
    assert set(meshes) == set(values.values())
    for bone, mesh in meshes.items():
        check(bone, mesh)


def test_a_map_of_one_value_is_the_bone_that_its_file_is_named_after(tmp_path):
    sitk.WriteImage(image_of({1: "tibia"}), str(tmp_path / "Schienbein links.nii.gz"))
    found = read_reference(tmp_path)
    check("tibia", found.meshes["tibia"])
    assert list(found.meshes) == ["tibia"] and found.side == "L"


def test_a_bone_that_leaves_the_volume_is_open_there(tmp_path):
    array = np.zeros((40, 60, 60), dtype=np.uint8)
    j, i = np.mgrid[:60, :60]
    array[:30, (i - 30) ** 2 + (j - 30) ** 2 <= 15**2] = 2
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "shaft.nrrd"))
    mesh = read_reference(tmp_path / "shaft.nrrd").meshes["femur"]
    assert len(mesh.open_loops()) == 1
    assert mesh.bounds[0, 2] == pytest.approx(0.0, abs=1e-3)
    assert mesh.volume() == pytest.approx(np.pi * 15**2 * 29.5, rel=0.03)


def test_a_bone_to_which_the_volume_was_cropped_is_closed(tmp_path):
    """As a segmentation that was saved with the smallest extent."""
    whole, cropped = tmp_path / "whole.nrrd", tmp_path / "cropped.nrrd"
    image = image_of({2: "femur"})
    sitk.WriteImage(image, str(whole))
    filled = np.array(sitk.GetArrayFromImage(image).nonzero())[::-1]
    first, size = filled.min(1).tolist(), (np.ptp(filled, axis=1) + 1).tolist()
    sitk.WriteImage(sitk.RegionOfInterest(image, size, first), str(cropped))
    bones = [read_reference(path).meshes["femur"] for path in (whole, cropped)]
    assert bones[1].bounds == pytest.approx(bones[0].bounds, abs=1e-3)
    assert bones[1].volume() == pytest.approx(bones[0].volume(), rel=1e-4)


def test_the_filled_window_is_scipys():
    random = np.random.default_rng(0)
    for _ in range(20):
        mask = random.random(random.integers(1, 9, 3)) > 0.9
        mask.flat[random.integers(mask.size)] = True
        assert filled_window(mask) == find_objects(mask.astype(np.uint8))[0]


def test_folders_of_meshes_are_read_too(tmp_path):
    corners = np.vstack([np.zeros(3), 9 * np.eye(3)])
    write_mesh(tmp_path / "tibia.ply", Mesh(corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    assert list(read_reference(tmp_path).meshes) == ["tibia"]


def test_what_is_no_label_map_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "garbage.nrrd").write_bytes(b"hello world" * 20)
    (tmp_path / "knee.txt").write_text("hello")
    empty = sitk.Image(8, 8, 8, sitk.sitkUInt8)
    sitk.WriteImage(empty, str(tmp_path / "empty.nii.gz"))
    sitk.WriteImage(sitk.Image(8, 8, sitk.sitkUInt8), str(tmp_path / "flat.nrrd"))
    empty.SetMetaData("Segment0_Name", "Skin")
    sitk.WriteImage(empty, str(tmp_path / "skin.seg.nrrd"))
    causes = {
        "absent.nrrd": "was not found",
        "garbage.nrrd": "in no format that can be read",
        "knee.txt": "not a kind of label map",
        "empty.nii.gz": "contains no bone",
        "flat.nrrd": "not a volume (8 x 8)",
        "skin.seg.nrrd": "found Skin",
    }
    for name, cause in causes.items():
        with pytest.raises(MeshError) as caught:
            read_reference(tmp_path / name)
        assert cause in caught.value.cause
        assert caught.value.remedy
        assert "\n" not in str(caught.value)
    with pytest.raises(MeshError, match="4 label maps"):
        read_reference(tmp_path)


def test_a_dicom_segmentation_is_told_how_to_export(tmp_path):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3"
    dataset.Modality = "SEG"
    dataset.save_as(tmp_path / "knee.dcm", enforce_file_format=True)
    for place in (tmp_path / "knee.dcm", tmp_path):
        with pytest.raises(MeshError, match="'knee.dcm' is a DICOM segmentation") as caught:
            read_reference(place)
        assert "3D Slicer" in caught.value.remedy

"""Surfaces from label maps: place, size and names, in oblique and uneven voxels."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from SSRKDLib.core.errors import MeshError
from SSRKDLib.surfaces.label_maps import read_labelmap_meshes, read_reference
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh

#: Centre (LPS mm) and radii (mm, along the axes) of the ellipsoid standing for each bone.
SHAPES = {
    "patella": ((10.0, -45.0, 20.0), (14.0, 9.0, 16.0)),
    "femur": ((12.0, 3.0, 40.0), (24.0, 20.0, 30.0)),
    "fibula": ((48.0, 15.0, -30.0), (9.0, 9.0, 25.0)),
    "tibia": ((8.0, 1.0, -35.0), (24.0, 18.0, 28.0)),
}


def image_of(labels: dict[int, str], mirror: bool = False) -> sitk.Image:
    """A label map in oblique axes with voxels of 1.0 x 0.8 x 1.5 mm."""
    tilt, turn = np.radians([20.0, -35.0])
    about_x = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    about_z = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    direction = np.array(about_z) @ about_x @ np.diag([1, 1, -1 if mirror else 1])
    size, spacing = np.array([160, 200, 110]), np.array([1.0, 0.8, 1.5])
    origin = np.array([15.0, -5.0, 0.0]) - direction @ (spacing * (size - 1) / 2)
    index = np.stack(np.meshgrid(*map(np.arange, size[::-1]), indexing="ij")[::-1], axis=-1)
    points = (index * spacing) @ direction.T + origin
    array = np.zeros(size[::-1], dtype=np.uint8)
    for value, bone in labels.items():
        centre, radii = SHAPES[bone]
        array[(((points - centre) / radii) ** 2).sum(axis=-1) <= 1] = value
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing.tolist())
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
    meshes = read_labelmap_meshes(tmp_path / "knee.seg.nrrd")
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
    meshes = read_labelmap_meshes(tmp_path / "knee.seg.nrrd")
    check("femur", meshes["femur"])
    check("patella", meshes["patella"])


def test_a_bone_that_leaves_the_volume_is_open_there(tmp_path):
    array = np.zeros((40, 60, 60), dtype=np.uint8)
    j, i = np.mgrid[:60, :60]
    array[:30, (i - 30) ** 2 + (j - 30) ** 2 <= 15**2] = 2
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "shaft.nrrd"))
    mesh = read_labelmap_meshes(tmp_path / "shaft.nrrd")["femur"]
    assert len(mesh.open_loops()) == 1
    assert mesh.bounds[0, 2] == pytest.approx(0.0, abs=1e-3)
    assert mesh.volume() == pytest.approx(np.pi * 15**2 * 29.5, rel=0.03)


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
            read_labelmap_meshes(tmp_path / name)
        assert cause in caught.value.cause
        assert caught.value.remedy
        assert "\n" not in str(caught.value)
    with pytest.raises(MeshError, match="4 label maps"):
        read_reference(tmp_path)

"""Metrics against libraries that others wrote, against each other, and in closed form."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import trimesh
from scipy import ndimage

from SSRKDLib.core.errors import MeshError, MissingDependencyError
from SSRKDLib.evaluation.metrics import (
    assd,
    directed_hausdorff,
    directed_hausdorff95,
    hausdorff,
    hausdorff95,
    surface_distances,
)
from SSRKDLib.evaluation.regions import Region
from SSRKDLib.evaluation.voxel_metrics import dice_masks, dice_mesh_in_mask, dice_meshes
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces import distance as nearest
from SSRKDLib.surfaces.distance import best_backend, point_distances
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.voxelise import voxelise


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two irregular volumes that overlap in part, [k, j, i]."""
    k, j, i = np.mgrid[:22, :40, :44]
    volumes = []
    for number in range(2):
        rng = np.random.default_rng([seed, number])
        volume = np.zeros(k.shape, dtype=bool)
        for centre in rng.uniform(0.35, 0.65, (4, 3)) * k.shape:
            radii = rng.uniform(3, 9, 3) * [0.6, 1, 1]
            grid = np.stack([k, j, i], axis=-1)
            volume |= (((grid - centre) / radii) ** 2).sum(axis=-1) < 1
        volumes.append(volume)
    return volumes[0], volumes[1]


@pytest.mark.parametrize("seed", range(4))
def test_overlap_matches_simpleitk(seed):
    a, b = blobs(seed)
    images = [sitk.GetImageFromArray(volume.astype(np.uint8)) for volume in (a, b)]
    measure = sitk.LabelOverlapMeasuresImageFilter()
    measure.Execute(*images)
    assert dice_masks(a, b) == pytest.approx(measure.GetDiceCoefficient(), rel=1e-9)


def test_surfaces_match_the_voxels_they_fill():
    """The same two tibiae, 0.6 mm and a little turn apart, as surfaces and as fine voxels."""
    box = np.array([[-60, -60, -70], [60, 60, 20.0]])
    bone = load_person(20)["tibia"].clipped(box).capped()
    shift = trimesh.transformations.rotation_matrix(0.04, [0, 1, 0.3], [0, 0, -30])
    shift[:3, 3] += [1.0, -1.5, 0.5]
    other = bone.transformed(shift)
    spacing = 0.8
    low = np.minimum(bone.bounds[0], other.bounds[0]) - 2 * spacing
    high = np.maximum(bone.bounds[1], other.bounds[1]) + 2 * spacing
    size = np.ceil((high - low) / spacing).astype(int)
    fills = [voxelise(mesh, low + 0.001, spacing, size) for mesh in (bone, other)]
    borders = [fill & ~ndimage.binary_erosion(fill) for fill in fills]
    to_bone, to_other = (spacing * ndimage.distance_transform_edt(~border) for border in borders)
    there, back = to_other[borders[0]], to_bone[borders[1]]
    distances = surface_distances(bone, other, samples=4_000)
    assert assd(distances) == pytest.approx((there.mean() + back.mean()) / 2, abs=spacing / 4)
    assert hausdorff(distances) == pytest.approx(max(there.max(), back.max()), abs=spacing)
    highest = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hausdorff95(distances) == pytest.approx(highest, abs=spacing / 2)
    assert dice_meshes(bone, other) == pytest.approx(dice_masks(*fills), abs=0.003)


def test_distances_match_trimesh():
    bone = load_person(22)["patella"]
    points = bone.vertices[::9] + np.random.default_rng(0).normal(scale=4, size=(129, 3))
    shape = trimesh.Trimesh(bone.vertices, bone.faces, process=False)
    _, expected, _ = trimesh.proximity.closest_point_naive(shape, points)
    assert point_distances(points, bone) == pytest.approx(expected, abs=1e-6)


# --- closed form -----------------------------------------------------------------------


def box_of(size, centre=(0.0, 0.0, 0.0)) -> Mesh:
    shape = trimesh.creation.box(size)
    return Mesh(np.asarray(shape.vertices) + centre, shape.faces)


def test_shifted_planes():
    """Two equal plates 3 mm apart: 3 mm everywhere, whatever one asks."""
    corners = np.array([[0, 0, 0], [40, 0, 0], [40, 30, 0], [0, 30, 0.0]])
    faces = [[0, 1, 2], [0, 2, 3]]
    distances = surface_distances(Mesh(corners, faces), Mesh(corners + [0, 0, 3], faces))
    for value in (assd(distances), hausdorff(distances), hausdorff95(distances)):
        assert value == pytest.approx(3.0, abs=1e-9)


def test_scaled_boxes():
    """A box within one that is 2 mm larger all round: 2 mm outwards, up to 2 sqrt(3) inwards."""
    small, large = box_of((20, 30, 40)), box_of((24, 34, 44))
    distances = surface_distances(small, large)
    assert directed_hausdorff(distances) == pytest.approx((2.0, 2 * np.sqrt(3)), abs=1e-9)
    assert directed_hausdorff95(distances)[0] == pytest.approx(2.0, abs=1e-9)
    # Every place on the larger box, 0.1 mm apart, and how far the smaller one is from there.
    half, seen = np.array([10.0, 15.0, 20.0]), []
    for axis in range(3):
        across = [np.arange(-size + 0.05, size, 0.1) for size in half + 2]
        across[axis] = np.array([half[axis] + 2])
        past = [np.maximum(np.abs(part) - size, 0) ** 2 for part, size in zip(across, half)]
        seen.append(np.sqrt(past[0][:, None, None] + past[1][:, None] + past[2]).ravel())
    seen = np.concatenate(seen)
    mean = seen.mean()
    assert distances.b_to_a.mean() == pytest.approx(mean, abs=0.005)
    ninety_five = np.percentile(seen, 95)
    assert directed_hausdorff95(distances)[1] == pytest.approx(ninety_five, abs=0.05)
    assert assd(distances) == pytest.approx((2 + mean) / 2, abs=0.005)
    assert dice_meshes(small, large, spacing=0.25) == pytest.approx(
        2 * 24_000 / (24_000 + 24 * 34 * 44), abs=0.003
    )


def test_the_overlap_of_other_grids_or_of_nothing():
    a = np.zeros((9, 9, 9), dtype=bool)
    with pytest.raises(MeshError, match="voxel by voxel"):
        dice_masks(a, a[1:])
    assert np.isnan(dice_masks(a, a))


def test_a_surface_against_a_label_map_on_its_own_grid():
    """A box of 20 x 30 x 40 mm against voxels that are half of it, in an oblique grid."""
    turn = trimesh.transformations.rotation_matrix(0.5, [1, 2, 3])
    to_lps = turn @ np.diag([0.5, 1.0, 2.0, 1.0])
    to_lps[:3, 3] += [100, -50, 30]
    mask = np.zeros((30, 40, 50), dtype=bool)
    mask[5:25, 5:35, 5:45] = True  # 40 x 30 x 20 voxels: 20 x 30 x 40 mm
    corner = np.diag([20.0, 30.0, 40.0, 1.0])
    corner[:3, 3] = (np.array([4.5, 4.5, 4.5]) + np.array([20, 15, 10])) * [0.5, 1.0, 2.0]
    place = to_lps @ np.linalg.inv(np.diag([0.5, 1.0, 2.0, 1.0])) @ corner
    bone = box_of((1, 1, 1)).transformed(place)
    assert dice_mesh_in_mask(bone, mask, to_lps) == 1.0
    mask[5:15] = False
    assert dice_mesh_in_mask(bone, mask, to_lps) == pytest.approx(2 / 3, abs=1e-9)
    # Evaluated only where the label map is whole: the half above its middle.
    normal = to_lps[:3, 2] / 2.0
    middle = to_lps[:3, :3] @ [24.5, 19.5, 14.5] + to_lps[:3, 3]
    upper = Region(np.array([[-1e3] * 3, [1e3] * 3]), "", np.array([[*normal, normal @ middle]]))
    assert dice_mesh_in_mask(bone, mask, to_lps, upper) == 1.0
    # Nothing is known outside of the volume: a bone that leaves it is not worse for that.
    assert dice_mesh_in_mask(bone, mask[:, :20], to_lps, upper) == 1.0
    away = bone.transformed(trimesh.transformations.translation_matrix([500, 0, 0]))
    assert dice_mesh_in_mask(away, mask, to_lps) == 0.0


# --- PyTorch3D -------------------------------------------------------------------------


def stand_in(points, points_first, triangles, triangles_first, most, smallest):
    """What PyTorch3D's kernel answers: squared distances in float32, by brute force."""
    assert points.dtype == triangles.dtype == torch.float32
    assert points_first.tolist() == triangles_first.tolist() == [0] and most == len(points)
    assert smallest < 1e-6  # its default takes small triangles for lines
    a, b, c = triangles.unbind(1)
    p = points[:, None]
    best = torch.full((len(points),), float("inf"))
    for start, end in ((a, b), (b, c), (c, a)):
        along = end - start
        t = (((p - start) * along).sum(-1) / (along**2).sum(-1)).clamp(0, 1)
        best = torch.minimum(best, ((start + t[..., None] * along - p) ** 2).sum(-1).amin(1))
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    height = ((p - a) * normal).sum(-1)
    foot = p - height[..., None] * normal
    inside = torch.ones_like(height, dtype=torch.bool)
    for start, end in ((a, b), (b, c), (c, a)):
        edge = (end - start).expand_as(foot)
        inside &= (torch.linalg.cross(edge, foot - start) * normal).sum(-1) >= 0
    plane = torch.where(inside, height**2, torch.full_like(height, float("inf")))
    return torch.minimum(best, plane.amin(1))


@pytest.fixture
def pytorch3d(monkeypatch):
    """A package of that name with the one function that is used."""
    modules = [types.ModuleType(name) for name in (
        "pytorch3d", "pytorch3d.loss", "pytorch3d.loss.point_mesh_distance",
    )]  # fmt: skip
    modules[-1].point_face_distance = stand_in
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(nearest, "find_spec", lambda name: modules[0])


@pytest.mark.usefixtures("pytorch3d")
def test_pytorch3d_gives_the_same_numbers():
    """To 1e-3 mm, also far from the origin, where float32 has few digits left."""
    away = trimesh.transformations.translation_matrix([9e4, -1.2e5, 7e4])
    bone = load_person(20)["patella"].transformed(away)
    rng = np.random.default_rng(1)
    points = np.concatenate([bone.vertices[::20] + rng.normal(scale=s, size=(58, 3))
                             for s in (0.01, 1, 30)])  # fmt: skip
    found = point_distances(points, bone, "pytorch3d")
    assert np.abs(found - point_distances(points, bone)).max() < 1e-3
    other = bone.transformed(trimesh.transformations.translation_matrix([1, 2, 0]))
    numbers = [
        assd(surface_distances(bone, other, samples=200, backend=b)) for b in nearest.BACKENDS
    ]
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-3)
    with pytest.raises(MeshError, match="no surface"):
        point_distances(points, Mesh(np.empty((0, 3)), np.empty((0, 3), int)), "pytorch3d")


@pytest.mark.usefixtures("pytorch3d")
def test_pytorch3d_is_chosen_beside_a_gpu_only(monkeypatch):
    for there, backend in ((True, "pytorch3d"), (False, "vtk")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert best_backend() == backend
    monkeypatch.setitem(sys.modules, "pytorch3d.loss", None)
    monkeypatch.delitem(sys.modules, "pytorch3d.loss.point_mesh_distance")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert best_backend() == "vtk"


def test_without_pytorch3d_vtk_measures(monkeypatch):
    monkeypatch.setattr(nearest, "find_spec", lambda name: None)
    assert best_backend() == "vtk"
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    with pytest.raises(MissingDependencyError, match="PyTorch3D cannot be imported"):
        point_distances(np.zeros((1, 3)), box_of((1, 1, 1)), "pytorch3d")

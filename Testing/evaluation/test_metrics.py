"""Distances and overlap against closed-form truth, and what must never look good."""

from __future__ import annotations

import time

import numpy as np
import pytest
import trimesh

from SSRKDLib.core.errors import MeshError
from SSRKDLib.evaluation import metrics
from SSRKDLib.evaluation.metrics import (
    MEASURES,
    assd,
    assd_paper,
    compare_meshes,
    dice_meshes,
    hausdorff,
    hausdorff95,
    point_distances,
    surface_distances,
    voxelise,
)
from SSRKDLib.evaluation.regions import common_region
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import sample_surface, sample_surface_even

UNLIMITED = np.array([[-np.inf] * 3, [np.inf] * 3])


def as_mesh(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(shape.vertices, shape.faces)


def ball(radius: float, centre=(0, 0, 0), detail: int = 5) -> Mesh:
    mesh = as_mesh(trimesh.creation.icosphere(detail, radius))
    return Mesh(mesh.vertices + centre, mesh.faces)


def shift(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def rod(radius: float, low: float, high: float, centre=(0, 0), capped: bool = False) -> Mesh:
    """A shaft along z; open at both ends unless capped."""
    shape = trimesh.creation.cylinder(radius, high - low, sections=96)
    mesh = as_mesh(shape).transformed(shift(*centre, (low + high) / 2))
    return mesh if capped else Mesh(mesh.vertices, mesh.faces[side_faces(mesh)])


def side_faces(mesh: Mesh) -> np.ndarray:
    normals = mesh.area_vectors()
    return np.abs(normals[:, 2]) < 0.5 * np.linalg.norm(normals, axis=1)


def half(mesh: Mesh, axis: int, low: float = -np.inf, high: float = np.inf) -> Mesh:
    limits = UNLIMITED.copy()
    limits[:, axis] = low, high
    return mesh.clipped(limits)


def knee(high: float = 100.0, low: float = -100.0) -> dict[str, Mesh]:
    """Four capsules where the bones of a knee would be, cut open at ``high`` and ``low``."""

    def capsule(radius, bottom, top, centre):
        shape = trimesh.creation.capsule(top - bottom, radius, count=[48, 48])
        return Mesh(shape.vertices + [*centre, (top + bottom) / 2], shape.faces)

    return {
        "patella": capsule(8, 5, 25, (0, -45)),
        "femur": half(capsule(20, 22, 300, (0, 0)), 2, high=high),
        "fibula": half(capsule(7, -300, -25, (40, 15)), 2, low=low),
        "tibia": half(capsule(20, -300, -22, (0, 0)), 2, low=low),
    }


# --- distances -----------------------------------------------------------------------


def test_distances_of_concentric_balls():
    distances = surface_distances(ball(30), ball(33))
    assert assd(distances) == pytest.approx(3.0, abs=0.02)
    assert hausdorff(distances) == pytest.approx(3.0, abs=0.03)
    assert hausdorff95(distances) == pytest.approx(3.0, abs=0.03)
    assert assd_paper(ball(30), ball(33)) == pytest.approx(3.0, abs=0.05)


def test_distances_of_shifted_balls():
    """Between equal balls shifted by s a point at angle t sees sqrt(R^2+s^2+2Rs cos t) - R."""
    radius, s = 30.0, 4.0
    cosine = np.linspace(-1, 1, 200_001)
    seen = np.abs(np.sqrt(radius**2 + s**2 + 2 * radius * s * cosine) - radius)
    distances = surface_distances(ball(radius), ball(radius, (0, 0, s)))
    assert assd(distances) == pytest.approx(seen.mean(), abs=0.02)
    assert hausdorff95(distances) == pytest.approx(np.percentile(seen, 95), abs=0.03)
    assert hausdorff(distances) == pytest.approx(s, abs=0.02)


def test_both_directions_count():
    """A small plate over a large one: 5 mm one way, further the other way."""
    large = as_mesh(trimesh.creation.box((100, 100, 0.01)))
    small = as_mesh(trimesh.creation.box((20, 20, 0.01))).transformed(shift(0, 0, 5))
    there = surface_distances(small, large)
    back = surface_distances(large, small)
    assert there.a_to_b.mean() == pytest.approx(5.0, abs=0.01)
    assert there.b_to_a.mean() > 20
    assert assd(there) == pytest.approx((there.a_to_b.mean() + there.b_to_a.mean()) / 2)
    assert assd(there) == pytest.approx(assd(back), rel=0.01)
    corner = np.hypot(np.hypot(40, 40), 5)
    assert hausdorff(there) == hausdorff(back) == pytest.approx(corner, abs=1e-6)
    assert hausdorff95(there) > 40
    assert hausdorff95(there) == pytest.approx(hausdorff95(back), rel=0.01)


def test_a_lone_spike_is_seen_by_the_hausdorff_distance_only():
    spiked = ball(30)
    tip = int(np.argmax(spiked.vertices[:, 2]))
    vertices = spiked.vertices.copy()
    vertices[tip, 2] += 12.0
    distances = surface_distances(ball(30), Mesh(vertices, spiked.faces))
    assert hausdorff(distances) == pytest.approx(12.0, abs=1e-6)
    assert hausdorff95(distances) < 0.1
    assert assd(distances) < 0.05


def test_point_distances_are_exact_on_uneven_triangles():
    """Against a box, whose distance has a closed form, cut into very uneven triangles."""
    block = as_mesh(trimesh.creation.box((20, 30, 40)))
    fine = Mesh(*trimesh.remesh.subdivide(block.vertices, block.faces, np.arange(6)))
    fine = Mesh(*trimesh.remesh.subdivide(fine.vertices, fine.faces, np.arange(12)))
    points = np.random.default_rng(1).uniform(-60, 60, (4000, 3))
    beyond = np.abs(points) - [10, 15, 20]
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
    truth = np.where((beyond > 0).any(axis=1), outside, -beyond.max(axis=1))
    assert np.abs(point_distances(points, fine) - truth).max() < 1e-9


def test_fifty_thousand_points_do_not_take_long():
    mesh = ball(30, detail=6)
    points = sample_surface(ball(31), 50_000)
    start = time.process_time()
    point_distances(points, mesh)
    assert time.process_time() - start < 6.0  # about 1 s on a free core


def test_a_region_limits_the_points_but_not_the_other_surface():
    """Rods cut at different heights: what the region leaves out must not count."""
    a, b = rod(15, -100, 60), rod(17, -50, 100)
    everywhere = surface_distances(a, b)
    assert hausdorff(everywhere) > 39
    region = np.array([[-50, -50, -48], [50, 50, 58]])
    evaluated = surface_distances(a, b, region)
    assert hausdorff(evaluated) == pytest.approx(2.0, abs=0.03)
    assert assd(evaluated) == pytest.approx(2.0, abs=0.03)
    assert dice_meshes(a, b, region) == pytest.approx(2 / (1 + (17 / 15) ** 2), abs=0.005)
    with pytest.raises(MeshError, match="no part in the compared region"):
        surface_distances(a, b, region + 500)


def test_points_at_the_region_s_edge_see_what_lies_beyond_it():
    """A plate inclined by 45 degrees: the foot of the point at x lies at x / 2."""
    corners = [[-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0]]
    flat = Mesh(corners, [[0, 1, 2], [0, 2, 3]])
    inclined = Mesh(np.array(corners) + np.outer([-50, 50, 50, -50], [0, 0, 1]), flat.faces)
    region = np.array([[10, -9, -60], [20, 9, 60]])
    distances = surface_distances(flat, inclined, region).a_to_b
    assert distances.mean() == pytest.approx(15 * np.sqrt(0.5), abs=0.02)
    assert distances.min() == pytest.approx(10 * np.sqrt(0.5), abs=0.02)


# --- the paper's protocol ------------------------------------------------------------


def test_paper_protocol_reads_what_the_paper_s_code_reads():
    """0.26 mm for a 38 mm ball against itself (measured on the official code)."""
    assert assd_paper(ball(38), ball(38)) == pytest.approx(0.26, abs=0.01)


def test_even_sampling_matches_trimesh():
    mesh = ball(30, detail=4)
    count = 5_000
    ours = sample_surface_even(mesh, count)
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces)
    theirs, _ = trimesh.sample.sample_surface_even(shape, count, seed=1)
    assert len(ours) == pytest.approx(len(theirs), rel=0.02)
    spacings = [nearest_neighbour(np.asarray(points)) for points in (ours, theirs)]
    assert spacings[0].min() >= np.sqrt(mesh.area() / (3 * count))
    assert spacings[0].mean() == pytest.approx(spacings[1].mean(), rel=0.02)


def nearest_neighbour(points: np.ndarray) -> np.ndarray:
    from scipy.spatial import cKDTree

    return cKDTree(points).query(points, k=2)[0][:, 1]


def test_samples_are_even_within_a_triangle():
    triangle = Mesh([[0, 0, 0], [30, 0, 0], [0, 60, 0]], [[0, 1, 2]])
    points = sample_surface(triangle, 20_000)
    assert points.mean(axis=0) == pytest.approx([10, 20, 0], abs=0.3)
    assert (points[:, 0] < 15).mean() == pytest.approx(0.75, abs=0.01)


def test_samples_follow_the_area_not_the_triangles():
    """One face of a box cut into 4^4 times as many triangles gets no more points."""
    block = as_mesh(trimesh.creation.box((20, 30, 40)))
    top = np.flatnonzero(block.area_vectors()[:, 2] > 0)
    vertices, faces = block.vertices, block.faces
    for _ in range(4):
        vertices, faces = trimesh.remesh.subdivide(vertices, faces, top)
        fine = Mesh(vertices, faces)
        top = np.flatnonzero(fine.area_vectors()[:, 2] > 0)
    points = sample_surface(fine, 20_000)
    share = (points[:, 2] > 19.999).mean()
    assert share == pytest.approx(600 / block.area(), abs=0.002)
    assert np.array_equal(points, sample_surface(fine, 20_000))


# --- overlap -------------------------------------------------------------------------


def test_dice_of_shifted_boxes():
    block = as_mesh(trimesh.creation.box((20, 30, 40)))
    assert dice_meshes(block, block) == 1.0
    assert dice_meshes(block, block.transformed(shift(5, 0, 0))) == pytest.approx(0.75, abs=0.01)
    assert dice_meshes(block, block.transformed(shift(0, 0, 40.5))) == 0.0


def test_dice_of_scaled_boxes():
    block = as_mesh(trimesh.creation.box((20, 30, 40)))
    wide = block.transformed(np.diag([1.5, 1, 1, 1]))
    assert dice_meshes(block, wide) == pytest.approx(2 / 2.5, abs=0.01)


@pytest.mark.parametrize(("tilt", "reach"), [(0.0, 40), (35.0, 40), (90.0, 5)])
def test_a_cut_cylinder_is_filled_as_if_it_were_closed(tilt, reach):
    """Also askew, and shorter than wide."""
    turn = trimesh.transformations.rotation_matrix(np.radians(tilt), [1, 0, 0])
    opened, closed = (rod(15, -reach, reach, capped=c).transformed(turn) for c in (False, True))
    assert len(opened.open_loops()) == 2
    assert dice_meshes(opened, closed) > 0.9999
    size = np.array([110, 110, 110])
    voxels = voxelise(opened, np.array([-54.6, -54.7, -54.8]), 1.0, size).sum()
    assert voxels == pytest.approx(closed.volume(), rel=0.02)


def test_voxels_are_indexed_k_j_i():
    block = as_mesh(trimesh.creation.box((4, 2, 2))).transformed(shift(8, 3, 1.5))
    inside = voxelise(block, np.array([0.0, 0.01, 0.01]), 1.0, np.array([12, 6, 4]))
    assert inside.shape == (4, 6, 12)
    k, j, i = np.argwhere(inside).T
    assert (j.min(), j.max()) == (2, 3)
    assert i.mean() == pytest.approx(8, abs=0.51)
    assert (k.min(), k.max()) == (1, 2)


# --- comparing knees -----------------------------------------------------------------


@pytest.fixture
def fewer_points(monkeypatch):
    """The paper's protocol with fewer points, for tests that look at something else."""
    monkeypatch.setattr(metrics, "PAPER_POINTS", 2_000)


def by_bone(rows: list[dict]) -> dict[str, dict]:
    return {row["bone"]: row for row in rows}


@pytest.mark.usefixtures("fewer_points")
def test_equal_knees_compare_as_equal():
    rows = by_bone(compare_meshes(knee(), knee(), samples=2000))
    assert list(rows) == ["patella", "femur", "fibula", "tibia", "mean"]
    for row in rows.values():
        assert row["assd_mm"] < 1e-3
        assert row["hd_mm"] < 1e-3
        assert row["hd95_mm"] < 1e-3
        assert row["dsc"] > 0.999
        assert 0.1 < row["assd_paper_mm"] < 2.0  # point to point, so never 0


@pytest.mark.usefixtures("fewer_points")
def test_shafts_cut_at_different_lengths_do_not_count():
    recon, reference = knee(high=60, low=-95), knee(high=300, low=-65)
    rows = by_bone(compare_meshes(recon, reference, samples=2000))
    assert rows["mean"]["hd_mm"] < 1e-3
    assert rows["mean"]["dsc"] > 0.999
    assert rows["femur"]["region"][1][2] == pytest.approx(58.0)
    assert "reconstruction is cut" in rows["femur"]["note"]
    assert rows["tibia"]["region"][0][2] == pytest.approx(-63.0)
    assert "reference is cut" in rows["tibia"]["note"]


@pytest.mark.usefixtures("fewer_points")
def test_shafts_with_flat_lids_count_as_cut():
    recon = {bone: mesh.capped() for bone, mesh in knee(high=55, low=-60).items()}
    rows = by_bone(compare_meshes(recon, knee(), samples=2000))
    assert rows["femur"]["region"][1][2] == pytest.approx(53.0)
    assert rows["fibula"]["region"][0][2] == pytest.approx(-58.0)
    assert rows["mean"]["hd_mm"] < 1e-3


@pytest.mark.usefixtures("fewer_points")
def test_an_oblique_cut_is_left_out_whole():
    turn = trimesh.transformations.rotation_matrix(np.radians(30), [0, 1, 0])
    recon = knee(high=250)
    recon["femur"] = half(recon["femur"].transformed(turn), 2, high=60).transformed(
        np.linalg.inv(turn)
    )
    row = by_bone(compare_meshes(recon, knee(), samples=2000))["femur"]
    assert row["region"][1][2] < 60
    assert row["hd_mm"] < 1e-3


@pytest.mark.usefixtures("fewer_points")
def test_a_bone_that_stops_too_early_pays_for_it():
    """The tibia ends as a round stump 42 mm below the joint: not a cut but an error."""
    recon = {**knee(), "tibia": ball(20, (0, 0, -22))}
    row = by_bone(compare_meshes(recon, knee(), samples=2000))["tibia"]
    assert row["region"][0][2] == pytest.approx(-80, abs=0.5)
    assert row["hd_mm"] > 35
    assert row["dsc"] < 0.8


@pytest.mark.usefixtures("fewer_points")
def test_only_what_is_near_the_joint_is_evaluated():
    joint = joint_centre(knee())
    assert joint == pytest.approx([0, 0, 0], abs=0.5)
    recon = knee(high=280, low=-280)
    far = recon["femur"].vertices.copy()
    far[far[:, 2] > 90] += [9, 0, 0]
    recon["femur"] = Mesh(far, recon["femur"].faces)
    reference = knee(high=280, low=-280)
    box = common_region(recon, reference)["femur"].box
    assert box[1, 2] == pytest.approx(80.0, abs=0.5)
    assert hausdorff(surface_distances(recon["femur"], reference["femur"])) > 8


@pytest.mark.usefixtures("fewer_points")
def test_a_missing_bone_never_looks_good():
    recon = knee()
    del recon["fibula"]
    rows = by_bone(compare_meshes(recon, knee(), samples=500))
    assert "missing from the reconstruction" in rows["fibula"]["note"]
    assert all(np.isnan(rows["fibula"][key]) for key in MEASURES)
    assert all(np.isnan(rows["mean"][key]) for key in MEASURES)
    assert "no mean without the fibula" in rows["mean"]["note"]
    assert rows["tibia"]["assd_mm"] < 1e-3


@pytest.mark.usefixtures("fewer_points")
def test_a_bone_the_reference_lacks_is_not_evaluated():
    reference = knee()
    del reference["patella"]
    rows = by_bone(compare_meshes(knee(), reference, samples=500))
    assert "not in the reference" in rows["patella"]["note"]
    assert np.isnan(rows["patella"]["dsc"])
    assert rows["mean"]["assd_mm"] < 1e-3
    with pytest.raises(MeshError, match="contains no bone"):
        compare_meshes(knee(), {})


@pytest.mark.usefixtures("fewer_points")
def test_a_reference_of_one_bone_is_compared_from_cut_to_cut():
    rows = by_bone(
        compare_meshes({"femur": knee(high=60)["femur"]}, {"femur": knee()["femur"]}, samples=500)
    )
    assert rows["femur"]["region"][1][2] == pytest.approx(58.0)
    assert rows["femur"]["hd_mm"] < 1e-3


@pytest.mark.usefixtures("fewer_points")
def test_surfaces_in_different_places_are_not_compared_silently():
    away = {bone: mesh.transformed(shift(0, 900, 0)) for bone, mesh in knee().items()}
    rows = by_bone(compare_meshes(away, knee(), samples=500))
    assert all(np.isnan(rows[bone]["assd_mm"]) for bone in rows)
    assert "no part in the compared region" in rows["tibia"]["note"]


@pytest.mark.usefixtures("fewer_points")
def test_a_given_region_is_used_as_it_is():
    region = np.array([[-60, -60, -30], [60, 60, 40]])
    rows = by_bone(compare_meshes(knee(high=41), knee(), region, samples=500))
    assert rows["femur"]["region"] == region.tolist()
    assert rows["femur"]["hd_mm"] < 1e-3

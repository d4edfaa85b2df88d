"""Virtual knees: population, poses, tissue and path lengths."""

import dataclasses

import numpy as np
import pytest
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersModeling import vtkSelectEnclosedPoints

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.rigid import rigid_fit, similarity_fit
from SSRKDLib.datasets.virtual_cohort import make_knee, random_views
from SSRKDLib.evaluation.metrics import point_distances
from SSRKDLib.geometry import rig_presets
from SSRKDLib.geometry.slot_view import SlotView
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation import population
from SSRKDLib.simulation.bone_details import bent_end, with_osteophytes
from SSRKDLib.simulation.path_lengths import path_lengths
from SSRKDLib.simulation.random_motion import random_motions
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.simulation.signed_distances import CUT_OFF_MM
from SSRKDLib.simulation.surface_phantom import material_paths, moved_leg, random_leg
from SSRKDLib.surfaces.mesh import Mesh, to_polydata

trimesh = pytest.importorskip("trimesh")


def oblique_view(kind: type[View] = View) -> View:
    return kind(
        "v", [250, -900, 130], [-149.4, 300, 149.4], [1, 0, 0], [0, 0, -1], (1.0, 1.1), (300, 270)
    )


@pytest.mark.parametrize("kind", [View, SlotView])
def test_project_path_lengths_of_a_sphere_are_its_chords(kind):
    view, centre, radius = oblique_view(kind), np.array([10.0, 20.0, -15.0]), 40.0
    sphere = trimesh.creation.icosphere(5, radius)
    length = path_lengths([(sphere.vertices + centre, sphere.faces)], view)[0]
    columns, rows = np.meshgrid(np.arange(300), np.arange(270))
    image_points = np.stack([columns, rows], -1)
    offset = view.focal_spots(view.points_on_detector(image_points)) - centre
    along = (view.rays(image_points) * offset).sum(-1)
    chord = 2 * np.sqrt(np.maximum(along**2 - ((offset**2).sum(-1) - radius**2), 0))
    assert np.linalg.norm(length - chord) < 2e-3 * np.linalg.norm(chord)
    assert length.min() > -1e-3  # no ray leaks between triangles


def test_project_path_lengths_of_a_box_at_an_oblique_angle():
    view = oblique_view()
    box = trimesh.creation.box((60, 50, 40)).subdivide_to_size(6.0)
    length = path_lengths([(box.vertices, box.faces)], view)[0]
    columns, rows = np.meshgrid(np.arange(300), np.arange(270))
    rays = view.rays(np.stack([columns, rows], -1))
    half = np.array([30.0, 25.0, 20.0])
    with np.errstate(divide="ignore"):
        a, b = (-half - view.source) / rays, (half - view.source) / rays
    chord = np.maximum(np.maximum(a, b).min(-1) - np.minimum(a, b).max(-1), 0)
    assert np.linalg.norm(length - chord) < 1e-3 * np.linalg.norm(chord)


def test_project_path_lengths_of_a_box_that_stands_level_in_a_slot_scanner():
    """Its top and bottom are grazed by the rays of one row; elsewhere nothing of them is seen."""
    view = rig_presets.slot().views[0]
    pixel = view.pixel_spacing[1]
    box = trimesh.creation.box((60, 50, 100 * pixel)).subdivide_to_size(9.0)
    # Level and where rows are, but for the last bits.
    vertices = box.vertices + [12.0, -30.0, 0.5 * pixel]
    vertices[:, 2] += 1e-12 * np.random.default_rng(0).normal(size=len(vertices))
    length = path_lengths([(vertices, box.faces)], view)[0]
    rays = view.rays(np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1))[0]
    low, high = np.array([-18.0, -55.0]), np.array([42.0, -5.0])
    with np.errstate(divide="ignore"):
        a, b = ((edge - view.source[:2]) / rays[:, :2] for edge in (low, high))
    chord = np.maximum(np.maximum(a, b).min(-1) - np.minimum(a, b).max(-1), 0)
    assert chord.max() > 50
    expected = np.zeros((256, 1)) + chord
    top = 127.5 - vertices[:, 2].max() / pixel
    rows = np.arange(256)
    inside = (rows > top + 0.5) & (rows < top + 99.5)
    outside = (rows < top - 0.5) | (rows > top + 100.5)
    np.testing.assert_allclose(length[inside], expected[inside], atol=0.02)
    np.testing.assert_allclose(length[outside], 0.0, atol=1e-3)


def test_project_a_mirrored_detector_sees_the_mirrored_image():
    view = oblique_view()
    mirrored = dataclasses.replace(
        view,
        column_direction=-view.column_direction,
        detector_origin=view.detector_origin + 299 * view.column_direction,
    )
    ball = trimesh.creation.icosphere(3, 30.0)
    surface = [(ball.vertices + [30.0, 0.0, 20.0], ball.faces)]
    np.testing.assert_allclose(
        path_lengths(surface, mirrored)[0][:, ::-1], path_lengths(surface, view)[0], atol=1e-6
    )


def test_the_shape_model_knows_nothing_of_the_held_out_people(monkeypatch):
    before = population.shape_model()
    people = population.load_population()
    changed = population.Population(
        {
            bone: np.concatenate([points[:20], points[20:] + 1000.0])
            for bone, points in people.vertices.items()
        },
        people.faces,
    )
    monkeypatch.setattr(population, "load_population", lambda: changed)
    population.shape_model.cache_clear()
    try:
        after = population.shape_model()
    finally:
        monkeypatch.undo()
        population.shape_model.cache_clear()
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.modes, after.modes)


def test_the_canonical_frame_follows_the_knee():
    model = population.shape_model()
    bones = model.split(model.mean)
    np.testing.assert_allclose(population.canonical_frame(bones), np.eye(4), atol=1e-6)
    turn = trimesh.transformations.rotation_matrix(0.4, [1, 2, 3], [5, 6, 7])
    moved = {bone: p @ turn[:3, :3].T + turn[:3, 3] for bone, p in bones.items()}
    np.testing.assert_allclose(population.canonical_frame(moved), turn, atol=1e-6)


def test_fits_recover_known_transforms():
    points = np.random.default_rng(0).normal(size=(20, 3))
    turn = trimesh.transformations.rotation_matrix(1.1, [0.3, -1, 2])[:3, :3]
    target = 1.7 * points @ turn.T + [1, 2, 3]
    fit = similarity_fit(points, target)
    np.testing.assert_allclose(fit[:3, :3], 1.7 * turn, atol=1e-9)
    np.testing.assert_allclose(rigid_fit(points, target)[:3, :3], turn, atol=1e-9)


def test_random_knees_are_knees():
    faces = population.shape_model().faces
    flexions = []
    for seed in range(12):
        bones = random_knee(np.random.default_rng(seed))
        meshes = {bone: Mesh(bones[bone], faces[bone]) for bone in BONES}
        assert meshes["femur"].vertices[:, 2].mean() > 80 > -80 > bones["tibia"][:, 2].mean()
        assert bones["patella"][:, 1].mean() < bones["femur"][:, 1].mean()  # in front
        near = np.abs(bones["tibia"][:, 2]) < 60
        gap = point_distances(bones["tibia"][near], meshes["femur"]).min()
        assert gap < 9.0
        up = bones["femur"][bones["femur"][:, 2] > 80].mean(0)
        down = bones["tibia"][bones["tibia"][:, 2] < -80].mean(0)
        cosine = up @ -down / np.linalg.norm(up) / np.linalg.norm(down)
        flexions.append(np.degrees(np.arccos(cosine)))
    assert min(flexions) < 15 and max(flexions) > 35


def test_every_leg_leaves_the_field_of_view_and_outlines_cross_bones_in_some():
    faces = population.shape_model().faces
    bare, thinnest = [], []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        bones = random_knee(rng)
        leg = random_leg(bones, faces, rng)
        view = random_views(rng)[1]
        paths, masks = material_paths(leg, view)
        assert np.isfinite(paths).all() and paths.min() >= 0
        assert (paths.sum(0)[[0, -1]] > 20).any(1).all()  # the leg runs past both ends
        cover = paths[2:].sum(0)[80:240][masks.any(0)[80:240]]
        bare.append((cover < 1.0).mean())
        skin = leg.skin[0]
        near = np.abs(bones["patella"][:, 2].mean() - skin[:, 2]) < 12
        front = skin[near & (skin[:, 1] < bones["patella"][:, 1].min() + 15)]
        gaps = [np.linalg.norm(front - point, axis=1).min() for point in bones["patella"][::40]]
        thinnest.append(min(gaps, default=np.inf))
    crossing = np.array(bare) > 0.002
    assert 1 <= crossing.sum() <= 9
    assert np.median(np.array(bare)[~crossing]) == 0
    assert (np.array(thinnest) < 8).sum() >= 4


def test_bones_of_a_moved_leg_are_the_same_bones():
    faces = population.shape_model().faces
    motions, seed = None, 0
    while motions is None:
        rng = np.random.default_rng(seed)
        bones = random_knee(rng)
        motions, seed = random_motions(bones, faces, rng), seed + 1
    leg = random_leg(bones, faces, rng)
    moved = moved_leg(leg, motions, rng)
    for bone in BONES:
        turn = motions[bone][:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        for before, after in ((leg.outer, moved.outer), (leg.inner, moved.inner)):
            back = (after[bone][0] - motions[bone][:3, 3]) @ turn
            np.testing.assert_allclose(back, before[bone][0], atol=1e-9)
    # Tibia and fibula stay together; a leg that did not move is the more frequent case.
    between = np.linalg.norm(
        moved.outer["fibula"][0][:, None] - moved.outer["tibia"][0][::9], axis=2
    )
    before = np.linalg.norm(bones["fibula"][:, None] - bones["tibia"][::9], axis=2)
    assert abs(between.min() - before.min()) < 2.0
    still = [random_motions(bones, faces, np.random.default_rng(k)) is None for k in range(40)]
    assert 18 <= sum(still) <= 34


def test_the_shaft_turns_against_the_joint_and_osteophytes_grow_outwards():
    model = population.shape_model()
    tibia = model.split(model.mean)["tibia"]
    bent = bent_end(tibia, "tibia", np.random.default_rng(1))
    top = tibia[:, 2] > -20
    np.testing.assert_allclose(bent[top], tibia[top], atol=1e-9)
    assert np.linalg.norm((bent - tibia)[tibia[:, 2] < -200], axis=1).min() > 3
    worn = with_osteophytes(tibia, model.faces["tibia"], np.random.default_rng(3))
    grown = np.linalg.norm(worn - tibia, axis=1)
    assert 1 < grown.max() < 5.01 and grown[tibia[:, 2] < -90].max() < 0.1
    outwards = ((worn - tibia) * Mesh(tibia, model.faces["tibia"]).vertex_normals()).sum(1)
    np.testing.assert_allclose(outwards, grown, atol=1e-9)


def enclosed(points, vertices, faces):
    """Which points VTK finds inside a closed surface."""
    cloud = vtkPolyData()
    cloud.SetPoints(vtkPoints())
    for point in points:
        cloud.GetPoints().InsertNextPoint(point)
    select = vtkSelectEnclosedPoints()
    select.SetInputData(cloud)
    select.SetSurfaceData(to_polydata(Mesh(vertices, faces)))
    select.CheckSurfaceOn()
    select.Update()
    return np.array([bool(select.IsInside(k)) for k in range(len(points))])


def test_stored_distances_agree_with_exact_ones():
    knee = make_knee(3, 1)
    again = make_knee(3, 1)
    np.testing.assert_array_equal(knee.paths, again.paths)
    faces = population.shape_model().faces
    bones = random_knee(np.random.default_rng([3, 1]))
    points = knee.points[:400].astype(float)
    for k, bone in enumerate(BONES):
        exact = point_distances(points, Mesh(bones[bone], faces[bone]))
        stored = knee.distances[:400, k].astype(float)
        near = exact < CUT_OFF_MM - 1
        assert np.abs(np.abs(stored) - exact)[near].mean() < 0.06
        inside = enclosed(points, bones[bone], faces[bone])
        clear = exact > 0.3
        assert 10 < inside[clear].sum() < clear.sum()
        np.testing.assert_array_equal(stored[clear] > 0, inside[clear])

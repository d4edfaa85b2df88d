"""Outlines of masks and of bones, against closed forms."""

import numpy as np
import pytest
from vtkmodules.vtkFiltersSources import vtkSphereSource

from SSRKDLib.geometry import rig_presets
from SSRKDLib.geometry.virtual_cameras import frame_cameras
from SSRKDLib.reconstruction.fitting.outlines import bone_contour, depth_inside, mask_outline
from SSRKDLib.reconstruction.fitting.shape_model import BoneModel, knee_shape_model
from SSRKDLib.surfaces.mesh import from_polydata
from Testing.support.fitted_knees import VIEWS as CONES
from Testing.support.fitted_knees import bent, knee

_SLOTS = frame_cameras(rig_presets.slot().views, np.eye(4), 192, 1.15)
VIEWS = (*CONES, _SLOTS[0].view)
RADIUS, CENTRE = 30.0, np.array([6.0, -4.0, 9.0])


@pytest.fixture(scope="module")
def sphere():
    source = vtkSphereSource()
    source.SetThetaResolution(200)
    source.SetPhiResolution(200)
    source.SetRadius(RADIUS)
    source.Update()
    mesh = from_polydata(source.GetOutput())
    modes = np.zeros((len(mesh.vertices), 3, 1), np.float32)
    return BoneModel.of_mesh(mesh.vertices, modes, mesh.faces, np.arange(len(mesh.vertices)))


def pose_at(centre):
    pose = np.eye(4)
    pose[:3, 3] = centre
    return pose


@pytest.mark.parametrize("view", VIEWS)
def test_the_outline_of_a_sphere_is_where_rays_touch_it(sphere, view):
    """To 0.02 pixels of 1.15 mm."""
    normals = sphere.normals(sphere.mean)
    contour = bone_contour(sphere, sphere.mean, normals, pose_at(CENTRE), view)
    rays = view.rays(contour.image)
    towards = CENTRE - view.focal_spots(view.points_on_detector(contour.image))
    past = np.linalg.norm(towards - (rays * towards).sum(1)[:, None] * rays, axis=1)
    np.testing.assert_allclose(past, RADIUS, atol=0.02)
    # All round, and nothing but the outline.
    angles = np.sort(np.arctan2(*(contour.image - view.project(CENTRE)).T))
    assert np.diff(angles).max() < np.deg2rad(6)


@pytest.mark.parametrize("view", VIEWS[1:])
def test_how_an_outline_moves_is_told_right(sphere, view):
    """By moving the sphere: the outline moves by what the directions say, times pixels per mm."""
    normals, step = sphere.normals(sphere.mean), np.array([0.3, 0.2, -0.25])
    first = bone_contour(sphere, sphere.mean, normals, pose_at(CENTRE), view)
    told = first.directions @ step * first.pixels_per_mm
    second = bone_contour(sphere, sphere.mean, normals, pose_at(CENTRE + step), view)
    np.testing.assert_allclose(told, reached(second, first) - reached(first, first), atol=0.03)
    grown = bone_contour(sphere, 1.01 * sphere.mean, normals, pose_at(CENTRE), view)
    growth = reached(grown, first) - reached(first, first)
    np.testing.assert_allclose(growth, 0.01 * RADIUS * first.pixels_per_mm, atol=0.02)


def reached(contour, directions):
    """How far a convex outline reaches along the normals of another one."""
    return (directions.normals @ contour.image.T).max(1)


def test_the_outline_of_a_disc_is_its_circle():
    rows, columns = np.mgrid[:120, :120]
    distance = np.hypot(columns - 61.3, rows - 55.7)
    mask = np.clip(30.5 - distance, 0, 1)
    outline = mask_outline(mask, depth_inside(np.ones(mask.shape, bool)))
    from_middle = outline.points - [61.3, 55.7]
    radius = np.linalg.norm(from_middle, axis=1)
    np.testing.assert_allclose(radius, 30.0, atol=0.15)
    np.testing.assert_allclose(outline.normals, from_middle / radius[:, None], atol=0.1)
    assert 170 < len(outline.points) < 200
    # Where the radiograph ends, a mask's border is not a bone's.
    valid = np.ones(mask.shape, bool)
    valid[:, 62:] = False
    cut = mask_outline(np.where(valid, mask, 0), depth_inside(valid))
    assert len(cut.points) and cut.points[:, 0].max() < 62 - 2.5


def test_folds_that_a_bone_hides_are_not_its_outline():
    """In the lateral view one condyle lies before the other."""
    state = knee(np.zeros(knee_shape_model().components), bent(0.0))
    part, view = state.model.bones["femur"], VIEWS[1]
    points = state.points("femur", 1)
    contour = bone_contour(part, points, part.normals(points), np.eye(4), view)
    facing = ((points - view.source) * part.normals(points)).sum(1)
    every = ((facing[part.edges[:, 0]] > 0) != (facing[part.edges[:, 1]] > 0)).sum()
    assert len(contour.image) < 0.8 * every
    # From each point of it, outwards is outside of all that the bone's vertices cover.
    outwards = contour.image + 4 * contour.normals
    image = view.project(points)
    nearest = np.linalg.norm(outwards[:, None] - image[None], axis=2).min(1)
    assert np.median(nearest) > 2.5

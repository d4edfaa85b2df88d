"""The forward projector against closed forms, RTK, derivatives and the views' own geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry import rig_presets
from SSRKDLib.geometry.centred_views import view_from_angles
from SSRKDLib.geometry.views import View
from SSRKDLib.simulation.joseph import Volume, project
from Testing.support.asymmetric_rig import RIGS, asymmetric
from Testing.support.projection_truth import (
    box_chords,
    grid,
    relative_l2,
    rotation,
    rtk_joseph,
    sphere_chords,
    voxelised,
)

SHAPE = (80, 90, 100)
OBLIQUE = rotation((1, -2, 0.5), 37)
CENTRE = np.array([6.0, -9.0, 4.0])
RADIUS = 38.0
HALF = np.array([20.0, 28.0, 33.0])
#: The box's axes: no face lies along a view's rays, where a chord jumps from one pixel to the next
#: and no voxels of any size follow it.
BOX_AXES = np.array([[2, 2, -1], [-1, 2, 2], [2, -1, 2]]) / 3
#: What voxels of 1.2 mm cost in relative L2: their ramp of one voxel at the rim. Measured: 0.0137
#: and 0.0058 at most. A shift by a quarter of a voxel across the rays makes the sphere's 0.021.
SPHERE_TOLERANCE = 0.015
BOX_TOLERANCE = 0.0065
NAMES = ("orthogonal", "c_arm", "oblique", "asymmetric")


def coarser(view: View, factor: int) -> View:
    """The same detector with fewer, larger pixels, to keep tests quick."""
    spacing = np.array(view.pixel_spacing)
    shift = (factor - 1) / 2 * spacing
    return replace(
        view,
        detector_origin=view.detector_origin
        + shift[0] * view.column_direction
        + shift[1] * view.row_direction,
        pixel_spacing=tuple(float(s) for s in spacing * factor),
        size=tuple(n // factor for n in view.size),
    )


@pytest.fixture(params=[(name, index) for name in NAMES for index in (0, 1)], ids=str)
def view(request) -> View:
    name, index = request.param
    return coarser(RIGS[name]().views[index], 2)


@pytest.fixture(scope="module")
def noise() -> Volume:
    """Random values with a rim of zeros, anisotropic and oblique: no symmetry to hide behind."""
    generator = torch.Generator().manual_seed(1)
    values = torch.zeros(60, 70, 50)
    values[2:-2, 2:-2, 2:-2] = torch.rand(56, 66, 46, generator=generator)
    return Volume(values, grid((60, 70, 50), (1.3, 2.1, 1.7), OBLIQUE, CENTRE))


@pytest.fixture(scope="module")
def sphere() -> Volume:
    affine = grid(SHAPE, (1.1, 1.2, 1.3), OBLIQUE, CENTRE)
    return voxelised(lambda p: ((p - CENTRE) ** 2).sum(-1) <= RADIUS**2, affine, SHAPE)


@pytest.fixture(scope="module")
def box() -> Volume:
    affine = grid(SHAPE, (1.1, 1.2, 1.3), OBLIQUE, CENTRE)
    return voxelised(lambda p: (np.abs((p - CENTRE) @ BOX_AXES) <= HALF).all(-1), affine, SHAPE)


def test_project_sphere_equals_its_chords(view, sphere):
    truth = sphere_chords(view, CENTRE, RADIUS)
    assert truth.max() > 75
    image = project(sphere, view)
    assert relative_l2(image, truth) < SPHERE_TOLERANCE
    assert abs(float(image.sum()) / truth.sum() - 1) < 1e-3


def test_project_box_equals_its_chords(view, box):
    truth = box_chords(view, BOX_AXES, CENTRE, HALF)
    image = project(box, view)
    assert relative_l2(image, truth) < BOX_TOLERANCE
    assert abs(float(image.sum()) / truth.sum() - 1) < 1e-3


def test_project_equals_rtk(view, noise):
    assert relative_l2(project(noise, view), rtk_joseph(noise, view)) < 1e-3


def test_project_equals_rtk_on_a_mirrored_grid(noise):
    mirrored = noise.index_to_world @ np.diag([-1.0, 1, 1, 1])
    mirrored[:3, 3] = noise.index_to_world[:3, 3] + 49 * noise.index_to_world[:3, 0]
    view = coarser(asymmetric().views[0], 2)
    flipped = Volume(noise.values.flip(2), mirrored)
    assert relative_l2(project(flipped, view), project(noise, view)) < 1e-5


def test_project_wide_cone_changes_axis_from_ray_to_ray(noise):
    """A source 110 mm from the centre: rays of one view drive along different axes."""
    near = view_from_angles("near", 40, 230, 110, (150, 150), (2.0, 2.0), elevation=30)
    ray = near.rays(np.array([[c, r] for c in (0, 149) for r in (0, 149)], float)) @ OBLIQUE
    assert len(set(np.abs(ray / [1.3, 2.1, 1.7]).argmax(1))) > 1
    assert relative_l2(project(noise, near), rtk_joseph(noise, near)) < 1e-3


def test_project_keeps_a_constant_volume_to_its_rim():
    """A full grid of ones without any zeros around it weighs what its voxels do."""
    affine = grid((40, 40, 40), (2.0, 2.0, 2.0), np.eye(3))
    volume = Volume(torch.ones(40, 40, 40), affine)
    view = coarser(rig_presets.orthogonal().views[0], 2)
    truth = box_chords(view, np.eye(3), np.zeros(3), np.full(3, 40.0))
    image = project(volume, view).numpy()
    middle = tuple(n // 2 for n in image.shape)
    assert image[middle] == pytest.approx(truth[middle], rel=1e-4)
    assert image.sum() == pytest.approx(truth.sum(), rel=5e-3)


def test_project_stops_at_the_detector():
    values = torch.zeros(9, 9, 9)
    values[4, 4, 4] = 1
    view = rig_presets.orthogonal().views[0]
    behind = grid((9, 9, 9), (5.0, 5.0, 5.0), np.eye(3), (0, 400, 0))
    beyond_source = grid((9, 9, 9), (5.0, 5.0, 5.0), np.eye(3), (0, -1000, 0))
    assert project(Volume(values, behind), view).abs().max() == 0
    assert project(Volume(values, beyond_source), view).abs().max() == 0


@pytest.mark.parametrize("name", ["oblique", "asymmetric", "slot"])
def test_project_puts_a_blob_where_the_point_projects(name):
    """To 0.05 px in every view, by the blob's centroid; the brightest pixel is the nearest."""
    generator = np.random.default_rng(3)
    spacing = np.array([0.7, 0.8, 0.6])
    for view in RIGS[name]().views:
        for _ in range(4):
            point = generator.uniform(-45, 45, 3)
            turn = rotation(tuple(generator.normal(size=3)), generator.uniform(0, 180))
            off = generator.uniform(-0.5, 0.5, 3)
            affine = grid((31, 31, 31), tuple(spacing), turn, tuple(point + off))
            index = np.stack(np.meshgrid(*[np.arange(31)] * 3, indexing="ij"), -1)[..., ::-1]
            world = index @ affine[:3, :3].T + affine[:3, 3]
            blob = np.exp(-((world - point) ** 2).sum(-1) / (2 * 1.8**2))
            image = project(Volume(torch.from_numpy(blob), affine), view).numpy()
            rows, columns = np.indices(image.shape)
            centroid = np.array([(image * columns).sum(), (image * rows).sum()]) / image.sum()
            expected = view.project(point)
            np.testing.assert_allclose(centroid, expected, atol=0.05)
            row, column = np.unravel_index(image.argmax(), image.shape)
            assert np.abs(np.array([column, row]) - expected).max() < 0.6


def test_project_gradient_is_the_adjoint():
    view = coarser(asymmetric().views[1], 8)
    values, other = torch.rand(2, 5, 6, 7, dtype=torch.float64)
    affine = grid((5, 6, 7), (11.0, 9.0, 12.0), OBLIQUE)
    values.requires_grad_()
    image = project(Volume(values, affine), view)
    weights = torch.rand_like(image)
    (gradient,) = torch.autograd.grad((image * weights).sum(), values)
    # Projecting is linear, so its derivative along any other volume is that volume's image.
    along = (project(Volume(other, affine), view) * weights).sum()
    assert float((gradient * other).sum()) == pytest.approx(float(along), rel=1e-10)
    assert float(gradient.abs().min()) > 0


@pytest.mark.parametrize(
    ("values", "affine", "word"),
    [
        (torch.zeros(4, 4), np.eye(4), "3-D"),
        (torch.zeros(4, 4, 4, dtype=torch.int32), np.eye(4), "real"),
        (torch.zeros(4, 4, 4), np.zeros((4, 4)), "invertible"),
        (torch.zeros(4, 4, 4), np.eye(3), "4x4"),
    ],
)
def test_project_refuses_what_is_no_volume(values, affine, word):
    with pytest.raises(GeometryError, match=word):
        Volume(values, affine)

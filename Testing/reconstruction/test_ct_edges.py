"""Surfaces are drawn to where bone ends in a CT: closed-form balls, from beside and with what could
mislead."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from vtkmodules.vtkFiltersSources import vtkSphereSource

from SSRKDLib.ct.reading import CtScan
from SSRKDLib.reconstruction.ct_edges import depth_in_scan, drawn_to_edges
from SSRKDLib.reconstruction.fitting.shape_model import BoneModel
from SSRKDLib.surfaces.mesh import from_polydata
from Testing.support.projection_truth import rotation

RADIUS, CENTRE = 18.0, np.array([140.0, -60.0, 900.0])

#: Hounsfield units.
MUSCLE, FAT, CORTEX, MARROW = 55.0, -90.0, 1100.0, -40.0


def ball_scan(values, spacing=(0.9, 1.1, 1.0), size=(62, 54, 58)) -> CtScan:
    """An oblique CT around the ball; ``values`` gives Hounsfield units of distances from its
    middle, which a voxel averages."""
    fine = 2
    affine = np.eye(4)
    affine[:3, :3] = rotation((2, -1, 1), 20) * spacing
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(size) - 1) / 2)
    ticks = [(np.arange(fine * n) + 0.5) / fine - 0.5 for n in size[::-1]]
    index = np.stack(np.meshgrid(*ticks, indexing="ij"), -1)[..., ::-1]
    far = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3] - CENTRE, axis=-1)
    shares = values(far).reshape([n for count in size[::-1] for n in (count, fine)])
    # A scanner's kernel blurs a little more than its voxels do.
    seen = ndimage.gaussian_filter(shares.mean(axis=(1, 3, 5)), 0.5)
    return CtScan(seen.astype(np.float32), affine)


def solid(far):
    return np.where(far < RADIUS, CORTEX, MUSCLE)


@pytest.fixture(scope="module")
def ball() -> BoneModel:
    source = vtkSphereSource()
    source.SetRadius(RADIUS)
    source.SetThetaResolution(32)
    source.SetPhiResolution(24)
    source.Update()
    mesh = from_polydata(source.GetOutput())
    nothing = np.zeros((len(mesh.vertices), 3, 1), np.float32)
    return BoneModel.of_mesh(mesh.vertices, nothing, mesh.faces, np.arange(len(mesh.vertices)))


def radii(points):
    return np.linalg.norm(points - CENTRE, axis=1)


@pytest.mark.parametrize("away", [2.0, -2.0])
def test_a_surface_that_is_too_large_or_small_is_drawn_to_the_edge(ball, away):
    start = CENTRE + ball.mean * (RADIUS + away) / RADIUS + [0.5, -0.4, 0.3]
    found = drawn_to_edges(ball, start, ball_scan(solid))
    assert np.abs(radii(found) - RADIUS).max() < 0.25
    assert np.abs(radii(found) - RADIUS).mean() < 0.08


@pytest.mark.parametrize(
    ("values", "within"),
    [
        # A cortex of 1.5 mm around marrow that is darker than muscle.
        (
            lambda far: np.select(
                [far < RADIUS - 1.5, far < RADIUS], [MARROW, CORTEX], MUSCLE
            ),
            0.25,
        ),
        # Another bone begins 3 mm outside.
        (lambda far: np.where((far < RADIUS) | (far > RADIUS + 3), CORTEX, MUSCLE), 0.15),
        # Muscle falls into fat 2 mm outside, as steeply as bone that has lost its mineral.
        (
            lambda far: np.select([far < RADIUS, far < RADIUS + 2], [250.0, MUSCLE], FAT),
            0.25,
        ),
    ],
    ids=["thin cortex", "another bone", "fat"],
)  # fmt: skip
def test_what_lies_near_the_edge_does_not_mislead(ball, values, within):
    found = drawn_to_edges(ball, CENTRE + ball.mean + [0.8, 0.6, -0.7], ball_scan(values))
    assert np.abs(radii(found) - RADIUS).mean() < within


def test_where_no_bone_ends_nothing_moves(ball):
    start = CENTRE + ball.mean
    flat = ball_scan(lambda far: np.where(far < RADIUS + 1, MUSCLE, FAT))
    np.testing.assert_allclose(drawn_to_edges(ball, start, flat), start, atol=1e-6)


def test_what_the_ct_does_not_show_goes_with_its_neighbours(ball):
    """The CT ends 8 mm above the ball's middle: the cap beyond has no edge of its own."""
    scan = ball_scan(solid)
    start = CENTRE + ball.mean * (RADIUS + 1.5) / RADIUS
    cut = CtScan(scan.hounsfield[:37], scan.index_to_lps)
    found = drawn_to_edges(ball, start, cut)
    inside = depth_in_scan(start, cut) > 3
    assert 0.5 < inside.mean() < 0.9
    assert np.abs(radii(found)[inside] - RADIUS).max() < 0.3
    assert (radii(found)[~inside] < RADIUS + 1.5).all()


def test_thick_slices_count_less_than_fine_pixels(ball):
    """Slices of 6 mm say little of what faces along them, which neighbours then tell."""
    scan = ball_scan(solid, spacing=(0.9, 0.9, 6.0), size=(62, 62, 11))
    found = drawn_to_edges(ball, CENTRE + ball.mean * 1.05, scan)
    side = np.abs((found - CENTRE) @ scan.index_to_lps[:3, 2] / 6.0) < 6
    assert np.abs(radii(found)[side] - RADIUS).mean() < 0.15
    assert np.abs(radii(found) - RADIUS).max() < 1.5


def test_depth_in_a_scan_is_in_millimetres():
    scan = ball_scan(solid, spacing=(0.9, 1.1, 2.0), size=(61, 61, 21))
    points = CENTRE + np.array([0.0, 18.0, 22.0])[:, None] * scan.index_to_lps[:3, 2] / 2.0
    np.testing.assert_allclose(depth_in_scan(points, scan), [20.0, 2.0, -2.0], atol=1e-9)

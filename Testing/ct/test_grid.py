"""What a network sees of a CT: as in training, along the patient's axes, within the memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SSRKDLib.core.errors import ImageError
from SSRKDLib.ct import grid as ct_grid
from SSRKDLib.ct.grid import BEYOND, CtGrid
from SSRKDLib.ct.hounsfield import from_hounsfield, windowed
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.datasets.case_frame import CaseFrame
from SSRKDLib.datasets.prepare import resampled
from SSRKDLib.simulation.joseph import Volume
from Testing.support.ct_truth import DIRECTIONS, OBLIQUE, PLACE, ellipsoid, scan_of


@pytest.mark.parametrize("edge", [1.6, 2.9])
def test_the_network_sees_what_the_training_s_cases_show(edge):
    """As :mod:`SSRKDLib.datasets.prepare` makes them, finer or coarser than the CT."""
    size = 20
    rng = np.random.default_rng(3)
    scan = scan_of(lambda points: rng.uniform(-0.5, 1.3, len(points)), OBLIQUE)
    frame = CaseFrame(size * edge / 2, np.eye(4), (0.0,), 1000.0, 2000.0, 8, 1.0)
    to_world = np.eye(4)
    to_world[:3, 3] = PLACE
    frame = CaseFrame(frame.half_edge, to_world, (0.0,), 1000.0, 2000.0, 8, 1.0)
    volume = Volume(torch.from_numpy(from_hounsfield(scan.hounsfield)), scan.index_to_lps)
    fine = windowed(resampled(volume, frame, 2 * size), 60.0)
    case = fine.reshape((size, 2) * 3).mean(axis=(1, 3, 5))
    grid = CtGrid(scan, (size,) * 3, to_world @ frame.index_to_case(size))
    seen = grid.seen()
    assert seen.dtype == np.uint8 and np.ptp(seen) > 100
    assert np.abs(seen - np.rint(255 * case)).max() <= 1


def test_beyond_the_ct_its_last_slices_go_on_and_then_there_is_air(monkeypatch):
    scan = scan_of(lambda points: 0.5 + 0.004 * (points - PLACE)[:, 2], np.eye(3))
    grid = CtGrid.isotropic(scan, 2.5)
    whole, (k, j, i) = grid.seen(), grid.shape
    line = whole[:, j // 2, i // 2].astype(int)
    assert (line[: BEYOND + 1] == line[BEYOND]).all() and line[BEYOND + 2] > line[BEYOND]
    assert (line[k - BEYOND - 1 :] == line[k - BEYOND - 1]).all() and line[-1] > 140
    # A few planes at a time or all at once.
    monkeypatch.setattr(ct_grid, "_AT_ONCE", 7 * i * j)
    shares = []
    np.testing.assert_array_equal(grid.seen(shares.append), whole)
    assert len(shares) == -(-k // 7) and shares == sorted(shares) and shares[-1] < 1
    # An oblique CT does not fill its grid; the corners are air.
    grid = CtGrid.isotropic(scan_of(lambda points: np.full(len(points), 0.7), OBLIQUE), 2.5)
    seen = grid.seen()
    assert set(np.unique(seen)) == {0, round(0.7 * 255)}
    inside = grid.margin(np.argwhere(seen > 0)[:, ::-1].astype(float))
    outside = grid.margin(np.argwhere(seen == 0)[:, ::-1].astype(float))
    assert inside.min() >= -BEYOND - 0.5 and outside.max() < -BEYOND


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_stretched_grid_fills_the_ct_and_stands_as_the_patient_does(direction):
    scan = scan_of(ellipsoid, DIRECTIONS[direction])
    grid = CtGrid.stretched(scan, 40)
    assert grid.shape == (40 + 2 * BEYOND,) * 3
    assert (np.diag(grid.index_to_lps[:3, :3] / grid.voxel) > 0.9).all()

    def outer_corners(affine, low, high):
        corners = np.stack(np.meshgrid(*zip(low, high)), -1).reshape(8, 3)
        corners = corners @ affine[:3, :3].T + affine[:3, 3]
        return corners[np.lexsort(corners.round(3).T)]

    whole = np.array(scan.hounsfield.shape[::-1]) - 0.5
    np.testing.assert_allclose(
        outer_corners(grid.index_to_lps, [BEYOND - 0.5] * 3, [BEYOND + 39.5] * 3),
        outer_corners(scan.index_to_lps, [-0.5] * 3, whole),
        atol=1e-6,
    )


def test_a_ct_that_would_fill_the_memory_is_refused_before_it_does():
    values, affine = np.zeros((4, 4, 4), np.int16), np.diag([400.0, 400.0, 600.0, 1.0])
    with pytest.raises(ImageError, match="too large.*Crop it to the knee"):
        CtGrid.isotropic(CtScan(values, affine), 0.5)

"""What a network sees of a CT: as in training, along the patient's axes, within the memory."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import ImageError
from SSRKDLib.ct import grid as ct_grid
from SSRKDLib.ct.grid import BEYOND, CtGrid
from SSRKDLib.ct.reading import CtScan, read_scan
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.datasets.prepare import Settings
from SSRKDLib.datasets.prepare_many import Outcome, run_job
from SSRKDLib.datasets.sources import FileSource, Job
from SSRKDLib.images.writing import write_image
from SSRKDLib.reconstruction.ct import reconstruct_ct
from Testing.support.ct_truth import DIRECTIONS, OBLIQUE, PLACE, ellipsoid, scan_of


class Recorder:
    """A network that finds nothing, and keeps what it was given."""

    name, device, window, notes, extent = "recorder", "cpu", 64, (), np.inf
    surface = "field"
    manifest = {"sha256": "0" * 64}  # noqa: RUF012

    def __init__(self, voxel):
        self.voxel = voxel

    def margins(self, values):
        self.values = np.rint(255 * values).astype(np.uint8)
        return np.full((len(BONES), *values.shape), -1, np.float32)


@pytest.mark.parametrize(("size", "extent"), [(72, 108.0), (39, 113.0)])
def test_training_and_inference_give_a_network_the_same_array(tmp_path, size, extent):
    """A CT file, prepared as a case and reconstructed: bit for bit, finer or coarser than the CT,
    and beyond its ends."""
    rng = np.random.default_rng(3)
    scan = scan_of(lambda points: rng.uniform(-0.5, 1.3, len(points)), OBLIQUE, size=(30, 40, 34))
    write_image(tmp_path / "ct.nrrd", scan.hounsfield, scan.index_to_lps)
    settings = Settings(size=size, detector=32, angles=2, extent=extent)
    job = Job("case", FileSource(tmp_path / "ct.nrrd", None, None), "somebody")
    assert run_job(job, tmp_path, settings) == Outcome("case")
    prepared = CaseFolder(tmp_path / "case").volume(size)
    model = Recorder(extent / size)
    with pytest.raises(ImageError, match="No bone"):
        reconstruct_ct(read_scan(tmp_path / "ct.nrrd"), model)
    shape = CtGrid.isotropic(scan, model.voxel).shape
    # Both grids are centred on the CT; the cube of the case reaches farther.
    margins = [(size - n) // 2 for n in shape]
    assert all(2 * margin == size - n and margin >= 0 for margin, n in zip(margins, shape))
    inner = tuple(slice(margin, size - margin) for margin in margins)
    given = model.values[tuple(slice(0, n) for n in shape)]
    assert np.ptp(given) > 100
    np.testing.assert_array_equal(prepared[inner], given)


def test_beyond_the_ct_its_last_slices_go_on_and_then_there_is_air(monkeypatch):
    scan = scan_of(lambda points: 0.5 + 0.004 * (points - PLACE)[:, 2], np.eye(3))
    grid = CtGrid.isotropic(scan, 2.5)
    whole, (k, j, i) = grid.network_values(), grid.shape
    line = whole[:, j // 2, i // 2].astype(int)
    assert (line[: BEYOND + 1] == line[BEYOND]).all() and line[BEYOND + 2] > line[BEYOND]
    assert (line[k - BEYOND - 1 :] == line[k - BEYOND - 1]).all() and line[-1] > 140
    # A few planes at a time or all at once.
    monkeypatch.setattr(ct_grid, "_AT_ONCE", 7 * i * j)
    shares = []
    np.testing.assert_array_equal(grid.network_values(shares.append), whole)
    assert len(shares) == -(-k // 7) and shares == sorted(shares) and shares[-1] < 1
    # An oblique CT does not fill its grid; the corners are air.
    grid = CtGrid.isotropic(scan_of(lambda points: np.full(len(points), 0.7), OBLIQUE), 2.5)
    seen = grid.network_values()
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

"""The adapter to TIGRE, against a plain integrator written from TIGRE's documented frame.

TIGRE itself needs CUDA and is not installed where these tests run: a stand-in takes its place in
``sys.modules`` and integrates what TIGRE would be told. What TIGRE's kernels make of it is not
covered.
"""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from SSRKDLib.core.errors import GeometryError, MissingDependencyError
from SSRKDLib.geometry import rig_presets
from SSRKDLib.simulation import joseph, projector, tigre
from SSRKDLib.simulation.joseph import Volume
from Testing.support.asymmetric_rig import RIGS
from Testing.support.projection_truth import grid, relative_l2, rotation

SHAPE = (40, 44, 36)
#: Middle (k, j, i), standard deviation (voxels) and height of the test volume's blobs.
BLOBS = (((14, 16, 20), 4.0, 1.0), ((24, 28, 14), 3.5, 0.7), ((26, 16, 22), 3.5, 1.2))


def integrate(img: np.ndarray, geo, angles: np.ndarray, projection_type: str) -> np.ndarray:
    """``tigre.Ax`` in plain NumPy: a sum of trilinear samples along every ray, ``[1, v, u]``.

    Source (DSO, 0, 0) and detector (-(DSD - DSO), offU, offV), both turned by alpha about z, theta
    about y and psi about z; u along +y, v along +z, row 0 lowest; the volume [z, y, x] has its
    centre at offOrigin. Vectors of the geometry are in the order (z, y, x) and (v, u).
    """
    assert img.dtype == np.float32
    assert projection_type == "interpolated"
    assert list(img.shape) == list(geo.nVoxel)
    (alpha, theta, psi), ((nv, nu), (dv, du)) = angles[0], (geo.nDetector, geo.dDetector)
    assert np.abs(geo.rotDetector).max() == 0

    def turn_z(p: np.ndarray, a: float) -> np.ndarray:
        x, y, z = np.moveaxis(p, -1, 0)
        return np.stack([x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a), z], -1)

    def turn_y(p: np.ndarray, a: float) -> np.ndarray:
        x, y, z = np.moveaxis(p, -1, 0)
        return np.stack([x * np.cos(a) + z * np.sin(a), y, -x * np.sin(a) + z * np.cos(a)], -1)

    def place(p: np.ndarray) -> np.ndarray:
        return turn_z(turn_y(turn_z(p, psi), theta), alpha) - geo.offOrigin[::-1]

    v = (np.arange(nv) - nv / 2 + 0.5) * dv + geo.offDetector[0]
    u = (np.arange(nu) - nu / 2 + 0.5) * du + geo.offDetector[1]
    vv, uu = np.meshgrid(v, u, indexing="ij")
    pixels = place(np.stack([np.full_like(uu, -(geo.DSD - geo.DSO)), uu, vv], -1))
    source = place(np.array([geo.DSO, 0.0, 0.0]))
    ray = pixels - source
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    reach = np.linalg.norm(geo.sVoxel) / 2
    step = float(geo.dVoxel.min()) * geo.accuracy
    start = np.linalg.norm(source) - reach
    total = np.zeros((nv, nu))
    for t in np.arange(start, start + 2 * reach, step):
        at = (source + t * ray) / geo.dVoxel[::-1] + (np.array(img.shape[::-1]) - 1) / 2
        total += map_coordinates(img, np.moveaxis(at[..., ::-1], -1, 0), order=1, mode="constant")
    return (total * step).astype(np.float32)[None]


@pytest.fixture
def stand_in(monkeypatch) -> types.ModuleType:
    """A module ``tigre`` that integrates on the CPU and counts its calls."""
    module = types.ModuleType("tigre")
    module.calls = 0

    def ax(*arguments, **options):
        module.calls += 1
        return integrate(*arguments, **options)

    module.geometry = types.SimpleNamespace
    module.Ax = ax
    monkeypatch.setitem(sys.modules, "tigre", module)
    monkeypatch.setattr(tigre, "available", lambda: True)
    return module


def blobs(turn: np.ndarray, mirror: bool = False) -> Volume:
    """Smooth, without symmetry, in an oblique grid of cubes off the origin."""
    affine = grid(SHAPE, (2.0, 2.0, 2.0), turn, (7.0, -11.0, 5.0))
    k, j, i = np.indices(SHAPE)
    values = np.zeros(SHAPE)
    for at, width, weight in BLOBS:
        square = (k - at[0]) ** 2 + (j - at[1]) ** 2 + (i - at[2]) ** 2
        values += weight * np.exp(-square / (2 * width**2))
    if mirror:
        affine = affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    return Volume(torch.from_numpy(values.astype(np.float32)), affine)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("turn", [np.eye(3), rotation((1, 2, -1), 70)], ids=["straight", "oblique"])
@pytest.mark.parametrize("name", ["orthogonal", "oblique", "asymmetric"])
def test_project_tigre_gets_the_view_that_was_asked_for(name, turn, mirror, stand_in):
    volume = blobs(turn, mirror)
    for full in RIGS[name]().views:
        view = replace(
            full,
            pixel_spacing=tuple(4 * s for s in full.pixel_spacing),
            size=tuple(n // 4 for n in full.size),
        )
        image = projector.project_view(volume, view, projector="tigre")
        assert relative_l2(image, joseph.project(volume, view)) < 5e-3
    assert stand_in.calls == 2


def test_project_tigre_turns_rows_along_the_axis():
    """Rows along the volume's z need alpha alone: TIGRE's fast case."""
    for view in rig_presets.orthogonal().views:
        form = tigre.express(blobs(np.eye(3)), view)
        assert form.angles[1:] == (0.0, 0.0)
        assert form.flip_rows
    upside_down = rig_presets.orthogonal().transformed(np.diag([-1.0, 1, -1, 1]))
    assert tigre.express(blobs(np.eye(3)), upside_down.views[0]) is not None


def test_project_tigre_refuses_what_it_cannot_express():
    view = rig_presets.orthogonal().views[0]
    values = torch.rand(8, 8, 8)
    flat = Volume(values, grid((8, 8, 8), (2.0, 2.0, 3.0), np.eye(3)))
    sheared = np.eye(4)
    sheared[0, 1] = 0.1
    near = Volume(values, grid((8, 8, 8), (300.0, 300.0, 300.0), np.eye(3)))
    crooked = replace(view, column_direction=view.column_direction + [0, 0, 5e-4])
    assert tigre.express(flat, view) is None
    assert tigre.express(Volume(values, sheared), view) is None
    assert tigre.express(near, view) is None
    assert tigre.express(blobs(np.eye(3)), crooked) is None
    assert tigre.express(blobs(np.eye(3)), view) is not None


def test_the_projector_is_the_one_that_was_named(stand_in):
    """Joseph's method by default, also where TIGRE is installed: everywhere the same images."""
    view = rig_presets.orthogonal(pixels=32).views[0]
    volume = blobs(np.eye(3))
    assert projector.project_view(volume, view).equal(joseph.project(volume, view))
    values = volume.values.clone().requires_grad_()
    projector.project_view(Volume(values, volume.index_to_world), view).sum().backward()
    assert float(values.grad.abs().max()) > 0 and stand_in.calls == 0
    flat = Volume(volume.values, grid(SHAPE, (2.0, 2.0, 3.0), np.eye(3)))
    with pytest.raises(GeometryError, match="cubic voxels.*'joseph'"):
        projector.project_view(flat, view, projector="tigre")
    with pytest.raises(ValueError, match="projector"):
        projector.project_view(volume, view, projector="other")


def test_tigre_that_is_not_there_is_refused(monkeypatch):
    view = rig_presets.orthogonal(pixels=32).views[0]
    monkeypatch.setattr(tigre, "available", lambda: False)
    with pytest.raises(MissingDependencyError, match="'joseph'"):
        projector.project_view(blobs(np.eye(3)), view, projector="tigre")


def test_project_tigre_absent_is_no_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "tigre", None)
    tigre.available.cache_clear()
    try:
        assert tigre.available() is False
    finally:
        tigre.available.cache_clear()

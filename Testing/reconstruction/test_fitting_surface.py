"""The template fitted to surfaces of known people, cut and turned."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.rigid import moved_points
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.surface_fit import SurfaceFit, _wide_end, fit_surfaces
from SSRKDLib.simulation.population import shape_model
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.surfaces.mesh import Mesh

MOTION = np.eye(4)
MOTION[:3, :3] = Rotation.from_euler("xyz", [100.0, -30.0, 200.0], degrees=True).as_matrix()
MOTION[:3, 3] = [40.0, 900.0, -300.0]


@pytest.fixture(scope="module")
def true_points() -> dict[str, np.ndarray]:
    """A knee that no model has seen, bent by 40 degrees."""
    points = random_knee(np.random.default_rng([5, 1]), 40.0)
    return {bone: moved_points(MOTION, points[bone]) for bone in points}


@pytest.fixture(scope="module")
def bones(true_points) -> dict[str, Mesh]:
    return {bone: Mesh(true_points[bone], shape_model().faces[bone]) for bone in true_points}


def off(bone: str, fit: SurfaceFit, true_points: dict[str, np.ndarray]) -> np.ndarray:
    """Distances of shown vertices from where they are in truth, along the true normals, mm."""
    part = knee_shape_model().bones[bone]
    true = true_points[bone][part.vertices]
    return np.abs(((fit.points - true) * part.normals(true)).sum(1))[fit.shown]


def test_vertices_lie_on_the_surface_however_it_lies(bones, true_points):
    found = fit_surfaces(bones)
    assert set(found) == set(bones)
    for bone, fit in found.items():
        assert fit.shown.mean() > 0.85, bone
        assert off(bone, fit, true_points).mean() < 0.15, bone
        assert fit.distance < 0.5, bone


def test_cut_shafts_are_continued_as_the_shape_model_expects(bones, true_points):
    box = np.array([[-500.0, -500.0, -70.0], [500.0, 500.0, 65.0]])
    back = np.linalg.inv(MOTION)
    cut = {
        bone: bones[bone].transformed(back).clipped(box).capped().transformed(MOTION)
        for bone in ("femur", "tibia")
    }
    for bone, fit in fit_surfaces(cut).items():
        part = knee_shape_model().bones[bone]
        beyond = np.abs(moved_points(back, true_points[bone][part.vertices])[:, 2]) > 75
        assert fit.shown[beyond].mean() < 0.1, bone
        assert off(bone, fit, true_points).mean() < 0.2, bone
        # 5 to 40 mm past the cut: where the shape model expects the shaft.
        true = true_points[bone][part.vertices]
        apart = np.abs(((fit.points - true) * part.normals(true)).sum(1))[beyond & ~part.rim]
        assert apart.mean() < 4.0, bone


def test_a_tibia_with_its_fibula_needs_no_femur(bones, true_points):
    found = fit_surfaces({bone: bones[bone] for bone in ("tibia", "fibula")})
    assert off("tibia", found["tibia"], true_points).mean() < 0.15
    assert off("fibula", found["fibula"], true_points).mean() < 0.3


def test_whole_tibias_are_fitted_at_the_knee():
    """Where a fibula's axis, that of some whole tibias far from their own, would take the ankle."""
    faces = shape_model().faces
    for seed in (9, 28):
        points = random_knee(np.random.default_rng(seed), 3.0)
        legs = {bone: Mesh(points[bone], faces[bone]) for bone in ("tibia", "fibula")}
        assert np.linalg.norm(_wide_end(legs["tibia"], legs["fibula"])) < 60, seed


def test_without_a_long_bone_nothing_can_be_fitted(bones):
    with pytest.raises(MeshError, match="neither a femur nor a tibia"):
        fit_surfaces({"patella": bones["patella"]})

"""The centre of the joint is a property of the surfaces, not of their triangles or their ends."""

from __future__ import annotations

import numpy as np
import pytest
from vtkmodules.vtkFiltersCore import vtkQuadricDecimation
from vtkmodules.vtkFiltersModeling import vtkLinearSubdivisionFilter

from SSRKDLib.core.errors import MeshError
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.simulation.population import HELD_OUT_PEOPLE, load_person
from SSRKDLib.surfaces.knee import as_arrays, joint_centre, leg_frame
from SSRKDLib.surfaces.mesh import Mesh, from_polydata, to_polydata
from SSRKDLib.surfaces.sampling import surface_elements
from Testing.support.ball_knee import ball

LIMIT_MM = 0.2


@pytest.fixture(scope="module", params=HELD_OUT_PEOPLE)
def person(request) -> tuple[dict[str, Mesh], np.ndarray]:
    """Femur and tibia within 160 mm of the joint, and its centre."""
    bones = load_person(request.param)
    bones = {bone: cut(bones[bone], np.zeros(3), 160.0) for bone in ("femur", "tibia")}
    return bones, joint_centre(bones)


def cut(mesh: Mesh, centre: np.ndarray, reach: float) -> Mesh:
    return mesh.clipped(np.stack([centre - reach, centre + reach]))


def filtered(mesh: Mesh, algorithm) -> Mesh:
    algorithm.SetInputData(to_polydata(mesh))
    algorithm.Update()
    return from_polydata(algorithm.GetOutput())


def decimated(mesh: Mesh) -> Mesh:
    decimate = vtkQuadricDecimation()
    decimate.SetTargetReduction(0.7)
    return filtered(mesh, decimate)


def moved_by(changed: dict[str, Mesh], centre: np.ndarray) -> float:
    return float(np.linalg.norm(joint_centre(changed) - centre))


def test_decimation_does_not_move_the_joint_centre(person):
    bones, centre = person
    fewer = {bone: decimated(mesh) for bone, mesh in bones.items()}
    assert len(fewer["femur"].faces) < 0.4 * len(bones["femur"].faces)
    assert moved_by(fewer, centre) < LIMIT_MM
    assert moved_by({**bones, "femur": fewer["femur"]}, centre) < LIMIT_MM


def test_subdivision_does_not_move_the_joint_centre(person):
    bones, centre = person
    finer = {bone: filtered(mesh, vtkLinearSubdivisionFilter()) for bone, mesh in bones.items()}
    assert moved_by(finer, centre) < LIMIT_MM
    assert moved_by({**bones, "tibia": finer["tibia"]}, centre) < LIMIT_MM


def test_the_joint_centre_of_the_mirrored_knee_is_the_mirrored_one(person):
    bones, centre = person
    other_side = {bone: mesh.transformed(MIRROR) for bone, mesh in bones.items()}
    assert moved_by(other_side, centre * [-1, 1, 1]) < 1e-6


def test_cut_shafts_do_not_move_the_joint_centre(person):
    bones, centre = person
    shorter = {bone: cut(mesh, centre, 60.0) for bone, mesh in bones.items()}
    assert moved_by(shorter, centre) < LIMIT_MM
    assert moved_by({bone: mesh.capped() for bone, mesh in shorter.items()}, centre) < LIMIT_MM


def test_the_joint_centre_of_a_sphere_above_a_plate():
    """By hand: slices of a sphere have equal areas, so that the mean height h over it, weighted by
    exp(-h / 5), is 5 mm - 2 r / (exp(2 r / 5) - 1) = 4.987 mm for r = 20 mm; the plate has height
    0, and lies 4 mm below the sphere: (4 + 4.987 + 0) / 2 mm."""
    corners = np.array([[-30, -30, 0], [30, -30, 0], [30, 30, 0], [-30, 30, 0]], float)
    bones = {
        "femur": ball((0.0, 0.0, 24.0), 20.0),
        "tibia": Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]])),
    }
    np.testing.assert_allclose(joint_centre(bones), [0.0, 0.0, 4.49], atol=0.1)


def test_bones_that_touch_everywhere_have_a_joint_centre():
    sphere = ball((5.0, -3.0, 8.0), 20.0)
    centre = joint_centre({"femur": sphere, "tibia": sphere})
    np.testing.assert_allclose(centre, [5.0, -3.0, 8.0], atol=0.01)


def test_the_leg_frame_starts_at_the_joint_centre():
    bones = load_person(20)
    frame = leg_frame(as_arrays(bones)).to_world
    np.testing.assert_allclose(frame[:3, 3], joint_centre(bones), atol=1e-3)


@pytest.mark.parametrize("bone", ["femur", "tibia"])
def test_a_joint_centre_needs_both_bones(bone):
    bones = {"femur": ball((0, 0, 24.0), 20.0), "tibia": ball((0, 0, -24.0), 20.0)}
    flat = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    for changed in ({**bones, bone: flat}, {b: m for b, m in bones.items() if b != bone}):
        with pytest.raises(MeshError, match=f"needs a surface of the {bone}"):
            joint_centre(changed)


def test_surface_elements_cover_the_surface_evenly():
    mesh = Mesh(np.array([[0, 0, 0], [9.0, 0, 0], [0, 6, 0], [9, 6, 0]]), [[0, 1, 2], [1, 3, 2]])
    points, areas = surface_elements(mesh, 1.0)
    assert areas.sum() == pytest.approx(54.0)
    assert areas.max() < 0.5
    moment = (areas[:, None] * points).sum(axis=0) / areas.sum()
    np.testing.assert_allclose(moment, [4.5, 3.0, 0.0], atol=1e-9)
    assert len(np.unique(points.round(6), axis=0)) == len(points)

"""How a leg moves between two exposures, and the ``simulate`` command's pairs of such a leg."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from SSRKDLib.cli import main as cli
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.rigid import rigid_fit
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.simulation.leg_motion import (
    flexed,
    leg_motion,
    moved_bones,
    relative_flexion,
    transepicondylar_axis,
)
from SSRKDLib.simulation.population import load_person
from SSRKDLib.simulation.voxel_phantom import voxel_knee
from SSRKDLib.surfaces.distance import signed_distances
from SSRKDLib.surfaces.mesh_files import read_meshes


def angle(motion: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(motion[:3, :3]).magnitude()))


def test_a_bent_knee_turns_about_the_epicondyles_and_no_bone_enters_another():
    bones = load_person(3)
    axis, centre = transepicondylar_axis(bones)
    motions = flexed(bones, 30.0)
    np.testing.assert_array_equal(motions["femur"], np.eye(4))
    np.testing.assert_array_equal(motions["fibula"], motions["tibia"])
    assert angle(motions["tibia"]) == pytest.approx(30)
    assert angle(motions["patella"]) == pytest.approx(15)
    assert relative_flexion(motions, axis) == pytest.approx(30)
    # The epicondyles stay where they are but for the roll-back; the shank goes backwards.
    rolled = motions["tibia"][:3, :3] @ centre + motions["tibia"][:3, 3] - centre
    assert 1.0 < np.linalg.norm(rolled) < 4.0
    bent = moved_bones(bones, motions)
    assert bent["tibia"].vertices[:, 1].max() > bones["tibia"].vertices[:, 1].max() + 30
    for bone in ("tibia", "patella"):
        assert signed_distances(bent[bone].vertices, bones["femur"]).min() > 0.5


def test_a_bone_that_would_touch_the_femur_is_pushed_off_it():
    bones = load_person(3)
    up = np.eye(4)
    up[2, 3] = 3.0  # nearly no joint space
    close = {**bones, "tibia": bones["tibia"].transformed(up)}
    before = signed_distances(close["tibia"].vertices, bones["femur"]).min()
    bent = moved_bones(close, flexed(close, 25.0))
    after = signed_distances(bent["tibia"].vertices, bones["femur"]).min()
    assert after > min(before, 1.0) - 0.4


def test_a_mirrored_knee_moves_mirrored():
    bones = load_person(5)
    other = {bone: mesh.transformed(MIRROR) for bone, mesh in bones.items()}
    left, right = flexed(bones, 20.0), flexed(other, 20.0)
    for bone in bones:
        np.testing.assert_allclose(right[bone], MIRROR @ left[bone] @ MIRROR, atol=1e-9)


def test_the_whole_leg_is_turned_and_shifted_by_what_is_asked_for():
    bones = load_person(0)
    axis, centre = transepicondylar_axis(bones)
    motions = leg_motion(bones, 10.0, np.random.default_rng(2), turn=4.0, shift=7.0)
    femur = motions["femur"]
    assert angle(femur) == pytest.approx(4.0)
    shift = femur[:3, :3] @ centre + femur[:3, 3] - centre
    assert np.linalg.norm(shift) == pytest.approx(7.0)
    assert relative_flexion(motions, axis) == pytest.approx(10.0)
    again = leg_motion(bones, 10.0, np.random.default_rng(2), turn=4.0, shift=7.0)
    np.testing.assert_array_equal(again["tibia"], motions["tibia"])
    still = leg_motion(bones, 0.0, np.random.default_rng(2), turn=0.0, shift=0.0)
    np.testing.assert_allclose(list(still.values()), [np.eye(4)] * 4, atol=1e-12)


@pytest.mark.parametrize("degrees", [-30.0, 120.0, float("nan")])
def test_a_knee_bends_no_further_than_a_knee(degrees):
    with pytest.raises(InputError, match="-10 to 90 degrees"):
        flexed(load_person(0), degrees)


def test_project_simulate_command_bends_the_knee_in_later_views(tmp_path, monkeypatch):
    def coarse(meshes, rng, energy):
        return voxel_knee(meshes, rng, 4.0, energy=energy)

    def image(folder, view):
        return sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / folder / f"{view}.nrrd")))

    monkeypatch.setattr("SSRKDLib.simulation.voxel_phantom.voxel_knee", coarse)
    simulate = ["simulate", "--person", "20", "-o"]
    assert cli.main([*simulate, str(tmp_path / "rigid")]) == 0
    assert cli.main([*simulate, str(tmp_path / "moved"), "--flexion", "20"]) == 0
    assert (image("rigid", "frontal") == image("moved", "frontal")).all()
    assert np.abs(image("rigid", "lateral") - image("moved", "lateral")).mean() > 0.1
    assert not (tmp_path / "rigid" / "bones").exists()
    frontal, lateral = (
        read_meshes(tmp_path / "moved" / "bones" / view) for view in ("frontal", "lateral")
    )
    for bone, mesh in load_person(20).items():
        np.testing.assert_allclose(frontal[bone].vertices, mesh.vertices, atol=1e-4)
    motions = {
        bone: rigid_fit(mesh.vertices, lateral[bone].vertices) for bone, mesh in frontal.items()
    }
    axis, _ = transepicondylar_axis(frontal)
    assert relative_flexion(motions, axis) == pytest.approx(20, abs=0.01)

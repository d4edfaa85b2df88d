"""Counts from line integrals, tissues, the voxel knee, and the ``simulate`` command."""

from __future__ import annotations

import argparse
import json
import shutil
import types
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from SSRKDLib.cli import simulate
from SSRKDLib.core.errors import ImageError, InputError, MeshError, OutputError
from SSRKDLib.core.output_manifest import MANIFEST
from SSRKDLib.core.progress import no_progress
from SSRKDLib.ct.hounsfield import TISSUES, attenuation, from_hounsfield, to_hounsfield
from SSRKDLib.ct.reading import read_scan
from SSRKDLib.geometry import rig_presets
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.simulation import detector
from SSRKDLib.simulation.joseph import project
from SSRKDLib.simulation.soft_tissue import SoftTissue
from SSRKDLib.simulation.voxel_phantom import simulate_view, voxel_knee
from SSRKDLib.surfaces.knee import leg_frame
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh
from SSRKDLib.surfaces.voxelise import coverage
from Testing.support.command_checks import tree
from Testing.support.projection_truth import relative_l2, rotation

SPACING = 3.0


def turned(radii: list[tuple[float, float]], at: tuple[float, float], closed: bool = True):
    """A surface of revolution about z: (z, radius) from one end to the other."""
    angle = np.arange(24) / 24 * 2 * np.pi
    rings = [
        np.c_[at[0] + r * np.cos(angle), at[1] + r * np.sin(angle), np.full(24, z)]
        for z, r in radii
    ]
    ends = [[*at, radii[0][0]], [*at, radii[-1][0]]]
    vertices = np.concatenate([*rings, ends])
    n, last = 24 * len(radii), 24 * (len(radii) - 1)
    one, two = np.arange(24), (np.arange(24) + 1) % 24
    faces = []
    for start in range(0, last, 24):
        faces += [np.c_[one, two, two + 24] + start, np.c_[one, two + 24, one + 24] + start]
    faces.append(np.c_[np.full(24, n), two, one])
    if closed:
        faces.append(np.c_[np.full(24, n + 1), one + last, two + last])
    return vertices, np.concatenate(faces)


def ends(first: float, last: float, joint: float, shaft: float) -> list[tuple[float, float]]:
    """A long bone's radii: wide at the joint (``first``), narrow towards the shaft's end."""
    z = np.linspace(first, last, 25)
    away = np.abs(z - first)
    return list(zip(z, np.minimum(4 + 2 * away, shaft + (joint - shaft) * np.exp(-away / 18))))


@pytest.fixture(scope="module")
def bones() -> dict:
    """A left knee of turned bones; the femur ends open and early, the fibula capped and early."""
    return {
        "patella": turned([(5, 4), (15, 16), (30, 18), (42, 5)], (3, -48)),
        "femur": turned(ends(2, 110, 36, 13), (0, 0), closed=False),
        "fibula": turned(ends(-18, -120, 11, 6), (38, 14)),
        "tibia": turned(ends(-2, -330, 35, 12), (0, 2)),
    }


@pytest.fixture(scope="module")
def knee(bones):
    return voxel_knee(bones, np.random.default_rng(5), SPACING)


def test_project_counts_follow_beer_lambert_and_poisson():
    line = np.full((200, 500), 1.3)
    counts = detector.detect(line, 2000.0, 9.0, np.random.default_rng(1))
    expected = 2000 * np.exp(-1.3)
    assert counts.mean() == pytest.approx(expected, abs=5 * np.sqrt((expected + 81) / 1e5))
    assert counts.var() == pytest.approx(expected + 81, rel=0.03)


def test_project_counts_turn_back_into_line_integrals():
    line = np.linspace(0, 5, 400).reshape(20, 20)
    counts = detector.detect(line, 1e12, 0.0, np.random.default_rng(1))
    np.testing.assert_allclose(detector.to_line_integral(counts, 1e12), line, atol=1e-4)
    dark = detector.to_line_integral(np.array([0.0, -20.0]), 1000.0)
    assert np.isfinite(dark).all()
    assert detector.to_line_integral(np.array([1100.0]), 1000.0)[0] < 0


def test_project_scatter_fills_the_shadow_and_blur_keeps_the_sum():
    line = np.zeros((120, 120))
    line[30:90, 30:90] = 2.0
    rng = np.random.default_rng(1)
    primary = 1e8 * np.exp(-line)
    scattered = detector.detect(line, 1e8, 0.0, rng, scatter_fraction=0.4) - primary
    shadow = line > 0
    share = scattered[shadow].sum() / (scattered + primary)[shadow].sum()
    assert share == pytest.approx(0.4, abs=1e-3)
    assert scattered[60, 60] > 3 * scattered[2, 2] > 0
    blurred = detector.detect(line, 1e8, 0.0, rng, blur_px=2.0)
    assert blurred.sum() == pytest.approx(primary.sum(), rel=1e-3)
    assert primary[60, 60] < blurred[60, 31] < primary[0, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"photons": 0},
        {"electronic_sd": -1},
        {"scatter_fraction": 1.0},
        {"blur_px": -1},
    ],
)
def test_project_physics_refuses_impossible_parameters(wrong):
    arguments = {"photons": 10.0, "electronic_sd": 0.0, **wrong}
    with pytest.raises(ValueError, match="photons"):
        detector.detect(np.zeros((2, 2)), rng=np.random.default_rng(1), **arguments)


def test_project_attenuation_is_nist_table_4():
    """Mass attenuation times density at tabulated energies, from the NIST web pages."""
    assert attenuation("water", 60) == pytest.approx(0.02059)
    assert attenuation("muscle", 60) == pytest.approx(0.2048 * 1.05 / 10)
    assert attenuation("adipose", 80) == pytest.approx(0.1800 * 0.95 / 10)
    assert attenuation("cortical_bone", 50) == pytest.approx(0.4242 * 1.92 / 10)
    for tissue in TISSUES:
        assert attenuation(tissue, 50) > attenuation(tissue, 55) > attenuation(tissue, 60)
    with pytest.raises(ValueError, match="not one of"):
        attenuation("unobtainium")
    with pytest.raises(ValueError, match="keV"):
        attenuation("water", 30)
    hounsfield = from_hounsfield(np.array([-3000, -1000, 0, 1000]), 60)
    np.testing.assert_allclose(hounsfield, [0, 0, 0.02059, 0.04118], rtol=1e-5)
    numbers = np.linspace(-1000, 2000, 31, dtype=np.float32)
    for energy in (50.0, 70.0):
        again = to_hounsfield(from_hounsfield(numbers, energy), energy)
        np.testing.assert_allclose(again, numbers, atol=0.01)


def test_project_coverage_measures_volume(bones):
    """The voxels' shares add up to the surface's volume, open end or not."""
    for bone in ("patella", "tibia"):
        vertices, faces = bones[bone]
        a, b, c = np.moveaxis(vertices[faces], 1, 0)
        volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
        share, box = coverage(vertices, faces, np.array([-80.0, -80, -340]), 2.0, (240, 90, 90))
        assert share.shape == box.shape
        assert share.sum() * 8 == pytest.approx(volume, rel=0.01)


def test_project_knee_has_tissues_in_real_units(knee):
    values = knee.values.numpy()
    assert values.min() == 0
    soft = values[(values > 0.017) & (values < 0.025)]
    assert soft.size > 0.6 * (values > 0).sum()
    assert 0.035 < values.max() <= attenuation("cortical_bone") * 1.001
    np.testing.assert_allclose(knee.spacing, SPACING)


def test_project_knee_reaches_past_both_ends_and_bone_meets_no_air(knee):
    values = knee.values.numpy()
    bone = values > 0.033
    # Femur on top; tibia and fibula, which was drawn out, at the bottom.
    assert bone[-1].any()
    assert ndimage.label(ndimage.binary_dilation(values[0] > 0.028))[1] == 2
    depth = ndimage.distance_transform_edt(values > 0, sampling=SPACING)
    assert depth[bone].min() >= 5
    for side in (values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]):
        assert not side.any()


def test_project_knee_covers_bone_even_where_the_leg_is_thin(bones):
    rng = np.random.default_rng(7)
    soft = replace(SoftTissue.draw(rng), around=-25.0, thigh=0.0, cover=6.0)
    values = voxel_knee(bones, rng, SPACING, soft=soft).values.numpy()
    depth = ndimage.distance_transform_edt(values > 0, sampling=SPACING)
    assert depth[values > 0.033].min() >= 5


def test_project_knee_lies_where_the_bones_do(knee, bones):
    """Bone is where the surfaces are, in world coordinates, and not where they are not."""
    world_to_index = np.linalg.inv(knee.index_to_world)

    def at(points: np.ndarray) -> np.ndarray:
        index = points @ world_to_index[:3, :3].T + world_to_index[:3, 3]
        return ndimage.map_coordinates(knee.values.numpy(), index.T[::-1], order=1)

    angle = np.linspace(0, 2 * np.pi, 16)
    for height, (x, y), radius in ((90, (0, 0), 13.2), (-100, (0, 2), 12.2)):
        ring = np.c_[x + radius * np.cos(angle), y + radius * np.sin(angle), np.full(16, height)]
        assert at((ring - [x, y, 0]) * [0.85, 0.85, 1] + [x, y, 0]).mean() > 0.035
        assert at((ring - [x, y, 0]) * [1.5, 1.5, 1] + [x, y, 0]).mean() < 0.026


def test_project_knee_turns_with_the_bones(bones, knee):
    """The same leg moved anywhere gives the same radiograph to a rig moved with it."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((2, 1, -1), 100), (150, -60, 300)
    moved = {b: (v @ matrix[:3, :3].T + matrix[:3, 3], f) for b, (v, f) in bones.items()}
    there = voxel_knee(moved, np.random.default_rng(5), SPACING)
    view = rig_presets.orthogonal(pixels=64).views[1]
    assert relative_l2(project(there, view.transformed(matrix)), project(knee, view)) < 0.01


def test_project_knee_depends_on_the_seed_alone(bones, knee):
    again = voxel_knee(bones, np.random.default_rng(5), SPACING)
    assert (again.values == knee.values).all()
    other = voxel_knee(bones, np.random.default_rng(6), SPACING, half_extent=60.0)
    assert other.values.shape[0] == 40


def test_project_knee_frame_follows_the_patella(bones):
    frame = leg_frame(bones).to_world
    assert frame[2, 2] > 0.99
    assert frame[1, 1] > 0.95
    assert abs(frame[2, 3]) < 8
    assert np.linalg.det(frame[:3, :3]) == pytest.approx(1)


def test_project_knee_refuses_what_is_none(bones):
    rng = np.random.default_rng(1)
    with pytest.raises(MeshError, match="no surface of the fibula"):
        voxel_knee({b: m for b, m in bones.items() if b != "fibula"}, rng)
    with pytest.raises(MeshError, match="finite"):
        voxel_knee({**bones, "tibia": (bones["tibia"][0] * np.nan, bones["tibia"][1])}, rng)
    with pytest.raises(MeshError, match="bones of a knee|no shaft"):
        voxel_knee({**bones, "tibia": bones["femur"]}, rng)


def test_project_simulated_view_is_the_projection_with_noise(knee):
    view = rig_presets.orthogonal(pixels=64).views[0]
    clean = project(knee, view).numpy()
    assert 2 < clean.max() < 8
    image = simulate_view(knee, view, np.random.default_rng(1), scatter_fraction=0, blur_px=0)
    assert image.dtype == np.float32
    noise = (image - clean)[clean < 3]
    assert abs(noise.mean()) < 0.005
    assert 0.002 < noise.std() < 0.05
    same = simulate_view(knee, view, np.random.default_rng(1), scatter_fraction=0, blur_px=0)
    assert (image == same).all()


def simulated(*words: str, progress=no_progress) -> int:
    parser = argparse.ArgumentParser()
    simulate.add_parser(parser.add_subparsers())
    return simulate.run(parser.parse_args(["simulate", *map(str, words)]), progress)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A CT of a water box 60 x 80 x 100 mm in air, turned in its frame and off the origin."""
    array = np.full((30, 30, 30), -1000, np.int16)
    array[5:25, 5:25, 5:25] = 0
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((3.0, 4.0, 5.0))
    turn = rotation((0, 0, 1), 30)
    image.SetDirection(turn.ravel())
    image.SetOrigin((np.array([40.0, 500, -700]) - turn @ [43.5, 58, 72.5]).tolist())
    path = tmp_path_factory.mktemp("ct") / "ct.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def test_project_simulate_command_sees_the_ct(scan, tmp_path, capsys):
    told = []
    out = tmp_path / "new" / "out"
    simulated("--ct", scan, "-o", out, "--noise-free", progress=lambda *a: told.append(a))
    names = [MANIFEST, "frontal.nrrd", "lateral.nrrd", "rig.json"]
    assert sorted(p.name for p in out.iterdir()) == names
    shown = capsys.readouterr().out
    assert str(out / "rig.json") in shown and "projected by joseph" in shown
    assert [fraction for _, fraction, _ in told] == sorted(fraction for _, fraction, _ in told)
    rig = read_rig(out / "rig.json")
    np.testing.assert_allclose(rig.central_point(), [40, 500, -700], atol=0.01)
    assert rig.laterality is None
    for view, path in zip(rig.views, rig.images):
        image = sitk.GetArrayFromImage(sitk.ReadImage(path))
        assert image.dtype == np.float32
        assert image.shape == (256, 256)
        # Through the middle: 60 and 80 mm of water, seen at 30 degrees.
        ray = np.abs(rotation((0, 0, 1), 30).T @ view.axis)
        chord = min(60 / max(ray[0], 1e-9), 80 / max(ray[1], 1e-9))
        assert image[127:129, 127:129].mean() == pytest.approx(0.02059 * chord, rel=0.01)


def test_project_ct_refuses_what_is_none(tmp_path):
    labels, flat, text = (tmp_path / name for name in ("labels.nrrd", "flat.nrrd", "text.nrrd"))
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((4, 4, 4), np.uint8)), str(labels))
    sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 4), -5, np.int16)), str(flat))
    text.write_text("nothing")
    for path, words in ((labels, "Hounsfield"), (flat, "three-dim"), (text, "no format")):
        with pytest.raises(ImageError, match=words):
            read_scan(path)
    with pytest.raises(ImageError, match="no DICOM series"):
        read_scan(tmp_path)


def test_project_simulate_command_replaces_its_output_or_leaves_it(scan, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ImageError, match="not a CT|was not found"):
        simulated("--ct", tmp_path / "absent.nii", "-o", out / "deep")
    assert list(tmp_path.iterdir()) == []
    out.mkdir()
    (out / "old.txt").write_text("old")
    with pytest.raises(OutputError, match="other things"):
        simulated("--ct", scan, "-o", out)
    assert (out / "old.txt").exists()
    (out / "old.txt").unlink()
    simulated("--ct", scan, "-o", out)
    simulated("--ct", scan, "-o", out, "--preset", "oblique", "--side", "R")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    rig = read_rig(out / "rig.json")
    assert rig.laterality == "R"
    assert rig.views[1].size == (384, 400)
    with pytest.raises(OutputError, match="contains the input"):
        simulated("--ct", scan, "-o", out, "--rig", out / "rig.json")
    simulated("--ct", scan, "-o", tmp_path / "again", "--rig", out / "rig.json")
    assert read_rig(tmp_path / "again" / "rig.json").views[1].size == (384, 400)


def test_project_simulate_command_keeps_a_user_s_radiographs(scan, tmp_path):
    study, out = tmp_path / "study", tmp_path / "out"
    simulated("--ct", scan, "-o", out)
    study.mkdir()
    for name in ("rig.json", "frontal.nrrd", "lateral.nrrd"):
        shutil.copy(out / name, study)
    shutil.copy(out / "frontal.nrrd", study / "other.nrrd")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"other\.nrrd"):
        simulated("--ct", scan, "-o", study)
    assert tree(tmp_path) == before
    (study / "other.nrrd").unlink()
    # A rig that another hand wrote, or whose images have names or values of their own.
    rig = json.loads((study / "rig.json").read_text())
    for change in ({}, {"image": "scan.nrrd"}, {"values": "display"}):
        rig["views"][0] |= change
        indent = 2 if change else 1
        (study / "rig.json").write_text(json.dumps(rig, indent=indent) + "\n")
        before = tree(tmp_path)
        with pytest.raises(OutputError, match="frontal"):
            simulated("--ct", scan, "-o", study)
        assert tree(tmp_path) == before
        rig = json.loads((out / "rig.json").read_text())
    # What a version without a manifest simulated is replaced.
    shutil.copy(out / "rig.json", study)
    simulated("--ct", scan, "-o", study, "--side", "R")
    assert read_rig(study / "rig.json").laterality == "R"


def test_project_simulate_command_takes_meshes(bones, tmp_path, monkeypatch):
    for bone, (vertices, faces) in bones.items():
        write_mesh(tmp_path / f"{bone}.ply", Mesh(vertices, faces))
    seen = types.SimpleNamespace()

    def coarse(meshes, rng, energy):
        seen.energy = energy
        return voxel_knee(meshes, rng, 4.0, energy=energy)

    monkeypatch.setattr("SSRKDLib.simulation.voxel_phantom.voxel_knee", coarse)
    simulated("--meshes", tmp_path, "-o", tmp_path / "out", "--energy", 70)
    assert seen.energy == 70
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "frontal.nrrd")))
    assert 1.5 < image.max() < 10


@pytest.mark.parametrize(
    "words",
    [
        ("--person", "26"),
        ("--person", "1", "--flexion", "200"),
        ("--ct", "/absent/ct.nii", "--flexion", "20"),
        ("--person", "1", "--energy", "10"),
        ("--person", "1", "--photons", "0"),
        ("--person", "1", "--scatter", "1"),
        ("--meshes", "/absent/folder"),
    ],
)
def test_project_simulate_command_refuses_in_one_line(words, tmp_path):
    with pytest.raises(InputError) as caught:
        simulated(*words, "-o", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())

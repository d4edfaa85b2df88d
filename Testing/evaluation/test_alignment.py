"""Alignment of cut, moved, coarser, mirrored and spoilt knees against known motions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from vtkmodules.vtkFiltersCore import vtkQuadricDecimation

from SSRKDLib.core.errors import MeshError
from SSRKDLib.evaluation import metrics
from SSRKDLib.evaluation.alignment import align
from SSRKDLib.evaluation.metrics import MEASURES, compare_meshes
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.caps import without_caps
from SSRKDLib.surfaces.mesh import Mesh, from_polydata, to_polydata


@lru_cache(maxsize=16)
def person(index: int, low: float = -90.0, high: float = 95.0) -> dict[str, Mesh]:
    """A held-out person, shafts cut open below ``low`` and above ``high`` mm."""
    box = np.array([[-np.inf, -np.inf, low], [np.inf, np.inf, high]])
    return {bone: mesh.clipped(box) for bone, mesh in load_person(index).items()}


def longer(index: int) -> dict[str, Mesh]:
    """The same person from another image: femur cut lower, tibia and fibula further down."""
    return person(index, -150.0, 62.0 if index < 24 else 130.0)


def motion(seed: int, degrees: float = 30.0, mm: float = 30.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    axis, shift = rng.normal(size=(2, 3))
    matrix = np.eye(4)
    turn = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis))
    matrix[:3, :3] = turn.as_matrix()
    matrix[:3, 3] = mm * shift / np.linalg.norm(shift)
    return matrix


def moved(bones: dict[str, Mesh], matrix: np.ndarray) -> dict[str, Mesh]:
    return {bone: mesh.transformed(matrix) for bone, mesh in bones.items()}


def misfit(found: np.ndarray, made: np.ndarray, mesh: Mesh) -> tuple[float, float]:
    """Degrees and mm (at the bone's middle) by which ``found`` fails to undo ``made``."""
    error = found @ made
    middle = mesh.bounds.mean(axis=0)
    degrees = np.degrees(Rotation.from_matrix(error[:3, :3]).magnitude())
    return degrees, float(np.linalg.norm(error[:3, :3] @ middle + error[:3, 3] - middle))


def coarser(mesh: Mesh, seed: int) -> Mesh:
    """Two fifths of the triangles, and noise of 0.1 mm on what stays."""
    decimate = vtkQuadricDecimation()
    decimate.SetInputData(to_polydata(mesh))
    decimate.SetTargetReduction(0.6)
    decimate.Update()
    thin = from_polydata(decimate.GetOutput())
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(len(thin.vertices), 1))
    return Mesh(thin.vertices + noise * thin.vertex_normals(), thin.faces)


def wrong(mesh: Mesh) -> Mesh:
    """A surface that a reconstruction might give: about 1 mm off, smoothly."""
    x, y, z = mesh.vertices.T
    waves = np.stack([np.sin(z / 17), np.cos(x / 13), np.sin(y / 19)], axis=1)
    return Mesh(mesh.vertices + 1.5 * waves, mesh.faces)


# --- known motions -------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_a_known_motion_is_found(seed):
    """30 degrees and 30 mm in any direction, both cut at other heights."""
    index, mode = 20 + seed % 6, "bone" if seed % 4 == 3 else "all"
    made = motion(seed)
    found = align(moved(longer(index), made), person(index), mode)
    for bone, mesh in person(index).items():
        degrees, mm = misfit(found.matrices[bone], made, mesh)
        assert degrees < 0.1 and mm < 0.1
        assert found.residual_mm[bone] < 0.01
    assert found.notes == ()


@pytest.mark.parametrize("seed", range(2))
def test_another_tessellation_with_noise_is_laid_on_the_same_place(seed):
    index, made = 20 + seed, motion(50 + seed)
    thin = {bone: coarser(mesh, seed) for bone, mesh in longer(index).items()}
    found = align(moved(thin, made), person(index), "all")
    for bone, mesh in person(index).items():
        degrees, mm = misfit(found.matrices[bone], made, mesh)
        assert degrees < 0.1 and mm < 0.1
        assert 0.02 < found.residual_mm[bone] < 0.12
    each = align(moved(thin, made), person(index), "bone")
    for bone, mesh in person(index).items():
        degrees, mm = misfit(each.matrices[bone], made, mesh)
        # A round shaft or a kneecap says less about its own turn.
        assert mm < 0.15 and degrees < (0.5 if bone in ("patella", "fibula") else 0.1)


def test_another_frame_altogether_is_no_hindrance():
    made = motion(3, degrees=170.0, mm=900.0)
    found = align(moved(longer(22), made), person(22), "all")
    assert max(misfit(found.matrices["femur"], made, person(22)["femur"])) < 0.1


@pytest.mark.parametrize("bone", ["patella", "femur", "fibula", "tibia"])
def test_one_bone_alone_is_found_from_its_shape(bone):
    """The whole of it, against the part near the joint."""
    made = motion(7, degrees=150.0, mm=300.0)
    found = align(moved({bone: load_person(21)[bone]}, made), {bone: person(21)[bone]}, "all")
    assert max(misfit(found.matrices[bone], made, person(21)[bone])) < 0.1


def test_a_bent_knee_is_laid_bone_by_bone():
    """The shank and the kneecap stand 50 and 25 degrees otherwise in the CT."""
    bend = np.eye(4)
    bend[:3, :3] = Rotation.from_euler("x", 50, True).as_matrix()
    half = np.eye(4)
    half[:3, :3] = Rotation.from_euler("x", 25, True).as_matrix()
    poses = {"patella": half, "femur": np.eye(4), "fibula": bend, "tibia": bend}
    made = {bone: motion(4) @ pose for bone, pose in poses.items()}
    bent = {bone: mesh.transformed(made[bone]) for bone, mesh in longer(23).items()}
    found = align(bent, person(23), "bone")
    for bone, mesh in person(23).items():
        assert max(misfit(found.matrices[bone], made[bone], mesh)) < 0.1
    assert max(align(bent, person(23), "all").residual_mm.values()) > 3


def test_a_bent_knee_that_is_wrong_keeps_its_kneecap_upright():
    """Upside down a kneecap fits nearly as well."""
    bend = np.eye(4)
    bend[:3, :3] = Rotation.from_euler("x", 60, True).as_matrix()
    for seed in (0, 1):
        index, made = 20 + seed, motion(300 + seed, degrees=90.0, mm=400.0)
        recon = {bone: wrong(mesh) for bone, mesh in person(index).items()}
        bent = {
            bone: mesh.transformed(made @ bend if bone in ("fibula", "tibia") else made)
            for bone, mesh in longer(index).items()
        }
        found = align(bent, recon, "bone")
        assert misfit(found.matrices["patella"], made, person(index)["patella"])[0] < 20


def test_where_a_shaft_is_cut_does_not_matter():
    """A reconstruction that is 1 mm wrong stays where it is when the reference gets longer."""
    recon = {bone: wrong(mesh) for bone, mesh in person(20, -60.0, 55.0).items()}
    poses = []
    for high, low in ((130.0, -150.0), (62.0, -66.0), (57.0, -61.0)):
        poses.append(align(person(20, low, high), recon, "bone").matrices["femur"])
    for pose in poses[1:]:
        degrees, mm = misfit(np.linalg.inv(poses[0]), pose, recon["femur"])
        assert degrees < 0.2 and mm < 0.2


def test_what_only_one_has_does_not_pull():
    """A lump of metal on the femur, 12 mm thick, on a fifth of its surface."""
    made, bones = motion(3), dict(longer(21))
    femur = bones["femur"]
    lump = (femur.vertices[:, 1] < np.quantile(femur.vertices[:, 1], 0.2))[:, None]
    bones["femur"] = Mesh(femur.vertices - 12 * lump * np.array([0, 1, 0]), femur.faces)
    found = align(moved(bones, made), person(21), "bone")
    assert max(misfit(found.matrices["femur"], made, person(21)["femur"])) < 0.15
    assert found.residual_mm["femur"] > 1


def test_flat_caps_do_not_hold_the_shafts():
    """As 3D Slicer exports them: closed where the image ended, here 35 mm apart."""
    made = motion(5)
    capped = {bone: mesh.capped() for bone, mesh in longer(21).items()}
    fixed = {bone: mesh.capped() for bone, mesh in person(21).items()}
    assert all(
        len(without_caps(mesh).faces) == len(mesh.faces) for mesh in load_person(21).values()
    )
    found = align(moved(capped, made), fixed, "bone")
    for bone, mesh in fixed.items():
        assert max(misfit(found.matrices[bone], made, mesh)) < 0.1
        assert found.residual_mm[bone] < 0.02


@pytest.mark.parametrize("mode", ["all", "bone"])
def test_a_reference_from_anywhere_gives_the_same_numbers(mode, monkeypatch):
    """Of a reconstruction that is about 1 mm wrong: within 0.05 mm."""
    monkeypatch.setattr(metrics, "PAPER_POINTS", 2_000)
    recon = {bone: wrong(mesh) for bone, mesh in person(20).items()}
    tables = []
    for made in (np.eye(4), motion(1), motion(2, degrees=140.0, mm=500.0)):
        reference = moved(longer(20), made)
        found = align(reference, recon, mode)
        tables.append(compare_meshes(recon, found.move(reference), samples=2_000))
    assert 0.1 < tables[0][1]["assd_mm"] < 2
    for table in tables[1:]:
        for row, first in zip(table, tables[0]):
            for key in MEASURES:
                assert row[key] == pytest.approx(first[key], abs=0.05)


def test_the_same_input_gives_the_same_bits():
    recon = {bone: wrong(mesh) for bone, mesh in person(24).items()}
    reference = moved(longer(24), motion(9))
    for mode in ("all", "bone"):
        found, again = (align(reference, recon, mode) for _ in range(2))
        assert all(np.array_equal(found.matrices[b], again.matrices[b]) for b in recon)


# --- what is refused or said -----------------------------------------------------------


@pytest.mark.parametrize("mode", ["none", "all", "bone"])
def test_the_other_side_is_refused(mode):
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    made = mirror if mode == "none" else motion(6) @ mirror
    recon = {bone: wrong(mesh) for bone, mesh in person(21).items()}
    with pytest.raises(MeshError, match=r"other side.*same knee"):
        align(moved(longer(21), made), recon, mode)


def test_without_alignment_nothing_moves_and_the_distance_is_said():
    reference = moved(person(20), motion(8, degrees=0.0, mm=12.0))
    found = align(reference, person(20), "none")
    assert all(np.array_equal(matrix, np.eye(4)) for matrix in found.matrices.values())
    assert found.residual_mm["femur"] > 3
    assert any("check that both are in one frame" in note for note in found.notes)
    assert align(person(20), person(20), "none").residual_mm["femur"] < 1e-6
    turned = moved(person(20), np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert any("turn by 180 degrees about z" in n for n in align(turned, person(20), "none").notes)
    assert not any("180 degrees" in note for note in found.notes)


@pytest.mark.parametrize("mode", ["all", "bone"])
def test_a_bone_that_one_lacks_goes_along_with_the_others(mode):
    made = motion(2)
    fixed = {bone: mesh for bone, mesh in person(20).items() if bone != "patella"}
    found = align(moved(longer(20), made), fixed, mode)
    assert set(found.matrices) == set(person(20)) and "patella" not in found.residual_mm
    limit = 0.1 if mode == "all" else 3.0
    assert max(misfit(found.matrices["patella"], made, person(20)["patella"])) < limit
    assert any("patella is not in the reconstruction" in n for n in found.notes) == (mode == "bone")


def test_what_cannot_be_aligned_is_refused_in_a_sentence():
    whole, empty = person(20), Mesh(np.empty((0, 3)), np.empty((0, 3), dtype=int))
    metres, centimetres = (moved(whole, np.diag([f, f, f, 1.0])) for f in (0.001, 0.1))
    cases = {
        "in metres": metres,
        "in centimetres": centimetres,
        "contains no bone": {},
        "femur of the reference is empty": {**whole, "femur": empty},
    }
    for words, reference in cases.items():
        for mode in ("none", "all"):
            with pytest.raises(MeshError, match=words) as caught:
                align(reference, whole, mode)
            assert caught.value.remedy and "\n" not in str(caught.value)
    with pytest.raises(MeshError, match="No bone is in both"):
        align({"femur": whole["femur"]}, {"tibia": whole["tibia"]}, "all")
    with pytest.raises(MeshError, match="'rigid' is not an alignment"):
        align(whole, whole, "rigid")
    huge = {**whole, "tibia": whole["tibia"].transformed(np.diag([40, 40, 40, 1.0]))}
    with pytest.raises(MeshError, match=r"human knees \(22 to 200 mm\)\. Check"):
        align(whole, huge, "all")


def test_a_surface_that_is_no_manifold_is_said_and_aligned():
    made, bones = motion(1), dict(longer(20))
    femur = bones["femur"]
    fin = [[*femur.faces[0][:2], len(femur.vertices)]]
    tip = femur.vertices[femur.faces[0]].mean(axis=0) + [0, 0, 2]
    bones["femur"] = Mesh(np.vstack([femur.vertices, tip]), np.vstack([femur.faces, fin]))
    found = align(moved(bones, made), person(20), "all")
    assert max(misfit(found.matrices["tibia"], made, person(20)["tibia"])) < 0.1
    assert len(found.notes) == 1 and "join more than two faces" in found.notes[0]

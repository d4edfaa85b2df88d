"""The shape model on what a network segmented in a CT, however badly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.reconstruction import ct
from SSRKDLib.reconstruction.ct_bones import fit_ct_bones, left_out_beyond
from SSRKDLib.reconstruction.fitting.template import CutBone
from SSRKDLib.simulation.population import shape_model
from SSRKDLib.simulation.random_shape import random_knee
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.sampling import sample_surface
from SSRKDLib.surfaces.voxelise import coverage
from Testing.support.ball_knee import BALLS, ball
from Testing.support.band_knee import BandModel

SPACING, LOW, SIZE = 1.5, np.array([-66.0, -66.0, -84.0]), (112, 88, 88)


@pytest.fixture(scope="module")
def knee() -> dict[str, Mesh]:
    """A knee that no model has seen. Its CT shows 84 mm to both sides of the joint."""
    points = random_knee(np.random.default_rng([5, 5]), 8.0)
    return {bone: Mesh(points[bone], shape_model().faces[bone]) for bone in BONES}


@pytest.fixture(scope="module")
def scan(knee) -> CtScan:
    values = np.full(SIZE, 40, np.float32)
    for mesh in knee.values():
        share, box = coverage(mesh.vertices, mesh.faces, LOW, SPACING, SIZE)
        values[box.slices] += share * 900
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = LOW
    return CtScan(values.astype(np.int16), affine)


@pytest.fixture(scope="module")
def segmented(knee) -> dict[str, Mesh]:
    """As a network may see it: everything 1 mm too wide, the tibia's lower shaft taken for femur,
    the fibula lost below its neck."""

    def cut(bone, low, high):
        box = np.array([[-500.0, -500.0, low], [500.0, 500.0, high]])
        return wide[bone].clipped(box)

    wide = {b: Mesh(m.vertices + m.vertex_normals(), m.faces) for b, m in knee.items()}
    femur, shaft = cut("femur", -500, 80), cut("tibia", -80, -60)
    faces = np.concatenate([femur.faces, shaft.faces + len(femur.vertices)])
    return {
        "patella": wide["patella"],
        "femur": Mesh(np.concatenate([femur.vertices, shaft.vertices]), faces),
        "fibula": cut("fibula", -55, 500),
        "tibia": cut("tibia", -58, 500),
    }


def apart(mesh: Mesh, truth: Mesh) -> np.ndarray:
    """Distances from the truth to the mesh, of what the CT shows, mm."""
    points = sample_surface(truth, 4000)
    high = LOW + SPACING * (np.array(SIZE[::-1]) - 1)
    points = points[((points > LOW + 1) & (points < high - 1)).all(1)]
    return cKDTree(sample_surface(mesh, 60000)).query(points)[0]


@pytest.mark.parametrize("laterality", ["R", None])
def test_bones_are_whole_and_lie_on_the_edges_of_either_side(knee, scan, segmented, laterality):
    right = laterality == "R"
    if right:
        segmented = {bone: mesh.transformed(MIRROR) for bone, mesh in segmented.items()}
        scan = CtScan(scan.hounsfield, MIRROR @ scan.index_to_lps)
    found = fit_ct_bones(segmented, laterality, scan)
    assert list(found) == list(BONES)
    for bone, cut in found.items():
        mesh = cut.mesh
        assert mesh.volume() > 0
        far = apart(mesh.transformed(MIRROR) if right else mesh, knee[bone])
        assert far.mean() < 0.4 and np.quantile(far, 0.98) < 1.5, bone
        # The template's own vertices, in its order.
        assert (np.diff(cut.kept) > 0).all()
    assert found["patella"].mesh.is_closed
    assert len(found["tibia"].mesh.open_loops()) == 1


def test_what_is_no_knee_is_not_fitted(scan, segmented):
    balls = {bone: ball(*about) for bone, about in BALLS.items()}
    assert fit_ct_bones(balls, "L", scan) is None
    assert fit_ct_bones({"patella": segmented["patella"]}, "L", scan) is None


def test_the_whole_way_of_a_ct_ends_with_fitted_bones(scan, segmented, monkeypatch):
    """What the network says is replaced; the fit, the report and its sentences are real."""
    monkeypatch.setattr(ct, "_margins", lambda *about: (None, {"visited": 1, "total": 1}))
    monkeypatch.setattr(ct, "_surfaces", lambda *about: (segmented, []))
    result = ct.reconstruct_ct(scan, BandModel(), surface="fitted")
    report = result.report
    assert (report["surface"], report["laterality"], report["warnings"]) == ("fitted", "L", [])
    assert list(report["correspondence"]["bones"]) == list(BONES)
    assert len(result.bones["fibula"].vertices) > len(segmented["fibula"].vertices)
    for bone in BONES:
        volume = report["bones"][bone]["volume_mm3"]
        assert volume == pytest.approx(result.bones[bone].volume(), abs=0.1)


def test_a_shaft_that_goes_on_beyond_the_fitted_one_is_said(segmented):
    cuts = {bone: CutBone(segmented[bone], np.empty(0, int)) for bone in BONES}
    assert left_out_beyond(segmented, cuts) is None
    tibia = segmented["tibia"]
    longer = np.where(tibia.vertices[:, 2:] < -40, [1.0, 1.0, 1.5], 1.0)
    beyond = {**segmented, "tibia": Mesh(tibia.vertices * longer, tibia.faces)}
    assert left_out_beyond(beyond, cuts) == pytest.approx(59.0, abs=15.0)
    del cuts["femur"]
    assert left_out_beyond(beyond, cuts) is None

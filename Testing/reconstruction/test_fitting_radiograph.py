"""The radiograph itself as evidence of turns out of its plane, on images made of known bones."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.geometry.virtual_cameras import frame_cameras
from SSRKDLib.reconstruction.fitting import fit as fitting
from SSRKDLib.reconstruction.fitting import radiograph_term
from SSRKDLib.reconstruction.fitting.fit import Fit, Views, _by_radiographs, _evidence
from SSRKDLib.reconstruction.fitting.gauss_newton import FINEST, Evidence, descend
from SSRKDLib.reconstruction.fitting.radiograph_term import (
    EdgeImage,
    RadiographTerm,
    cast,
    local_gradients,
)
from SSRKDLib.reconstruction.fitting.residuals import NormalEquations
from SSRKDLib.reconstruction.fitting.shape_model import BoneModel, KneeShapeModel
from SSRKDLib.reconstruction.fitting.state import FitState
from Testing.support.fitted_knees import (
    bent,
    exact_views,
    flexion_error,
    knee,
    random_shape,
    turn_error,
    turned_leg,
)

LEG = turned_leg((3.0, -2.0, 2.0), (4.0, -3.0, 5.0))
VIEWS = tuple(c.view for c in frame_cameras(orthogonal().views, np.eye(4), 120, 1.0))
VIEW = VIEWS[0]
FULL = np.ones((120, 120), bool)


@pytest.fixture(scope="module")
def bent_further():
    """A knee, what its masks tell, and the same knee with its shank bent by 4 degrees less in the
    frontal view, which its outlines hardly tell."""
    true = knee(0 * random_shape(8), bent(2.0), bent(22.0, LEG))
    wrong = knee(true.coefficients, bent(-2.0), true.poses[1])
    return true, _evidence(exact_views(true)), wrong


def fitted(
    evidence: Evidence, start: FitState, image: np.ndarray | None, slot: int = 0, steps: int = 3
) -> FitState:
    terms = ()
    if image is not None:
        terms = (RadiographTerm(EdgeImage(VIEWS[slot], local_gradients(image), FULL), slot),)
    both = Evidence(evidence.outlines, evidence.film_normals, radiographs=terms)
    return descend(start, both, [FINEST] * steps, lambda: None)


def test_a_knee_is_bent_back_to_what_the_radiograph_shows(bent_further):
    """Seen through soft tissue that grows to one side, and with another contrast."""
    true, evidence, wrong = bent_further
    image = 0.02 * cast(true, 0, VIEW, tuple(true.model.bones)).sum(0) + np.linspace(0, 2, 120)
    by_outlines = flexion_error(fitted(evidence, wrong, None), true, 0)
    by_both = flexion_error(fitted(evidence, wrong, image), true, 0)
    assert abs(by_outlines) > 3.0
    assert abs(by_both) < 2.0


def test_a_shank_is_turned_back_to_what_the_lateral_radiograph_shows(bent_further):
    """About its own axis, which outlines hardly tell where the fibula is not segmented."""
    true, _, _ = bent_further
    seen = exact_views(true)
    seen.masks[1, BONES.index("fibula")] = 0
    evidence = _evidence(seen)
    turn = turned_leg((0.0, 0.0, 6.0), (0.0, 0.0, 0.0))
    shank = {bone: true.poses[1][bone] @ turn for bone in ("tibia", "fibula")}
    wrong = replace(true, poses=(true.poses[0], true.poses[1] | shank))
    image = 0.02 * cast(true, 1, VIEWS[1], tuple(true.model.bones)).sum(0)
    by_outlines, by_both = (
        abs(turn_error(fitted(evidence, wrong, shown, 1, steps=6), true, 1)[2])
        for shown in (None, image)
    )
    assert by_both < 0.4 < 0.8 < by_outlines


def test_an_image_of_something_else_leaves_the_outlines_fit(bent_further):
    true, evidence, wrong = bent_further
    inverted = -cast(true, 0, VIEW, tuple(true.model.bones)).sum(0)
    alone, both = fitted(evidence, wrong, None), fitted(evidence, wrong, inverted)
    assert np.array_equal(alone.coefficients, both.coefficients)


def femur_alone(mesh: trimesh.Trimesh, pose: np.ndarray) -> FitState:
    count = len(mesh.vertices)
    modes = np.zeros((count, 3, 1), np.float32)
    bone = BoneModel.of_mesh(np.asarray(mesh.vertices), modes, mesh.faces, np.arange(count))
    model = KneeShapeModel({"femur": bone}, 1)
    return FitState(model, np.zeros(1), ({"femur": pose},), (0,))


def test_a_ball_of_bone_absorbs_as_its_cortex_and_core_do():
    """Through the middle of a ball: 40 mm of spongy bone, and 3 mm of cortex that is denser."""
    state = femur_alone(trimesh.creation.icosphere(4, 20.0), np.eye(4))
    image = cast(state, 0, VIEW, ("femur",))[0]
    denser = radiograph_term._DENSER
    assert image[59:61, 59:61] == pytest.approx(40.0 + 3.0 * denser, abs=0.3)
    assert not image[:, :30].any()


@pytest.mark.parametrize(("turned", "spongy", "cortices"), [(0.0, 40.0, 2), (90.0, 100.0, 1)])
def test_a_shaft_that_is_cut_open_absorbs_as_one_that_is_solid(turned, spongy, cortices):
    """A shaft of 40 by 40 by 100 mm across and along, where one of the two ends is cut."""
    box = trimesh.creation.box((40.0, 40.0, 100.0)).subdivide().subdivide()
    box.update_faces(box.triangles_center[:, 2] > -49.9)
    box.remove_unreferenced_vertices()
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [turned, 3, 2], degrees=True).as_matrix()
    image = cast(femur_alone(box, pose), 0, VIEW, ("femur",))[0]
    expected = spongy + cortices * radiograph_term._CORTEX_MM * radiograph_term._DENSER
    assert image[58:62, 58:62] == pytest.approx(expected, abs=0.3)


def test_shafts_that_end_within_the_image_are_as_thick_as_bones(monkeypatch):
    """The knee is bent so far that the radiograph looks along the tibia."""
    state, bones = knee(0 * random_shape(0), bent(75.0)), ("femur", "tibia", "fibula")
    assert cast(state, 0, VIEW, bones).min() > -1e-6
    monkeypatch.setattr(radiograph_term, "_DENSER", 0.0)  # mm of bone, whatever it is
    lengths = cast(state, 0, VIEW, bones)
    assert lengths.min() > -1e-6
    assert 100.0 < lengths[1].max() < 150.0


@pytest.mark.parametrize(("times", "taken"), [(1.01, True), (1.5, False)])
def test_edges_that_lead_away_from_the_outlines_are_not_followed(monkeypatch, times, taken):
    known = Evidence(None)
    before = Fit(None, 0.4, {"femur": np.array([40.0, 100.0])}, known)
    after = replace(before, near={"femur": np.array([times * 40.0, 100.0])})
    monkeypatch.setattr(fitting, "_descended", lambda *_: after)
    asked = []
    seen = Views((), None, None, edges=asked.append)
    found = _by_radiographs(before, seen, lambda: None)
    assert asked == [0, 1]
    assert (found.near is after.near) == taken
    assert (found.evidence is known) != taken


def test_what_a_fit_is_sure_of_does_not_rest_on_the_radiograph(bent_further):
    true, evidence, _ = bent_further
    term = SimpleNamespace(add_to=lambda equations, knee: pytest.fail("asked"))
    with_it = Fit(true, 0.4, {}, replace(evidence, radiographs=(term,)))
    without = replace(with_it, evidence=evidence)
    assert np.array_equal(with_it.equations().matrix, without.equations().matrix)


def test_contrast_does_not_change_where_edges_are():
    image = np.random.default_rng(0).normal(size=(60, 60)).cumsum(0)
    assert local_gradients(3 * image + 5) == pytest.approx(local_gradients(image), abs=1e-3)


def test_what_follows_a_combination_holds_it_and_costs_least():
    """Of all changes of poses with one combination by one and the other still, by the matrix."""
    equations = NormalEquations(FitState.mean(knee(random_shape(1), bent(0)).model), components=2)
    rng = np.random.default_rng(2)
    root = rng.normal(size=equations.matrix.shape)
    equations.matrix += root @ root.T
    poses = slice(equations.motions, equations.shifts)
    columns = equations.motions + np.array([3, 4, 5])
    rows = Rotation.random(random_state=3).as_matrix()[:2]
    found = equations.following(columns, rows)
    assert rows @ found[columns] == pytest.approx(np.eye(2), abs=1e-9)
    assert not np.delete(found, np.r_[poses], axis=0).any()
    free = np.zeros(len(found))
    free[poses] = rng.normal(size=len(free[poses]))
    free[columns] -= rows.T @ rows @ free[columns]
    assert free @ (equations.matrix + 1e-6 * np.eye(len(free))) @ found == pytest.approx(
        0, abs=1e-6
    )

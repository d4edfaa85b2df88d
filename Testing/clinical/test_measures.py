"""Clinical measures: bones turned, scaled, mirrored, bent, cut and moved by known amounts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SSRKDLib.clinical.comparison import compare_measures
from SSRKDLib.clinical.definitions import DEFINITIONS
from SSRKDLib.clinical.measures import measure, measure_templates
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.rigid import turn_about
from SSRKDLib.reconstruction.fitting.shape_model import knee_shape_model
from SSRKDLib.reconstruction.fitting.surface_fit import SurfaceFit
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import read_meshes
from Testing.support.ball_knee import ball
from Testing.support.shared_data import SHARED

LENGTHS = {"tibial_plateau_width", "femoral_condylar_width"}

#: What a rigid movement may change, by unit.
TOLERANCE = {"mm": 0.1, "deg": 0.1, "": 0.01}

#: What another choice of points on the same surface may change.
REPEATED = {"mm": 0.5, "deg": 0.4, "": 0.02}

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])

VISIBLE_HUMANS = SHARED / "data" / "visible_human"

needs_visible_humans = pytest.mark.skipif(
    not VISIBLE_HUMANS.is_dir(), reason=f"no Visible Humans at {VISIBLE_HUMANS}; set SSRKD_SHARED"
)


def by_name(bones: dict[str, Mesh], laterality: str = "L") -> dict:
    results = measure(bones, laterality)
    assert [result.name for result in results] == [d.name for d in DEFINITIONS]
    return {result.name: result for result in results}


def values(bones: dict[str, Mesh], laterality: str = "L") -> dict[str, float]:
    results = by_name(bones, laterality)
    assert all(r.value is not None for r in results.values()), [r.note for r in results.values()]
    return {name: result.value for name, result in results.items()}


def moved(bones: dict[str, Mesh], matrix: np.ndarray, *names: str) -> dict[str, Mesh]:
    return {b: m.transformed(matrix) if b in (names or bones) else m for b, m in bones.items()}


def random_motion(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    matrix[:3, 3] = rng.uniform(-800, 800, 3)
    return matrix


def turned(axis: np.ndarray, degrees: float) -> np.ndarray:
    """4x4: a turn about an axis through the joint."""
    rotation = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis)).as_matrix()
    return turn_about(rotation, np.zeros(3), np.zeros(3))


def known_templates(points: dict[str, np.ndarray]) -> dict[str, SurfaceFit]:
    """Fits of bones ``[N, 3]`` whose vertices are the population's."""
    parts = knee_shape_model().bones
    return {
        bone: SurfaceFit(points[bone][part.vertices], np.ones(len(part.mean), bool), 0.0, 0.0)
        for bone, part in parts.items()
    }


def transverse_axis(found: dict) -> np.ndarray:
    """The femur's x, lateral, as its condylar width shows it."""
    (line,) = found["femoral_condylar_width"].lines
    return (line[1] - line[0]) / np.linalg.norm(line[1] - line[0])


@pytest.fixture(scope="module")
def person() -> dict[str, Mesh]:
    return {bone: mesh for bone, mesh in load_person(3).items() if bone != "fibula"}


@pytest.fixture(scope="module")
def measured(person) -> dict:
    return by_name(person)


@pytest.fixture(scope="module")
def straight(measured) -> dict[str, float]:
    return {name: result.value for name, result in measured.items()}


def test_landmarks_and_lines_move_with_the_bones_and_values_stay(person, measured):
    motion = random_motion(7)
    for name, there in by_name(moved(person, motion)).items():
        here = measured[name]
        assert there.value == pytest.approx(here.value, abs=TOLERANCE[here.unit]), name
        assert here.landmarks and here.lines and here.definition and here.source
        for landmark, point in here.landmarks.items():
            expected = motion[:3, :3] @ point + motion[:3, 3]
            assert there.landmarks[landmark] == pytest.approx(expected, abs=0.2)
        for line, other in zip(here.lines, there.lines):
            assert other == pytest.approx(line @ motion[:3, :3].T + motion[:3, 3], abs=0.2)


def test_a_larger_knee_has_longer_lengths_and_the_same_angles(person, straight):
    larger = values(moved(person, np.diag([1.2, 1.2, 1.2, 1.0])))
    for definition in DEFINITIONS:
        factor = 1.2 if definition.name in LENGTHS else 1.0
        expected = pytest.approx(factor * straight[definition.name], abs=REPEATED[definition.unit])
        assert larger[definition.name] == expected, definition.name


def test_the_mirrored_knee_is_a_right_one_with_the_same_values(person, measured):
    for name, right in by_name(moved(person, MIRROR), "R").items():
        left = measured[name]
        assert right.value == pytest.approx(left.value, abs=TOLERANCE[left.unit]), name
        for landmark, point in left.landmarks.items():
            assert right.landmarks[landmark] == pytest.approx(point * [-1, 1, 1], abs=0.2)


def test_shafts_may_be_cut_anywhere_past_the_part_that_is_used(person, straight):
    box = np.array([[-500.0, -500.0, -98.0], [500.0, 500.0, 92.0]])
    cut = values({bone: mesh.clipped(box).capped() for bone, mesh in person.items()})
    for definition in DEFINITIONS:
        expected = pytest.approx(straight[definition.name], abs=REPEATED[definition.unit])
        assert cut[definition.name] == expected, definition.name


def test_a_varus_turn_of_the_tibia_opens_the_joint_laterally(person, measured, straight):
    x = transverse_axis(measured)
    back = np.cross([0.0, 0.0, 1.0], x)
    after = values(moved(person, turned(back / np.linalg.norm(back), -5.0), "tibia"))
    change = {name: after[name] - straight[name] for name in after}
    assert change["tibiofemoral_angle"] == pytest.approx(5.0, abs=0.3)
    assert change["joint_line_convergence"] == pytest.approx(-5.0, abs=0.3)
    for name in ("distal_femoral_angle", "proximal_tibial_angle", "tibial_slope_medial"):
        assert change[name] == pytest.approx(0.0, abs=0.15), name


def test_bending_the_knee_leaves_its_angles(person, measured, straight):
    bent = by_name(moved(person, turned(transverse_axis(measured), 55.0), "tibia"))
    for name in ("tibiofemoral_angle", "joint_line_convergence"):
        assert bent[name].value == pytest.approx(straight[name], abs=0.2)
    assert "bent by" in bent["joint_line_convergence"].note


def test_a_lower_patella_changes_the_index_in_closed_form(person, measured):
    x = transverse_axis(measured)
    shift = np.eye(4)
    shift[:3, 3] = [0.0, 0.0, -9.0]
    upper, lower, corner = measured["caton_deschamps"].landmarks.values()
    seen = np.eye(3) - np.outer(x, x)
    length = np.linalg.norm(seen @ (upper - lower))
    expected = np.linalg.norm(seen @ (lower + shift[:3, 3] - corner)) / length
    after = by_name(moved(person, shift, "patella"))["caton_deschamps"].value
    assert after == pytest.approx(expected, abs=5e-3)
    assert abs(after - measured["caton_deschamps"].value) > 0.1


def test_widths_are_the_bones_extents(person, measured):
    for name, bone, reach in (
        ("tibial_plateau_width", "tibia", (-45.0, 20.0)),
        ("femoral_condylar_width", "femur", (-20.0, 45.0)),
    ):
        result = measured[name]
        (line,) = result.lines
        along = (line[1] - line[0]) / np.linalg.norm(line[1] - line[0])
        points = person[bone].vertices
        points = points[(points[:, 2] > reach[0]) & (points[:, 2] < reach[1])]
        assert result.value == pytest.approx(np.ptp(points @ along), abs=0.6), name
        assert result.value == pytest.approx(np.linalg.norm(line[1] - line[0]))
        assert result.landmarks["lateral_side"][0] > result.landmarks["medial_side"][0]


def test_healthy_people_have_values_that_the_literature_reports():
    # The templates of people 0 to 19 are known, so nothing is fitted. (The relative pose of these
    # bones is not the people's own, so what depends on it spreads more than it should: patella,
    # convergence.)
    expected = {
        "tibial_slope_medial": (6.0, 11.0),
        "tibial_slope_lateral": (2.5, 7.0),
        "tibial_plateau_width": (72.0, 78.0),
        "femoral_condylar_width": (77.0, 84.0),
        "posterior_condylar_angle": (0.3, 6.0),
        "joint_line_convergence": (-0.5, 2.0),
        "caton_deschamps": (0.9, 1.3),
        "tibiofemoral_angle": (4.0, 7.0),
        "distal_femoral_angle": (79.0, 83.0),
        "proximal_tibial_angle": (85.0, 89.0),
    }
    people = [
        measure_templates(known_templates({b: m.vertices for b, m in load_person(k).items()}))
        for k in range(20)
    ]
    for index, definition in enumerate(DEFINITIONS):
        found = np.array([person[index].value for person in people])
        print(f"{definition.name:26} {found.mean():6.2f} SD {found.std(ddof=1):5.2f}")
        low, high = expected[definition.name]
        assert low < found.mean() < high, definition.name
        usual = (found >= definition.usual[0]) & (found <= definition.usual[1])
        assert usual.mean() >= 0.6, definition.name


@needs_visible_humans
def test_coarse_surfaces_of_real_people_can_be_measured():
    bones = read_meshes(VISIBLE_HUMANS / "VHF_L")
    before, after = values(bones), values(moved(bones, random_motion(9)))
    outside = [d.name for d in DEFINITIONS if not d.usual[0] <= before[d.name] <= d.usual[1]]
    assert len(outside) <= 3, outside
    assert all(abs(after[d.name] - before[d.name]) < REPEATED[d.unit] for d in DEFINITIONS)


def test_an_absent_bone_leaves_a_sentence(person):
    def without(*bones: str):
        return by_name({bone: mesh for bone, mesh in person.items() if bone not in bones})

    alone = without("patella")
    assert alone["caton_deschamps"].value is None
    assert alone["caton_deschamps"].note == "There is no patella."
    assert alone["tibial_slope_medial"].value is not None
    for bone in ("femur", "tibia"):
        results = without(bone)
        assert all(result.value is None for result in results.values())
        assert {result.note for result in results.values()} == {f"There is no {bone}."}


def test_short_shafts_leave_widths_and_a_sentence(person, straight):
    box = np.array([[-500.0, -500.0, -60.0], [500.0, 500.0, 55.0]])
    found = by_name({bone: mesh.clipped(box) for bone, mesh in person.items()})
    for name in LENGTHS:
        assert found[name].value == pytest.approx(straight[name], rel=0.02)
        assert "axis estimated" in found[name].note
    for name in ("tibial_slope_medial", "tibiofemoral_angle", "distal_femoral_angle"):
        assert found[name].value is None
        assert found[name].note.startswith("Too little of the shaft of the ")


def test_slices_of_bones_and_other_things_leave_a_sentence(person):
    box = np.array([[-500.0, -500.0, -4.0], [500.0, 500.0, 4.0]])
    slices = {bone: mesh.clipped(box) for bone, mesh in person.items() if bone != "patella"}
    for result in measure(slices, "L"):
        assert (result.value, result.landmarks) == (None, {})
        assert result.note.startswith("Too little of the ")
    spheres = {"femur": ball((0, 0, 38), 32.0), "tibia": ball((0, 0, -38), 30.0)}
    for result in measure(spheres, "L"):
        assert result.value is None
        assert result.note == "The surface called femur is not that of a femur."


def test_expected_errors_follow_those_of_the_bones_and_notes_name_the_pose():
    known = known_templates({bone: mesh.vertices for bone, mesh in load_person(3).items()})

    def expected(errors):
        return [result.expected_error for result in measure_templates(known, errors)]

    assert set(expected(None)) == {None}
    assert set(expected({})) == {0.0}
    found = expected({"patella": 0.5, "femur": 0.5, "tibia": 0.5})
    assert found == [pytest.approx(0.5 * definition.per_mm) for definition in DEFINITIONS]
    for definition, value in zip(DEFINITIONS, expected({"tibia": 0.9})):
        share = definition.bones.count("tibia") / len(definition.bones)
        assert value == pytest.approx(0.9 * share * definition.per_mm), definition.name
    # A template that does not meet the surface makes measures less certain, too.
    loose = {bone: replace(fit, distance=1.0) for bone, fit in known.items()}
    assert all(result.expected_error > 0 for result in measure_templates(loose, {}))
    for definition, result in zip(DEFINITIONS, measure_templates(known, None, "lateral")):
        said = "as the knee lay in the lateral radiograph" in result.note
        assert said == definition.of_joint, definition.name


def test_another_laterality_is_refused(person):
    with pytest.raises(InputError, match="'left' is not a side: use L or R"):
        measure(person, "left")


def test_comparison_has_both_values_and_the_error(person, measured):
    truth = list(measured.values())
    recon = measure({bone: mesh for bone, mesh in person.items() if bone != "patella"}, "L")
    rows = compare_measures(recon, truth)
    assert [row["measure"] for row in rows] == [d.name for d in DEFINITIONS]
    found = {row["measure"]: row for row in rows}
    angle = found["tibiofemoral_angle"]
    assert angle["error"] == pytest.approx(angle["reconstruction"] - angle["reference"])
    index = found["caton_deschamps"]
    assert (index["reconstruction"], index["error"]) == (None, None)
    assert index["reference"] is not None
    assert index["note"] == "reconstruction: there is no patella"

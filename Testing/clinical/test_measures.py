"""Clinical measures: bones turned, scaled, mirrored, bent and moved by known amounts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SSRKDLib.clinical.comparison import compare_measures
from SSRKDLib.clinical.definitions import DEFINITIONS
from SSRKDLib.clinical.frames import femur_frame, tibia_frame
from SSRKDLib.clinical.measures import measure
from SSRKDLib.clinical.sections import heights_above, section
from SSRKDLib.clinical.tibia import plateaus
from SSRKDLib.core.errors import InputError
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import read_meshes
from Testing.support.ball_knee import ball
from Testing.support.shared_data import SHARED

LENGTHS = {"tibial_plateau_width", "femoral_condylar_width"}

#: What a rigid movement may change, by unit.
TOLERANCE = {"mm": 0.1, "deg": 0.1, "": 0.01}

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])

VISIBLE_HUMANS = SHARED / "data" / "visible_human"

needs_visible_humans = pytest.mark.skipif(
    not VISIBLE_HUMANS.is_dir(), reason=f"no Visible Humans at {VISIBLE_HUMANS}; set SSRKD_SHARED"
)


def values(bones: dict[str, Mesh], laterality: str = "L") -> dict[str, float]:
    results = measure(bones, laterality)
    assert [result.name for result in results] == [d.name for d in DEFINITIONS]
    assert all(result.value is not None for result in results), [r.note for r in results]
    return {result.name: result.value for result in results}


def moved(bones: dict[str, Mesh], matrix: np.ndarray, *names: str) -> dict[str, Mesh]:
    return {b: m.transformed(matrix) if b in (names or bones) else m for b, m in bones.items()}


def turned(axis: np.ndarray, degrees: float, about: np.ndarray) -> np.ndarray:
    """4x4: a turn about an axis through a point."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis)).as_matrix()
    matrix[:3, 3] = about - matrix[:3, :3] @ about
    return matrix


def random_motion(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    matrix[:3, 3] = rng.uniform(-800, 800, 3)
    return matrix


def frames(bones: dict[str, Mesh]):
    femur = femur_frame(bones["femur"], np.array([0.0, 0.0, 1.0]))
    return femur, tibia_frame(bones["tibia"], np.array([0.0, 0.0, 1.0]), femur.axes[0])


@pytest.fixture(scope="module")
def person() -> dict[str, Mesh]:
    return load_person(3)


@pytest.fixture(scope="module")
def straight(person) -> dict[str, float]:
    return values(person)


@pytest.fixture(scope="module")
def everybody() -> dict[str, np.ndarray]:
    people = [values(load_person(k)) for k in range(0, 26, 2)]
    return {name: np.array([p[name] for p in people]) for name in people[0]}


@pytest.mark.parametrize(("who", "seed"), [(0, 1), (3, 2), (13, 3), (17, 4), (24, 5)])
def test_moving_the_knee_changes_nothing(who, seed):
    bones = load_person(who)
    before, after = values(bones), values(moved(bones, random_motion(seed)))
    for definition in DEFINITIONS:
        difference = abs(after[definition.name] - before[definition.name])
        assert difference < TOLERANCE[definition.unit], definition.name


def test_landmarks_and_lines_move_with_the_bones(person):
    motion = random_motion(7)
    for here, there in zip(measure(person, "L"), measure(moved(person, motion), "L")):
        assert here.landmarks and here.lines and here.definition and here.source
        for name, point in here.landmarks.items():
            assert there.landmarks[name] == pytest.approx(motion[:3, :3] @ point + motion[:3, 3])
        for line, other in zip(here.lines, there.lines):
            assert other == pytest.approx(line @ motion[:3, :3].T + motion[:3, 3])


def test_a_larger_knee_has_longer_lengths_and_the_same_angles(person, straight):
    larger = values(moved(person, np.diag([1.2, 1.2, 1.2, 1.0])))
    for definition in DEFINITIONS:
        factor = 1.2 if definition.name in LENGTHS else 1.0
        expected = pytest.approx(factor * straight[definition.name], abs=0.02)
        assert larger[definition.name] == expected, definition.name


def test_the_mirrored_knee_is_a_right_one_with_the_same_values(person, straight):
    mirrored = measure(moved(person, MIRROR), "R")
    for left, right in zip(measure(person, "L"), mirrored):
        assert right.value == pytest.approx(straight[left.name], abs=1e-6), left.name
        for name, point in left.landmarks.items():
            assert right.landmarks[name] == pytest.approx(point * [-1, 1, 1])


def test_shafts_may_be_cut_anywhere_past_the_part_that_is_used(person, straight):
    box = np.array([[-500.0, -500.0, -95.0], [500.0, 500.0, 90.0]])
    cut = values({bone: mesh.clipped(box) for bone, mesh in person.items()})
    for definition in DEFINITIONS:
        assert cut[definition.name] == pytest.approx(straight[definition.name], abs=0.02)


@pytest.mark.parametrize("degrees", [-4.0, 3.0, 6.0])
def test_a_tilted_plateau_changes_the_slope_by_the_tilt(person, straight, degrees):
    # Everything above the shaft is turned backwards about the transverse axis; the bend is spread
    # over a stretch of bone in which nothing is measured.
    _, frame = frames(person)
    local = frame.local(person["tibia"])
    _, y0, z0 = frame.axes @ plateaus(person["tibia"], frame)[0].centre
    share = np.clip((local[:, 2] - (z0 - 42.0)) / 16.0, 0.0, 1.0)
    angle = np.radians(degrees) * share
    y, z = local[:, 1] - y0, local[:, 2] - z0
    local[:, 1] = y0 + np.cos(angle) * y + np.sin(angle) * z
    local[:, 2] = z0 - np.sin(angle) * y + np.cos(angle) * z
    tibia = Mesh(local @ frame.axes, person["tibia"].faces)
    after = values({**person, "tibia": tibia})
    for side in ("medial", "lateral"):
        change = after[f"tibial_slope_{side}"] - straight[f"tibial_slope_{side}"]
        assert change == pytest.approx(degrees, abs=0.3), side


@pytest.mark.parametrize("degrees", [-5.0, 4.0])
def test_a_varus_turn_of_the_tibia_opens_the_joint_laterally(person, straight, degrees):
    femur, _ = frames(person)
    below = ("tibia", "fibula")
    after = values(moved(person, turned(femur.axes[1], degrees, np.zeros(3)), *below))
    change = {name: after[name] - straight[name] for name in after}
    assert change["tibiofemoral_angle"] == pytest.approx(-degrees, abs=0.15)
    assert change["joint_line_convergence"] == pytest.approx(degrees, abs=0.15)
    for name in ("distal_femoral_angle", "proximal_tibial_angle", "tibial_slope_medial"):
        assert change[name] == pytest.approx(0.0, abs=0.1), name


def test_bending_and_turning_the_knee_leaves_its_angles(person, straight):
    femur, tibia = frames(person)
    bent = moved(person, turned(femur.axes[0], 55.0, np.zeros(3)), "tibia", "fibula")
    results = {result.name: result for result in measure(bent, "L")}
    rotated = values(moved(person, turned(tibia.axes[2], 8.0, np.zeros(3)), "tibia", "fibula"))
    for name in ("tibiofemoral_angle", "joint_line_convergence"):
        assert results[name].value == pytest.approx(straight[name], abs=0.1)
        assert rotated[name] == pytest.approx(straight[name], abs=0.1)
    assert "bent by" in results["joint_line_convergence"].note


@pytest.mark.parametrize("distance", [-6.0, 5.0, 12.0])
def test_a_lower_patella_changes_the_index_in_closed_form(person, straight, distance):
    femur, _ = frames(person)
    down = -femur.axes[2]
    points = {m.name: m.landmarks for m in measure(person, "L")}["caton_deschamps"]
    upper, lower, corner = points.values()
    shift = np.eye(4)
    shift[:3, 3] = distance * down
    after = values(moved(person, shift, "patella"))["caton_deschamps"]
    seen = np.eye(3) - np.outer(femur.axes[0], femur.axes[0])
    length = np.linalg.norm(seen @ (upper - lower))
    expected = np.linalg.norm(seen @ (lower + distance * down - corner)) / length
    assert after == pytest.approx(expected, abs=1e-3)
    assert abs(after - straight["caton_deschamps"]) > 0.1


def test_widths_and_corners_are_on_the_bones(person):
    results = {result.name: result for result in measure(person, "L")}
    for name, bone in (("tibial_plateau_width", "tibia"), ("femoral_condylar_width", "femur")):
        medial, lateral = results[name].landmarks.values()
        assert np.abs(person[bone].vertices - medial).max(axis=1).min() < 1e-9
        assert lateral[0] > medial[0]
        line = results[name].lines[0]
        assert np.linalg.norm(line[1] - line[0]) == pytest.approx(results[name].value)


def test_healthy_people_have_values_that_the_literature_reports(everybody):
    # The means; and most people within what is usual. (The relative pose of these bones is not the
    # people's own, so what depends on it spreads more than it should: patella, convergence.)
    expected = {
        "tibial_slope_medial": (6.0, 10.0),
        "tibial_slope_lateral": (2.5, 7.0),
        "tibial_plateau_width": (72.0, 78.0),
        "femoral_condylar_width": (77.0, 84.0),
        "posterior_condylar_angle": (0.3, 6.0),
        "joint_line_convergence": (-0.5, 2.0),
        "caton_deschamps": (0.9, 1.15),
        "tibiofemoral_angle": (4.0, 7.0),
        "distal_femoral_angle": (79.0, 83.0),
        "proximal_tibial_angle": (85.0, 89.0),
    }
    for definition in DEFINITIONS:
        found = everybody[definition.name]
        print(f"{definition.name:26} {found.mean():6.2f} SD {found.std(ddof=1):5.2f}")
        low, high = expected[definition.name]
        assert low < found.mean() < high, definition.name
        usual = (found >= definition.usual[0]) & (found <= definition.usual[1])
        assert usual.mean() >= 0.7, definition.name


@needs_visible_humans
@pytest.mark.parametrize("name", ["VHF_L", "VHM_L"])
def test_coarse_surfaces_of_real_people_can_be_measured(name):
    bones = read_meshes(VISIBLE_HUMANS / name)
    before, after = values(bones), values(moved(bones, random_motion(9)))
    outside = [d.name for d in DEFINITIONS if not d.usual[0] <= before[d.name] <= d.usual[1]]
    assert len(outside) <= 3, outside
    assert all(abs(after[d.name] - before[d.name]) < TOLERANCE[d.unit] for d in DEFINITIONS)


def test_an_absent_bone_leaves_a_sentence(person):
    def without(*bones: str):
        kept = {bone: mesh for bone, mesh in person.items() if bone not in bones}
        return {result.name: result for result in measure(kept, "L")}

    alone = without("patella", "fibula")
    assert alone["caton_deschamps"].value is None
    assert alone["caton_deschamps"].note == "There is no patella."
    assert alone["tibial_slope_medial"].value is not None
    for bone in ("femur", "tibia"):
        results = without(bone)
        assert all(result.value is None for result in results.values())
        assert {result.note for result in results.values()} == {f"There is no {bone}."}
    empty = Mesh(np.empty((0, 3)), np.empty((0, 3), int))
    assert measure({**person, "patella": empty}, "L")[6].note == "There is no patella."


def test_short_shafts_leave_widths_and_a_sentence(person, straight):
    box = np.array([[-500.0, -500.0, -60.0], [500.0, 500.0, 55.0]])
    results = measure({bone: mesh.clipped(box) for bone, mesh in person.items()}, "L")
    found = {result.name: result for result in results}
    for name in LENGTHS:
        assert found[name].value == pytest.approx(straight[name], rel=0.02)
        assert "axis estimated" in found[name].note
    for name in ("tibial_slope_medial", "tibiofemoral_angle", "distal_femoral_angle"):
        assert found[name].value is None
        assert found[name].note.startswith("Too little of the shaft of the ")


def test_slices_of_bones_leave_a_sentence(person):
    box = np.array([[-500.0, -500.0, -4.0], [500.0, 500.0, 4.0]])
    slices = {bone: mesh.clipped(box) for bone, mesh in person.items() if bone != "patella"}
    for result in measure(slices, "L"):
        assert (result.value, result.landmarks) == (None, {})
        assert result.note == "Too little of the femur is visible to identify its condyles."


def test_spheres_have_the_values_worked_out_by_hand():
    """The femur as a sphere of radius 32 mm right above the tibia, one of 30 mm.

    Every section is centred on the common axis, so that both shafts lie on it: 0 degrees between
    them. The plateaus' plane is level (slopes 0, 90 degrees to the shaft), the common tangents
    touch both halves alike (0; 90 to within a facet, which spans 3 degrees), and no two points are
    farther apart than a diameter, 64 mm.
    """
    spheres = {"femur": ball((0, 0, 38), 32.0), "tibia": ball((0, 0, -38), 30.0)}
    expected = {
        "tibial_slope_medial": pytest.approx(0.0, abs=0.1),
        "tibial_slope_lateral": pytest.approx(0.0, abs=0.1),
        "femoral_condylar_width": pytest.approx(64.0, abs=0.2),
        "posterior_condylar_angle": pytest.approx(0.0, abs=0.1),
        "joint_line_convergence": pytest.approx(0.0, abs=3.0),
        "tibiofemoral_angle": pytest.approx(0.0, abs=0.1),
        "distal_femoral_angle": pytest.approx(90.0, abs=3.0),
        "proximal_tibial_angle": pytest.approx(90.0, abs=0.1),
    }
    found = {result.name: result for result in measure(spheres, "L")}
    assert {name: found[name].value for name in expected} == expected
    assert found["caton_deschamps"].value is None
    assert found["caton_deschamps"].note == "There is no patella."


def test_another_laterality_is_refused(person):
    with pytest.raises(InputError, match="'left' is not a side: use L or R"):
        measure(person, "left")


def test_comparison_has_both_values_and_the_error(person):
    recon = measure({bone: mesh for bone, mesh in person.items() if bone != "patella"}, "L")
    femur, _ = frames(person)
    turn = turned(femur.axes[1], 3.0, np.zeros(3))
    rows = compare_measures(recon, measure(moved(person, turn, "tibia", "fibula"), "L"))
    assert [row["measure"] for row in rows] == [d.name for d in DEFINITIONS]
    found = {row["measure"]: row for row in rows}
    angle = found["tibiofemoral_angle"]
    assert angle["error"] == pytest.approx(angle["reconstruction"] - angle["reference"])
    assert angle["error"] == pytest.approx(3.0, abs=0.15)
    index = found["caton_deschamps"]
    assert (index["reconstruction"], index["error"]) == (None, None)
    assert index["reference"] is not None
    assert index["note"] == "reconstruction: there is no patella"


def test_sections_of_solids_have_the_areas_and_centres_of_geometry():
    sphere = ball((3.0, -4.0, 10.0), 20.0)
    cut = section(sphere.vertices, sphere.faces, 18.0)
    area, centre = cut.moment()
    assert cut.is_closed
    assert area == pytest.approx(np.pi * (20**2 - 8**2), rel=0.01)
    assert centre == pytest.approx([3.0, -4.0], abs=1e-6)
    assert cut.span(3.0) == pytest.approx((-4 - 18.33, -4 + 18.33), abs=0.1)
    assert cut.span(40.0) is None
    opened = sphere.clipped(np.array([[-99.0, -99.0, -99.0], [8.0, 99.0, 99.0]]))
    assert not section(opened.vertices, opened.faces, 18.0).is_closed
    assert not section(sphere.vertices, sphere.faces, 31.0).is_closed
    top = heights_above(np.array([[3.0, -4.0], [15.0, -4.0], [40.0, 0.0]]), sphere.corners())
    assert top[:2] == pytest.approx([30.0, 26.0], abs=0.05)
    assert np.isnan(top[2])


def test_a_plateau_that_is_open_is_said(person):
    half = person["tibia"].clipped(np.array([[-500.0, -500.0, -500.0], [0.0, 500.0, 500.0]]))
    notes = {result.note for result in measure({**person, "tibia": half}, "L")}
    assert notes == {"The tibia is cut just below its plateaus."}

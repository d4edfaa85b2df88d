"""The case folder: its frame, exact inside tests, points, files of others, splits, discovery."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES, LABELS
from SSRKDLib.core.errors import GeometryError, InputError
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.datasets.case_frame import PUBLISHED_FRAME, CaseFrame, fitting_pixel
from SSRKDLib.datasets.npz import read_npz
from SSRKDLib.datasets.point_sampling import SAMPLING_NAMES, sample_case, sampling_from
from SSRKDLib.datasets.sources import find_jobs, person_of, virtual_jobs
from SSRKDLib.datasets.splits import Knee, make_splits
from SSRKDLib.images.writing import write_image
from SSRKDLib.surfaces.inside import inside_mesh
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.obj import write_obj
from Testing.support.ball_knee import BALLS, ball, distances
from Testing.support.projection_truth import rotation

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
CUBE = Mesh(
    CORNERS,
    np.array([
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]),
)  # fmt: skip
BALL_KNEE = {bone: ball(*BALLS[bone]) for bone in BONES}


def cube_frame(half_edge: float = 90.0) -> CaseFrame:
    return CaseFrame(half_edge, np.eye(4), (0.0, 90.0), 1000.0, 2000.0, 64, 7.0)


# --- inside ------------------------------------------------------------------------------------


def test_inside_a_cube_that_stands_anywhere_is_exact():
    rng = np.random.default_rng(0)
    turned = np.eye(4)
    turned[:3, :3], turned[:3, 3] = rotation((1, 2, -1), 33) * 20, (5, -70, 900)
    local = rng.uniform(-1.4, 1.4, (20000, 3))
    points = local @ turned[:3, :3].T + turned[:3, 3]
    truth = (np.abs(local) < 1).all(axis=1)
    assert (inside_mesh(CUBE.transformed(turned), points) == truth).all()


def test_rays_through_edges_and_vertices_count_once():
    # On this lattice every ray along any axis meets edges, diagonals or corners of the cube.
    steps = np.arange(-1.5, 1.51, 0.25) * (1 - 1e-12)
    points = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    clear = (np.abs(np.abs(points) - 1) > 1e-6).all(axis=1)
    truth = (np.abs(points) < 1).all(axis=1)
    for stretch in np.diag([1, 2, 3]), np.diag([3, 1, 2]), np.diag([2, 3, 1]):
        mesh = Mesh(CUBE.vertices @ stretch, CUBE.faces)
        assert (inside_mesh(mesh, points @ stretch) == truth)[clear].all()


def test_inside_a_ball_and_an_open_shell_with_either_orientation():
    rng = np.random.default_rng(1)
    points = rng.uniform(-40, 40, (30000, 3))
    mesh = ball((0, 0, 0), 30.0)
    # The facets lie between the ball and the largest one they hold.
    radius = np.linalg.norm(points, axis=1)
    normals = mesh.area_vectors() / np.linalg.norm(mesh.area_vectors(), axis=1, keepdims=True)
    least = (mesh.corners()[:, 0] * normals).sum(axis=1).min()
    for faces in mesh.faces, mesh.faces[:, ::-1]:
        found = inside_mesh(Mesh(mesh.vertices, faces), points)
        assert found[radius < least].all() and not found[radius > 30.0].any()
    opened = mesh.cut(np.array([0.0, 0, 1]), -10.0)
    found = inside_mesh(opened, points)
    above = points[:, 2] > -10
    assert found[(radius < least) & above].all() and not found[~above].any()


def test_nothing_is_inside_nothing():
    empty = Mesh(np.empty((0, 3)), np.empty((0, 3), int))
    assert not inside_mesh(empty, np.zeros((3, 3))).any()
    assert inside_mesh(CUBE, np.empty((0, 3))).shape == (0,)


# --- points ------------------------------------------------------------------------------------


def test_points_carry_the_label_of_the_bone_they_lie_in():
    frame = cube_frame()
    box = np.array([[-60.0, -70.0, -65.0], [60.0, 60.0, 75.0]])
    sampling = sample_case(BALL_KNEE, frame, box, 2000, 30000, np.random.default_rng(3))
    points, labels = sampling.all_points()
    assert points.dtype == np.float32 and labels.dtype == np.uint8
    points = frame.millimetres(points)
    assert (points > box[0] - 1e-4).all() and (points < box[1] + 1e-4).all()
    # A ball's facets lie up to a tenth of a millimetre inside it.
    depth = distances(points)
    sure = (np.abs(depth) > 0.1).all(axis=1)
    truth = np.where(depth.max(axis=1) > 0, depth.argmax(axis=1) + 1, 0)
    assert (labels == truth)[sure].all() and sure.mean() > 0.9
    near = frame.millimetres(np.concatenate([sampling.surface_inside, sampling.surface_outside]))
    offset = np.abs(distances(near)).min(axis=1)
    assert 0.7 < np.median(offset) < 1.5 and np.percentile(offset, 99) < 14
    assert 0.9 * 4 * 2000 < len(near) <= 4 * 2000
    assert len(sampling.random_inside) + len(sampling.random_outside) == 30000
    share = 4 / 3 * np.pi * sum(r**3 for _, r in BALLS.values()) / np.ptp(box, axis=0).prod()
    assert len(sampling.random_inside) / 30000 == pytest.approx(share, rel=0.1)


def test_where_bones_overlap_the_later_one_wins():
    both = {bone: Mesh(CUBE.vertices * 50, CUBE.faces) for bone in BONES}
    box = np.array([[-40.0] * 3, [40.0] * 3])
    sampling = sample_case(both, cube_frame(), box, 10, 100, np.random.default_rng(0))
    assert set(sampling.random_inside_labels) == {LABELS["tibia"]}


# --- files of others ---------------------------------------------------------------------------


class _Harm:
    def __reduce__(self):
        return print, ("harm",)


def published_sampling(count: int = 5) -> dict[str, np.ndarray]:
    points = np.linspace(-0.5, 0.5, 3 * count).reshape(count, 3)
    return {
        name: np.ones(count, int) if name.endswith("labels") else points for name in SAMPLING_NAMES
    }


def test_pickled_points_of_the_published_code_are_read(tmp_path):
    path = tmp_path / "sampling.npz"
    np.savez(path, published_sampling())
    sampling = sampling_from(read_npz(path), "sampling.npz")
    points, labels = sampling.all_points()
    assert points.shape == (20, 3) and labels.sum() == 10
    # As NumPy 1 wrote it.
    old = pickle.dumps(np.array(published_sampling(), object), protocol=3)
    old = old.replace(b"numpy._core.", b"numpy.core.")
    assert b"numpy.core.multiarray" in old
    with zipfile.ZipFile(path, "w") as archive, archive.open("arr_0.npy", "w") as stream:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(old)
    assert sampling_from(read_npz(path), "sampling.npz").all_points()[1].sum() == 10


@pytest.mark.parametrize("harm", [_Harm(), {"surface_inside": _Harm()}, eval, CUBE])
def test_pickled_code_is_refused_and_not_run(tmp_path, capsys, harm):
    path = tmp_path / "sampling.npz"
    np.savez(path, np.array(harm, object))
    with pytest.raises(InputError, match="which is not an array"):
        read_npz(path)
    assert capsys.readouterr().out == ""


def test_damaged_points_are_refused(tmp_path):
    good = published_sampling()
    wrong = [
        {**good, "random_inside": np.zeros((5, 2))},
        {**good, "random_inside_labels": np.full(5, 9)},
        {**good, "surface_inside_labels": np.ones(4, int)},
        {**good, "surface_outside": np.full((5, 3), np.nan)},
        {key: value for key, value in good.items() if key != "random_outside"},
        [1, 2],
    ]
    for arrays in wrong:
        with pytest.raises(InputError):
            sampling_from({"arr_0": np.array(arrays, object)}, "sampling.npz")
    path = tmp_path / "x.npz"
    np.savez(path, **good)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cannot be read"):
        read_npz(path)
    with pytest.raises(InputError, match="was not found"):
        read_npz(tmp_path / "none.npz")


def test_a_case_of_the_published_code_is_read(tmp_path):
    folder = tmp_path / "0001"
    (folder / "submesh").mkdir(parents=True)
    angles = np.deg2rad(np.linspace(0, 360, 37).astype(int))
    np.savez(folder / "projs.npz", projs=np.zeros((37, 8, 8), np.float32), angles=angles)
    case = CaseFolder(folder)
    assert not case.labelled and not case.finished and case.record() == {}
    assert case.missing() == ["spacing.npz", "ct_256x.nii.gz", "ct_512x.nii.gz"]
    # The names of its README, and meshes that turn the wrong way.
    np.savez(folder / "bone_mask.npz", projs=np.ones((37, 8, 8), int), angles=angles)
    np.savez(folder / "ct_256x.npz", np.full((256, 256, 256), 7, np.uint8))
    write_image(folder / "ct_512x.nii.gz", np.zeros((6, 6, 6), np.uint8), np.eye(4))
    np.savez(folder / "seg_mask.npz", np.zeros((4, 4, 4), np.uint8))
    np.savez(folder / "sampling.npz", published_sampling())
    np.savez(folder / "spacing.npz", mesh=np.array([90.0, 80.0, 80.0]), ct=np.ones(3))
    stored = Mesh(CUBE.vertices * [0.5, 0.4, 0.3], CUBE.faces)
    for k in range(4):
        write_obj(folder / "submesh" / f"sub_{k}.obj", stored)
    write_obj(folder / "mesh.obj", stored)
    assert case.labelled and case.missing() == [] and case.volume_sizes() == [256, 512]
    assert case.volume(256)[0, 0, 0] == 7 and case.label_map().shape == (4, 4, 4)
    with pytest.raises(InputError, match="not the volume that its name indicates"):
        case.volume(512)
    with pytest.raises(InputError, match="no CT of size 96"):
        case.volume(96)
    assert case.masks()[0].all() and case.spacing()["mesh"][0] == 90
    with pytest.raises(InputError, match="has no 'bones'"):
        case.bone_bits()
    bones = case.meshes()
    assert list(bones) == list(BONES) and bones["femur"].volume() > 0
    assert np.abs(bones["femur"].vertices).max(axis=0) == pytest.approx(
        128 * stored.bounds[1][::-1]
    )
    assert case.frame() is PUBLISHED_FRAME


# --- frame -------------------------------------------------------------------------------------


def published_projection(points: np.ndarray, angle: float) -> np.ndarray:
    """(row, column) of points (x, y, z) mm by the published ``Geometry.project``, pixels."""
    cos, sin = np.cos(-angle), np.sin(-angle)
    x, y = cos * points[:, 0] - sin * points[:, 1], sin * points[:, 0] + cos * points[:, 1]
    on_detector = np.stack([-points[:, 2], y], axis=1) * (2000 / (1000 - x))[:, None]
    return (on_detector / (512 * 0.575) * 2 + 1) / 2 * 512 - 0.5


def test_views_are_those_of_the_published_code():
    points = np.random.default_rng(0).uniform(-120, 120, (200, 3))
    for view, angle in zip(PUBLISHED_FRAME.views(), PUBLISHED_FRAME.angles):
        truth = published_projection(points, np.deg2rad(angle))
        assert view.project(points)[:, ::-1] == pytest.approx(truth, abs=1e-6)


def test_stored_points_and_voxels_share_the_cube_s_faces():
    frame = cube_frame()
    points = np.random.default_rng(0).uniform(-90, 90, (50, 3))
    assert frame.millimetres(frame.normalised(points)) == pytest.approx(points)
    assert frame.normalised(np.array([90.0, 0, -90.0])).tolist() == [-1.0, 0.0, 1.0]
    first, last = frame.index_to_case(6) @ [0, 0, 0, 1], frame.index_to_case(6) @ [5, 5, 5, 1]
    assert first[:3] == pytest.approx(-75) and last[:3] == pytest.approx(75)
    again = CaseFrame.from_json(json.loads(json.dumps(frame.as_json())))
    assert again.as_json() == frame.as_json()
    with pytest.raises(InputError, match="damaged"):
        CaseFrame.from_json({"half_edge_mm": 3})


def test_the_pixel_is_the_smallest_that_holds_the_box():
    box = np.array([[-40.0, -90.0, -80.0], [70.0, 20.0, 90.0]])
    angles = tuple(range(0, 360, 15))
    pixel = fitting_pixel(box, angles, 1000, 2000, 100)
    frame = CaseFrame(90, np.eye(4), angles, 1000, 2000, 100, pixel)
    corners = np.where(CORNERS > 0, box[1], box[0])
    reach = [np.abs(view.project(corners) - 49.5).max() for view in frame.views()]
    assert max(reach) == pytest.approx(50)
    with pytest.raises(GeometryError, match="too large"):
        fitting_pixel(box * 12, angles, 1000, 2000, 100)


# --- splits ------------------------------------------------------------------------------------


def cohort(people: int = 60, unlabelled: int = 40) -> list[Knee]:
    rng = np.random.default_rng(5)
    knees = []
    for n in range(people + unlabelled):
        sex = "FM"[int(rng.random() < 0.25)]
        for side in ("L", "R") if n % 3 == 0 else ("LR"[n % 2],):
            knees.append(Knee(f"p{n:03d}_{side}", f"p{n:03d}", n < people, side, sex))
    return knees


def test_both_knees_of_a_person_are_in_one_split_and_every_case_in_one():
    knees = cohort()
    splits, left_out = make_splits(knees, 7)
    assert left_out == () and list(splits) == ["train", "unlabeled", "eval", "test"]
    where = {case: split for split, cases in splits.items() for case in cases}
    assert len(where) == sum(map(len, splits.values())) == len(knees)
    for person in {knee.person for knee in knees}:
        assert len({where[k.case_id] for k in knees if k.person == person}) == 1
    assert all((where[knee.case_id] == "unlabeled") == (not knee.labelled) for knee in knees)


def test_splits_depend_on_the_seed_and_nothing_else():
    knees = cohort()
    splits, _ = make_splits(knees, 7)
    assert make_splits(knees[::-1], 7)[0] == splits
    assert make_splits(knees, 8)[0] != splits


def test_splits_are_stratified_by_sex_and_side():
    knees = cohort()
    labelled = {k.person: k for k in knees if k.labelled}
    sides = {p: {k.side for k in knees if k.person == p} for p in labelled}
    for seed in range(5):
        splits, _ = make_splits(knees, seed)
        for split, share in (("test", 0.2), ("eval", 0.1)):
            people = {case[:4] for case in splits[split]}
            assert len(people) == round(share * 60)
            for sex in "FM":
                everybody = [p for p in labelled if labelled[p].sex == sex]
                for kind in ({"L"}, {"R"}, {"L", "R"}):
                    group = {p for p in everybody if sides[p] == kind}
                    assert abs(len(group & people) - share * len(group)) <= 1


def test_small_cohorts_and_mixed_people():
    one = [Knee("a", "a", True)]
    assert make_splits(one, 0)[0]["train"] == ["a"]
    three = [Knee(name, name, True) for name in "abc"]
    assert sorted(len(cases) for cases in make_splits(three, 0)[0].values()) == [0, 1, 1, 1]
    mixed = [Knee("a_L", "a", True), Knee("a_R", "a", False), Knee("b", "b", False)]
    splits, left_out = make_splits(mixed, 0)
    assert splits["train"] == ["a_L"] and splits["unlabeled"] == ["b"] and left_out == ("a_R",)
    for shares in ((0.5, 0.5), (-0.1, 0.2)):
        with pytest.raises(InputError, match="nothing to train on"):
            make_splits(three, 0, *shares)


# --- what to prepare ---------------------------------------------------------------------------


def test_folders_tables_and_files_are_found(tmp_path):
    (tmp_path / "k1" / "bones").mkdir(parents=True)
    (tmp_path / "k1" / "ct.nii.gz").touch()
    (tmp_path / "k2_left").mkdir()
    (tmp_path / "k2_left" / "ct.mhd").touch()
    (tmp_path / "k2_left" / "bones.seg.nrrd").touch()
    (tmp_path / "k2_right").mkdir()
    (tmp_path / "k2_right" / "IM1").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "k3.nrrd").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    jobs = {job.case_id: job for job in find_jobs([tmp_path], "R")}
    assert list(jobs) == ["empty", "k1", "k2_left", "k2_right", "k3"]
    assert [job.source.labelled for job in jobs.values()] == [False, True, True, False, False]
    assert jobs["k2_left"].source.bones.name == "bones.seg.nrrd"
    assert jobs["k2_left"].person == jobs["k2_right"].person == "k2"
    assert find_jobs([tmp_path / "k1"])[0].source.side is None
    table = tmp_path / "table.csv"
    table.write_text("case,ct,bones,side,person,sex\nA,k3.nrrd,,L,P,F\n,k2_left/ct.mhd,,,,\n")
    first, second = find_jobs([table], "R")
    assert (first.case_id, first.person, first.sex, first.source.side) == ("A", "P", "F", "L")
    assert (second.case_id, second.source.side, second.sex) == ("ct", "R", None)
    with pytest.raises(InputError, match="Two cases are called k3"):
        find_jobs([tmp_path, tmp_path / "k3.nrrd"])
    with pytest.raises(InputError, match="contains no CT"):
        find_jobs([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,side\nA,L\n", "no column 'ct'"),
        ("ct,hip\nA,L\n", "a column 'hip'"),
        ("ct,side\nA.nii,left\n", "line 2: 'left' is not a side"),
        ("ct,case\na.nii,../up\n", "cannot name a folder"),
        ("ct\n", "has no line"),
        ("ct,side\na.nii,L,x\n", "too many cells"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        find_jobs([tmp_path / "t.csv"])


def test_persons_and_virtual_people_have_names():
    names = {
        "P12_L": "P12", "left-knee7": "knee7", "x.R.2": "x.2", "Lars": "Lars", "L": "L",
        "a_right_3": "a_3",
    }  # fmt: skip
    assert {name: person_of(name) for name in names} == names
    jobs = virtual_jobs(30, 4, 2)
    assert [job.source.labelled for job in jobs] == [True] * 4 + [False] * 26
    assert {job.source.side for job in jobs} == {"L", "R"}

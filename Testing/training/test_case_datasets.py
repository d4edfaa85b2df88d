"""Samples of prepared cases: what is drawn fits together, and depends on seed and item alone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
trimesh = pytest.importorskip("trimesh")

from SSRKDLib.core.anatomy import BONES  # noqa: E402
from SSRKDLib.core.errors import InputError  # noqa: E402
from SSRKDLib.datasets import memory_cache  # noqa: E402
from SSRKDLib.datasets.case_cache import read_radiographs, read_volume  # noqa: E402
from SSRKDLib.datasets.case_folder import CaseFolder  # noqa: E402
from SSRKDLib.datasets.case_frame import PUBLISHED_FRAME  # noqa: E402
from SSRKDLib.datasets.npz import mapped_npz  # noqa: E402
from SSRKDLib.datasets.splits import read_info  # noqa: E402
from SSRKDLib.networks.official_teacher import OfficialTeacher  # noqa: E402
from SSRKDLib.networks.point_classifier import PointPrediction, sample_map  # noqa: E402
from SSRKDLib.radiographs.published_input import NETWORK_UNITS  # noqa: E402
from SSRKDLib.simulation.detector import noisy  # noqa: E402
from SSRKDLib.surfaces.mesh import Mesh  # noqa: E402
from SSRKDLib.surfaces.obj import write_obj  # noqa: E402
from SSRKDLib.training import pseudo_labels  # noqa: E402
from SSRKDLib.training.data import case_datasets, student_datasets  # noqa: E402
from SSRKDLib.training.data.case_datasets import (  # noqa: E402
    Lists,
    SegmentationSamples,
    TeacherSamples,
    voxel_coordinates,
)
from SSRKDLib.training.data.sampling import case_of_item  # noqa: E402
from SSRKDLib.training.data.student_datasets import AcquisitionSettings, StudentSamples  # noqa: E402
from SSRKDLib.training.pseudo_labels import (  # noqa: E402
    TeacherPredictor,
    read_predictions,
    write_predictions,
)
from Testing.support.prepared_cases import PIXEL_MM, PIXELS, SIZE  # noqa: E402

LIGHT = (1e9, 1e9)


@pytest.fixture(scope="module")
def lists(processed):
    info = read_info(processed)
    assert [len(info[split]) for split in ("train", "unlabeled", "eval", "test")] == [2, 2, 1, 1]
    return Lists(processed, tuple(info["train"]), tuple(info["unlabeled"]), seed=1)


def same(first: dict, second: dict) -> bool:
    return all(
        torch.equal(first[part][key], second[part][key]) for part in first for key in first[part]
    )


def test_a_mapped_array_is_the_stored_one_and_not_read(lists, tmp_path):
    path = lists.processed / lists.labelled[0] / "projs.npz"
    mapped = mapped_npz(path, "line_integrals")
    assert isinstance(mapped, np.memmap)
    with np.load(path) as stored:
        np.testing.assert_array_equal(mapped, stored["line_integrals"])
    np.savez_compressed(tmp_path / "small.npz", a=np.arange(5))
    np.testing.assert_array_equal(mapped_npz(tmp_path / "small.npz", "a"), np.arange(5))
    with pytest.raises(InputError, match="has no 'b'"):
        mapped_npz(tmp_path / "small.npz", "b")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="cannot be read"):
        mapped_npz(cut, "line_integrals")


def test_every_case_comes_once_per_round_in_a_new_order():
    cases = tuple("abcdefgh")
    rounds = [[case_of_item(cases, 3, 0, 8 * k + i) for i in range(8)] for k in range(4)]
    assert all(sorted(one) == list(cases) for one in rounds)
    assert len({tuple(one) for one in rounds}) == 4
    assert [case_of_item(cases, 4, 0, i) for i in range(8)] != rounds[0]


def makers(lists, items=20):
    yield SegmentationSamples(lists, items, PIXELS, PIXEL_MM, 32, LIGHT, 0.2)
    yield TeacherSamples(lists, items, SIZE, 16, 300, 0.1)
    labelled = Lists(lists.processed, lists.labelled, (), lists.seed)
    for architecture in student_datasets.ARCHITECTURES:
        acquisition = AcquisitionSettings(pixels=PIXELS, pixel_mm=PIXEL_MM)
        yield StudentSamples(labelled, items, architecture, acquisition, 200, None)


def test_samples_depend_on_seed_and_item_alone(lists):
    for samples, again in zip(makers(lists), makers(lists)):
        again[0]  # whatever was made before
        assert same(samples[7], again[7])
        assert not same(samples[7], samples[8])


def test_noise_is_as_large_as_photons_make_it():
    rng = np.random.default_rng(0)
    line = np.full((200, 200), 2.0)
    seen = noisy(line, 1e5, rng)
    expected = np.sqrt(1e5 * np.exp(-2.0) + 10.0**2) / (1e5 * np.exp(-2.0))
    assert seen.mean() == pytest.approx(2.0, abs=3 * expected / 200)
    assert seen.std() == pytest.approx(expected, rel=0.03)


def with_bones_as_images(monkeypatch, module):
    """Radiographs that show where bone is and nothing else."""

    def read(folder):
        case = read_radiographs(folder)
        images = (case.bits > 0).astype(np.float32)
        return type(case)(case.frame, case.angles, case.views, images, 1.0, case.bits)

    monkeypatch.setattr(module, "read_radiographs", read)


def test_segmentation_masks_lie_on_their_images(lists, monkeypatch):
    with_bones_as_images(monkeypatch, case_datasets)
    labelled = Lists(lists.processed, lists.labelled, (), 0)
    samples = SegmentationSamples(labelled, 30, PIXELS, PIXEL_MM, 32, LIGHT, 0.0)
    agree = []
    for item in range(30):
        sample = samples[item]["labelled"]
        image = sample["image"][0] / sample["image"].max().clamp_min(1e-6)
        agree.append(((image > 0.5) == (sample["mask"] > 0)).float().mean())
    assert np.mean(agree) > 0.985 and min(agree) > 0.95


@pytest.mark.parametrize("crop", [(1.0, 1.0), (0.6, 0.7)])
def test_points_of_a_student_lie_on_the_bones_also_in_a_z_crop(lists, crop):
    labelled = Lists(lists.processed, lists.labelled, (), 0)
    acquisition = AcquisitionSettings(
        pixels=PIXELS, pixel_mm=PIXEL_MM, z_crop=crop, shift_mm=8.0, turn_degrees=6.0
    )
    samples = StudentSamples(labelled, 20, "official", acquisition, 400, None)
    hits, near, all_points = 0, 0, 0
    for item in range(20):
        sample = samples[item]["labelled"]
        inside = sample["labels"] > 0
        assert inside.float().mean() == pytest.approx(0.5, abs=0.01)
        for points, mask in zip(sample["points"], sample["masks"]):
            where = ((points + 1) * PIXELS / 2 - 0.5).round().long().clamp(0, PIXELS - 1)
            grown = torch.nn.functional.max_pool2d(mask[None], 3, 1, 1)[0]
            hits += mask[where[inside, 0], where[inside, 1]].sum()
            near += grown[where[inside, 0], where[inside, 1]].sum()
            all_points += inside.sum()
    # Pixels measure 4.6 mm, and both the mask and the point are rounded to one.
    assert hits / all_points > 0.93 and near / all_points > 0.998


def test_a_z_crop_is_a_part_of_the_whole_image_in_as_many_rows(lists):
    labelled = Lists(lists.processed, lists.labelled[:1], (), 0)
    whole, part = (
        StudentSamples(
            labelled, 1, "official",
            AcquisitionSettings(PIXELS, PIXEL_MM, (0.0,), (90.0,), LIGHT, crop, 0.0, 0.0),
            2000, None,
        )[0]["labelled"]
        for crop in ((1.0, 1.0), (0.5, 0.5))
    )  # fmt: skip
    for k in (0, 1):
        # Rows of the crop are half as high: two of them make one of some part of the whole image.
        halved = part["images"][k].reshape(PIXELS // 2, 2, PIXELS).mean(dim=1)
        errors = [
            float((whole["images"][k][first : first + PIXELS // 2] - halved).abs().mean())
            for first in range(PIXELS // 2 + 1)
        ]
        assert min(errors) < 0.05 * float(halved.mean())


def test_points_of_the_own_student_lie_on_the_bones(lists, monkeypatch):
    with_bones_as_images(monkeypatch, student_datasets)
    labelled = Lists(lists.processed, lists.labelled, (), 0)
    acquisition = AcquisitionSettings(pixels=64, pixel_mm=3.45)
    samples = StudentSamples(labelled, 20, "own", acquisition, 400, None)
    score = []
    for item in range(20):
        sample = samples[item]["labelled"]
        points = torch.cat([sample["points"], torch.ones(400, 1)], dim=1)
        for matrix, image in zip(sample["matrices"], sample["images"]):
            projected = points @ matrix.T
            where = (projected[:, :2] / projected[:, 2:]).round().long()
            values = image[0, where[:, 1].clamp(0, 63), where[:, 0].clamp(0, 63)]
            inside = sample["labels"] > 0
            score.append(float(values[inside].mean() - image[0].mean()))
    # The first channel is normalised, so bone is what lies above the image's mean.
    assert min(score) > 0


def test_a_teacher_s_labels_lie_where_the_ct_has_them(lists, monkeypatch):
    def labels_as_ct(folder, size):
        fine = CaseFolder(folder).label_map()
        return fine[::2, ::2, ::2] * np.uint8(60)

    monkeypatch.setattr(case_datasets, "read_volume", labels_as_ct)
    labelled = Lists(lists.processed, lists.labelled, (), 0)
    samples = TeacherSamples(labelled, 30, SIZE, 16, 400, 0.0)
    shifts = [(0, 0, 0), *np.eye(3, dtype=int).tolist(), *(-np.eye(3, dtype=int)).tolist()]
    right = dict.fromkeys(map(tuple, shifts), 0)
    for item in range(30):
        sample = samples[item]["labelled"]
        assert sample["points"].abs().max() <= 1 + 1 / 15 + 1e-6
        bones = sample["labels"] > 0
        where = ((sample["points"].T[bones] + 1) * 7.5).round().long()
        volume = (sample["volume"][0] * 255 / 60).round().long()
        for shift in right:
            at = (where + torch.tensor(shift)).clamp(0, 15)
            found = volume[at[:, 0], at[:, 1], at[:, 2]]
            right[shift] += int((found == sample["labels"][bones]).sum())
    # A voxel measures 6 mm, a patella few of them: the labels fit where they are, and not beside.
    assert max(right, key=right.get) == (0, 0, 0)
    assert right[0, 0, 0] > 0.6 * 30 * 200


class GreyValueTeacher(OfficialTeacher):
    """A teacher whose features are the CT's own grey values, and whose labels are thresholds."""

    def __init__(self):
        super().__init__(width=1, head_channels=1, hidden=(1,))

    def encode(self, volume):
        return volume

    def query(self, features, points):
        values = sample_map(features, points.transpose(1, 2))
        logits = torch.cat([torch.full_like(values, 0.5), values, values - 9, values - 9,
                            values - 9], dim=1)  # fmt: skip
        return (PointPrediction(logits * 100, values.repeat(1, 3, 1)),)


def test_predictions_in_windows_are_those_of_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 256, (48, 48, 48), dtype=np.uint8)
    stored = rng.uniform(-0.97, 0.97, (500, 3))
    whole, features = TeacherPredictor(GreyValueTeacher(), volume, 16).predict(stored)
    monkeypatch.setattr(pseudo_labels, "WHOLE_VOLUME", 0)
    predictor = TeacherPredictor(GreyValueTeacher(), volume, 16)
    assert len(predictor.starts) == 64
    parts, _ = predictor.predict(stored)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-3)
    from scipy import ndimage

    where = voxel_coordinates(stored, 48).T
    expected = ndimage.map_coordinates(volume / 255, where, order=1)
    np.testing.assert_allclose(features[:, 0], expected, atol=1e-5)


def test_predictions_are_kept_and_are_the_teacher_s(lists, monkeypatch):
    reported = []
    teacher = GreyValueTeacher()
    folder = write_predictions(teacher, lists, SIZE, 16, 600, lambda *now: reported.append(now))
    assert reported[-1] == (4, 4)
    name = lists.unlabelled[0]
    predictions = read_predictions(folder, lists.processed / name, False)
    assert predictions["points"].shape == (600, 3) and predictions["features"].shape == (600, 3)
    volume = read_volume(lists.processed / name, SIZE)
    logits, _ = TeacherPredictor(teacher, volume, 16).predict(predictions["points"])
    np.testing.assert_array_equal(predictions["labels"], logits.argmax(axis=1))
    assert set(np.unique(predictions["labels"])) == {0, 1}
    assert ((predictions["confidence"] > 0.5) & (predictions["confidence"] <= 1)).all()
    # Half of the points lie close to where the teacher's prediction changes.
    values = predictions["features"][:, 0].astype(float)
    assert np.median(np.abs(values[:300] - 0.5)) < np.median(np.abs(values[300:] - 0.5))
    labelled = read_predictions(folder, lists.processed / lists.labelled[0], True)
    points, _ = student_datasets.read_points(lists.processed / lists.labelled[0])
    np.testing.assert_array_equal(labelled["points"], points)
    # Nothing is predicted twice.
    monkeypatch.setattr(pseudo_labels, "TeacherPredictor", None)
    assert write_predictions(teacher, lists, SIZE, 16, 600, lambda *_: None) == folder
    acquisition = AcquisitionSettings(pixels=PIXELS, pixel_mm=PIXEL_MM)
    sample = StudentSamples(lists, 4, "official", acquisition, 100, folder)[0]
    assert sample["unlabelled"]["features"].shape == (3, 100)
    assert not sample["unlabelled"]["masks"].any() and sample["labelled"]["masks"].any()
    assert len(BONES) == 4 and int(sample["labelled"]["labels"].max()) > 1


def test_cases_of_the_published_code_are_trained_on_as_they_are(tmp_path):
    # A sphere of 40 mm off the middle, as the published files would show and sample it.
    centre, radius = np.array([20.0, -15.0, 30.0]), 40.0
    folder = tmp_path / "case"
    folder.mkdir()
    shadows = []
    for view in PUBLISHED_FRAME.views():
        rows, columns = np.mgrid[:512, :512]
        rays = view.rays(np.stack([columns, rows], axis=-1))
        along = (centre - view.source) @ rays.reshape(-1, 3).T
        off = np.linalg.norm(centre - view.source - along[:, None] * rays.reshape(-1, 3), axis=1)
        shadows.append(2 * np.sqrt(np.maximum(radius**2 - off**2, 0)).reshape(512, 512) / 1000)
    shadows = np.stack(shadows).astype(np.float32)
    angles = np.deg2rad(PUBLISHED_FRAME.angles)
    np.savez(folder / "projs.npz", projs=shadows, angles=angles)
    # As the published code leaves them: noise before the threshold.
    noise = np.random.default_rng(1).normal(0, 1, shadows.shape) > 0
    np.savez_compressed(folder / "bone_mask.npz", projs=noise | (shadows > 0), angles=angles)
    (folder / "submesh").mkdir()
    sphere = trimesh.creation.icosphere(4, radius)
    stored = PUBLISHED_FRAME.normalised(sphere.vertices + centre)
    write_obj(folder / "submesh" / "sub_1.obj", Mesh(stored, sphere.faces[:, ::-1]))
    points = np.random.default_rng(0).uniform(-100, 100, (20000, 3))
    inside = np.linalg.norm(points - centre, axis=1) < radius
    stored = PUBLISHED_FRAME.normalised(points)
    half = [
        (stored[inside][k::2], stored[~inside][k::2], np.full(len(stored[inside][k::2]), 2))
        for k in (0, 1)
    ]
    whole = {}
    for name, (within, without, labels) in zip(("surface", "random"), half):
        whole |= {f"{name}_inside": within, f"{name}_outside": without,
                  f"{name}_inside_labels": labels}  # fmt: skip
    np.savez(folder / "sampling.npz", whole)
    samples = StudentSamples(
        Lists(tmp_path, ("case",), (), 0),
        4,
        "official",
        AcquisitionSettings(z_crop=(0.8, 0.8)),
        500,
        None,
    )
    for item in range(4):
        sample = samples[item]["labelled"]
        within = sample["labels"] > 0
        for points, mask, image in zip(sample["points"], sample["masks"], sample["images"]):
            where = ((points + 1) * 256 - 0.5).round().long()
            hit = mask[where[:, 0], where[:, 1]] > 0
            assert hit[within].float().mean() > 0.99 and hit.float().mean() < 0.95
            # Published units come back to themselves: metres of the window's full value.
            assert NETWORK_UNITS * float(image.max()) == pytest.approx(0.08, rel=0.1)


def test_a_case_that_is_prepared_anew_is_predicted_anew(lists, tmp_path):
    name = lists.unlabelled[0]
    shutil.copytree(lists.processed / name, tmp_path / name)
    only = Lists(tmp_path, (), (name,), 0)
    teacher = GreyValueTeacher()
    folder = write_predictions(teacher, only, SIZE, 16, 50, lambda *_: None)
    assert len(list(folder.iterdir())) == 1
    record = tmp_path / name / "case.json"
    record.write_text(record.read_text().replace('"seed": 3', '"seed": 4'))
    pseudo_labels._file.clear()
    write_predictions(teacher, only, SIZE, 16, 50, lambda *_: None)
    assert len(list(folder.iterdir())) == 2


def test_the_memory_cache_keeps_to_its_limit(monkeypatch):
    monkeypatch.setattr(memory_cache, "LIMIT", 10_000)
    reads = []

    @memory_cache.cached
    def read(number):
        reads.append(number)
        return {"array": np.zeros(1000, np.float32)}

    for number in (0, 1, 0, 2, 0, 1):  # 4000 bytes each: two fit
        read(number)
    assert reads == [0, 1, 2, 1]


def test_a_result_that_grows_in_memory_does_not_upset_the_limit(monkeypatch):
    monkeypatch.setattr(memory_cache, "LIMIT", 10_000)
    reads = []

    @memory_cache.cached
    def read(number):
        reads.append(number)
        return {"array": np.zeros(1000, np.float32)}

    for number in range(6):
        read(number)["more"] = np.zeros(5000, np.float32)
    reads.clear()
    for number in range(6):  # had the sum drifted below zero, all of them would be kept
        read(number)
    assert [read(number) for number in (3, 4)] and reads == [0, 1, 2, 3, 4, 5, 3, 4]


def test_crops_stay_in_the_volume_also_for_points_beyond_it(lists):
    samples = TeacherSamples(lists, 1, SIZE, 16, 10, 0.0)
    rng = np.random.default_rng(0)
    for beyond in (-1.7, -0.6, SIZE - 0.4, SIZE + 1.2):
        start = samples._around(np.array([beyond, 5.0, SIZE / 2]), rng)
        assert ((start >= 0) & (start <= SIZE - 16)).all()


def test_an_angle_that_was_not_prepared_is_named(lists):
    acquisition = AcquisitionSettings(pixels=PIXELS, pixel_mm=PIXEL_MM, lateral=(45.0,))
    samples = StudentSamples(
        Lists(lists.processed, lists.labelled, (), 0), 1, "official", acquisition, 10, None
    )
    with pytest.raises(InputError, match=r"no radiograph at 45 degrees \(there: 0, 90"):
        samples[0]

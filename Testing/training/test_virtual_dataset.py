"""Samples of virtual knees: what the student is asked, and that seed and item alone decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from SSRKDLib.datasets.virtual_cohort import VirtualCohort  # noqa: E402
from SSRKDLib.geometry.virtual_cameras import BONE_POINTS, Framing  # noqa: E402
from SSRKDLib.training.data import virtual_dataset  # noqa: E402
from SSRKDLib.training.data.sampling import streamed  # noqa: E402
from SSRKDLib.training.data.virtual_dataset import (  # noqa: E402
    KneeSamples,
    Streaming,
    make_sample,
)

FRAMING = Framing(near_pixels=64, near_pixel_mm=3.4, wide_pixels=64, wide_pixel_mm=6.0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return tmp_path_factory.mktemp("cohort")


def samples(folder: Path, points: int, framing: Framing = FRAMING) -> KneeSamples:
    return KneeSamples(VirtualCohort(1, folder), 3, framing, points)


def assert_points_lie_in_masks(sample: dict, bone: int) -> None:
    """Points well inside a bone project into its masks, in both views."""
    for k in range(2):
        where = projected(sample, k, sample["points"]).round().long()
        seen = ((where >= 0) & (where < 192)).all(1)
        deep = seen & (sample["distances"][:, bone] > 1.5)
        hits = sample["masks"][k, bone][where[deep, 1], where[deep, 0]]
        valid = sample["images"][k, 2][where[deep, 1], where[deep, 0]] > 0
        assert (hits[valid] > 0.5).float().mean() > 0.99


def projected(sample: dict, view: int, points: torch.Tensor) -> torch.Tensor:
    matrix = sample["matrices"][view]
    homogeneous = points @ matrix[:, :3].T + matrix[:, 3]
    return homogeneous[:, :2] / homogeneous[:, 2:]


def test_points_of_a_sample_project_into_their_masks(cohort):
    made = VirtualCohort(1, cohort)
    still = next(knee for knee in map(made.read, range(9)) if not knee.moved)
    sample = make_sample(still, Framing(), 4000, np.random.default_rng(0))
    assert sample["asked"].tolist() == [1.0] * 4
    for bone in range(4):
        assert_points_lie_in_masks(sample, bone)


def test_a_moved_pair_is_asked_for_the_bone_that_its_rig_is_seen_from(cohort, monkeypatch):
    made = VirtualCohort(1, cohort)
    knee = next(knee for knee in map(made.read, range(9)) if knee.moved)
    monkeypatch.setattr(virtual_dataset, "FITTED_SD", ((0.0, 0.0),) * 2)
    monkeypatch.setattr(virtual_dataset, "random_frame", lambda *_: np.eye(4))
    kinds = set()
    for seed in range(14):
        sample = make_sample(knee, Framing(), 4000, np.random.default_rng(seed))
        if not sample["asked"].any():
            kinds.add(None)
            continue
        bone = int(sample["asked"].argmax())
        assert sample["asked"].sum() == 1
        kinds.add(bone)
        assert_points_lie_in_masks(sample, bone)
        # In the mean bone's own frame, the marked points are the definition's, scaled.
        place = knee.places[bone]
        scale = np.cbrt(np.linalg.det(place[:3, :3]))
        points = torch.from_numpy(scale * BONE_POINTS[bone]).float()
        for k in range(2):
            found = sample["bone_landmarks"][k, bone]
            torch.testing.assert_close(projected(sample, k, points), found, atol=0.02, rtol=0)
    assert kinds == {None, 0, 1, 2, 3}


def test_samples_depend_on_seed_and_item_alone(cohort):
    first, second = samples(cohort, 50), samples(cohort, 50)
    torch.testing.assert_close(first[7], second[7])
    assert not torch.equal(first[1]["images"], first[4]["images"])


def test_a_stream_uses_each_knee_as_often_as_asked_and_then_never_again():
    indices = [streamed(4, 3, seed=1, item=item) for item in range(24)]
    assert sorted(indices) == sorted([*range(8)] * 3)
    assert set(indices[:12]) == set(range(4)) and sorted(indices[4:8]) == [0, 1, 2, 3]
    assert len({tuple(indices[k : k + 4]) for k in (0, 4, 8)}) > 1


def test_a_stream_s_samples_are_resumed_without_a_folder(monkeypatch):
    made = KneeSamples(VirtualCohort(1), 0, FRAMING, 50, Streaming(pool=1, uses=2))
    first = made[0]
    again = KneeSamples(VirtualCohort(1), 0, FRAMING, 50, Streaming(pool=1, uses=2))
    second = again[1]
    monkeypatch.setattr(VirtualCohort, "read", None)  # the knee is kept in memory
    torch.testing.assert_close(made[1], second)
    assert not torch.equal(first["images"], second["images"])

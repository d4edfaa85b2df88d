"""Training of the default weights: samples, resuming, export."""

import numpy as np
import pytest
import torch

from SSRKDLib.geometry.virtual_cameras import Framing
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.training.bundling import export
from SSRKDLib.training.data.virtual_dataset import KneeSamples
from SSRKDLib.training.losses import distance_loss, landmark_loss, mask_loss
from SSRKDLib.training.tasks.default import Settings, Training, learning_rate, run

SMALL = Settings.from_dict(
    {
        "knees": 3,
        "batch": 2,
        "points": 200,
        "framing": {"near_pixels": 64, "near_pixel_mm": 3.4, "wide_pixels": 64,
                    "wide_pixel_mm": 6.0},
        "networks": {
            "segmenter": {"widths": [8, 8, 8, 8, 8]},
            "locator": {"width": 8},
            "student": {"widths": [8, 8, 8, 8, 8], "features": 8, "context": 8,
                        "hidden": [16, 16, 16]},
        },
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return tmp_path_factory.mktemp("cohort")


def test_points_of_a_sample_project_into_their_masks(cohort):
    sample = KneeSamples(cohort, 3, Framing(), 4000, seed=1, items=3)[0]
    for k in range(2):
        matrix = sample["matrices"][k]
        projected = sample["points"] @ matrix[:, :3].T + matrix[:, 3]
        where = (projected[:, :2] / projected[:, 2:]).round().long()
        seen = ((where >= 0) & (where < 192)).all(1)
        for bone in range(4):
            deep = seen & (sample["distances"][:, bone] > 1.5)
            hits = sample["masks"][k, bone][where[deep, 1], where[deep, 0]]
            valid = sample["images"][k, 2][where[deep, 1], where[deep, 0]] > 0
            assert (hits[valid] > 0.5).float().mean() > 0.99


def test_samples_depend_on_seed_and_item_alone(cohort):
    first = KneeSamples(cohort, 3, SMALL.framing, 50, seed=1, items=9)
    second = KneeSamples(cohort, 3, SMALL.framing, 50, seed=1, items=9)
    torch.testing.assert_close(first[7], second[7])
    assert not torch.equal(first[1]["images"], first[4]["images"])


def test_training_resumes_as_if_it_had_not_stopped(cohort, tmp_path):
    straight = run(SMALL, cohort, tmp_path / "straight", 4, 0, workers=0)
    run(SMALL, cohort, tmp_path / "stopped", 2, 0, workers=0)
    resumed = run(SMALL, cohort, tmp_path / "stopped", 4, 0, workers=0)
    for key, value in straight.average.items():
        torch.testing.assert_close(resumed.average[key], value, rtol=1e-5, atol=1e-6)


def test_training_lowers_its_losses(cohort):
    training = Training(SMALL)
    samples = KneeSamples(cohort, 3, SMALL.framing, SMALL.points, seed=1, items=2)
    batch = torch.utils.data.default_collate([samples[0], samples[1]])
    losses = [training.train_step(batch, 3e-3) for _ in range(25)]
    for key in ("field", "segmentation", "locating"):
        assert losses[-1][key] < 0.8 * losses[0][key]


def test_an_export_reads_back_as_a_model(cohort, tmp_path):
    training = Training(SMALL)
    export(training.state(), tmp_path / "small.zip")
    model = KneeModel.load(tmp_path / "small.zip")
    images = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    expected = training.averaged()["segmenter"](torch.from_numpy(images)).sigmoid()
    np.testing.assert_allclose(model.segment(images), expected.detach().numpy(), atol=2e-3)


def test_the_rate_warms_up_stays_and_falls():
    rates = [learning_rate(SMALL, step, (500, 600)) for step in (0, 99, 400, 550, 600)]
    assert rates[0] < rates[1] == rates[2] > rates[3] > rates[4]
    assert rates[4] == pytest.approx(0.02 * rates[2])


def test_losses_vanish_only_for_the_truth():
    truth = torch.tensor([[[8.0, -8.0, 8.0, -8.0]]])
    assert distance_loss(truth, truth) < 0.01 < distance_loss(truth + 1, truth)
    mask = torch.zeros(1, 4, 8, 8)
    mask[..., 2:6, 2:6] = 1
    valid = torch.ones(1, 1, 8, 8)
    assert mask_loss(mask * 40 - 20, mask, valid) < 0.01 < mask_loss(mask * 2 - 1, mask, valid)
    marks = torch.full((1, 2, 5, 2), 7.0)
    heat = torch.zeros(1, 2, 5, 8, 8)
    assert landmark_loss(marks + 3, heat, marks) > landmark_loss(marks, heat, marks)

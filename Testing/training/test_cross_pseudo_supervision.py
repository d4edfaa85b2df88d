"""The losses of semi-supervised learning, against closed forms."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from torch import nn  # noqa: E402

from SSRKDLib.training.cross_pseudo_supervision import (  # noqa: E402
    cross_pseudo_loss,
    initialise,
    ramp,
)
from SSRKDLib.training.tasks.student import Prediction, StudentTask, Weights  # noqa: E402
from SSRKDLib.training.tasks.teacher import class_weights  # noqa: E402


def test_the_weight_rises_along_a_sigmoid_and_stays():
    assert ramp(0, 100) == pytest.approx(math.exp(-5))
    assert ramp(50, 100) == pytest.approx(math.exp(-1.25))
    assert ramp(100, 100) == ramp(1000, 100) == ramp(0, 0) == 1


def test_each_network_learns_the_other_s_hard_labels():
    # Sure of class 0 here, of class 1 there: each pays ln(1 + e^4) for the other's label.
    first = torch.tensor([[[4.0], [0.0]]], requires_grad=True)
    second = torch.tensor([[[0.0], [4.0]]], requires_grad=True)
    loss = cross_pseudo_loss([first], [second])
    assert float(loss) == pytest.approx(2 * math.log(1 + math.exp(4)))
    loss.backward()
    # Nothing flows through the labels: one's gradient is what its own cross-entropy gives.
    share = 1 / (1 + math.exp(4))
    torch.testing.assert_close(first.grad[0, :, 0], torch.tensor([1 - share, share - 1]))
    # The last head gives the labels, all of them are trained; the loss is their mean.
    two = cross_pseudo_loss([first.detach(), first.detach()], [second.detach()] * 2)
    torch.testing.assert_close(two, loss.detach())
    agreeing = cross_pseudo_loss([first.detach() * 50], [first.detach() * 50])
    assert float(agreeing) == pytest.approx(0, abs=1e-6)


def test_two_initialisations_differ_in_spread():
    torch.manual_seed(0)
    stds = []
    for which in (0, 1):
        layer = nn.Conv2d(8, 64, 3)
        initialise(layer, which)
        stds.append(float(layer.weight.std()))
    # Kaiming: sqrt(2 / fan in); Xavier: sqrt(2 / (fan in + fan out)).
    assert stds[0] == pytest.approx(math.sqrt(2 / 72), rel=0.05)
    assert stds[1] == pytest.approx(math.sqrt(2 / (72 + 576)), rel=0.05)


def test_rare_bones_weigh_more_by_the_third_root():
    weights = class_weights([1000, 8000, 64, 8000])
    torch.testing.assert_close(weights, torch.tensor([1.5, 2.0, 1.0, 5.0, 1.0]))


class Fixed(StudentTask):
    """Answers with logits that it was given; its logs go nowhere."""

    def __init__(self, logits, weights, gate):
        super().__init__(weights, gate, None, None)
        self.logits = logits

    def predictions(self, sample, labelled):
        embedding = torch.zeros_like(sample.get("features", torch.zeros(1, 2, 3)))
        return [Prediction(self.logits, embedding)]

    def log(self, *_, **__):
        pass


def batch(confidence):
    labels = torch.tensor([[1, 2, 0]])
    features = torch.full((1, 2, 3), 0.5)
    labelled = {"labels": labels}
    unlabelled = {"labels": labels, "confidence": torch.tensor([confidence]), "features": features}
    return {"labelled": labelled, "unlabelled": unlabelled}


def test_the_student_s_loss_is_the_sum_of_its_parts():
    logits = torch.zeros(1, 5, 3)
    entropy = math.log(5)
    whole = Fixed(logits, Weights(0.5, 0.5, 0.1), 0.0).training_step(batch([1.0, 1.0, 1.0]), 0)
    assert float(whole) == pytest.approx(0.5 * entropy + 0.5 * entropy + 0.1 * 0.5)
    alone = Fixed(logits, Weights(0.5, 0.0, 0.0), 0.0).training_step(batch([1.0, 1.0, 1.0]), 0)
    assert float(alone) == pytest.approx(0.5 * entropy)


def test_points_of_an_unsure_teacher_are_left_out():
    logits = torch.zeros(1, 5, 3)
    logits[0, 2, 1] = 9.0  # right about the second point, undecided about the others
    task = Fixed(logits, Weights(0.0, 1.0, 0.0), gate=0.8)
    sure = float(task.training_step(batch([0.3, 0.9, 0.79]), 0))
    assert sure == pytest.approx(math.log(1 + 4 * math.exp(-9)), rel=1e-3)
    everyone = float(task.training_step(batch([0.9, 0.9, 0.9]), 0))
    assert everyone == pytest.approx((2 * math.log(5) + sure) / 3)
    assert float(task.training_step(batch([0.1, 0.1, 0.1]), 0)) == 0

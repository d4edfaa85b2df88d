"""The losses of the project's own networks."""

import torch

from SSRKDLib.training.losses import certainty_loss, distance_loss, landmark_loss, mask_loss


def test_losses_vanish_only_for_the_truth():
    truth = torch.tensor([[[8.0, -8.0, 8.0, -8.0]]])
    all_bones = torch.ones(1, 4)
    assert (
        distance_loss(truth, truth, all_bones) < 0.01 < distance_loss(truth + 1, truth, all_bones)
    )
    mask = torch.zeros(1, 4, 8, 8)
    mask[..., 2:6, 2:6] = 1
    valid = torch.ones(1, 1, 8, 8)
    assert mask_loss(mask * 40 - 20, mask, valid) < 0.01 < mask_loss(mask * 2 - 1, mask, valid)
    marks = torch.full((1, 2, 5, 2), 7.0)
    heat = torch.zeros(1, 2, 5, 8, 8)
    assert landmark_loss(marks + 3, heat, marks) > landmark_loss(marks, heat, marks)


def test_a_bone_that_is_not_asked_for_does_not_count():
    truth = torch.tensor([[[8.0, -8.0, 8.0, -8.0]], [[8.0, -8.0, 8.0, -8.0]]])
    wrong = truth.clone()
    wrong[0, :, 1:] += 5
    wrong[1] -= 9
    asked = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert distance_loss(wrong, truth, asked) == distance_loss(truth[:1], truth[:1], asked[:1])
    assert distance_loss(wrong, truth, torch.zeros(2, 4)) == 0


def test_certainty_is_best_where_it_says_how_far_marks_are_off():
    truth = torch.full((1, 2, 20, 2), 30.0)
    found = (truth + 3).requires_grad_()
    scales = torch.full((1, 2, 20), 3.0).log()
    losses = [certainty_loss(found, scales + k, truth, 64) for k in (-0.3, 0.0, 0.3)]
    assert losses[1] < min(losses[0], losses[2])
    assert torch.autograd.grad(losses[1] + 0 * found.sum(), found)[0].abs().max() == 0
    outside = truth.clone()
    outside[:, :, 1:] = -5.0
    one = certainty_loss(found, scales, outside, 64)
    torch.testing.assert_close(one, losses[1])

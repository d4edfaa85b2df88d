"""The losses of the project's own networks."""

import torch

from SSRKDLib.training.losses import distance_loss, landmark_loss, mask_loss


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

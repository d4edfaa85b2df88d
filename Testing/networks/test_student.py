"""The student reads its images where points project, in cone beams and in slot scanners."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SSRKDLib.geometry import rig_presets
from SSRKDLib.geometry.views import to_grid_sample
from SSRKDLib.geometry.virtual_cameras import frame_cameras
from SSRKDLib.networks.student import Student

PIXELS = 64


@pytest.mark.parametrize("preset", ["oblique", "slot"])
def test_features_are_read_where_the_view_projects(preset):
    frame = np.eye(4)
    frame[:3, 3] = 20, -10, 30
    views = [c.view for c in frame_cameras(rig_presets.PRESETS[preset]().views, frame, PIXELS, 3)]
    points = np.random.default_rng(0).uniform(-80, 80, (50, 3))
    student = Student((8, 8, 8), features=8, context=4, hidden=(8, 8, 8)).eval()
    with torch.inference_mode():
        encoded = student.encode(
            torch.zeros(1, 2, 3, PIXELS, PIXELS), torch.zeros(1, 2, 4, PIXELS, PIXELS),
            *(torch.tensor(np.stack(part), dtype=torch.float32)[None]
              for part in zip(*((view.projection_matrix, view.travel) for view in views))),
        )  # fmt: skip
        parts = student._local_features(encoded, torch.tensor(points, dtype=torch.float32)[None])
    each = (parts.shape[-1] - 27) // 2
    for k, view in enumerate(views):
        column, row, depth = parts[0, :, 27 + (k + 1) * each - 3 : 27 + (k + 1) * each].numpy().T
        expected = to_grid_sample(view.project(points), view.size)
        np.testing.assert_allclose(np.stack([column, row], 1), expected, atol=1e-4)
        np.testing.assert_allclose(depth, (view.depths(points) - 1) * 10, atol=1e-4)

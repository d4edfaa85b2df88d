"""Bone masks on the radiographs' own pixels, there and back; crops."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.rig_presets import c_arm, orthogonal
from SSRKDLib.geometry.views import Rig
from SSRKDLib.geometry.virtual_cameras import frame_cameras
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.intensity import guess_values
from SSRKDLib.radiographs.network_input import framed_mask, unframed
from SSRKDLib.reconstruction.segmentation import segment
from Testing.support.asymmetric_rig import asymmetric
from Testing.support.ball_knee import BallModel, ball_path


def exposures(rig: Rig) -> list[Exposure]:
    made = []
    for view in rig.views:
        image = sum(0.03 * ball_path(view, bone) for bone in BONES).astype(np.float32)
        made.append(Exposure(view, image, np.ones(image.shape, bool)))
    return made


@pytest.mark.parametrize("rig", [orthogonal(), c_arm()], ids=["orthogonal", "c_arm"])
def test_segment_marks_the_pixels_that_a_bone_covers(rig):
    found = segment(exposures(rig), rig, BallModel(rig))
    assert found.laterality == "L"
    for view, masks in zip(rig.views, found.masks):
        for bone, mask in zip(BONES, masks):
            truth = ball_path(view, bone) > 0
            marked = mask > 0.5
            dice = 2 * (marked & truth).sum() / (marked.sum() + truth.sum())
            assert dice > 0.95, (view.name, bone)


def test_a_mask_framed_and_unframed_is_itself():
    rig = asymmetric()
    exposure = exposures(rig)[1]
    camera = next(c for c in frame_cameras(rig.views, np.eye(4), 192, 1.15) if c.index == 1)
    mask = (ball_path(exposure.view, "femur") > 0).astype(np.float32)
    back = unframed(framed_mask(mask, exposure, camera, np.eye(4)), exposure, camera, np.eye(4))
    inside = (back > 0.5) & (mask > 0.5)
    assert 2 * inside.sum() / ((back > 0.5).sum() + mask.sum()) > 0.97
    valid = exposure.valid.copy()
    valid[:, 100:] = False
    half = Exposure(exposure.view, exposure.line_integral, valid)
    assert not unframed(np.ones((192, 192)), half, camera, np.eye(4))[:, 100:].any()


def test_a_cropped_view_sees_the_same_points_elsewhere():
    view = asymmetric().views[0]
    part = view.cropped(30, 20, 100, 90)
    points = np.random.default_rng(0).uniform(-60, 60, (20, 3))
    np.testing.assert_allclose(part.project(points), view.project(points) - [30, 20], atol=1e-9)
    assert part.size == (100, 90)
    for wrong in ((-1, 0, 50, 50), (0, 0, 301, 50), (0, 200, 50, 61)):
        with pytest.raises(GeometryError, match="crop"):
            view.cropped(*wrong)


def test_the_kind_of_pixel_values_is_guessed_from_the_image():
    image = sum(0.02 * ball_path(orthogonal().views[0], bone) for bone in BONES)
    assert guess_values(image + 0.01)[0] == "line_integral"
    bright = np.round(image / image.max() * 250).astype(np.uint8)
    assert guess_values(bright)[0] == "display"
    kind, sentence = guess_values(250 - bright)
    assert kind == "display_inverted"
    assert "dark" in sentence

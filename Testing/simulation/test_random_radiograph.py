"""Random radiographs and detector noise: a seed gives the images that weights were trained on."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.simulation.detector import add_noise, detect, noisy, to_line_integral
from SSRKDLib.simulation.random_radiograph import _nail, random_line_integral

#: Of each seed's image: mean, and a pixel behind bone, of simulator version 2.
IMAGES = {0: (1.11752, 2.15330), 1: (1.53690, 3.09239), 4: (0.98308, 1.79923)}


@pytest.mark.parametrize("seed", IMAGES)
def test_a_seed_gives_the_image_of_this_simulator_s_version(seed):
    k, i = np.mgrid[:64, :48]
    paths = [np.clip(20 - np.hypot(k - 32, i - middle), 0, None) for middle in (20, 24, 28, 24)]
    paths = np.stack(paths).astype(np.float32) + np.array([0, 0, 40, 10], np.float32)[:, None, None]
    image = random_line_integral(paths, 30.0, 1.5, np.random.default_rng(seed))
    assert (image.mean(), image[32, 24]) == pytest.approx(IMAGES[seed], rel=3e-3)


def test_a_seed_gives_the_noise_that_training_had():
    line = np.linspace(0, 9, 64 * 48).reshape(64, 48).astype(np.float32)
    image = noisy(line, 2e3, np.random.default_rng(3))
    assert image.dtype == np.float32
    assert image[[32, 3], [24, 40]] == pytest.approx([4.6791086, 0.5644975], rel=1e-6)
    assert image.max() == pytest.approx(np.log(2e3))  # one count at least


def test_the_fast_noise_has_the_variance_of_counted_photons():
    line = np.full((400, 400), 2.0)
    rng = np.random.default_rng(1)
    counted = detect(line, 3000.0, 8.0, rng) / 3000
    fast = add_noise(np.exp(-line), 3000.0, 8.0, rng)
    assert fast.mean() == pytest.approx(counted.mean(), rel=1e-3)
    assert fast.std() == pytest.approx(counted.std(), rel=0.01)
    assert np.isfinite(to_line_integral(3000 * fast, 3000.0)).all()


@pytest.mark.parametrize("turn", [-0.1, 0.1])
def test_a_nail_lies_in_the_shaft_beyond_the_joint(turn):
    rows, columns = np.mgrid[:200, :120].astype(np.float32)
    middle = 60 + turn * (rows - 100)
    bone = np.clip(15 - np.abs(columns - middle), 0, None)
    nail = _nail(bone, 100.0, 1.0, np.random.default_rng(0))
    lit = nail > 0
    assert not lit[65:136].any()  # none within 35 mm of the joint
    assert lit[:30].any() != lit[-30:].any()  # on one side of it
    assert np.abs(columns - middle)[lit].max() < 8
    assert nail[lit].reshape(-1).max() > 0.5

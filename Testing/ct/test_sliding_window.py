"""Windows over a volume: all of it, seamlessly, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.ct.sliding_window import OVERLAP, Blend, window_starts, window_weights

#: Smaller than a window, equal, a voxel more, odd, and long.
SHAPES = [(5, 16, 17), (16, 16, 16), (40, 23, 61), (100, 16, 7)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0.0, OVERLAP, 0.5, 0.9])
def test_windows_cover_every_voxel_and_end_with_the_volume(shape, overlap):
    starts = window_starts(shape, 16, overlap)
    covered = np.zeros(shape, int)
    for k, j, i in starts:
        covered[k : k + 16, j : j + 16, i : i + 16] += 1
    assert covered.min() >= 1
    assert starts == sorted(set(starts))
    for axis, size in enumerate(shape):
        places = sorted({start[axis] for start in starts})
        assert places[0] == 0 and places[-1] == max(0, size - 16)
        shared = 16 - np.diff(places)
        assert (shared >= 16 * overlap).all()
        assert np.ptp(shared) <= 1 if len(shared) else True  # evenly spread


def test_windows_are_as_few_as_the_overlap_allows():
    assert len(window_starts((256, 256, 256), 128)) == 27
    assert len(window_starts((128, 128, 128), 128)) == 1
    assert len(window_starts((129, 128, 128), 128)) == 2
    for wrong in (((0, 4, 4), 16, 0.5), ((4, 4, 4), 0, 0.5), ((4, 4, 4), 16, 1.0)):
        with pytest.raises(ValueError, match="positive"):
            window_starts(*wrong)


@pytest.mark.parametrize("window", [1, 7, 16])
def test_window_weights_are_positive_and_fall_towards_the_border(window):
    weights = window_weights(window)
    assert weights.shape == (window,) * 3
    assert weights.min() > 0 and weights.max() == 1
    np.testing.assert_allclose(weights, weights[::-1, ::-1, ::-1])
    line = weights[window // 2, window // 2]
    assert (np.diff(line[: (window + 1) // 2]) > 0).all()


def blended(volume, window, answer, overlap=OVERLAP, skip=lambda start: False):
    """The blend of ``answer(part)`` over windows; beyond the volume there are zeros."""
    blend = Blend(2, volume.shape, window, -9.0)
    padded = np.pad(volume, [(0, window)] * 3)
    for start in window_starts(volume.shape, window, overlap):
        if not skip(start):
            part = padded[tuple(slice(s, s + window) for s in start)]
            blend.add(start, np.stack(answer(part)).astype(np.float32))
    return blend.finish()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_answered_voxel_by_voxel_does_not_depend_on_the_windows(shape):
    volume = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    for window, overlap in ((16, OVERLAP), (16, 0.5), (11, OVERLAP), (32, OVERLAP)):
        found = blended(volume, window, lambda part: (part, 3 * part - 1), overlap)
        assert found.shape == (2, *shape)
        for one, truth in zip(found, (volume, 3 * volume - 1)):
            np.testing.assert_allclose(one, truth, rtol=1e-3, atol=1e-3)  # half precision


def test_where_a_window_is_left_out_others_answer_or_nobody_does():
    volume = np.ones((40, 16, 16), np.float32)

    def without(*left_out):
        return blended(volume, 16, lambda part: (part, part), skip=lambda s: s[0] in left_out)[0]

    assert (without(12) == 1).sum() == 32 * 256  # planes 16 to 23 are seen by that one alone
    assert (without(12)[16:24] == -9).all()
    only_last = without(0, 12)
    assert (only_last[:24] == -9).all() and (only_last[24:] == 1).all()
    assert (without(0, 12, 24) == -9).all()


def test_answers_near_a_window_s_border_count_little():
    """A network that errs by 1 on its window's outermost voxels, as convolutions do."""

    def answer(part):
        wrong = np.ones_like(part)
        wrong[1:-1, 1:-1, 1:-1] = 0
        return wrong, wrong

    found = blended(np.zeros((64, 16, 16), np.float32), 16, answer, 0.5)[0]
    inner = found[1:-1, 7:9, 7:9]
    assert 0 < inner.max() < 0.15  # a plain mean would give a half


def test_windows_must_come_in_order():
    blend = Blend(1, (40, 16, 16), 16, 0.0)
    blend.add((12, 0, 0), np.zeros((1, 16, 16, 16), np.float32))
    with pytest.raises(ValueError, match="order"):
        blend.add((0, 0, 0), np.zeros((1, 16, 16, 16), np.float32))


def test_sums_are_kept_for_one_window_s_depth_only():
    blend = Blend(4, (320, 20, 20), 16, 0.0)
    arrays = [value for value in vars(blend).values() if isinstance(value, np.ndarray)]
    voxels = 320 * 20 * 20
    assert sum(array.nbytes for array in arrays) < voxels * 4 * 2 * 1.3

"""Points in batches: smaller ones where memory is short, and no result lost."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.batching import SMALLEST, in_batches


class OutOfMemoryError(RuntimeError):
    """Looks like torch's."""


def limited(most: int, sizes: list[int]):
    def function(points: np.ndarray) -> np.ndarray:
        if len(points) > most:
            raise OutOfMemoryError("CUDA out of memory")
        sizes.append(len(points))
        return points * 2

    return function


def test_batches_shrink_until_they_fit_and_keep_order():
    points, sizes, released = np.arange(50_000.0), [], []
    results = in_batches(limited(9000, sizes), points, 50_000, lambda: released.append(1))
    np.testing.assert_array_equal(results, points * 2)
    assert max(sizes) <= 9000
    assert len(released) == 3  # 25000, 12500, 6250


def test_batches_give_up_at_the_smallest():
    with pytest.raises(OutOfMemoryError):
        in_batches(limited(SMALLEST - 1, []), np.arange(20_000.0), 20_000)


def test_other_errors_are_not_retried():
    def broken(points):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        in_batches(broken, np.arange(20_000.0), 20_000)


def test_no_points_are_asked_once():
    assert in_batches(lambda p: p[:, None], np.zeros(0), 10).shape == (0, 1)

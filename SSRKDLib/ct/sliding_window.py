"""A network's predictions for a volume that is larger than what the network takes at once.

The volume is covered by overlapping cubes, each is predicted by itself, and where cubes overlap the
predictions are averaged, with weights that grow with the distance from a cube's border, where a
convolution is least accurate. Memory grows with the cube, not with the volume, but for the result.
"""

from __future__ import annotations

from itertools import product

import numpy as np

#: Neighbouring windows share at least this part of an edge; 256^3 voxels then take 27 windows of
#: 128^3, where a half would take as many, and 300^3 take 27 instead of 64.
OVERLAP = 0.25


def window_starts(
    shape: tuple[int, int, int], window: int, overlap: float = OVERLAP
) -> list[tuple[int, int, int]]:
    """First corners of the cubes that cover a volume, evenly spread, the last flush with its end.

    Along an axis that is shorter than ``window`` there is one cube, which reaches beyond the end.

    Args:
        shape: of the volume, voxels (k, j, i); any.
        window: voxels per edge of a cube.
        overlap: the least part of an edge that neighbours share, 0 (incl.) to 1 (excl.).

    Returns:
        (k, j, i) of each cube's first voxel, k growing slowest.
    """
    if window < 1 or min(shape) < 1 or not 0 <= overlap < 1:
        raise ValueError("shape and window must be positive, and overlap 0 to less than 1")
    step = max(1, int(window * (1 - overlap)))
    axes = []
    for size in shape:
        last = max(0, size - window)
        count = -(-last // step) + 1
        axes.append([int(start) for start in np.rint(np.linspace(0, last, count))])
    return list(product(*axes))


def window_weights(window: int) -> np.ndarray:
    """How much each voxel of a cube counts, float32 ``[window, window, window]``, 0 to 1: a tent
    along each axis, their product; positive everywhere."""
    places = np.arange(window)
    tent = (np.minimum(places, window - 1 - places) + 1) / ((window + 1) // 2)
    return np.einsum("k,j,i->kji", tent, tent, tent).astype(np.float32)


class Blend:
    """The weighted mean of windows, put together from the first plane to the last.

    Only the planes that windows can still reach are kept as sums; those behind are divided and
    kept in half precision, whose step is a two-thousandth of a value: nothing to a zero crossing.

    Args:
        channels: values per voxel.
        shape: of the volume, voxels (k, j, i).
        window: voxels per edge.
        unseen: value where no window came.
    """

    def __init__(
        self, channels: int, shape: tuple[int, int, int], window: int, unseen: float
    ) -> None:
        depth, height, width = min(window, shape[0]), *shape[1:]
        self._blended = np.full((channels, *shape), unseen, np.float16)
        self._sums = np.zeros((channels, depth, height, width), np.float32)
        self._weights = np.zeros((depth, height, width), np.float32)
        self._window_weights = window_weights(window)
        self._first = 0

    def add(self, start: tuple[int, int, int], values: np.ndarray) -> None:
        """Take a window into account.

        Args:
            start: its first voxel (k, j, i); k must not be less than in the call before.
            values: float32 ``[channels, window, window, window]``; what lies beyond the volume is
                left out.
        """
        if start[0] < self._first:
            raise ValueError("windows must come in the order of window_starts")
        self._put_away(start[0])
        first = (0, *start[1:])  # the sums start with the window's first plane
        size = [min(n, m - s) for n, m, s in zip(values.shape[1:], self._weights.shape, first)]
        part = tuple(slice(0, n) for n in size)
        target = tuple(slice(s, s + n) for s, n in zip(first, size))
        weights = self._window_weights[part]
        self._weights[target] += weights
        for sums, value in zip(self._sums, values):
            sums[target] += weights * value[part]

    def finish(self) -> np.ndarray:
        """The mean, float16 ``[channels, k, j, i]``; nothing can be added afterwards."""
        self._put_away(self._blended.shape[1])
        return self._blended

    def _put_away(self, until: int) -> None:
        """Divide the planes before ``until``, and move the others to the front."""
        count = min(until - self._first, len(self._weights))
        if count:
            covered = self._weights[:count] > 0
            for blended, sums in zip(self._blended, self._sums):
                done = blended[self._first : self._first + count]
                done[covered] = sums[:count][covered] / self._weights[:count][covered]
            for array in (self._weights, *self._sums):
                array[: len(array) - count] = array[count:]
                array[len(array) - count :] = 0
        self._first = until

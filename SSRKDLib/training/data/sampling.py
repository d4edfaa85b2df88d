"""Which case each item shows: determined by seed and item alone.

Item ``i`` of a training is the same sample in every process and at any time, so a resumed training
goes on as if it had not stopped, and several processes share a batch without communication.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Items of a training: more than it will ever use.
ENDLESS = 1 << 62


def case_of_item(cases: Sequence[str], seed: int, stream: int, item: int) -> str:
    """The case of an item: every case once per round, each round in a new order.

    Args:
        cases: names.
        seed: of the training.
        stream: tells apart several lists that are gone through side by side.
        item: any number from 0 on.
    """
    epoch, place = divmod(item, len(cases))
    order = np.random.default_rng([seed, stream, epoch]).permutation(len(cases))
    return cases[int(order[place])]


def streamed(pool: int, uses: int, seed: int, item: int) -> int:
    """The index of an item's case in an endless stream: each block of ``pool`` new cases is gone
    through ``uses`` times, in another order every time, and never again."""
    block, place = divmod(item, pool * uses)
    turn, place = divmod(place, pool)
    order = np.random.default_rng([seed, block, turn, 2]).permutation(pool)
    return block * pool + int(order[place])


def generator(seed: int, stream: int, item: int) -> np.random.Generator:
    """The randomness of an item."""
    return np.random.default_rng([seed, stream, 1, item])


def choose_evenly(
    labels: np.ndarray, allowed: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices ``[count]`` of points to train on, half of them inside bones where there are any.

    Args:
        labels: ``[N]``, 0 outside.
        allowed: bool ``[N]``, at least one True.
        count: how many; points may come more than once.
        rng: the randomness.
    """
    inside, outside = (np.flatnonzero(allowed & side) for side in (labels > 0, labels == 0))
    wanted = count // 2 if len(inside) and len(outside) else count * bool(len(inside))
    parts = [rng.choice(inside, wanted)] if wanted else []
    if wanted < count:
        parts.append(rng.choice(outside, count - wanted))
    return np.concatenate(parts)

"""Results of reading that stay in memory, as many as fit into a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

_Read = TypeVar("_Read", bound=Callable[..., Any])

#: Bytes that each reading function keeps in each process.
LIMIT = 256 << 20


def cached(read: _Read) -> _Read:
    """Keep a function's results for its last arguments; the oldest are removed first.

    Its ``clear()`` removes all, for callers that have changed the files.
    """
    results: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
    total = 0

    @wraps(read)
    def lookup(*key: Hashable) -> Any:
        nonlocal total
        if key in results:
            results.move_to_end(key)
            return results[key][0]
        result = read(*key)
        # The size is kept: a result may grow later (cached properties), the sum must not drift.
        results[key] = result, _bytes(result)
        total += results[key][1]
        while total > LIMIT and len(results) > 1:
            total -= results.popitem(last=False)[1][1]
        return result

    def clear() -> None:
        nonlocal total
        results.clear()
        total = 0

    lookup.clear = clear
    return lookup


def _bytes(result: Any) -> int:
    """What the arrays in a result take, those mapped from the disk left out."""
    if isinstance(result, np.memmap):
        return 0
    if isinstance(result, np.ndarray):
        return result.nbytes
    if isinstance(result, dict):
        return sum(map(_bytes, result.values()))
    if isinstance(result, tuple):
        return sum(map(_bytes, result))
    return sum(map(_bytes, vars(result).values())) if hasattr(result, "__dict__") else 0

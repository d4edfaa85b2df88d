"""Many points through a function batch by batch, in smaller batches where memory is short."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from SSRKDLib.core.system_errors import is_out_of_memory

#: Portions are halved down to this many points before memory counts as not sufficient.
SMALLEST = 4096


def in_batches(
    function: Callable[[np.ndarray], np.ndarray],
    points: np.ndarray,
    at_once: int,
    release: Callable[[], None] | None = None,
) -> np.ndarray:
    """``function(points)``, computed in batches.

    Args:
        function: points ``[n, ...]`` to results ``[n, ...]``, each row for itself.
        points: ``[N, ...]``.
        at_once: points per batch; halved whenever memory runs out.
        release: called before a smaller batch is tried, to give cached memory back.

    Raises:
        MemoryError, torch.cuda.OutOfMemoryError: not even :data:`SMALLEST` points fit.
    """
    results: list[np.ndarray] = []
    start = 0
    while start < len(points) or not results:
        try:
            results.append(function(points[start : start + at_once]))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or at_once <= SMALLEST:
                raise
            at_once = max(SMALLEST, at_once // 2)
            if release is not None:
                release()
        else:
            start += at_once
    return np.concatenate(results)

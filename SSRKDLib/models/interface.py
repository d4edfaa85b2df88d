"""The interface between reconstruction and models, whichever networks stand behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

Query = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BoneField:
    """What a model knows of two located radiographs, for
    :func:`SSRKDLib.reconstruction.field.evaluate`.

    Attributes:
        query: canonical points ``[N, 3]`` mm to ``[N, bones]``, positive inside.
        band: see :func:`SSRKDLib.reconstruction.field.evaluate`.
        low, high: corners of the box in which it may be evaluated, ``(3,)`` mm each.
        margin: points to how far inside the model's own field of view they lie, ``[N]`` mm; None
            where the box is all that limits it.
        notes: sentences that belong to every result.
        where_judged: what ``query`` answers where every frame is judged
            (:func:`SSRKDLib.reconstruction.frame_quality.judged_points`), of a field that is the
            same for all; None: it is asked.
    """

    query: Query
    band: str | None
    low: np.ndarray
    high: np.ndarray
    margin: Callable[[np.ndarray], np.ndarray] | None = None
    notes: tuple[str, ...] = ()
    where_judged: np.ndarray | None = None

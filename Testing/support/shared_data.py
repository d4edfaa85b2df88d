"""Where the material shared between projects lies, and the rules that regenerate it."""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(os.environ.get("SSRKD_SHARED") or Path(__file__).resolve().parents[3] / "shared")

needs_shared = pytest.mark.skipif(
    not (SHARED / "official").is_dir(),
    reason=f"no shared material at {SHARED}; set SSRKD_SHARED to the folder that holds official/",
)


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers, float32, that depend on ``name`` alone."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    return np.asarray(random.standard_normal(shape)).astype(np.float32)


def official_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Key -> shape of ``seg``, ``ct`` or ``xray``, in the order of the published file."""
    shapes = {}
    for line in (SHARED / "official" / f"keys_{network}.txt").read_text().splitlines():
        key, shape, _ = line.split("\t")
        shapes[key] = tuple(int(n) for n in shape.strip("()").split(",") if n.strip())
    return shapes


def official_arrays(network: str) -> dict[str, np.ndarray]:
    """The weights that belong to ``parity_<network>.npz``, by the rule in OFFICIAL.md."""
    arrays = {}
    for key, shape in official_shapes(network).items():
        x = draw(key, shape)
        if key.endswith("num_batches_tracked"):
            x = np.array(7, dtype=np.int64)
        elif key.endswith("running_var"):
            x = 0.5 + np.abs(x)
        elif key.endswith("running_mean"):
            x = 0.1 * x
        elif len(shape) == 1:
            x = 1 + 0.1 * x if key.endswith("weight") else 0.05 * x
        else:
            x = x * np.float32(math.sqrt(2 / math.prod(shape[1:])))
        arrays[key] = x
    return arrays

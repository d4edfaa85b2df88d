"""The plot of the confidence: what was said of vertices and bones, and what is true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.system_errors import missing_package

_BINS = 8


def plot_calibration(rows: Sequence[dict], file: Path | BinaryIO) -> None:
    """Draw rows of :func:`SSRKDLib.evaluation.calibration.bone_rows` as PNG.

    Raises:
        MissingDependencyError: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", error) from error
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    vertices, bones = figure.subplots(1, 2)
    for bone in (None, *BONES):
        chosen = [row for row in rows if bone in (None, row["bone"])]
        said, share = _shares(chosen)
        colour, width = ("black", 2.5) if bone is None else (COLOURS[bone], 1.2)
        label = "all" if bone is None else bone
        vertices.plot(said, share, "o-", color=colour, linewidth=width, markersize=4, label=label)
        if bone is not None:
            expected = [row["expected"] for row in chosen]
            actual = [np.mean(row["off"]) for row in chosen]
            bones.plot(expected, actual, "o", color=colour, markersize=4, label=bone)
    vertices.axhline(0.9, color="grey", linestyle="--")
    vertices.set(ylim=(0.5, 1.0), xlabel="said to lie within, mm", ylabel="share that does")
    vertices.set_title("Vertices: nine of ten are to lie within")
    vertices.legend()
    reach = 1.1 * max(max(row["expected"], np.mean(row["off"])) for row in rows)
    bones.plot([0, reach], [0, reach], color="grey", linestyle="--")
    bones.set(xlim=(0, reach), ylim=(0, reach), xlabel="expected, mm", ylabel="mean distance, mm")
    bones.set_title("Bones")
    cases = len({row["case"] for row in rows})
    figure.suptitle(f"{cases} virtual people over good and bad input")
    for axes in (vertices, bones):
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)


def _shares(rows: Sequence[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Per bin of what was said: its median, and the share of vertices within what was said."""
    said = np.concatenate([row["within"] for row in rows])
    true = np.concatenate([row["off"] for row in rows]) <= said
    bins = np.array_split(np.argsort(said), _BINS)
    return np.array([np.median(said[b]) for b in bins]), np.array([true[b].mean() for b in bins])

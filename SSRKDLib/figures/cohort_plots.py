"""Plots of a cohort's results. Matplotlib is optional: whoever calls decides what to do without."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from SSRKDLib.clinical.definitions import DEFINITIONS
from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.output_folder import write_into
from SSRKDLib.core.system_errors import missing_package
from SSRKDLib.evaluation.cohort import EVALUATION
from SSRKDLib.evaluation.cohort_summary import TABLE


def write_plots(results: Sequence[dict], output: Path) -> list[Path]:
    """Write ``metrics.png`` (the table's figures by bone) and ``clinical.png`` (errors of clinical
    measures), one dot per case over a box from the first to the third quartile.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", error) from error
    metrics = Figure(figsize=(11, 7), layout="constrained")
    for axes, (measure, title, factor, _) in zip(metrics.subplots(2, 2).ravel(), TABLE):
        groups = [
            [factor * row[measure] for result in results for row in result["rows"]
             if row["bone"] == bone and row[measure] is not None]
            for bone in BONES
        ]  # fmt: skip
        _boxes(axes, groups, [bone.capitalize() for bone in BONES], [COLOURS[b] for b in BONES])
        axes.set_title(title)
        if measure != "dsc":
            axes.set_ylim(bottom=0.0)
    metrics.suptitle(f"{len(results)} cases, a dot per case")
    clinical = Figure(figsize=(11, 6), layout="constrained")
    parts = clinical.subplots(1, 3, width_ratios=[7, 2, 1])
    for axes, unit, label in zip(parts, ("deg", "mm", ""), ("degrees", "mm", "index")):
        chosen = [definition for definition in DEFINITIONS if definition.unit == unit]
        groups = [
            [row["error"] for result in results for row in result["clinical"]
             if row["measure"] == definition.name and row["error"] is not None]
            for definition in chosen
        ]  # fmt: skip
        names = [definition.name.replace("_", " ") for definition in chosen]
        _boxes(axes, groups, names, [(0.35, 0.35, 0.35)] * len(chosen))
        axes.axhline(0.0, color="black", linewidth=0.8)
        axes.tick_params(axis="x", labelrotation=40)
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
        axes.set_ylabel(f"reconstruction - reference, {label}")
    clinical.suptitle(f"Errors of clinical measures, {len(results)} cases")
    written = []
    for name, figure in (("metrics.png", metrics), ("clinical.png", clinical)):
        written.append(output / name)
        FigureCanvasAgg(figure)
        write_into(output, EVALUATION, name, partial(figure.savefig, format="png", dpi=110))
    return written


def _boxes(axes, groups: list[list[float]], names: list[str], colours: list[tuple]) -> None:
    """One box and its dots per group; an empty group keeps its place."""
    rng = np.random.default_rng(0)
    for place, (values, colour) in enumerate(zip(groups, colours)):
        if values:
            axes.boxplot(
                [values], positions=[place], widths=0.5, showfliers=False,
                medianprops={"color": "black"},
            )  # fmt: skip
            across = place + rng.uniform(-0.15, 0.15, len(values))
            axes.plot(across, values, "o", color=colour, markersize=3.5, alpha=0.7)
    axes.set_xticks(range(len(groups)), names)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.grid(axis="y", alpha=0.3)

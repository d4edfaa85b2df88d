"""Tables of distances, as CSV and for the terminal."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

from SSRKDLib.metrics import MEASURES
from SSRKDLib.results import write_text

#: Name of the file that holds a comparison.
FILE = "compare.csv"

_COLUMNS = ("bone", *MEASURES, "region_mm", "note")


def write_comparison(path: Path, rows: Sequence[dict]) -> None:
    """Write the rows of :func:`SSRKDLib.metrics.compare_meshes` as CSV.

    Measures have four decimals and are empty where there is none; ``region_mm`` is the judged box,
    two corners as JSON.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        measures = ["" if math.isnan(row[key]) else f"{row[key]:.4f}" for key in MEASURES]
        region = "" if row["region"] is None else json.dumps(row["region"])
        writer.writerow([row["bone"], *measures, region, row["note"]])
    write_text(path, text.getvalue())


def format_table(rows: Sequence[dict]) -> str:
    """The rows as a table for the terminal, several lines."""
    heads = ("bone", "ASSD mm", "ASSD mm (paper's)", "HD mm", "HD95 mm", "Dice")
    lines = ["  ".join([f"{heads[0]:<8}", *(f"{head:>{len(head)}}" for head in heads[1:])])]
    for row in rows:
        cells = [f"{row['bone']:<8}"]
        for head, key in zip(heads[1:], MEASURES):
            value = "-" if math.isnan(row[key]) else f"{row[key]:.3f}"
            cells.append(f"{value:>{len(head)}}")
        lines.append("  ".join([*cells, row["note"]]).rstrip())
    return "\n".join(lines)

"""Tables of distances, as CSV and for the terminal."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SSRKDLib.core.input_files import beginning
from SSRKDLib.core.output_file import write_file
from SSRKDLib.core.output_manifest import ResultKind
from SSRKDLib.evaluation.metrics import MEASURES, MORE_MEASURES

if TYPE_CHECKING:
    from SSRKDLib.evaluation.alignment import Alignment

#: Name of the file of a comparison.
FILE = "compare.csv"

#: How the reference was moved, in rows that :func:`note_alignment` has seen.
_ALIGNMENT = ("align", "residual_mm", "reference_to_recon")

_COLUMNS = ("bone", *MEASURES, "region_mm", "note", *MORE_MEASURES, *_ALIGNMENT)


def _earlier(folder: Path) -> Collection[str]:
    return {FILE} if beginning(folder / FILE, 100).startswith(b"bone,assd_mm,") else ()


#: What ``compare`` writes.
COMPARISON = ResultKind("comparison", _earlier)


def note_alignment(rows: Sequence[dict], mode: str, alignment: Alignment) -> None:
    """Put into every row (in place) how the reference's bone was moved before comparing.

    ``mode`` is one of :data:`SSRKDLib.evaluation.alignment.MODES`.
    """
    for row in rows:
        bone = row["bone"]
        row["align"] = mode
        row["residual_mm"] = alignment.residual_mm.get(bone, math.nan)
        if bone in alignment.matrices:
            row["reference_to_recon"] = np.round(alignment.matrices[bone], 8).ravel().tolist()


def write_comparison(path: Path, rows: Sequence[dict]) -> None:
    """Write the rows of :func:`SSRKDLib.evaluation.metrics.compare_meshes` as CSV.

    Measures have four decimals and are empty where there is none; ``region_mm`` is the box that
    is the evaluated part, two corners as JSON; ``reference_to_recon`` is the 4x4 matrix that the
    reference was moved by, row by row as JSON, mm.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        cells = {**row, "region_mm": row["region"]}
        writer.writerow([_cell(cells.get(column)) for column in _COLUMNS])
    write_file(path, text.getvalue())


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return value if isinstance(value, str) else json.dumps(value)


def rows_as_csv(rows: Sequence[dict]) -> str:
    """Dictionaries of the same keys as CSV, a row each, the keys as the head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


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


def markdown_table(lines: Sequence[dict]) -> str:
    """A table of lines that have the keys of the first, its columns; numbers with two decimals."""
    if not lines:
        return ""
    rows = ["| " + " | ".join(lines[0]) + " |", "|---" * len(lines[0]) + "|"]
    for line in lines:
        values = (line.get(key, "") for key in lines[0])
        cells = (f"{value:.2f}" if isinstance(value, float) else str(value) for value in values)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)

"""Clinical measures of one set of bones, as rows and as a file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence

from SSRKDLib.clinical.measures import Measure
from SSRKDLib.core.output_file import write_file

_COLUMNS = ("measure", "title", "unit", "value", "expected_error", "note")


def measure_rows(measures: Sequence[Measure]) -> list[dict]:
    """A row per measure, in their order.

    Keys: ``measure`` (its name), ``title``, ``unit``, ``value`` and ``expected_error`` (each None
    where there is none) and ``note``, which says why a value is missing, and what to mind.

    Args:
        measures: of :func:`~SSRKDLib.clinical.measures.measure`.
    """
    return [
        {
            "measure": one.name,
            "title": one.title,
            "unit": one.unit,
            "value": one.value,
            "expected_error": one.expected_error,
            "note": one.note,
        }
        for one in measures
    ]


def write_measures(path: str | os.PathLike, rows: Sequence[Mapping]) -> None:
    """Write rows of :func:`measure_rows` as CSV (UTF-8, a comma between columns).

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, text.getvalue())

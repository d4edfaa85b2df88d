"""What a cohort's results come to: tables, statistics with confidence intervals, files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from SSRKDLib.clinical.definitions import DEFINITIONS
from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.messages import one_line
from SSRKDLib.core.output_folder import write_into
from SSRKDLib.evaluation.cohort import EVALUATION
from SSRKDLib.evaluation.metrics import MEASURES

#: Columns of the table: the mean of a case's bones, then each bone.
COLUMNS: tuple[str, ...] = ("mean", *BONES)

#: Rows of the table, in the form of the paper's: measure, title, factor, decimals.
TABLE: tuple[tuple[str, str, float, int], ...] = (
    ("dsc", "DSC (%)", 100.0, 1),
    ("hd_mm", "HD (mm)", 1.0, 2),
    ("assd_paper_mm", "ASSD (mm), paper's protocol", 1.0, 2),
    ("assd_mm", "ASSD (mm), point to surface", 1.0, 2),
)

#: What the paper's authors publish, on their own data (Lin et al., arXiv 2508.13947).
PUBLISHED: dict[str, tuple[float, ...]] = {
    "dsc": (90.9, 87.5, 96.1, 84.1, 96.0),
    "hd_mm": (2.76, 3.30, 2.20, 2.87, 2.06),
    "assd_paper_mm": (0.94, 1.12, 0.80, 1.05, 0.77),
}

STATISTICS = ("n", "missing", "mean", "sd", "median", "p95", "ci95_low", "ci95_high")

_RESAMPLES = 2000


def statistics(values: Sequence[float | None]) -> dict:
    """The keys of :data:`STATISTICS` for one figure of all cases.

    ``missing`` counts None, which enters nothing else. ``sd`` has n - 1 below. The interval holds
    the mean with 95 % confidence: percentiles of the means of resampled cases (Efron's bootstrap;
    the same values, the same interval). What cannot be computed is NaN.
    """
    known = np.array([value for value in values if value is not None], dtype=float)
    result = dict.fromkeys(STATISTICS, float("nan"))
    result |= {"n": len(known), "missing": len(values) - len(known)}
    if not len(known):
        return result
    result |= {"mean": float(known.mean()), "median": float(np.median(known))}
    result["p95"] = float(np.percentile(known, 95))
    if len(known) > 1:
        result["sd"] = float(known.std(ddof=1))
        chosen = np.random.default_rng(0).integers(len(known), size=(_RESAMPLES, len(known)))
        low, high = np.percentile(known[chosen].mean(axis=1), [2.5, 97.5])
        result |= {"ci95_low": float(low), "ci95_high": float(high)}
    return result


def summarise(results: Sequence[dict]) -> list[dict]:
    """A row per measure and column: ``measure``, ``bone`` (or ``mean``) and the statistics.

    A case that failed, and a bone that is in no reconstruction, count as missing.
    """
    rows = []
    for measure in MEASURES:
        for column in COLUMNS:
            values = [_figure(result, column, measure) for result in results]
            rows.append({"measure": measure, "bone": column, **statistics(values)})
    return rows


def summarise_clinical(results: Sequence[dict]) -> list[dict]:
    """A row per clinical measure: ``measure``, ``title``, ``unit``, ``reference_mean``,
    ``mean_absolute_error``, the statistics of the error (reconstruction minus reference) and
    ``mean_expected_error``, what the reconstructions said themselves."""
    rows = []
    for definition in DEFINITIONS:
        found = [
            next((row for row in result["clinical"] if row["measure"] == definition.name), {})
            for result in results
        ]
        errors = [row.get("error") for row in found]
        known = [error for error in errors if error is not None]
        expected = [row.get("expected_error") for row in found]
        expected = [error for error in expected if error is not None]
        truths = [row["reference"] for row in found if row.get("reference") is not None]
        rows.append(
            {
                "measure": definition.name,
                "title": definition.title,
                "unit": definition.unit,
                "reference_mean": float(np.mean(truths)) if truths else float("nan"),
                "mean_absolute_error": float(np.mean(np.abs(known))) if known else float("nan"),
                **statistics(errors),
                "mean_expected_error": float(np.mean(expected)) if expected else float("nan"),
            }
        )
    return rows


def _figure(result: dict, bone: str, measure: str) -> float | None:
    return next((row[measure] for row in result["rows"] if row["bone"] == bone), None)


def format_summary(results: Sequence[dict]) -> str:
    """The table in the form of the published one, with theirs beside, and the clinical measures."""
    rows = {(row["measure"], row["bone"]): row for row in summarise(results)}
    failed = [result for result in results if result["error"]]
    missing = sum(rows["assd_mm", bone]["missing"] for bone in BONES)
    lines = [
        f"{len(results)} cases, mean ± SD over cases:",
        "",
        "| | Average | Patella | Femur | Fibula | Tibia |",
        "|---|---|---|---|---|---|",
    ]
    for measure, title, factor, digits in TABLE:
        cells = [_cell(rows[measure, column], factor, digits) for column in COLUMNS]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
        if measure in PUBLISHED:
            theirs = " | ".join(f"{value:.{digits}f}" for value in PUBLISHED[measure])
            lines.append(f"| *{title.split(',')[0]}, published by the authors* | {theirs} |")
    lines += ["", "The authors' figures are theirs, on their own data (arXiv 2508.13947)."]
    if missing:
        lines += [
            "",
            f"**{missing} of {len(results) * len(BONES)} bones could not be evaluated** "
            f"({len(failed)} of {len(results)} cases failed); the means are of the others.",
        ]
    lines += [f"- {result['case']}: {result['error']}" for result in failed]
    lines += [
        "",
        "Clinical measures, error = reconstruction - reference:",
        "",
        "| | cases | reference, mean | mean error ± SD | mean absolute error | expected |",
        "|---|---|---|---|---|---|",
    ]
    for row in summarise_clinical(results):
        unit = f" ({row['unit']})" if row["unit"] else ""
        lines.append(
            f"| {row['title']}{unit} | {row['n']} | {_number(row['reference_mean'], 2)} | "
            f"{_cell(row, 1.0, 2)} | {_number(row['mean_absolute_error'], 2)} | "
            f"{_number(row['mean_expected_error'], 2)} |"
        )
    return "\n".join(lines) + "\n"


def _cell(row: dict, factor: float, digits: int) -> str:
    return f"{_number(factor * row['mean'], digits)} ± {_number(factor * row['sd'], digits)}"


def _number(value: float, digits: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def write_summary(results: Sequence[dict], output: Path) -> None:
    """Write ``metrics.csv`` (a row per case and bone), ``clinical.csv`` (a row per case and
    measure), ``summary.csv``, ``clinical_summary.csv`` and ``summary.md``.

    A case that failed is one row in the first two, with its reason.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    cases = [("case", "bone", *MEASURES, "note", "side", "seconds", "warnings")]
    clinical = [
        ("case", "measure", "unit", "reconstruction", "reference", "error", "note",
         "expected_error")
    ]  # fmt: skip
    for result in results:
        if result["error"]:
            nothing = [None] * len(MEASURES)
            cases.append((result["case"], "", *nothing, result["error"], "", None, ""))
            clinical.append((result["case"], "", "", None, None, None, result["error"], None))
        about = (result["side"], result["seconds"], " ".join(result["warnings"]))
        for row in result["rows"]:
            if row["bone"] != "mean":
                figures = (row[key] for key in MEASURES)
                cases.append((result["case"], row["bone"], *figures, row["note"], *about))
        for row in result["clinical"]:
            clinical.append((result["case"], *(row.get(key) for key in clinical[0][1:])))
    _write_csv(output, "metrics.csv", cases)
    _write_csv(output, "clinical.csv", clinical)
    for name, rows in (
        ("summary.csv", summarise(results)),
        ("clinical_summary.csv", summarise_clinical(results)),
    ):
        _write_csv(output, name, [tuple(rows[0]), *(tuple(row.values()) for row in rows)])
    write_into(output, EVALUATION, "summary.md", format_summary(results))


def _write_csv(output: Path, name: str, rows: Sequence[tuple]) -> None:
    """Figures with four decimals; None and NaN are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow(
            ["" if _is_empty(cell) else f"{cell:.4f}" if isinstance(cell, float) else as_text(cell)
             for cell in row]
        )  # fmt: skip
    write_into(output, EVALUATION, name, text.getvalue())


def as_text(cell: object) -> object:
    """A cell that a spreadsheet takes for text, not for a formula, and a terminal for a line."""
    if not isinstance(cell, str):
        return cell
    cell = one_line(cell)
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell


def _is_empty(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and np.isnan(cell))

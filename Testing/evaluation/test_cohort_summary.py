"""Statistics of a cohort's figures."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation.cohort_summary import (
    format_summary,
    statistics,
    summarise,
    summarise_clinical,
)


def test_confidence_intervals_are_repeatable_and_cover_the_mean():
    rng = np.random.default_rng(5)
    values = list(rng.normal(10.0, 2.0, 40))
    first = statistics(values)
    assert first == statistics(values)
    # For a normal sample the bootstrap's interval is that of the textbook.
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(40)
    assert first["ci95_low"] == pytest.approx(np.mean(values) - half, abs=0.12)
    assert first["ci95_high"] == pytest.approx(np.mean(values) + half, abs=0.12)
    covered = 0
    for _ in range(200):
        found = statistics(list(rng.normal(10.0, 2.0, 30)))
        covered += found["ci95_low"] <= 10.0 <= found["ci95_high"]
    assert 0.88 <= covered / 200 <= 0.99


def test_what_is_missing_counts_and_enters_nothing():
    found = statistics([1.0, None, 3.0])
    assert (found["n"], found["missing"], found["mean"]) == (2, 1, 2.0)
    assert found["sd"] == pytest.approx(np.sqrt(2.0))
    alone = statistics([1.0])
    assert alone["mean"] == 1.0 and np.isnan(alone["sd"]) and np.isnan(alone["ci95_low"])
    nothing = statistics([None, None])
    assert (nothing["n"], nothing["missing"]) == (0, 2) and np.isnan(nothing["mean"])


def test_clinical_summary_has_signed_and_absolute_means():
    def result(error: float | None) -> dict:
        row = {"measure": "tibiofemoral_angle", "error": error, "reference": 5.0}
        return {"case": "x", "error": "", "rows": [], "clinical": [row]}

    rows = summarise_clinical([result(-1.0), result(3.0), result(None)])
    found = next(row for row in rows if row["measure"] == "tibiofemoral_angle")
    assert (found["n"], found["missing"], found["mean"]) == (2, 1, 1.0)
    assert found["mean_absolute_error"] == 2.0 and found["reference_mean"] == 5.0


def test_the_table_is_that_of_the_paper():
    row = {"hd_mm": 2.0, "hd95_mm": 1.0, "assd_mm": 0.5, "assd_paper_mm": 0.75, "dsc": 0.905}
    rows = [{"bone": bone, **row} for bone in ("mean", *BONES)]
    result = {"case": "x", "error": "", "rows": rows, "clinical": []}
    text = format_summary([result, result])
    assert "| DSC (%) | 90.5 ± 0.0 |" in text
    assert "| HD (mm) | 2.00 ± 0.00 |" in text
    assert "| ASSD (mm), paper's protocol | 0.75 ± 0.00 |" in text
    assert "| *ASSD (mm), published by the authors* | 0.94 | 1.12 | 0.80 | 1.05 | 0.77 |" in text
    assert "| ASSD (mm), point to surface | 0.50 ± 0.00 |" in text
    assert {row["n"] for row in summarise([result, result])} == {2}

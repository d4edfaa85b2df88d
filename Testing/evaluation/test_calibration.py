"""How right the confidence is: numbers that are known are learnt again, and the plot is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.clinical.definitions import DEFINITIONS
from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation.calibration import calibrated, measures_table, virtual_cases
from SSRKDLib.evaluation.tables import markdown_table
from SSRKDLib.figures.calibration_plot import plot_calibration
from SSRKDLib.reconstruction.fitting.confidence import CONSTANTS, RATES, WITHIN


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """Bones whose errors are as the program says: uniform up to a ninth more than 'within'."""
    rng, made = np.random.default_rng(3), []
    for case in range(120):
        for bone in BONES:
            told = np.array(
                [*rng.normal([-0.5, -3.5, 0.0], [0.5, 0.6, 0.4]), float(rng.random() < 0.3)]
            )
            expected = float(np.exp(CONSTANTS[bone] + RATES @ told))
            shares = rng.uniform(0.5, 1.5, 200)
            off = expected * shares / shares.mean() * rng.uniform(0, 2, 200)
            made.append(
                {
                    "case": str(case), "kind": "rigid", "bone": bone, "covariates": told.tolist(),
                    "expected": expected, "off": off.tolist(),
                    "within": (WITHIN * expected * shares / shares.mean()).tolist(),
                }
            )  # fmt: skip
    return made


def test_known_numbers_are_learnt_again(rows):
    found = calibrated(rows)
    assert found.rates == pytest.approx(RATES, abs=0.03)
    for bone in BONES:
        assert found.constants[bone] == pytest.approx(CONSTANTS[bone], abs=0.1)
    # Errors are uniform from 0 to twice the expected one: nine of ten lie within 1.8 times.
    assert found.within == pytest.approx(1.8, abs=0.03)


def test_with_known_rates_only_the_constants_are_learnt(rows):
    found = calibrated(rows, RATES)
    assert (found.rates == RATES).all()
    assert found.constants == pytest.approx(CONSTANTS, abs=0.03)


def test_the_plot_is_drawn(rows, tmp_path):
    plot_calibration(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_of_measures_counts_errors_and_what_was_said():
    name = DEFINITIONS[0].name
    errors = (("a", -1.0, 2.0), ("b", 3.0, 1.0), ("c", None, None))
    rows = [
        {"case": case, "measure": name, "error": error, "expected_error": said, "off": 0.5}
        for case, error, said in errors
    ]
    line = measures_table(rows)[0]
    assert (line["cases"], line["missing"]) == (2, 1)
    assert (line["error"], line["bias"], line["expected"]) == (2.0, 1.0, 1.5)
    assert (line["within 2.5 times"], line["per mm"]) == (0.5, 4.0)
    assert (
        markdown_table([line]).splitlines()[2].startswith("| Posterior tibial slope, medial | deg")
    )


def test_a_virtual_case_is_told_as_it_was_taken_where_nothing_is_wrong():
    (case,) = virtual_cases(1, 5)
    (lateral,) = virtual_cases(1, 5, "lateral")
    assert [view.name for view in lateral.rig.views] == ["lateral"]
    assert (lateral.exposures[0].line_integral == case.exposures[1].line_integral).all()
    assert case.kind == "rigid" and case.pair.motions is None
    for view, exposure in zip(case.rig.views, case.exposures):
        assert exposure.view is view
        assert exposure.valid.all() and np.isfinite(exposure.line_integral).all()

"""What makes an evaluation quick where what is tested is neither its numbers nor its plots."""

from __future__ import annotations

import pytest

from SSRKDLib.evaluation import comparison, metrics
from SSRKDLib.evaluation.metrics import compare_meshes
from SSRKDLib.figures import cohort_plots


@pytest.fixture
def plotted() -> None:
    """For a test that looks at the plots: ``quick`` draws them, too."""


@pytest.fixture
def quick(request, monkeypatch) -> None:
    """Few points per surface, and no plots: they take as long as all else."""

    def measured(recon, reference, region=None, **options):
        return compare_meshes(recon, reference, region, **{**options, "samples": 1000})

    monkeypatch.setattr(comparison, "compare_meshes", measured)
    monkeypatch.setattr(metrics, "PAPER_POINTS", 500)
    if "plotted" not in request.fixturenames:
        monkeypatch.setattr(cohort_plots, "write_plots", lambda results, output: [])

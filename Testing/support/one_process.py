"""What one process at a time would do is done in this one: quicker, and parts can be replaced."""

from __future__ import annotations

import pytest

from SSRKDLib.core.processes import run_in_processes
from SSRKDLib.evaluation import cohort


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every test of a file that imports it."""

    def here(function, items, count, ended):
        return run_in_processes(function, items, count, None if count == 1 else ended)

    monkeypatch.setattr(cohort, "run_in_processes", here)

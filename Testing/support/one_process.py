"""What one process at a time would do is done in this one: quicker, and parts can be replaced."""

from __future__ import annotations

import pytest

from SSRKDLib.core import processes


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every test of a file that imports it."""
    pooled = processes._pooled

    def here(function, items, count):
        return map(function, items) if count == 1 else pooled(function, items, count)

    monkeypatch.setattr(processes, "_pooled", here)

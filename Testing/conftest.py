"""Tests share a machine: two threads are enough for torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from Testing.packaging import installed  # noqa: F401  (a fixture for every test)
from Testing.system_packages import pytest_terminal_summary  # noqa: F401  (pytest calls it)

torch.set_num_threads(min(2, torch.get_num_threads()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side run files, but the module's in one process and in order: they share a bench."""
    for item in items:
        group = "module" if Path(item.path).parent.name == "module" else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))

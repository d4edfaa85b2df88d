"""Tests share a machine: two threads are enough for torch."""

from __future__ import annotations

import os

import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

from SSRKDLib.core import reading_child
from Testing.packaging import installed  # noqa: F401  (a fixture for every test)
from Testing.support.prepared_cases import processed  # noqa: F401  (likewise)
from Testing.system_packages import pytest_unconfigure  # noqa: F401  (pytest calls it)

torch.set_num_threads(min(2, torch.get_num_threads()))

#: What is run in one process and in order, though it is several files: the module's share a bench,
#: the trainings their cases.
TOGETHER = ("Testing/module/", "Testing/training/")

#: What takes longest, longest first: begun first, so that nothing long is left for the end.
LONGEST = (
    *TOGETHER,
    "Testing/reconstruction/test_radiographs.py",
    "Testing/reconstruction/test_explanations.py",
    "Testing/evaluation/test_alignment.py",
    "Testing/cli/test_evaluate.py",
    "Testing/cli/test_compare.py",
    "Testing/worker/test_server.py",
    "Testing/golden/test_golden.py",
    "Testing/cli/test_prepare.py",
    "Testing/weights/test_official_import.py",
    "Testing/reconstruction/test_fitting.py",
    "Testing/figures/test_overview.py",
    "Testing/cli/test_commands.py",
)


class Files(LoadScopeScheduling):
    """Side by side run files, so that each makes what its tests share once. (xdist's own groups
    rename tests, which pytest 9 no longer lets it.)"""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((room for room in TOGETHER if file.startswith(room)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Files:
    """How xdist shares tests out."""
    config.option.loadscopereorder = False
    return Files(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: the module's tests wait for their worker, trainings for
    processes of their own, and a core would idle."""
    return (os.cpu_count() or 1) + 1


def pytest_sessionfinish() -> None:
    """The process that reads files ends by itself: one that is killed does not tell ``make
    coverage`` which lines it ran."""
    child = reading_child._child
    if child is not None and child.process.poll() is None:
        child.process.stdin.close()
        child.process.wait(10)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""

    def rank(item: pytest.Item) -> int:
        found = (n for n, place in enumerate(LONGEST) if item.nodeid.startswith(place))
        return next(found, len(LONGEST))

    items.sort(key=rank)

"""``make gpu-check``: a line for every test that needs a GPU or a package built for one."""

from __future__ import annotations

import sys
from importlib import metadata

import pytest


class Lines:
    """Prints package, version, and passed or why not."""

    def __init__(self) -> None:
        self._package: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            self._package[item.nodeid] = item.get_closest_marker("package").args[0]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        package = self._package[report.nodeid]
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            version = "-"
        outcome = report.outcome
        if report.skipped:
            outcome = f"skipped: {report.longrepr[2].removeprefix('Skipped: ')}"
        elif report.failed:
            outcome = f"FAILED: {str(report.longrepr).splitlines()[-1]}"
        name = report.nodeid.rpartition("::")[2]
        print(f"{package:<10} {version:<14} {name}: {outcome}", flush=True)


if __name__ == "__main__":
    options = ["-o", "addopts=--strict-markers", "-p", "no:terminal", "Testing/gpu"]
    sys.exit(pytest.main(options, plugins=[Lines()]))

"""``make gpu-check``: a line for every test that needs a GPU or a package built for one, and what a
GPU gains."""

from __future__ import annotations

import sys
import time
from importlib import metadata

import pytest
import torch

from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.reconstruction.choices import SURFACES
from SSRKDLib.reconstruction.radiographs import reconstruct
from Testing.support.bundled import plain_case


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


def speed() -> None:
    """Print what a virtual knee takes on the GPU, and on one core beside it."""
    _, rig, exposures = plain_case()
    torch.set_num_threads(1)
    print(f"\nTwo radiographs to four meshes at 1 mm: {torch.cuda.get_device_name(0)}, one core")
    models = {device: KneeModel.load(None, device) for device in ("cuda", "cpu")}
    for surface in SURFACES:
        torch.cuda.reset_peak_memory_stats()
        seconds = {}
        for device, rounds in (("cuda", 3), ("cpu", 1)):  # the GPU's first round compiles
            for _ in range(rounds):
                begin = time.perf_counter()
                reconstruct(exposures, rig, models[device], 1.0, surface=surface)
                seconds[device] = time.perf_counter() - begin
        peak = torch.cuda.max_memory_allocated() / 2**20
        print(
            f"{surface:<8} GPU {seconds['cuda']:.2f} s ({peak:.0f} MiB of its memory), "
            f"core {seconds['cpu']:.2f} s"
        )


if __name__ == "__main__":
    options = ["-o", "addopts=--strict-markers", "-p", "no:terminal", "Testing/gpu"]
    code = pytest.main([*options, *sys.argv[1:]], plugins=[Lines()])
    if torch.cuda.is_available():
        speed()
    sys.exit(code)

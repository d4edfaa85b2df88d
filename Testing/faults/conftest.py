"""``pytest Testing/faults`` also runs the faults of single rooms, which are tested there."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent

ELSEWHERE = (
    "core/test_output_file.py",
    "core/test_output_folder.py",  # killed at every step, full disks, files of others
    "core/test_processes.py",
    "core/test_reading_child.py",
    "ct/test_reading.py",  # every ill series
    "images/test_volumes.py",  # decimal comma, units
    "module/test_worker_client.py",  # deaf, slow and dying workers
    "weights/test_bundle.py",
    "weights/test_storage.py",
    "worker/test_server.py",
)


def pytest_configure(config: pytest.Config) -> None:
    if [Path(argument).resolve() for argument in config.args] == [HERE]:
        config.args += [str(HERE.parent / file) for file in ELSEWHERE]

"""The process of a command is ended from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_command_that_is_ended_leaves_nothing(tmp_path, number):
    out = tmp_path / "new" / "out"
    command = [sys.executable, "-m", "SSRKDLib", "simulate", "--person", "20", "-o", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob("new/.out.*.new")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.Signals[number])
    wanted = 130 if number == "SIGINT" else 128 + signal.Signals[number]
    assert process.returncode == wanted
    assert not list(tmp_path.iterdir())

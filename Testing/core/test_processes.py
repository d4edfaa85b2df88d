"""Processes have one thread each from their start, and what they return comes in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from SSRKDLib.core import processes
from SSRKDLib.core.errors import DeviceMemoryError
from SSRKDLib.core.processes import process_count, run_in_processes
from Testing.structure.repository import ROOT

START = Path("/proc/self/environ")


def test_results_come_in_the_order_of_the_items():
    assert list(run_in_processes(abs, [-3, 2, -1], 2)) == [3, 2, 1]
    assert list(run_in_processes(abs, [-3, 2], 1)) == [3, 2]


@pytest.mark.skipif(not START.exists(), reason="the system does not show a process's first lines")
def test_a_process_has_one_thread_before_it_imports_anything(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    for at_start in run_in_processes(Path.read_bytes, [START] * 2, 2):
        assert {b"OMP_NUM_THREADS=1", b"MKL_NUM_THREADS=1"} <= set(at_start.split(b"\0"))
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ


@pytest.mark.skipif(os.name == "nt", reason="a terminal's signals")
def test_an_interrupt_from_the_terminal_is_the_parents_from_the_first_moment_on(monkeypatch):
    start = SpawnProcess.start

    def interrupted(process):
        start(process)
        os.kill(process.pid, signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert list(run_in_processes(abs, [-3, 2], 2)) == [3, 2]
    assert signal.getsignal(signal.SIGINT) == before
    with ThreadPoolExecutor(1) as threads:  # which may not say so
        monkeypatch.setattr(SpawnProcess, "start", start)
        assert threads.submit(list, run_in_processes(abs, [-3, 2], 2)).result() == [3, 2]


def test_a_process_that_is_killed_is_reported():
    with pytest.raises(DeviceMemoryError, match="fewer --processes"):
        list(run_in_processes(os._exit, [9, 9], 2))


@pytest.mark.parametrize(("memory", "wanted"), [(10e9, 4), (2.5e9, 2), (0.1e9, 1)])
def test_cores_and_memory_limit_the_number(monkeypatch, memory, wanted):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(processes, "_free_memory", lambda: memory)
    assert process_count(1e9) == wanted


@pytest.mark.parametrize(
    ("count", "end"), [(1, "os')._exit(9)"), (2, "os')._exit(9)"), (2, "sys').exit('text')")]
)
def test_an_item_that_ends_its_process_costs_no_other(count, end):
    items = ["1 + 1", f"__import__('{end}", "1 + 2"]
    assert list(run_in_processes(eval, items, count, ended=len)) == [2, len(items[1]), 3]
    assert list(run_in_processes(eval, items[1:2], count, ended=len)) == [len(items[1])]


def test_an_item_that_raises_tells_where():
    with pytest.raises(ZeroDivisionError) as caught:
        list(run_in_processes(eval, ["1", "1 / 0"], 2))
    assert 'File "<string>", line 1' in str(caught.value.__cause__)


def _ends_beside_another(item: tuple[Path, str]) -> list[str]:
    """What is at work after a while; "greedy" ends its process the first time, beside another."""
    folder, name = item
    ended = folder.parent / "ended"
    (folder / name).touch()
    try:
        while not ended.exists():
            if name == "greedy" and len(list(folder.iterdir())) == 2:
                ended.touch()
                sys.exit(9)
            time.sleep(0.02)
        time.sleep(0.2)
        return sorted(os.listdir(folder))
    finally:
        (folder / name).unlink()


def test_an_item_that_ends_its_process_beside_another_is_begun_again_alone(tmp_path):
    (tmp_path / "at work").mkdir()
    items = [(tmp_path / "at work", name) for name in ("first", "greedy", "third")]
    found = list(run_in_processes(_ends_beside_another, items, 2, ended=pytest.fail))
    assert found[0][0] == "first" and found[1:] == [["greedy"], ["third"]]


@pytest.mark.parametrize("count", [1, 2])
def test_a_script_without_a_guard_is_told_so_and_no_item_is_blamed(tmp_path, count):
    script = tmp_path / "script.py"
    script.write_text(
        "from SSRKDLib.core.processes import run_in_processes\n"
        f"print(list(run_in_processes(abs, [-1, -2], {count}, ended=abs)))\n"
    )
    done = subprocess.run(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and not done.stdout
    assert "SSRKDError: A process ended before it began its work." in done.stderr
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_processes_end_with_the_one_that_began_them_and_leave_nothing(tmp_path, number):
    scratch, script = tmp_path / "scratch", tmp_path / "script.py"
    scratch.mkdir()
    item = (
        "import tempfile, time\n"
        "with tempfile.TemporaryDirectory():\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(100)\n"
    )
    script.write_text(
        "import signal\n"
        "from SSRKDLib.__main__ import _end\n"
        "from SSRKDLib.core.processes import run_in_processes\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGTERM, _end)\n"
        f"    list(run_in_processes(exec, [{item!r}] * 3, 1, ended=abs))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    with subprocess.Popen(
        [sys.executable, script], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.Signals[number])
        # Its end comes when the last process that could write is gone.
        assert process.communicate(timeout=60)[0] == ""
    assert process.returncode in (128 + signal.Signals[number], -signal.Signals[number])
    assert not list(scratch.iterdir())

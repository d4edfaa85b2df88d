"""The worker seen from Slicer: started on use, alive between jobs, cancelled, killed, replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import qt
import SimpleITK as sitk
import slicer

from SSRKDLib.core.errors import Cancelled
from Testing.module.cases import ROOT, loadRadiographs, loadSampleFiles, waitUntil, writeRadiographs
from Testing.support.asymmetric_rig import asymmetric


@pytest.fixture
def worker(module):
    from SSRKDSlicer.worker.worker_client import WorkerClient

    made = []

    def make(command=None):
        made.append(WorkerClient(command))
        return made[-1]

    yield make
    for one in made:
        one.stop()


class Ears:
    """Keeps what a job says."""

    def __init__(self):
        self.progress, self.results, self.errors = [], [], []

    def callbacks(self):
        return {
            "onProgress": lambda *step: self.progress.append(step),
            "onDone": self.results.append,
            "onFailed": self.errors.append,
        }


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


SLEEPER = """
import sys, time
from SSRKDLib.worker.server import serve_standard_streams
def deaf(request, progress):
    progress("start", 0.1, "Sleeping")
    time.sleep(600)
def echo(request, progress):
    return {"said": request["say"]}
def crash(request, progress):
    import os
    print("the last words", file=sys.stderr, flush=True)
    os._exit(3)
def native(request, progress):
    import ctypes
    progress("read", 0.1, "Reading")
    ctypes.string_at(0)
serve_standard_streams({"deaf": deaf, "echo": echo, "crash": crash, "native": native})
"""


@pytest.fixture
def odd(worker):
    """A worker with tasks that misbehave, behind the launcher like the real one."""
    from SSRKDSlicer.worker.worker_client import workerCommand

    return worker([workerCommand()[0], "-c", SLEEPER])


def test_worker_starts_with_the_first_job_and_stays(odd):
    assert not odd.running
    pids = []
    for word in ("one", "two"):
        ears = Ears()
        job = odd.submit({"do": "echo", "say": word}, **ears.callbacks())
        waitUntil(lambda job=job: job.finished)
        assert ears.results == [{"said": word}]
        assert not ears.errors
        pids.append(odd._pid)
    assert pids[0] == pids[1]
    assert alive(pids[0])


def test_worker_that_does_not_listen_is_ended_within_a_second(odd):
    ears = Ears()
    job = odd.submit({"do": "deaf"}, **ears.callbacks())
    waitUntil(lambda: ears.progress and ears.progress[-1][0] == "start")
    pid, start = odd._pid, time.monotonic()
    job.cancel()
    waitUntil(lambda: job.finished)
    assert time.monotonic() - start < 3.0  # 0.7 s by design; a busy machine may be late
    assert [type(error) for error in ears.errors] == [Cancelled]
    waitUntil(lambda: not alive(pid), "the end of the worker behind the launcher")
    again = Ears()
    job = odd.submit({"do": "echo", "say": "here"}, **again.callbacks())
    waitUntil(lambda: job.finished)
    assert again.results == [{"said": "here"}]


def test_worker_that_crashes_gives_a_sentence_and_its_last_words(odd):
    ears = Ears()
    job = odd.submit({"do": "crash"}, **ears.callbacks())
    waitUntil(lambda: job.finished)
    (error,) = ears.errors
    assert "ended in the middle" in error.cause
    assert "Click again" in error.remedy
    assert "the last words" in error.log
    again = Ears()
    job = odd.submit({"do": "echo", "say": "back"}, **again.callbacks())
    waitUntil(lambda: job.finished)
    assert again.results == [{"said": "back"}]


def test_worker_that_crashes_in_native_code_names_what_it_read(odd):
    ears = Ears()
    job = odd.submit({"do": "native", "ct": "/somewhere/ct.nrrd"}, **ears.callbacks())
    waitUntil(lambda: job.finished)
    (error,) = ears.errors
    assert "crashed in native code while 'ct.nrrd' was read (Segmentation fault)" in error.cause
    assert "memory" not in error.remedy and "string_at" in error.log


def test_worker_that_does_not_answer_is_ended_and_said(worker, odd, monkeypatch):
    from SSRKDSlicer.worker import worker_client

    monkeypatch.setattr(worker_client, "PING_MS", 100)
    monkeypatch.setattr(worker_client, "DEAF", 3)
    code = 'import os, time; print(\'{"event":"ready","pid":%d}\' % os.getpid(), flush=True); '
    client = worker([worker_client.workerCommand()[0], "-c", code + "time.sleep(600)"])
    ears = Ears()
    job = client.submit({"do": "echo"}, **ears.callbacks())
    waitUntil(lambda: job.finished)
    assert "did not answer any more" in ears.errors[0].cause and not client.running
    # One that is at work answers.
    monkeypatch.setattr(worker_client, "DEAF", 60)
    ears = Ears()
    job = odd.submit({"do": "deaf"}, **ears.callbacks())
    waitUntil(lambda: ears.progress)
    monkeypatch.setattr(worker_client, "DEAF", 10)
    waitUntil(lambda: odd._unanswered == 0)
    assert odd.running and not job.finished


def test_worker_killed_from_outside_fails_all_its_jobs_once(odd):
    first, second = Ears(), Ears()
    odd.submit({"do": "deaf"}, **first.callbacks())
    job = odd.submit({"do": "echo", "say": "never"}, **second.callbacks())
    waitUntil(lambda: first.progress)
    os.kill(odd._pid, signal.SIGKILL)
    waitUntil(lambda: job.finished)
    assert len(first.errors) == len(second.errors) == 1
    assert not second.results


def test_worker_lifetime_outlasts_its_own_signals(worker, odd):
    """Its process is never deleted while it tells that it failed, ended or said something: PythonQt
    would delete it at once with its last reference, and Slicer would crash."""
    from Testing.bench import application, faults

    before = slicer.app.findChildren(qt.QProcess)  # the panel's own worker may live on

    def end(client, ask):
        ears = Ears()
        job = client.submit({"do": ask}, **ears.callbacks())
        if ask == "deaf":
            waitUntil(lambda: ears.progress)
            client.stop()
        waitUntil(lambda: job.finished)
        assert len(ears.errors) == 1
        application.settle()

    end(worker(["/nowhere/at/all/PythonSlicer", "-m", "SSRKDLib"]), "echo")
    end(odd, "crash")
    end(odd, "deaf")
    stopped = Ears()
    job = odd.submit(
        {"do": "deaf"}, onProgress=lambda *_: odd.stop(), onFailed=stopped.errors.append
    )
    waitUntil(lambda: job.finished)
    application.settle()
    assert len(stopped.errors) == 1
    assert faults.take() == []
    assert slicer.app.findChildren(qt.QProcess) == before


def test_worker_that_cannot_be_started_is_said(worker):
    client = worker(["/nowhere/at/all/PythonSlicer", "-m", "SSRKDLib"])
    ears = Ears()
    job = client.submit({"do": "echo"}, **ears.callbacks())
    waitUntil(lambda: job.finished)
    (error,) = ears.errors
    assert "could not be started" in error.cause
    assert not client.running


def test_worker_without_slicers_python_is_said(worker, monkeypatch):
    import SSRKDSlicer.worker.worker_client as client

    monkeypatch.setattr(client.shutil, "which", lambda *a, **k: None)
    ears = Ears()
    job = worker().submit({"do": "describe"}, **ears.callbacks())
    assert job.finished
    assert "PythonSlicer" in ears.errors[0].cause


def test_worker_ends_with_its_client(odd):
    ears = Ears()
    odd.submit({"do": "deaf"}, **ears.callbacks())
    waitUntil(lambda: ears.progress)
    pid = odd._pid
    odd.stop()
    waitUntil(lambda: not alive(pid), "the end of the worker")
    assert "stopped" in ears.errors[0].cause


def test_worker_describes_the_installation(worker):
    ears = Ears()
    job = worker().submit({"do": "describe"}, **ears.callbacks())
    waitUntil(lambda: job.finished)
    from SSRKDSlicer.worker.installation import describeInstallation

    lines = describeInstallation(ears.results[0])
    assert any(line.startswith("✓ PyTorch 2") for line in lines)
    assert "✓ weights virtual-knee" in lines


def test_worker_job_folders_are_private_and_removed(module, slicer, monkeypatch):
    """Nothing that names the patient goes in, and nothing stays behind."""
    import SSRKDSlicer.worker.job_folder as jobs

    seen = {}
    write = jobs.JobFolder.writeSetup

    def look(self, *args, **kwargs):
        entries = write(self, *args, **kwargs)
        seen["mode"] = self.path.stat().st_mode & 0o777
        seen["names"] = sorted(p.name for p in self.path.iterdir())
        seen["bytes"] = b"".join(p.read_bytes() for p in self.path.iterdir())
        seen["path"] = self.path
        return entries

    monkeypatch.setattr(jobs.JobFolder, "writeSetup", look)
    frontal, lateral = loadSampleFiles()
    models = module.SSRKDLogic().reconstruct(frontal, lateral, spacing=2.0)
    assert len(models) == 4
    if os.name != "nt":
        assert seen["mode"] == 0o700
    assert seen["names"] == [".ssrkd-job", "rig.json", "view_0.nrrd", "view_1.nrrd"]
    assert b"SSRKD_frontal" not in seen["bytes"]
    assert not seen["path"].exists()


def test_worker_job_folders_of_sessions_that_crashed_are_swept(module, tmp_path):
    """Nothing else is, whatever its name: only folders with the mark that no process holds."""
    from SSRKDSlicer.worker.job_folder import MARK, JobFolder

    code = (
        "import os, sys, types\n"
        "sys.path.append('SSRKD')\n"
        "sys.modules['slicer'] = types.ModuleType('slicer')\n"
        "sys.modules['slicer.i18n'] = types.SimpleNamespace(tr=str)\n"
        "from SSRKDSlicer.worker.job_folder import JobFolder\n"
        "print(JobFolder(sys.argv[1]).path, flush=True)\n"
        "os._exit(9)\n"
    )
    crashed = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    left = Path(crashed.stdout.strip())
    held = JobFolder(tmp_path)
    users = tmp_path / "ssrkd-notes"
    users.mkdir()
    (users / "notes.txt").write_text("mine")
    for folder in (left, held.path, users):
        for path in (folder, *folder.iterdir()):
            os.utime(path, (0, 0))
    assert (left / MARK).is_file()

    JobFolder(tmp_path).remove()
    assert not left.exists()
    assert held.path.is_dir() and (users / "notes.txt").is_file()
    held.remove()
    assert not held.path.exists()


def test_worker_job_folders_hold_the_cropped_part_of_pixels_and_masks(module, slicer, tmp_path):
    from SSRKDSlicer.radiographs.radiographs import RadiographNode
    from SSRKDSlicer.radiographs.view_setup import Setup
    from SSRKDSlicer.worker.job_folder import JobFolder, uncropped

    rig = asymmetric()
    writeRadiographs(rig, tmp_path)
    loaded = loadRadiographs(tmp_path)
    nodes = tuple(map(RadiographNode, loaded, ("frontal", "lateral")))
    setup = Setup(rig, nodes, ((40, 60, 160, 170), None))
    masks = np.zeros((4, 260, 300), dtype=bool)
    masks[:, 60:230, 40:200] = np.random.default_rng(1).random((4, 170, 160)) > 0.5
    folder = JobFolder(tmp_path)
    request, _ = folder.writeSetup(setup, (masks, None))
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(folder.path / "view_0.nrrd")))
    whole = slicer.util.arrayFromVolume(loaded[0])[0]
    np.testing.assert_array_equal(np.squeeze(written), whole[60:230, 40:200])
    np.testing.assert_array_equal(uncropped(np.load(request["masks"][0]), setup, 0), masks)
    folder.remove()


def test_worker_keeps_torch_out_of_slicers_process():
    """A process of its own, since other tests import torch in this one. It quits with the panel
    open and the worker alive, and says nothing of it."""
    code = (
        "import sys\n"
        "from Testing import bench\n"
        "slicer = bench.boot()\n"
        "module = bench.load_module('SSRKD/SSRKD.py')\n"
        "bench.open_module('SSRKD')\n"
        "from Testing.module.cases import loadSampleFiles\n"
        "models = module.SSRKDLogic().reconstruct(*loadSampleFiles(), spacing=2.0)\n"
        "assert len(models) == 4, models\n"
        "tops = {name.split('.')[0] for name in sys.modules}\n"
        "assert not tops & {'torch', 'safetensors'}\n"
        "print('no torch here')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert "no torch here" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stderr and "Destroyed while" not in done.stderr, done.stderr


def test_worker_that_fails_to_start_at_once_is_said(worker, monkeypatch):
    """Windows tells that a program cannot be started from within start()."""
    client = worker(["/nowhere/at/all", "-m", "SSRKDLib"])
    start = client._start

    def atOnce():
        start()
        client._process.waitForStarted(500)

    monkeypatch.setattr(client, "_start", atOnce)
    ears = Ears()
    job = client.submit({"do": "echo"}, **ears.callbacks())
    waitUntil(lambda: job.finished)
    assert "could not be started" in ears.errors[0].cause


def test_worker_results_survive_a_callback_that_raises(odd, caplog):
    def bad(stage, fraction, message):
        raise ValueError("in my own progress bar")

    ears = Ears()
    callbacks = {**ears.callbacks(), "onProgress": bad}
    job = odd.submit({"do": "echo", "say": "still here"}, **callbacks)
    waitUntil(lambda: job.finished)
    assert ears.results == [{"said": "still here"}]
    assert "in my own progress bar" in caplog.text

"""The worker as its client meets it: a process, JSON lines, and every way in which it may end."""

from __future__ import annotations

import io
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from SSRKDLib.core.errors import Cancelled, DeviceMemoryError
from SSRKDLib.radiographs.rig_file import read_rig, write_rig
from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom
from SSRKDLib.reconstruction.job import Job
from SSRKDLib.worker import server as server_module
from SSRKDLib.worker.protocol import LineReader, encode
from SSRKDLib.worker.server import Server
from Testing.support.ball_knee import BallModel, write_ball_case

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "SSRKD" / "Resources" / "SampleData"
PATIENCE = 120.0


class Client:
    """A worker process and what it said so far."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            command or (sys.executable, "-m", "SSRKDLib", "worker"),
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.said: queue.Queue[dict] = queue.Queue()
        self.reader = LineReader()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while data := os.read(self.process.stdout.fileno(), 65536):
            for message in self.reader.feed(data):
                self.said.put(message)

    def say(self, message: dict) -> None:
        self.process.stdin.write(encode(message))
        self.process.stdin.flush()

    def wait_for(self, *events: str) -> dict:
        """The next message of one of these events; those before it are dropped."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            message = self.said.get(timeout=PATIENCE)
            if message["event"] in events:
                return message
        raise AssertionError(f"none of {events} came")


@pytest.fixture
def client():
    made: list[Client] = []

    def start(*command: str, **environment: str) -> Client:
        made.append(Client(*command, **environment))
        assert made[-1].wait_for("ready")["pid"] == made[-1].process.pid
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()
        for stream in (one.process.stdin, one.process.stdout, one.process.stderr):
            stream.close()


ENDS = ("result", "error", "cancelled")


def reconstruction(folder: Path, **more: object) -> dict:
    """A request for the sample that comes with the module."""
    rig = folder / "case" / "rig.json"
    rig.parent.mkdir(exist_ok=True)
    write_rig(rig_from_dicom(SAMPLES / "SSRKD_frontal.dcm", SAMPLES / "SSRKD_lateral.dcm"), rig)
    return {"do": "reconstruct", "rig": str(rig), "output": str(folder / "out"), **more}


def test_worker_reconstructs_again_and_again(client, tmp_path):
    worker = client()
    request = reconstruction(tmp_path, spacing=2.0)
    stages = []
    for number in (1, 2):
        worker.say({"id": number, **request})
        while (message := worker.wait_for("progress", *ENDS))["event"] == "progress":
            assert message["id"] == number
            assert 0 <= message["fraction"] <= 1
            stages.append(message["stage"])
        assert message["event"] == "result", message
        assert message["result"]["report"]["weights"] == "virtual-knee"
        assert (tmp_path / "out" / "report.json").is_file()
    assert {"read", "load", "locate", "segment", "encode", "fit", "check"} <= set(stages)


def test_worker_cancels_within_a_stage_and_goes_on(client, tmp_path):
    worker = client()
    worker.say({"id": 1, **reconstruction(tmp_path, spacing=0.5, surface="field")})
    while worker.wait_for("progress")["stage"] != "field":
        pass
    worker.say({"cancel": 1})
    assert worker.wait_for(*ENDS) == {"id": 1, "event": "cancelled"}
    assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["case"]  # nothing half written
    worker.say({"id": 2, **reconstruction(tmp_path, spacing=2.0)})
    assert worker.wait_for(*ENDS)["event"] == "result"


def test_worker_cancels_a_job_that_still_waits(client, tmp_path):
    worker = client()
    worker.say({"id": 1, "do": "describe"})
    worker.say({"id": 2, **reconstruction(tmp_path)})
    worker.say({"cancel": 2})
    assert worker.wait_for(*ENDS)["event"] == "result"
    assert worker.wait_for(*ENDS) == {"id": 2, "event": "cancelled"}


def test_worker_ends_when_its_input_closes_in_the_middle(client, tmp_path):
    worker = client()
    worker.say({"id": 1, **reconstruction(tmp_path, spacing=0.5, surface="field")})
    while worker.wait_for("progress")["stage"] != "field":
        pass
    worker.process.stdin.close()
    assert worker.process.wait(timeout=10) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["case"]  # nothing half written


def test_worker_protocol_survives_what_libraries_print(client):
    """The protocol has a stream of its own: prints of Python and of C land on stderr."""
    code = (
        "import os, sys\n"
        "from SSRKDLib.worker.server import serve_standard_streams\n"
        "def noisy(request, progress):\n"
        "    print('python prints'); sys.stdout.flush()\n"
        "    os.write(1, b'C prints\\n'); os.system('echo a child prints')\n"
        "    return {'stdin': sys.stdin.read()}\n"
        "serve_standard_streams({'noisy': noisy})\n"
    )
    worker = client(sys.executable, "-c", code)
    worker.say({"id": 7, "do": "noisy"})
    assert worker.wait_for(*ENDS) == {"id": 7, "event": "result", "result": {"stdin": ""}}
    assert worker.reader.noise == []
    worker.process.stdin.close()
    printed = worker.process.stderr.read().decode()
    for words in ("python prints", "C prints", "a child prints"):
        assert words in printed


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"rig": "nowhere.json"}, "GeometryError", "nowhere.json"),
        ({"weights": "none-such"}, "WeightsError", "none-such"),
        ({"do": "dance"}, "SSRKDError", "dance"),
        ({"masks": [None]}, "InputError", "2 views"),
        ({"spacing": "thick"}, "InputError", "'spacing' must be a number from 0.1 to 10"),
    ],
)
def test_worker_says_what_is_wrong_and_lives(client, tmp_path, change, kind, words):
    worker = client()
    worker.say({"id": 1, **reconstruction(tmp_path), **change})
    message = worker.wait_for(*ENDS)
    assert message["event"] == "error"
    assert message["kind"] == kind
    assert words in message["cause"] + message["remedy"]
    assert message["cause"].endswith(".")
    assert "\n" not in message["cause"]
    assert ("Traceback" in message["log"]) == (kind == "Unexpected")
    worker.say({"id": 2, "do": "describe"})
    about = worker.wait_for(*ENDS)["result"]
    assert about["torch"]
    assert about["weights"]["virtual-knee"] == ""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_worker_that_is_killed_is_gone(client):
    worker = client()
    os.kill(worker.process.pid, signal.SIGKILL)
    assert worker.process.wait(timeout=10) == -signal.SIGKILL


def test_worker_uses_edited_masks(client, tmp_path):
    """Empty masks for both views: the networks are told that there is no bone to see."""
    worker = client()
    request = reconstruction(tmp_path, spacing=2.0)
    paths = []
    for index in range(2):
        paths.append(str(tmp_path / f"edited_{index}.npy"))
        np.save(paths[-1], np.zeros((4, 512, 512), np.uint8))
    worker.say({"id": 1, **request})
    plain = worker.wait_for(*ENDS)["result"]["report"]
    worker.say({"id": 2, **request, "masks": paths})
    answer = worker.wait_for(*ENDS)
    if answer["event"] == "result":
        edited = answer["result"]["report"]
        assert edited["bones"] != plain["bones"]
    else:
        assert "No bone" in answer["cause"]
    np.save(paths[0], np.zeros((4, 10, 10), np.uint8))
    worker.say({"id": 3, **request, "masks": paths})
    assert "do not fit" in worker.wait_for(*ENDS)["cause"]


class Pipe(io.BytesIO):
    """A source with a file number, for a server in this process."""

    def __init__(self) -> None:
        self.end, self.start = os.pipe()

    def fileno(self) -> int:
        return self.end


def serve(tasks, lines: bytes, last: str) -> list[dict]:
    """What a server in this process sends for some lines, until ``last`` stands in it."""
    source, sink = Pipe(), io.BytesIO()
    server = Server(source, sink, tasks, leave=lambda code: None)
    thread = threading.Thread(target=server.serve)
    thread.start()
    writer = threading.Thread(target=os.write, args=(source.start, lines))
    writer.start()
    until = time.monotonic() + 20
    while last.encode() not in sink.getvalue() and time.monotonic() < until:
        time.sleep(0.01)
    writer.join()
    os.close(source.start)
    thread.join(20)
    assert not thread.is_alive()
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_worker_throttles_progress_but_reports_every_stage():
    def task(request, progress):
        for step in range(1000):
            progress("one", step / 1000, "")
        progress("two", 1.0, "")
        return {}

    messages = serve({"many": task}, encode({"id": 1, "do": "many"}), '"result"')
    stages = [m["stage"] for m in messages if m["event"] == "progress"]
    assert stages.count("one") < 200
    assert stages[-1] == "two"
    assert server_module._REPORT_EVERY <= 0.1  # a cancel button must not look frozen


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": [1], "do": "good"}',
        b'{"id": {}, "do": "good"}',
        b'{"id": 1.5, "do": "good"}',
        b'{"id": true, "do": "good"}',
        b'{"do": "good"}',
        b'{"cancel": [1]}',
        b'{"cancel": {"id": 1}}',
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b"null",
    ],
)
def test_worker_refuses_a_line_that_is_no_request_and_serves_the_next(line):
    good = encode({"id": "next", "do": "good"})
    messages = serve({"good": lambda request, progress: {}}, line + b"\n" + good, '"result"')
    refusals = [m for m in messages if m["event"] == "error"]
    assert [(m["id"], m["kind"]) for m in refusals] == [(None, "InputError")]
    assert messages[-1] == {"id": "next", "event": "result", "result": {}}


def test_worker_whose_input_fails_ends():
    source = Pipe()
    os.close(source.end)
    server = Server(source, io.BytesIO(), {}, leave=lambda code: None)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    thread.join(20)
    os.close(source.start)
    assert not thread.is_alive()


def test_worker_whose_listener_fails_ends(monkeypatch):
    monkeypatch.setattr(LineReader, "feed", lambda self, data: 1 / 0)
    source, left = Pipe(), []
    server = Server(source, io.BytesIO(), {}, leave=left.append)
    os.write(source.start, b"x\n")
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    thread.join(20)
    os.close(source.start)
    assert not thread.is_alive() and left


def test_worker_refuses_an_id_that_was_used():
    lines = encode({"id": 1, "do": "good"}) * 2 + encode({"id": 2, "do": "good"})
    messages = serve({"good": lambda request, progress: {}}, lines, '"id":2,"event":"result"')
    assert [m["id"] for m in messages if m["event"] == "result"] == [1, 2]
    assert ["1 was used before" in m["cause"] for m in messages if m["event"] == "error"] == [True]


@pytest.mark.parametrize("result", [{"value": float("nan")}, {"value": object()}])
def test_worker_reports_a_result_that_json_cannot_hold(result):
    tasks = {"bad": lambda request, progress: result, "good": lambda request, progress: {}}
    lines = encode({"id": 1, "do": "bad"}) + encode({"id": 2, "do": "good"})
    messages = serve(tasks, lines, '"result"')
    ends = [m for m in messages if m["event"] in ENDS]
    assert [(m["id"], m["event"]) for m in ends] == [(1, "error"), (2, "result")]
    assert ends[0]["cause"].startswith("Internal error (")


def test_line_reader_keeps_noise_apart_and_joins_pieces():
    reader = LineReader()
    assert reader.feed(b'{"id"') == []
    assert reader.feed(b': 1}\nhello\n[1]\n{"id": 2}\n{"i') == [{"id": 1}, {"id": 2}]
    assert reader.noise == ["hello", "[1]"]


def test_models_stay_loaded_until_their_file_changes(tmp_path):
    from SSRKDLib.models.loading import ModelCache
    from SSRKDLib.weights.catalogue import find_bundle

    copy = tmp_path / "copy.zip"
    shutil.copy(find_bundle(), copy)
    cache = ModelCache()
    first = cache.load(copy, "cpu")
    assert cache.load(copy, "cpu") is first
    os.utime(copy, ns=(1, 1))
    second = cache.load(copy, "cpu")
    assert second is not first

    folder = tmp_path / "folder"
    with zipfile.ZipFile(copy) as archive:
        archive.extractall(folder)
    first = cache.load(folder, "cpu")
    assert cache.load(folder, "cpu") is first
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert cache.load(folder, "cpu") is not first


class OutOfMemoryError(RuntimeError):
    """Looks like torch's."""


def test_too_small_a_gpu_is_retried_on_the_cpu_or_said(tmp_path, monkeypatch):
    from SSRKDLib.models import devices
    from SSRKDLib.radiographs.rig_file import read_rig

    rig = read_rig(write_ball_case(tmp_path))
    monkeypatch.setattr(devices, "resolve_device", lambda d: "cuda" if d == "auto" else d)
    loaded = []

    def load(weights, device):
        loaded.append(device)
        if device == "cuda":
            raise OutOfMemoryError("CUDA out of memory")
        return BallModel(rig)

    job = Job.read(rig)
    result = job.run_with(device="auto", spacing=2.0, load=load)
    assert loaded == ["cuda", "cpu"]
    assert "CPU was used" in result.report["warnings"][0]
    with pytest.raises(DeviceMemoryError, match="Use the CPU"):
        job.run_with(device="cuda", spacing=2.0, load=load)


def test_cancelling_leaves_no_result(tmp_path):

    rig = read_rig(write_ball_case(tmp_path))

    def stop(stage, fraction, message):
        if stage == "surface":
            raise Cancelled

    with pytest.raises(Cancelled):
        Job.read(rig).run(BallModel(rig), 2.0, progress=stop)

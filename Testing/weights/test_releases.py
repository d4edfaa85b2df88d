"""Weights that are fetched: from a server on this machine that breaks off, lies or is not there."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch  # noqa: E402

from SSRKDLib.cli import main as cli  # noqa: E402
from SSRKDLib.core.errors import Cancelled, OutputError, WeightsError  # noqa: E402
from SSRKDLib.weights import releases  # noqa: E402
from SSRKDLib.weights.bundle import write_bundle  # noqa: E402
from SSRKDLib.weights.catalogue import import_bundle, list_bundles  # noqa: E402
from Testing.support.weights_checks import use_only  # noqa: E402
from Testing.weights.test_bundle import manifest, tensors  # noqa: E402


class Server(http.server.BaseHTTPRequestHandler):
    """Sends one file, from where it is asked to; breaks off after some bytes while it is told to.

    Attributes:
        data: of the file.
        breaks: after how many bytes the next answers break off.
        ranges: what was asked for.
        resumes: whether it can begin in the middle.
        leads: where else the file is, if anywhere.
        pause: what is waited for after the first bytes.
    """

    data, breaks, ranges, resumes, leads, pause = b"", [], [], True, "", None

    def do_GET(self):
        if self.leads:
            self.send_response(302)
            self.send_header("Location", self.leads)
            self.end_headers()
            return
        self.ranges.append(self.headers["Range"])
        start = int(self.headers["Range"].split("=")[1].rstrip("-")) if self.resumes else 0
        rest = self.data[start:]
        self.send_response(206 if self.resumes else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.pause:
            self.wfile.write(rest[:100])
            self.pause.wait(20)
            return
        self.wfile.write(rest[: self.breaks.pop(0)] if self.breaks else rest)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def server():
    """The class of the server's answers, whose ``address`` is served while the test runs."""
    kind = type("OwnServer", (Server,), {"breaks": [], "ranges": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    kind.address = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield kind
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def offered(server, tmp_path, monkeypatch):
    """Weights called ``large`` at the server, and the catalogue that names them."""
    folder = use_only(tmp_path, monkeypatch)
    large = {**tensors(), "student.filler": torch.rand(60_000)}
    write_bundle(tmp_path / "large.zip", manifest(name="large", title="Large"), large)
    server.data = (tmp_path / "large.zip").read_bytes()
    sha256 = hashlib.sha256(server.data).hexdigest()
    entry = {"name": "large", "title": "Large", "sha256": sha256, "size": len(server.data)}
    catalogue = tmp_path / "releases.json"
    catalogue.write_text(json.dumps({"address": server.address, "weights": [entry]}), "utf-8")
    monkeypatch.setattr(releases, "CATALOGUE", catalogue)
    monkeypatch.setattr(releases, "_CHUNK", 1 << 15)
    return releases.find_release("large"), folder


def test_fetched_weights_are_checked_and_imported(offered):
    release, folder = offered
    steps = []
    info = releases.fetch(release, lambda *step: steps.append(step))
    assert [bundle.name for bundle in list_bundles()] == [info.name] == ["large"]
    assert [path.name for path in folder.iterdir()] == ["large.zip"]
    fractions = [fraction for _, fraction, _ in steps]
    assert fractions == sorted(fractions)
    assert len(fractions) > 5
    assert steps[0][2] == "Downloading large, 0 MB"


@pytest.mark.parametrize("resumes", [True, False])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(offered, server, resumes):
    release, _ = offered
    server.breaks, server.resumes = [100_000], resumes
    with pytest.raises(WeightsError, match="closed too early.*what is there already is kept"):
        releases.fetch(release)
    assert list_bundles() == []
    releases.fetch(release)
    assert server.ranges == ["bytes=0-", "bytes=100000-"]
    assert list_bundles()[0].ok


def test_a_cancelled_download_goes_on_later(offered, server):
    release, _ = offered

    def stop(_stage, fraction, _message):
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        releases.fetch(release, stop)
    releases.fetch(release)
    assert int(server.ranges[1].strip("bytes=-")) > 0.3 * release.size


def test_a_server_that_leads_nowhere_is_a_download_that_failed(offered, server):
    release, _ = offered
    server.leads = "http://[bad/"
    with pytest.raises(WeightsError, match="could not be downloaded"):
        releases.fetch(release)


def test_a_slow_download_can_be_cancelled(offered, server):
    release, _ = offered
    server.pause = threading.Event()

    def stop(_stage, fraction, _message):
        if fraction > 0:
            server.pause.set()
            raise Cancelled

    with pytest.raises(Cancelled):
        releases.fetch(release, stop)


def test_another_file_than_the_published_one_is_refused_and_forgotten(offered, server):
    release, folder = offered
    server.data = server.data[:-1] + bytes([server.data[-1] ^ 1])
    with pytest.raises(WeightsError, match="is not the one that was published"):
        releases.fetch(release)
    assert list(folder.iterdir()) == []


def test_what_a_full_disk_keeps_from_being_imported_is_not_fetched_again(
    offered, server, monkeypatch
):
    release, folder = offered

    def full(path):
        raise OutputError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(releases, "import_bundle", full)
        with pytest.raises(OutputError):
            releases.fetch(release)
    releases.fetch(release)
    assert server.ranges == ["bytes=0-"]
    assert [path.name for path in folder.iterdir()] == ["large.zip"]


def test_the_command_lists_and_fetches_and_says_what_is_wrong(offered, server, capsys):
    assert cli.main(["weights", "list"]) == 0
    assert "large: Large [0 MB; weights fetch large]" in capsys.readouterr().out
    assert cli.main(["weights", "fetch", "small"]) == 2
    assert "No weights called 'small' are offered" in capsys.readouterr().err
    assert cli.main(["weights", "fetch", "large"]) == 0
    assert "large.zip" in capsys.readouterr().out
    assert cli.main(["weights", "list"]) == 0
    assert "weights fetch large" not in capsys.readouterr().out


def test_without_a_network_the_way_by_a_file_is_told(offered, tmp_path, capsys):
    release, _ = offered
    text = json.loads(releases.CATALOGUE.read_text("utf-8"))
    text["address"] = "http://127.0.0.1:9"  # nothing answers there
    releases.CATALOGUE.write_text(json.dumps(text), "utf-8")
    assert cli.main(["weights", "fetch", "large"]) == 2
    assert "weights import FILE" in capsys.readouterr().err
    assert import_bundle(tmp_path / "large.zip").name == "large"


def test_the_shipped_catalogue_can_be_read_and_names_files_by_their_sum():
    names = [release.name for release in releases.releases()]
    assert len(set(names)) == len(names)
    for release in releases.releases():
        assert len(release.sha256) == 64
        assert release.url.endswith(f"/{release.sha256}.zip")
        assert release.size > 0

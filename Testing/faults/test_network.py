"""Nothing is downloaded and nothing is sent at run time: the network is cut, and every process
counts its attempts."""

from __future__ import annotations

import os
import subprocess
import sys

from Testing.fuzz.readers import ROOT, SAMPLES

#: Every Python process imports it first: files with the names of hosts that were asked for.
COUNTING = """
import os, sys, tempfile
def count(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        handle, _ = tempfile.mkstemp(suffix=".used", dir=os.environ["SSRKD_COUNTED"])
        os.write(handle, repr((event, arguments)).encode())
        raise OSError("the network is cut")
sys.addaudithook(count)
open(os.path.join(os.environ["SSRKD_COUNTED"], f"{os.getpid()}.process"), "w").close()
"""

COMMANDS = """
import sys
from SSRKDLib.cli.main import main
frontal, lateral, out = sys.argv[1:]
assert main(["doctor"]) == main(["weights", "list"]) == main(["weights", "verify"]) == 0
assert main(["rig", "--frontal", frontal, "--lateral", lateral, "-o", out + "/rig.json"]) == 0
asked = ["--surface", "field", "--spacing", "2", "--device", "cpu"]
assert main(["reconstruct", out + "/rig.json", "-o", out + "/bones", *asked]) == 0
assert main(["weights", "fetch", "no-such-weights"]) == 2
"""


def test_no_command_uses_the_network(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(COUNTING)
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
        "SSRKD_COUNTED": str(tmp_path), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    films = (SAMPLES / "SSRKD_frontal.dcm", SAMPLES / "SSRKD_lateral.dcm")
    ran = subprocess.run(
        [sys.executable, "-c", COMMANDS, *films, tmp_path], env=environment, cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert not [path.read_text() for path in tmp_path.glob("*.used")]
    assert len(list(tmp_path.glob("*.process"))) == 2  # this one, and the one that reads files


def test_the_count_counts(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(COUNTING)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SSRKD_COUNTED": str(tmp_path)}
    ask = "import socket; socket.getaddrinfo('example.org', 80)"
    ran = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True)
    assert ran.returncode == 1 and b"the network is cut" in ran.stderr
    assert len(list(tmp_path.glob("*.used"))) == 1

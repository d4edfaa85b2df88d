"""What reading good files costs beside an earlier version: ``python -m Testing.reading_cost``.

``make bench`` runs it with a REVISION. Both versions read the sample data in turn, each in a
process of its own, and the least processor time of each is compared, that of the processes which
they read in included. The earlier version is taken from the repository's history, so that a clone
without it cannot measure.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "SSRKD" / "Resources" / "SampleData"

#: How often each version reads a file before the other's turn, and how many turns each has.
READINGS, ROUNDS = 20, 8

#: What reads each file: function and the modules that have had it, the newest first.
READERS = {
    "SSRKD_frontal.dcm": ("read_radiograph", "SSRKDLib.radiographs.reading"),
    "SSRKD_lateral.dcm": ("read_radiograph", "SSRKDLib.radiographs.reading"),
    "SSRKD_CT.nrrd": ("read_scan", "SSRKDLib.ct.reading", "SSRKDLib.ct_files"),
    "SSRKD_CT.seg.nrrd": (
        "read_reference", "SSRKDLib.surfaces.label_maps", "SSRKDLib.labelmaps",
    ),
}  # fmt: skip

#: Answers a line (function, modules, file, how often) with the processor time that it took, s.
_READ = """
import importlib, json, sys
sys.path[:] = [sys.argv[1], *(place for place in sys.path if place and place != sys.argv[2])]
# An editable installation would find there what this version lacks.
sys.meta_path[:] = [one for one in sys.meta_path if "editable" not in one.__module__]
import psutil, SSRKDLib
assert SSRKDLib.__file__.startswith(sys.argv[1]), SSRKDLib.__file__
def used():
    me = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in [me, *me.children(recursive=True)])
for line in sys.stdin:
    function, modules, path, count = json.loads(line)
    for name in modules:
        try:
            module = importlib.import_module(name)
            break
        except ModuleNotFoundError:
            continue
    assert module.__file__.startswith(sys.argv[1]), module.__file__
    before = used()
    for _ in range(count):
        getattr(module, function)(path)
    print(json.dumps(used() - before), flush=True)
"""


class Version:
    """A version of the library in a process that reads when it is told to."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _READ, str(root), str(ROOT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
        )  # fmt: skip

    def seconds(self, name: str, count: int) -> float:
        """Of processor time that reading a sample so often takes."""
        function, *modules = READERS[name]
        request = json.dumps([function, modules, str(SAMPLES / name), count])
        print(request, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


def main(revision: str) -> None:
    """Print a line for each sample."""
    packed = subprocess.run(["git", "archive", revision, "SSRKDLib"], cwd=ROOT, capture_output=True)
    if packed.returncode:
        print(f"skipped: the history here does not hold {revision} (a shallow clone, or a copy)")
        return
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        versions = Version(Path(folder).resolve()), Version(ROOT)
        for name in READERS:
            least = [float("inf")] * 2
            for turn in range(ROUNDS + 1):
                for k, version in enumerate(versions):
                    took = version.seconds(name, READINGS if turn else 1)  # the first one imports
                    least[k] = min(least[k], took) if turn else least[k]
            then, now = (1e3 * seconds / READINGS for seconds in least)
            print(
                f"{name}: {now:.1f} ms, {then:.1f} at {revision}; {100 * (now / then - 1):+.0f} %"
            )
        for version in versions:
            version.end()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The module from the installed layout, on the bench, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from Testing.module.cases import ROOT, SAMPLES

CODE = """
import sys
from pathlib import Path
installed, samples = Path(sys.argv[1]), Path(sys.argv[2])
from Testing import bench
slicer = bench.boot()
module = bench.load_module(installed / "SSRKD.py")
bench.start_up()
widget = bench.open_module("SSRKD")
import SSRKDLib, SSRKDSlicer
for package in (SSRKDLib, SSRKDSlicer):
    assert Path(package.__file__).is_relative_to(installed), package.__file__
assert "SSRKD" in slicer.modules.sampleDataSources
pair = [slicer.util.loadVolume(str(samples / f"SSRKD_{view}.dcm"), {"singleFile": True})
        for view in ("frontal", "lateral")]
models = module.SSRKDLogic().reconstruct(*pair, spacing=2.0)
assert len(models) == 4, models
bench.shut_down_module("SSRKD")
print("runs as installed")
"""


def test_panel_runs_from_the_installed_layout(installed, tmp_path):
    """The bench comes from the checkout, everything else from the installation: the checkout's
    SSRKDLib is hidden behind it."""
    program = tmp_path / "program.py"
    path = f"import sys; sys.path[:0] = [{str(installed)!r}, {str(ROOT)!r}]\n"
    program.write_text(path + CODE)
    done = subprocess.run(
        [sys.executable, str(program), str(installed), str(SAMPLES)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "runs as installed" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]

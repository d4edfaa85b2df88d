"""What ``import SSRKDLib`` gives to scripts."""

from __future__ import annotations

import subprocess
import sys

import pytest

import SSRKDLib
from Testing.structure.repository import ROOT


def test_the_package_gives_the_functions_of_the_readme():
    from SSRKDLib.evaluation.comparison import compare_knees
    from SSRKDLib.radiographs.rig_file import read_rig

    assert SSRKDLib.read_rig is read_rig
    assert SSRKDLib.compare is compare_knees
    assert all(callable(getattr(SSRKDLib, name)) for name in SSRKDLib._PUBLIC)
    assert set(SSRKDLib._PUBLIC) <= set(dir(SSRKDLib))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        SSRKDLib.nothing  # noqa: B018


def test_reading_a_rig_loads_no_torch():
    code = "import sys; from SSRKDLib import read_rig; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

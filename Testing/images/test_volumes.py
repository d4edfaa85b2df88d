"""Volumes in one file: numbers in every locale, and voxels that no scanner makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from SSRKDLib.core.errors import ImageError
from SSRKDLib.images.volumes import read_volume
from Testing.structure.repository import ROOT


def volume(spacing=(0.7, 0.8, 1.25), origin=(-194.92, 3.5, 700.25)) -> sitk.Image:
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6), np.uint8))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def test_a_decimal_comma_of_the_computer_changes_nothing(tmp_path):
    """As in any program with Qt on a German computer: files are read and written the same."""
    if shutil.which("localedef") is None:
        pytest.skip("no localedef to make a locale with")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")],
        capture_output=True, check=False,
    )  # fmt: skip
    if not (tmp_path / "de_DE.UTF-8").is_dir():
        pytest.skip(f"no German locale: {made.stderr.decode()[:80]}")
    for ending in ("nrrd", "mha", "nii.gz"):
        sitk.WriteImage(volume(), str(tmp_path / f"a.{ending}"))
    code = (
        "import locale, numpy, sys; from pathlib import Path\n"
        "locale.setlocale(locale.LC_ALL, 'de_DE.UTF-8'); assert locale.str(0.5) == '0,5'\n"
        "from SSRKDLib.images.volumes import read_volume\n"
        "from SSRKDLib.images.writing import write_image\n"
        "for ending in ('nrrd', 'mha', 'nii.gz'):\n"
        "    volume = read_volume(Path(sys.argv[1]) / f'a.{ending}')\n"
        "    print(volume.index_to_lps[:3].round(4).tolist())\n"
        "    array = numpy.zeros((4, 5, 6))\n"
        "    write_image(Path(sys.argv[1]) / f'b.{ending}', array, volume.index_to_lps)\n"
        "assert locale.str(0.5) == '0,5'\n"
    )
    environment = {**os.environ, "LOCPATH": str(tmp_path), "LC_ALL": "de_DE.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wanted = np.array([[0.7, 0, 0, -194.92], [0, 0.8, 0, 3.5], [0, 0, 1.25, 700.25]])
    assert [json.loads(line) for line in done.stdout.splitlines()] == [wanted.tolist()] * 3
    for ending in ("nrrd", "mha", "nii.gz"):
        np.testing.assert_allclose(
            read_volume(tmp_path / f"b.{ending}").index_to_lps[:3], wanted, atol=1e-4
        )


@pytest.mark.parametrize(
    ("spacing", "origin"),
    [((1e-30, 1, 1), (0, 0, 0)), ((1, 1, 1e30), (0, 0, 0)), ((1, 1, 1), (0, 1e8, 0))],
)
def test_voxels_that_no_scanner_makes_are_refused(tmp_path, spacing, origin):
    sitk.WriteImage(volume(spacing, origin), str(tmp_path / "a.nrrd"))
    with pytest.raises(ImageError, match="0.02 to 20 mm and at most 10000 mm are expected"):
        read_volume(tmp_path / "a.nrrd")

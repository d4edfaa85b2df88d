"""Volumes in one file: numbers in every locale and unit, and voxels that no scanner makes."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from SSRKDLib.core.errors import ImageError
from SSRKDLib.images.formats import unit_mm
from SSRKDLib.images.volumes import read_stored, read_volume
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


def stating(path, field: str, spacing=(0.07, 0.08, 0.125)):
    """:func:`volume` in another unit, in a file whose header has this field, too."""
    sitk.WriteImage(volume(spacing, (-19.492, 0.35, 70.025)), str(path))
    before = b"space directions:" if path.suffix == ".nrrd" else b"ElementDataFile"
    made = path.read_bytes().replace(before, field.encode() + b"\n" + before, 1)
    if field.startswith("units"):  # such a file says nothing else of the patient
        made = re.sub(rb"(?m)^space directions:.*$", b"spacings: %g %g %g" % spacing, made)
        made = re.sub(rb"(?m)^space( origin)?:.*\n", b"", made)
    path.write_bytes(made)
    return path


@pytest.mark.parametrize(
    ("name", "field", "mm"),
    [
        ("a.nrrd", 'space units: "cm" "cm" "cm"', 10),
        ("a.nrrd", 'Space units: "meters" "meters" "meters"', 1000),
        ("a.nrrd", 'space units: "mm" "mm" "mm"', 1),
        ("a.nrrd", 'space units: "" "???" "none"', 1),
        ("a.nrrd", 'space units:="cm" "cm" "cm"', 1),  # an entry of its own, no field
        ("a.nrrd", 'space units: "inches" "inches" "inches"', 25.4),
        ("a.nrrd", 'units: "cm" "cm" "cm"', 10),
        ("a.nrrd", 'units: "\u00b5m" "um" "microns"', 0.001),
        ("a.mha", "DistanceUnits = cm", 10),
        ("a.mha", "DistanceUnits = m", 1000),
        ("a.mha", "DistanceUnits = ?", 1),
    ],
)
def test_lengths_are_read_in_the_unit_that_the_file_states(tmp_path, name, field, mm):
    path = stating(tmp_path / name, field)
    wanted = np.diag([0.07 * mm, 0.08 * mm, 0.125 * mm])
    matrix = read_stored(path).index_to_lps
    np.testing.assert_allclose(matrix[:3, :3], wanted, rtol=1e-6)
    if not field.startswith("units"):  # such a file has no origin
        np.testing.assert_allclose(matrix[:3, 3], np.array([-19.492, 0.35, 70.025]) * mm, rtol=1e-6)


@pytest.mark.parametrize("field", [b'space units: "cm" "cm" "cm"', b"", b"encoding: \xb5"])
def test_units_of_axes_that_are_not_in_space_are_no_lengths(tmp_path, field):
    lines = [b"NRRD0005", b"space directions: none (1,0,0) (0,1,0) (0,0,1)", field]
    (tmp_path / "a.nrrd").write_bytes(b"\n".join(filter(None, [*lines, b'units: "HU" "" "" ""'])))
    assert unit_mm(tmp_path / "a.nrrd", "NrrdImageIO") == (10 if b"cm" in field else 1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("a.nrrd", b"(2,0,0)", b"(1e308,0,0)", "declares voxels of an absurd size"),
        ("a.nrrd", b"(2,0,0)", b"(1e130,0,0)", "declares voxels of an absurd size"),
        ("a.mha", b"ElementSpacing = 2", b"ElementSpacing = 1e308", "measure inf x 1 x 1 mm"),
        ("a.nii", 80, float("inf"), "cut off or damaged"),
        ("a.nii", 292, float("-inf"), "cut off or damaged"),  # x of the sform's origin
    ],
)
def test_edges_beyond_all_numbers_are_not_taken_to_be_1_mm(tmp_path, name, old, new, said):
    """As ITK does of NRRD and NIfTI."""
    image = sitk.Image(8, 8, 8, sitk.sitkInt16)
    image.SetSpacing((2, 1, 1))
    sitk.WriteImage(image, str(tmp_path / name))
    content = (tmp_path / name).read_bytes()
    if isinstance(old, int):
        content = content[:old] + struct.pack("<f", new) + content[old + 4 :]
    else:
        assert old in content
        content = content.replace(old, new)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=said):
        read_volume(tmp_path / name)


def test_a_nifti_2_is_told_to_be_saved_as_nifti_1(tmp_path):
    """ITK's reader does not know it."""
    header = (540).to_bytes(4, "little") + b"n+2\0\r\n\x1a\n" + bytes(532)
    (tmp_path / "a.nii").write_bytes(header + bytes(1000))
    with pytest.raises(ImageError, match="no format that can be read. Use .* NIfTI-1"):
        read_stored(tmp_path / "a.nii")


@pytest.mark.parametrize("unit", [1, 2, 3])
def test_lengths_of_nifti_are_read_in_the_unit_that_the_file_states(tmp_path, unit):
    sitk.WriteImage(volume(), str(tmp_path / "a.nii"))
    stored = bytearray((tmp_path / "a.nii").read_bytes())
    stored[123] = unit
    (tmp_path / "a.nii").write_bytes(stored)
    mm = {1: 1000, 2: 1, 3: 0.001}[unit]
    wanted = mm * np.array([[0.7, 0, 0, -194.92], [0, 0.8, 0, 3.5], [0, 0, 1.25, 700.25]])
    matrix = read_stored(tmp_path / "a.nii").index_to_lps[:3]
    np.testing.assert_allclose(matrix, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("a.nrrd", 'space units: "ell" "ell" "ell"'),
        ("a.nrrd", 'space units: "mm" "mm" "cm"'),
        ("a.nrrd", 'units: "s" "mm" "mm"'),
        ("a.mha", "DistanceUnits = furlong"),
    ],
)
def test_a_unit_that_is_not_known_is_refused(tmp_path, name, field):
    with pytest.raises(ImageError, match="states its lengths in '.*no unit that is known"):
        read_stored(stating(tmp_path / name, field))


@pytest.mark.parametrize(
    ("place", "new", "said"),
    [
        (123, bytes([7]), "states its lengths in 'xyzt_units 7'"),
        (280, struct.pack("<f", -1.4), r"two voxel sizes: 0.7 x 0.8 x 1.25 .* 1.4 x 0.8 x 1.25"),
        (280, struct.pack("<f", -0.72), None),
        (80, struct.pack("<f", -0.7), "voxels of negative size"),
        (252, struct.pack("<2h24xf", 0, 1, -1.4), "two voxel sizes: 0.7 .* by its pixdim, 1.4"),
        (280, struct.pack("<f", 0.7), "qform and the sform of '.*' mirror each other"),
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_nifti_file_of_two_or_negative_sizes_or_of_an_undefined_unit_is_refused(
    tmp_path, name, place, new, said
):
    """ITK takes one of them, and millimetres."""
    sitk.WriteImage(volume(), str(tmp_path / name))
    opened = gzip.open if name.endswith("gz") else open
    with opened(tmp_path / name, "rb") as stream:
        stored = stream.read()
    with opened(tmp_path / name, "wb") as stream:
        stream.write(stored[:place] + new + stored[place + len(new) :])
    if said is None:
        assert read_stored(tmp_path / name).index_to_lps[0, 0] == pytest.approx(0.7, abs=0.03)
        return
    with pytest.raises(ImageError, match=said):
        read_stored(tmp_path / name)


def test_a_metaimage_of_negative_sizes_is_refused(tmp_path):
    path = tmp_path / "a.mha"
    sitk.WriteImage(volume(), str(path))
    stored = path.read_bytes()
    stored = re.sub(rb"ElementSpacing = \S+", b"ElementSpacing = 0.7", stored)
    path.write_bytes(stored.replace(b"ElementSpacing = 0.7", b"ElementSpacing = -.7"))
    with pytest.raises(ImageError, match="voxels of negative size"):
        read_stored(path)
    path.write_bytes(stored.replace(b"ElementSpacing = 0.7", b"ElementSpacing = 7e-1"))
    assert read_stored(path).index_to_lps[0, 0] == pytest.approx(0.7, abs=0.01)

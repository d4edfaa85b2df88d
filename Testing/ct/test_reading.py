"""Folders of DICOM slices: complete and evenly spaced ones are read, others refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from SSRKDLib.core.errors import ImageError
from SSRKDLib.ct.reading import read_scan
from Testing.support.ball_scan import write_series
from Testing.support.ct_truth import OBLIQUE


def image(slices: int = 30) -> sitk.Image:
    values = np.arange(slices * 30, dtype=np.int16).reshape(slices, 5, 6) - 1000
    made = sitk.GetImageFromArray(values)
    made.SetSpacing((0.7, 0.8, 1.25))
    made.SetDirection(OBLIQUE.ravel().tolist())
    return made


def test_a_complete_series_is_read_as_it_is(tmp_path):
    write_series(image(), tmp_path)
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hounsfield, sitk.GetArrayFromImage(image()))
    np.testing.assert_allclose(scan.spacing, (0.7, 0.8, 1.25), atol=1e-5)
    assert scan.notes == ()


@pytest.mark.parametrize(
    ("first", "last", "gap"), [(1, 2, "2.5"), (12, 17, "7.5"), (28, 29, "2.5")]
)
def test_a_series_with_missing_slices_is_refused_and_the_gap_named(tmp_path, first, last, gap):
    paths = write_series(image(), tmp_path)
    for path in paths[first:last]:
        path.unlink()
    with pytest.raises(ImageError, match=rf"1\.25 mm apart.*-{last:03d}.dcm' {gap} mm") as caught:
        read_scan(tmp_path)
    assert paths[first - 1].name in caught.value.cause and "missing" in caught.value.remedy


def test_a_series_whose_spacing_changes_is_refused(tmp_path):
    paths = write_series(image(), tmp_path)
    for path in paths[15::2]:
        path.unlink()
    with pytest.raises(ImageError, match=r"not evenly spaced.*7 such gaps"):
        read_scan(tmp_path)


def test_two_acquisitions_in_one_series_are_refused(tmp_path):
    one = write_series(image(8), tmp_path)
    for path in write_series(image(8), tmp_path / "other"):
        path.rename(tmp_path / f"again-{path.name}")
    with pytest.raises(ImageError, match="in the same place.*8 such pairs") as caught:
        read_scan(tmp_path)
    assert one[0].name in caught.value.cause


def test_of_several_series_the_longest_is_read_and_named(tmp_path):
    write_series(image(8), tmp_path, "1.2.9", _0008_103e="Scout", _0020_0011="1")
    write_series(image(20), tmp_path, "1.2.7", _0008_103e="Knee bone", _0020_0011="3")
    scan = read_scan(tmp_path)
    assert len(scan.hounsfield) == 20
    assert scan.notes == (
        "The folder contains 2 DICOM series. The one with most slices was used: no. 3 'Knee bone' "
        "(20 slices); not no. 1 'Scout' (8 slices).",
    )

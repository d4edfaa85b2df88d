"""DICOM files whose tags contradict their pixels are refused in a sentence that says which."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from SSRKDLib.core.errors import ImageError
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.radiographs import reading
from SSRKDLib.radiographs.dicom_writing import write_dicom


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.dcm"
    line = np.random.default_rng(0).random((64, 64), np.float32)
    write_dicom(path, line, orthogonal(pixels=64).views[0], laterality="L")
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"BitsStored": None}, "lacks the DICOM tag BitsStored"),
        ({"PhotometricInterpretation": None}, "lacks the DICOM tag PhotometricInterpretation"),
        ({"PixelData": None}, "lacks the DICOM tag PixelData"),
        ({"BitsAllocated": 12}, "of 12 bits are used"),  # would be read as packed
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "of 1 bits are used"),
        ({"BitsStored": 99}, "99 of 16 bits are used"),
        ({"BitsStored": 0}, "0 of 16 bits are used"),
        ({"HighBit": 99}, "up to bit 99"),
    ],
    ids=str,
)
def test_a_layout_of_pixels_that_no_radiograph_has_is_told(film, changes, said):
    dataset = pydicom.dcmread(film)
    for name, value in changes.items():
        del dataset[name]
        if value is not None:
            setattr(dataset, name, value)
    dataset.save_as(film)
    with pytest.raises(ImageError, match=said):
        reading.read_radiograph(film)


def test_a_rescale_slope_of_zero_is_not_used_and_said(film):
    before = reading.read_radiograph(film)
    dataset = pydicom.dcmread(film)
    dataset.RescaleSlope = 0
    dataset.save_as(film)
    radiograph = reading.read_radiograph(film)
    np.testing.assert_array_equal(radiograph.pixels, before.pixels)
    assert "rescale slope (0028,1053) is not used" in " ".join(radiograph.dicom.problems)


def test_pixels_that_are_not_compressed_as_they_should_be_are_told(film):
    dataset = pydicom.dcmread(film)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    with pytest.raises(ImageError, match="not compressed as its transfer syntax says"):
        reading._decompressed(dataset, film)

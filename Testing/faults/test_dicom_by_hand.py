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
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "are indices of a colour palette"),
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


def test_words_of_big_endian_files_have_their_high_byte_first(film):
    """Pixels of one byte and tables, both as words (PS3.5, A.3), with an odd number of pixels."""
    before = np.rint(reading.read_radiograph(film).pixels[:, :63] / 256).astype("<u2")
    dataset, table = pydicom.Dataset(), pydicom.Dataset()
    for element in pydicom.dcmread(film):
        dataset.add(element)
    table.LUTDescriptor, table.ModalityLUTType = [256, 0, 16], "US"
    table.add_new("LUTData", "OW", np.arange(1000, 488, -2).astype(">u2").tobytes())
    dataset.ModalityLUTSequence = [table]
    dataset.Rows, dataset.Columns = before[:63].shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    octets = before[:63].astype("u1").tobytes() + bytes(1)
    dataset.add_new("PixelData", "OW", np.frombuffer(octets, "<u2").astype(">u2").tobytes())
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    dataset.save_as(film, enforce_file_format=True)
    np.testing.assert_array_equal(pydicom.dcmread(film).pixel_array, before[:63])
    radiograph = reading.read_radiograph(film)
    np.testing.assert_array_equal(radiograph.pixels, 1000.0 - 2 * before[:63])
    assert radiograph.dicom.negative_slope


@pytest.mark.skipif(int(pydicom.__version__.split(".")[0]) < 3, reason="found out since version 3")
def test_a_big_endian_file_need_not_say_so(film):
    dataset = pydicom.Dataset()
    for element in pydicom.dcmread(film):
        dataset.add(element)
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    before = reading.read_radiograph(film).pixels
    dataset.file_meta, dataset.preamble = pydicom.dataset.FileMetaDataset(), bytes(128)
    dataset.file_meta.ImplementationVersionName = "A"
    dataset.save_as(film, implicit_vr=False, little_endian=False, enforce_file_format=False)
    np.testing.assert_array_equal(reading.read_radiograph(film).pixels, before)


def test_a_file_need_not_have_a_preamble(film):
    """As some archives hand them out: the dataset alone."""
    before, dataset = reading.read_radiograph(film).pixels, pydicom.dcmread(film)
    dataset.file_meta, dataset.preamble = pydicom.dataset.FileMetaDataset(), None
    dataset.save_as(film, implicit_vr=True, little_endian=True)
    assert film.read_bytes()[128:132] != b"DICM"
    bare = reading.read_radiograph(film)
    np.testing.assert_array_equal(bare.pixels, before)
    assert bare.dicom.laterality == "L"

"""Image files that were cut off: refused, not filled with what lies in memory."""

from __future__ import annotations

import gzip
import struct
import zlib

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from SSRKDLib.core.errors import ImageError, MeshError
from SSRKDLib.ct.reading import read_scan
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.geometry.views import Rig
from SSRKDLib.images.formats import whole_image_kind
from SSRKDLib.radiographs.dicom_writing import write_dicom
from SSRKDLib.radiographs.reading import read_radiograph
from SSRKDLib.surfaces.label_maps import read_reference

PIXELS = np.random.default_rng(0).normal(size=(64, 80)).astype(np.float32)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.png", "a.tif"])
@pytest.mark.parametrize("share", [0.97, 0.5])
def test_a_cut_radiograph_is_refused(tmp_path, name, share):
    path = tmp_path / name
    pixels = PIXELS if name[2:] not in ("png", "tif") else (PIXELS * 1000 + 9000).astype(np.uint16)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    assert read_radiograph(path).size == (80, 64)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ImageError):
        read_radiograph(path)


@pytest.mark.parametrize(
    ("fault", "sound"),
    [
        ("", True),
        ("half", False),
        ("tiny", False),
        ("none", False),
        ("cut", False),
        ("long", False),
    ],
)
def test_a_compressed_metaimage_is_read_whole_or_not_at_all(tmp_path, fault, sound):
    """MetaIO gives what lies in memory by chance where zlib fails."""
    packed = zlib.compress(PIXELS.tobytes())
    stated = {"half": len(packed) // 2, "tiny": 10, "none": None}.get(fault, len(packed))
    if fault == "long":
        packed, stated = packed + b"0" * 64, len(packed) + 65
    header = (
        "ObjectType = Image\nNDims = 2\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = True\n"
        + (f"CompressedDataSize = {stated}\n" if stated else "")
        + "ElementSpacing = 1 1\nDimSize = 80 64\nElementType = MET_FLOAT\n"
    )
    (tmp_path / "a.mha").write_bytes(
        (header + "ElementDataFile = LOCAL\n").encode() + packed[: -50 if fault == "cut" else None]
    )
    (tmp_path / "b.mhd").write_text(header + "ElementDataFile = b.zraw\n")
    (tmp_path / "b.zraw").write_bytes(packed[: -50 if fault == "cut" else None])
    for name in ("a.mha", "b.mhd"):
        if sound:
            np.testing.assert_array_equal(read_radiograph(tmp_path / name).pixels, PIXELS)
        else:
            with pytest.raises(ImageError, match="compressed pixels of .* cut off or damaged"):
                read_radiograph(tmp_path / name)


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
def test_a_tiff_that_is_stored_turned_is_refused(tmp_path, big):
    """libtiff mirrors what is to be turned, and makes 8 bits of 16."""
    path = tmp_path / "a.tif"
    pixels = (PIXELS * 1000 + 9000).astype("<u2")
    lines = [(256, 80), (257, 64), (258, 16), (259, 1), (262, 1), (274, 6), (277, 1), (278, 64)]
    size, entry = ("Q", "<HHQHHI") if big else ("I", "<HHIHH")
    begin = 16 if big else 8
    lines += [(279, pixels.nbytes)]
    place = begin + struct.calcsize("<" + ("Q" if big else "H")) + 10 * struct.calcsize(entry)
    place += struct.calcsize("<" + size)
    table = b""
    for tag, value in sorted([*lines, (273, place)]):
        rest = (value & 0xFFFF, value >> 16, 0) if big else (value & 0xFFFF, value >> 16)
        table += struct.pack(entry, tag, 4, 1, *rest)
    head = (
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    )
    count = struct.pack("<Q" if big else "<H", 10)
    whole = head + count + table + struct.pack("<" + size, 0) + pixels.tobytes()
    path.write_bytes(whole)
    with pytest.raises(ImageError, match="TIFF orientation 6.*Save it upright"):
        read_radiograph(path)
    path.write_bytes(
        whole.replace(
            struct.pack(entry, 274, 4, 1, 6, *([0] * (1 + big))),
            struct.pack(entry, 274, 4, 1, 1, *([0] * (1 + big))),
        )
    )
    np.testing.assert_array_equal(read_radiograph(path).pixels, pixels)


def test_a_nifti_whose_gzip_is_whole_and_whose_voxels_are_not(tmp_path):
    path = tmp_path / "a.nii"
    sitk.WriteImage(sitk.GetImageFromArray(PIXELS), str(path))
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(path.read_bytes()[:-100]))
    with pytest.raises(ImageError, match="cut off"):
        read_radiograph(tmp_path / "b.nii.gz")


@pytest.mark.parametrize("offset", [0.0, -100.0])
def test_a_nifti_whose_voxels_begin_in_its_header(tmp_path, offset):
    path = tmp_path / "a.nii"
    sitk.WriteImage(sitk.GetImageFromArray(PIXELS), str(path))
    content = path.read_bytes()
    path.write_bytes(content[:108] + struct.pack("<f", offset) + content[112:])
    with pytest.raises(ImageError, match="damaged"):
        read_radiograph(path)


def test_a_dicom_file_that_lacks_pixels(tmp_path):
    rig: Rig = orthogonal(pixels=64)
    path = tmp_path / "a.dcm"
    write_dicom(path, np.abs(PIXELS[:, :64]), rig.views[0], laterality="L")
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:1000]
    dataset.save_as(path)
    with pytest.raises(ImageError, match="pixels are missing"):
        read_radiograph(path)


def test_ct_and_label_map_are_refused_too(tmp_path):
    volume = np.full((20, 20, 20), -1000, np.int16)
    volume[5:15, 5:15, 5:15] = 2
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(volume), str(path))
    read_scan(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ImageError, match="cut off"):
        read_scan(path)
    with pytest.raises(MeshError, match="cut off"):
        read_reference(path)


def test_formats_whose_readers_do_not_notice_a_cut_are_not_read(tmp_path):
    path = tmp_path / "a.bmp"
    sitk.WriteImage(sitk.GetImageFromArray((PIXELS * 30 + 100).astype(np.uint8)), str(path))
    with pytest.raises(ImageError, match="no format"):
        whole_image_kind(path)

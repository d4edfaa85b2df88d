"""Image files that were cut off: refused, not filled with what lies in memory."""

from __future__ import annotations

import gzip
import struct

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

"""Folders of DICOM slices: what lies where is read from the files, what cannot be one scan is
refused by name."""

from __future__ import annotations

import numpy as np
import pydicom
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


def test_a_series_whose_spacing_changes_lacks_slices(tmp_path):
    paths = write_series(image(), tmp_path)
    for path in paths[15::2]:
        path.unlink()
    with pytest.raises(ImageError, match=r"not evenly spaced.*7 such gaps"):
        read_scan(tmp_path)


@pytest.mark.parametrize("far", [False, True])
def test_distances_of_the_scanner_are_resampled_and_said(tmp_path, far):
    """Values that grow with height are right where slices lie at their places. Slices that are too
    far apart for that are refused."""
    heights = np.array([0, 1, 2, 3, 5, 7, 9, 30 if far else 9.5])
    for height, path in zip(heights, write_series(image(8), tmp_path)):
        slice_ = pydicom.dcmread(path)
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.ImagePositionPatient = [4, 5, 100 + height]
        slice_.PixelData = np.full((5, 6), 20 * height - 900, np.int16).tobytes()
        slice_.save_as(path)
    if far:
        with pytest.raises(ImageError, match="not evenly spaced.*21 mm"):
            read_scan(tmp_path)
        return
    scan = read_scan(tmp_path)
    k = np.arange(len(scan.hounsfield))
    tops = scan.index_to_lps[2, 2] * k
    np.testing.assert_allclose(tops[[0, -1]], [0, 9.5], atol=1e-6)
    np.testing.assert_allclose(scan.hounsfield[:, 2, 3], 20 * tops - 900, atol=0.5)
    assert "0.5 to 2 mm apart" in scan.notes[0] and "resampled" in scan.notes[0]


def test_slices_beside_each_other_are_refused(tmp_path):
    paths = write_series(image(), tmp_path)
    for path in paths[12:20]:
        slice_ = pydicom.dcmread(path)
        x, y, z = slice_.ImagePositionPatient
        row = np.array(slice_.ImageOrientationPatient[:3], float)
        slice_.ImagePositionPatient = [float(v) for v in np.array([x, y, z], float) + 20 * row]
        slice_.save_as(path)
    with pytest.raises(ImageError, match=r"'.*-\d{3}\.dcm' lies 20 mm beside the line"):
        read_scan(tmp_path)


def test_slices_that_occur_twice_are_taken_once_and_said(tmp_path):
    """Of two acquisitions in one series the first, whatever the files are called."""
    write_series(image(8) + 500, tmp_path, _0020_0012="2")
    for path in sorted(tmp_path.iterdir()):
        path.rename(tmp_path / f"again-{path.name}")
    write_series(image(8), tmp_path, _0020_0012="1")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hounsfield, sitk.GetArrayFromImage(image(8)))
    np.testing.assert_allclose(scan.spacing, (0.7, 0.8, 1.25), atol=1e-5)
    assert "8 of 8 slices occur twice" in scan.notes[0]


@pytest.mark.parametrize("name", ["0010|0020", "0020|000d", "0010|0010", "0010|0030"])
def test_two_patients_or_studies_in_one_series_are_refused(tmp_path, name):
    tag = "_" + name.replace("|", "_")
    write_series(image(8), tmp_path, **{tag: "1.2"})
    moved = write_series(image(8), tmp_path / "other", **{tag: "1.3"})[0]
    moved.rename(tmp_path / "stranger.dcm")
    with pytest.raises(ImageError, match="slices of 2.*'stranger.dcm'"):
        read_scan(tmp_path)


def test_a_slice_of_other_bits_is_no_slice_of_the_series(tmp_path):
    """Its pixels of 16 bits would be read as twice as many of 8."""
    path = write_series(image(8), tmp_path)[3]
    odd = pydicom.dcmread(path)
    odd.BitsAllocated, odd.BitsStored, odd.HighBit = 8, 8, 7
    odd.save_as(path)
    with pytest.raises(ImageError, match="missing"):
        read_scan(tmp_path)


def test_slices_lie_where_a_tilted_gantry_put_them(tmp_path):
    """Each begins a step to the side of the one before: no volume of upright slices is that."""
    tilt = np.deg2rad(15)
    upright = sitk.GetImageFromArray(sitk.GetArrayFromImage(image(20)))
    upright.SetSpacing((0.7, 0.8, 1.25))
    column = np.array([0, np.cos(tilt), -np.sin(tilt)])
    normal = np.cross([1, 0, 0], column)
    upright.SetDirection(np.stack([[1, 0, 0], column, normal], axis=1).ravel().tolist())
    for k, path in enumerate(write_series(upright, tmp_path)):
        slice_ = pydicom.dcmread(path)
        slice_.ImagePositionPatient = [10, 20, 30 + 3 * k]
        slice_.save_as(path)
    scan = read_scan(tmp_path)
    wanted = np.stack([0.7 * np.array([1, 0, 0]), 0.8 * column, [0, 0, 3], [10, 20, 30]], axis=1)
    np.testing.assert_allclose(scan.index_to_lps[:3], wanted, atol=1e-6)
    assert "tilted by 15.0 degrees" in scan.notes[0]


def test_a_series_below_the_folder_is_found_without_endings(tmp_path):
    """As on a CD from a hospital, in reverse order and with a scout among the slices."""
    place = tmp_path / "DICOM" / "ST000001" / "SE000001"
    place.mkdir(parents=True)
    scout = sitk.GetImageFromArray(np.zeros((1, 9, 9), np.int16))
    write_series(scout, place)[0].rename(place / "IM999999")
    for k, path in enumerate(write_series(image(9), tmp_path / "made")):
        path.rename(place / f"IM{50 - k:06d}")
    (tmp_path / "README.TXT").write_text("A hospital")
    (tmp_path / "DICOMDIR").write_bytes(bytes(200))
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hounsfield, sitk.GetArrayFromImage(image(9)))
    assert "1 image(s) of the series" in scan.notes[0] and "IM999999" in scan.notes[0]


@pytest.mark.parametrize("intercept", [-20, -5000])
def test_slices_of_another_rescale_keep_their_own(tmp_path, intercept):
    """Where that goes on from one slice to the next; else one of the two is wrong."""
    paths = write_series(image(6), tmp_path)
    last = pydicom.dcmread(paths[-1])
    last.PixelData = (2 * (last.pixel_array + 20)).astype(np.int16).tobytes()
    last.RescaleSlope, last.RescaleIntercept = "0.5", str(intercept)
    last.save_as(paths[-1])
    if intercept == -5000:
        with pytest.raises(ImageError, match=rf"'{paths[-1].name}' are .* 1, 0; 0.5, -5000\)"):
            read_scan(tmp_path)
        return
    scan = read_scan(tmp_path)
    np.testing.assert_allclose(scan.hounsfield, sitk.GetArrayFromImage(image(6)))
    assert "rescale" in scan.notes[0]


def test_directions_that_differ_by_rounding_are_one(tmp_path):
    for k, path in enumerate(write_series(image(8), tmp_path)):
        slice_ = pydicom.dcmread(path)
        slice_.ImageOrientationPatient = [1, 0.00499 + 2e-5 * (k % 2), 0, 0, 1, 0]
        slice_.ImagePositionPatient = [0, 0, 2 * k]
        slice_.save_as(path)
    assert len(read_scan(tmp_path).hounsfield) == 8


def test_slices_that_do_not_state_their_places_are_refused(tmp_path):
    path = write_series(image(8), tmp_path)[3]
    slice_ = pydicom.dcmread(path)
    del slice_.ImagePositionPatient
    slice_.save_as(path)
    with pytest.raises(ImageError, match=r"do not state where they lie, \(0020,0032\)"):
        read_scan(tmp_path)


def test_of_several_series_the_longest_is_read_and_named(tmp_path):
    write_series(image(8), tmp_path, "1.2.9", _0008_103e="Scout", _0020_0011="1")
    write_series(image(20), tmp_path, "1.2.7", _0008_103e="Knee bone", _0020_0011="3")
    scan = read_scan(tmp_path)
    assert len(scan.hounsfield) == 20
    assert scan.notes == (
        "The folder contains 2 DICOM series. The one with most slices was used: no. 3 'Knee bone' "
        "(20 slices); not no. 1 'Scout' (8 slices).",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Modality", "MR"), ("PhotometricInterpretation", "MONOCHROME1"), ("RescaleSlope", "0"),
        ("RescaleSlope", "-1"), ("PixelSpacing", ["0", "0"]), ("PixelSpacing", "0.7"),
        ("ImageOrientationPatient", ["1", "0", "0", "0.5", "0.87", "0"]),
        ("ImageOrientationPatient", ["1", "0", "0"]), ("ImagePositionPatient", ["1", "0"]),
        ("BitsAllocated", 12), ("BitsStored", 0), ("BitsStored", 17), ("HighBit", 16),
    ],
)  # fmt: skip
def test_tags_that_no_ct_has_are_refused_by_name(tmp_path, name, value):
    for path in write_series(image(3), tmp_path):
        slice_ = pydicom.dcmread(path)
        setattr(slice_, name, value)
        slice_.save_as(path)
    with pytest.raises(ImageError, match=f"The DICOM tag {name} of '.*000.dcm' has a value"):
        read_scan(tmp_path)


def test_a_series_far_away_and_a_single_slice_are_refused(tmp_path):
    paths = write_series(image(3), tmp_path)
    with pytest.raises(ImageError, match="contains a single slice"):
        read_scan(paths[1])
    for k, path in enumerate(paths):
        slice_ = pydicom.dcmread(path)
        slice_.ImagePositionPatient = [0, 0, 2e4 + k]
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.save_as(path)
    with pytest.raises(ImageError, match=r"begin 2e\+04 mm from the origin"):
        read_scan(tmp_path)


def functional_groups(slice_: pydicom.Dataset) -> pydicom.Dataset:
    """What a slice says of itself, as the item of an enhanced file's frame; it leaves the slice."""
    group = pydicom.Dataset()
    for sequence, names in {
        "PlanePositionSequence": ["ImagePositionPatient"],
        "PlaneOrientationSequence": ["ImageOrientationPatient"],
        "PixelMeasuresSequence": ["PixelSpacing"],
        "PixelValueTransformationSequence": ["RescaleSlope", "RescaleIntercept"],
    }.items():
        item = pydicom.Dataset()
        for name in names:
            item[name] = slice_[name]
            del slice_[name]
        setattr(group, sequence, [item])
    return group


def test_enhanced_files_of_one_image_each_lie_where_each_says(tmp_path):
    paths = write_series(image(4), tmp_path)
    scan = read_scan(tmp_path)
    for path in paths:
        slice_ = pydicom.dcmread(path)
        slice_.PerFrameFunctionalGroupsSequence = [functional_groups(slice_)]
        slice_.NumberOfFrames = 1
        slice_.SOPClassUID = pydicom.uid.EnhancedCTImageStorage
        slice_.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
        slice_.save_as(path)
    found = read_scan(tmp_path)
    np.testing.assert_array_equal(found.hounsfield, scan.hounsfield)
    np.testing.assert_allclose(found.index_to_lps, scan.index_to_lps, atol=1e-6)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (None, ""), ("heights", "not evenly spaced"), ("scales", "differ in their rescale"),
        ("groups", "8 images and does not say where each"),
    ],
)  # fmt: skip
def test_images_of_an_enhanced_file_lie_where_each_says(tmp_path, fault, said):
    """In whatever order: ITK takes them for cubes of 1 mm where they are not in order."""
    slices = [pydicom.dcmread(path) for path in write_series(image(8), tmp_path / "series")]
    scan = read_scan(tmp_path / "series")
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    groups = [functional_groups(slices[place]) for place in order]
    made = slices[0]
    if fault == "heights":
        place = groups[0].PlanePositionSequence[0]
        place.ImagePositionPatient = (place.ImagePositionPatient + 0.6 * OBLIQUE[:, 2]).tolist()
    if fault == "scales":
        groups[2].PixelValueTransformationSequence[0].RescaleIntercept = "7"
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
    made.NumberOfFrames = 8
    made.PixelData = b"".join(slices[place].PixelData for place in order)
    made.PerFrameFunctionalGroupsSequence = groups[:-1] if fault == "groups" else groups
    made.save_as(tmp_path / "enhanced.dcm")
    if fault:
        with pytest.raises(ImageError, match=said):
            read_scan(tmp_path / "enhanced.dcm")
        return
    found = read_scan(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(found.hounsfield, scan.hounsfield)
    np.testing.assert_allclose(found.index_to_lps, scan.index_to_lps, atol=1e-6)


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "not finite"), (1e6, "Hounsfield"), (-1e6, "Hounsfield"), (1j, "Hounsfield")],
)
def test_values_that_no_scanner_has_are_refused(tmp_path, value, said):
    values = np.full((4, 5, 6), -1000, np.complex64 if value == 1j else np.float32)
    values[2, 2, 2] = value
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "ct.nii"))
    with pytest.raises(ImageError, match=said):
        read_scan(tmp_path / "ct.nii")


def test_a_file_that_states_no_spacing_is_read_with_a_word(tmp_path):
    made = image(4)
    made.SetSpacing((1.0, 1.0, 1.0))
    sitk.WriteImage(made, str(tmp_path / "oblique.nrrd"))
    made.SetDirection(np.eye(3).ravel().tolist())
    sitk.WriteImage(made, str(tmp_path / "unplaced.nrrd"))
    assert read_scan(tmp_path / "oblique.nrrd").notes == ()
    assert "no voxel size other than 1 mm" in read_scan(tmp_path / "unplaced.nrrd").notes[0]

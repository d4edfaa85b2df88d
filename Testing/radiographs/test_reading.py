"""Reading radiographs from files."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from scipy.ndimage import gaussian_filter

from SSRKDLib.cli import main as cli
from SSRKDLib.core import reading_child
from SSRKDLib.core.errors import ImageError
from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances
from SSRKDLib.radiographs.dicom_tags import read_dicom_tags
from SSRKDLib.radiographs.dicom_writing import write_dicom
from SSRKDLib.radiographs.intensity import (
    to_line_integral,
)
from SSRKDLib.radiographs.reading import read_radiograph
from SSRKDLib.reconstruction.job import Job
from Testing.support.shared_data import SHARED, needs_shared

SIZE = 192


#: A line integral of smooth noise, from 0 to 3.
LINE = gaussian_filter(np.random.default_rng(3).random((SIZE, SIZE)), 3)
LINE = 3 * (LINE - LINE.min()) / np.ptp(LINE)


@pytest.mark.parametrize("extension", ["png", "tif", "nrrd", "nii.gz", "mha"])
def test_plain_formats_keep_rows_and_columns(tmp_path, extension):
    pixels = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) * 20
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing((0.1, 3))
    path = tmp_path / f"knee.{extension}"
    sitk.WriteImage(image, str(path))
    radiograph = read_radiograph(path)
    np.testing.assert_array_equal(radiograph.pixels, pixels)
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.size == (60, 40) and radiograph.values is None
    assert radiograph.dicom is None


def test_one_slice_eight_bits_and_grey_colour(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels[None]), str(tmp_path / "a.nrrd"))
    sitk.WriteImage(
        sitk.GetImageFromArray(np.stack([pixels] * 3, -1), isVector=True), str(tmp_path / "b.png")
    )
    for name in ("a.nrrd", "b.png"):
        radiograph = read_radiograph(tmp_path / name)
        np.testing.assert_array_equal(radiograph.pixels, pixels)


def _write(array, path, **kwargs):
    sitk.WriteImage(sitk.GetImageFromArray(array, **kwargs), str(path))
    return path


def test_bad_images_are_refused_in_one_sentence(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.random((40, 60), dtype=np.float32)
    holes = noise.copy()
    holes[3, 4] = np.nan
    empty = tmp_path / "empty.png"
    empty.touch()
    junk = tmp_path / "junk.png"
    junk.write_bytes(b"not a picture at all" * 20)
    noisy = rng.integers(0, 255, (64, 64)).astype(np.uint8)
    whole = _write(noisy, tmp_path / "whole.png").read_bytes()
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole[: len(whole) // 2])
    colour = rng.integers(0, 255, (40, 60, 3)).astype(np.uint8)
    cases = {
        "was not found": tmp_path / "absent.dcm",
        "folder": tmp_path,
        "is empty": empty,
        "format|decoded": junk,
        "decoded": cut,
        "zeros": _write(np.zeros((40, 60), np.uint8), tmp_path / "zeros.png"),
        "constant": _write(np.full((40, 60), 7, np.uint8), tmp_path / "seven.png"),
        "finite": _write(holes, tmp_path / "nan.nrrd"),
        "only 60 x 10": _write(noise[:10], tmp_path / "small.nrrd"),
        "slices": _write(rng.random((3, 40, 60), dtype=np.float32), tmp_path / "volume.nii"),
        "colour": _write(colour, tmp_path / "colour.png", isVector=True),
    }
    for words, path in cases.items():
        with pytest.raises(ImageError, match=words) as caught:
            read_radiograph(path)
        assert str(path.name) in caught.value.cause and caught.value.remedy
        assert "\n" not in str(caught.value)


def _tweaked(source, target, **changes):
    dataset = pydicom.dcmread(source)
    for key, value in changes.items():
        if value is None:
            delattr(dataset, key)
        else:
            setattr(dataset, key, value)
    dataset.save_as(target)
    return target


@pytest.fixture
def raw(tmp_path):
    """A DICOM file of ``LINE``."""
    path = tmp_path / "raw.dcm"
    plain = {"sdd": 1100, "sod": 800, "pixel_spacing": (1.2, 1.2), "size": (SIZE, SIZE)}
    rig = rig_from_distances([PlainView(angle=0, **plain), PlainView(angle=-90, **plain)])
    write_dicom(path, LINE, rig.views[0], laterality="L")
    return path


def test_dicom_pixels_are_those_stored(raw):
    radiograph = read_radiograph(raw)
    np.testing.assert_allclose(radiograph.pixels, np.rint(1000 + 4000 * LINE), atol=0)
    assert radiograph.values == "display" and radiograph.dicom.laterality == "L"
    assert radiograph.valid is None and radiograph.notes == ()


def test_rescale_sign_and_modality_lut(raw, tmp_path):
    stored = read_radiograph(raw).pixels
    scaled = read_radiograph(
        _tweaked(raw, tmp_path / "s.dcm", RescaleSlope="-0.5", RescaleIntercept="100")
    )
    np.testing.assert_allclose(scaled.pixels, 100 - 0.5 * stored)
    assert scaled.values == "display_inverted"
    table = Dataset()
    table.LUTDescriptor = [65535, 0, 16]
    table.ModalityLUTType = "US"
    table.LUTData = (65534 - np.arange(65535)).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    path = _tweaked(
        raw, tmp_path / "l.dcm", RescaleSlope=None, RescaleIntercept=None, RescaleType=None,
        ModalityLUTSequence=[table],
    )  # fmt: skip
    mapped = read_radiograph(path)
    np.testing.assert_allclose(mapped.pixels, 65534 - stored)
    assert mapped.values == "display_inverted"


def test_signed_and_twelve_of_sixteen_bits(raw, tmp_path):
    stored = read_radiograph(raw).pixels
    signed = (stored - 20000).clip(-32768, 32767).astype("<i2")
    path = _tweaked(raw, tmp_path / "i.dcm", PixelRepresentation=1, PixelData=signed.tobytes())
    np.testing.assert_array_equal(read_radiograph(path).pixels, signed)
    # ITK refuses signed pixels whose rescaled values are all positive (its issue 5290).
    path = _tweaked(path, tmp_path / "u.dcm", RescaleIntercept="32768")
    np.testing.assert_array_equal(read_radiograph(path).pixels, signed + 32768.0)
    dataset = pydicom.dcmread(path)
    del dataset.file_meta.TransferSyntaxUID
    dataset.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    np.testing.assert_array_equal(read_radiograph(path).pixels, signed + 32768.0)
    twelve = (stored / 16).astype("<u2")
    overlay = twelve | 0x8000  # a retired overlay in an unused bit
    path = _tweaked(raw, tmp_path / "t.dcm", BitsStored=12, HighBit=11, PixelData=overlay.tobytes())
    np.testing.assert_array_equal(read_radiograph(path).pixels, twelve)
    eight = (stored / 256).astype("u1")
    path = _tweaked(
        raw, tmp_path / "e.dcm", BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=eight.tobytes()
    )
    np.testing.assert_array_equal(read_radiograph(path).pixels, eight)


@pytest.mark.parametrize(
    ("kind", "bits", "scale"),
    [("<u2", 16, (1, 0)), ("<u2", 12, (1, 0)), ("<i2", 16, (1, 0)), ("u1", 8, (1, 0)),
     ("<u2", 12, (2, -100)), ("<i2", 16, (-0.5, 30))],
)  # fmt: skip
def test_monochrome1_comes_as_stored(raw, tmp_path, kind, bits, scale):
    """ITK inverts MONOCHROME1 on its own; polarity would be wrong were it not undone."""
    stored = (read_radiograph(raw).pixels / 8 % (100 if bits == 8 else 4000)).astype(kind)
    path = _tweaked(
        raw, tmp_path / "m.dcm", PhotometricInterpretation="MONOCHROME1", BitsStored=bits,
        BitsAllocated=8 if bits == 8 else 16, HighBit=bits - 1, PixelData=stored.tobytes(),
        PixelRepresentation=int("i" in kind), RescaleSlope=str(scale[0]),
        RescaleIntercept=str(scale[1]),
    )  # fmt: skip
    expected = scale[0] * stored.astype(float) + scale[1]
    np.testing.assert_allclose(read_radiograph(path).pixels, expected)


def test_compressed_dicom_is_decoded(raw, tmp_path):
    stored = read_radiograph(raw).pixels
    image = sitk.GetImageFromArray(stored.astype(np.uint16))
    image.SetMetaData("0008|0060", "CR")
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    for compressor in ("JPEG2000", "JPEG"):
        writer.SetCompressor(compressor)
        writer.SetFileName(str(tmp_path / f"{compressor}.dcm"))
        writer.Execute(image)
        syntax = pydicom.dcmread(tmp_path / f"{compressor}.dcm").file_meta.TransferSyntaxUID
        assert syntax.is_compressed
        np.testing.assert_array_equal(
            read_radiograph(tmp_path / f"{compressor}.dcm").pixels, stored
        )


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("intercept", ["0", "32768"])
def test_compressed_signed_pixels_are_decoded(raw, tmp_path, photometric, intercept):
    """ITK refuses them with a rescale to values that are all positive, and as MONOCHROME1."""
    stored = (read_radiograph(raw).pixels - 4000).astype("<i2")
    path = _tweaked(
        raw, tmp_path / "m.dcm", PhotometricInterpretation=photometric, PixelRepresentation=1,
        PixelData=stored.tobytes(), RescaleSlope="1", RescaleIntercept=intercept,
    )  # fmt: skip
    dataset = pydicom.dcmread(path)
    dataset.compress(pydicom.uid.RLELossless)
    dataset.save_as(path)
    np.testing.assert_array_equal(read_radiograph(path).pixels, stored + float(intercept))


OPENED = []
sys.addaudithook(lambda event, about: OPENED.append(str(about[0])) if event == "open" else None)


def test_reconstruct_opens_each_radiograph_once(tmp_path, monkeypatch):
    """File, tags and pixels for rig and exposures; pixels of exchanged files follow their views."""
    plain = {"sdd": 1100, "sod": 800, "pixel_spacing": (1.2, 1.2), "size": (SIZE, SIZE)}
    rig = rig_from_distances([PlainView(angle=0, **plain), PlainView(angle=-90, **plain)])
    films = {"frontal": LINE, "lateral": LINE[::-1]}
    paths = [tmp_path / f"{name}.dcm" for name in films]
    for path, view, image in zip(paths, rig.views, films.values()):
        write_dicom(path, image, view, laterality="L")
    read = {}

    def run_with(job, *arguments, **options):
        read.update({exposure.view.name: exposure.line_integral for exposure in job.exposures})
        raise ImageError("Enough.")

    def never(*arguments):
        raise AssertionError("ITK opens the file a second time")

    monkeypatch.setattr(Job, "run_with", run_with)
    monkeypatch.setattr(reading_child, "_is_child", True)  # so that it can be seen here
    monkeypatch.setattr(sitk, "ReadImage", never)
    monkeypatch.setattr(sitk.ImageFileReader, "GetImageIOFromFileName", never)
    OPENED.clear()
    words = ["--frontal", paths[1], "--lateral", paths[0], "-o", tmp_path / "out"]
    assert cli.main(["reconstruct", *map(str, words)]) == cli.BAD_INPUT
    assert [OPENED.count(str(path)) for path in paths] == [1, 1]
    for name, image in films.items():
        assert np.corrcoef(read[name].ravel(), image.ravel())[0, 1] > 0.99


def test_shutters_make_the_field(raw, tmp_path):
    path = _tweaked(
        raw, tmp_path / "c.dcm", CollimatorShape="RECTANGULAR", CollimatorLeftVerticalEdge=11,
        CollimatorRightVerticalEdge=180, CollimatorUpperHorizontalEdge=21,
        CollimatorLowerHorizontalEdge=190,
    )  # fmt: skip
    valid = read_radiograph(path).valid
    assert valid[20:190, 10:180].all() and valid.sum() == 170 * 170
    path = _tweaked(
        raw, tmp_path / "p.dcm", ShutterShape=["CIRCULAR", "POLYGONAL"],
        CenterOfCircularShutter=[97, 97], RadiusOfCircularShutter=80,
        VerticesOfThePolygonalShutter=[1, 1, 1, 193, 150, 193, 150, 1],
    )  # fmt: skip
    valid = read_radiograph(path).valid
    assert valid[96, 96] and not valid[96, 5] and not valid[160, 96] and valid[140, 96]
    radiograph = read_radiograph(path)
    _, usable, _ = to_line_integral(radiograph.pixels, "display", valid=radiograph.valid)
    assert not (usable & ~valid).any()


@pytest.mark.parametrize(("value", "limit"), [(65535, 65000), (65000, 65535), (7, None)])
def test_padding_is_no_part_of_the_field(raw, tmp_path, value, limit):
    """Wherever it lies; the same number within the image counts."""
    stored = read_radiograph(raw).pixels.astype("<u2")
    stored[:20], stored[:, 170:], stored[90:95, 80:85] = value, value, value
    path = _tweaked(raw, tmp_path / "p.dcm", PixelData=stored.tobytes())
    dataset = pydicom.dcmread(path)
    for tag, end in ((0x00280120, value), (0x00280121, limit)):
        if end is not None:
            dataset.add_new(tag, "US", end)
    dataset.save_as(path)
    valid = read_radiograph(path).valid
    assert valid[20:, :170].all() and not valid[:20].any() and not valid[:, 170:].any()
    dataset.PixelData = read_radiograph(raw).pixels.astype("<u2").tobytes()
    dataset.save_as(path)
    assert read_radiograph(path).valid is None


def _falling_lut() -> Dataset:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.LUTData = np.arange(4095, -1, -1).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    return table


@pytest.mark.parametrize(
    ("tags", "dark", "words"),
    [
        ({"VOILUTSequence": [_falling_lut()]}, True, "falling VOI LUT, bone is dark"),
        ({"VOILUTSequence": [_falling_lut()], "PhotometricInterpretation": "MONOCHROME1",
          "PresentationLUTShape": "INVERSE"}, False, "falling VOI LUT, bone is bright"),
        # Contradictions and silence: the picture tells.
        ({"PresentationLUTShape": "INVERSE"}, False, "borders are dark"),
        ({"PresentationLUTShape": "INVERSE"}, True, "borders are bright"),
        ({"PresentationIntentType": "FOR PRESENTATION", "PixelIntensityRelationshipSign": 1},
         False, "contradict each other; the picture's borders are dark"),
        ({"PresentationIntentType": "FOR PRESENTATION", "PixelIntensityRelationshipSign": -1},
         True, None),
    ],
)  # fmt: skip
def test_polarity_is_found_from_display_and_picture(raw, tmp_path, tags, dark, words):
    """``LINE`` is a leg in air."""
    leg = np.abs(np.arange(SIZE) - SIZE / 2) < SIZE / 5
    stored = np.tile(np.where(leg, 3000, 400), (SIZE, 1)).astype("<u2")
    stored[:, ::7] += 50
    if dark:
        stored = 4000 - stored
    silent = {"PixelIntensityRelationship": None, "PixelIntensityRelationshipSign": None}
    path = _tweaked(
        raw, tmp_path / "p.dcm", PixelData=stored.astype("<u2").tobytes(), **{**silent, **tags}
    )
    radiograph = read_radiograph(path)
    if words is None:  # sign and display agree: they are believed
        assert radiograph.values == "display" and radiograph.notes == ()
        return
    assert radiograph.values == ("display_inverted" if dark else "display")
    assert words in radiograph.notes[0]


def test_a_jpeg_is_read_with_a_word_about_it(tmp_path):
    levels = np.clip(np.indices((64, 80)).sum(0) * 1.5, 0, 255).astype(np.uint8)
    path = _write(levels, tmp_path / "a.jpg")
    radiograph = read_radiograph(path)
    assert np.abs(radiograph.pixels - levels).max() < 12 and radiograph.eight_bit
    assert "256 grey levels" in radiograph.notes[0]
    (tmp_path / "cut.jpg").write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ImageError, match="cut off"):
        read_radiograph(tmp_path / "cut.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_its_orientation_says(tmp_path, orientation):
    """Of EXIF: where the stored row 0 and column 0 are to be shown."""
    levels = np.add.outer(np.linspace(0, 150, 64), np.linspace(0, 60, 80)).astype(np.uint8)
    stored = levels.T if orientation > 4 else levels
    shown = {"top": 0, "left": 0, "bottom": -1, "right": -1}
    rows, columns = (
        ("top", "left"), ("top", "right"), ("bottom", "right"), ("bottom", "left"),
        ("left", "top"), ("right", "top"), ("right", "bottom"), ("left", "bottom"),
    )[orientation - 1]  # fmt: skip
    stored = stored[:: -1 if shown[rows] else 1, :: -1 if shown[columns] else 1]
    path = _write(np.ascontiguousarray(stored), tmp_path / "a.jpg")
    entry = struct.pack(">2sHI HHHIHH", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0" + entry + bytes(4)
    content = path.read_bytes()
    marker = b"\xff\xe1" + struct.pack(">H", len(exif) + 2)
    path.write_bytes(content[:2] + marker + exif + content[2:])
    radiograph = read_radiograph(path)
    assert radiograph.size == (80, 64) and np.abs(radiograph.pixels - levels).max() < 12
    assert any("EXIF" in note for note in radiograph.notes) == (orientation > 1)


def test_dicom_that_is_no_single_radiograph_is_refused(raw, tmp_path):
    pixels = pydicom.dcmread(raw).PixelData
    with pytest.raises(ImageError, match="2 frames"):
        read_radiograph(_tweaked(raw, tmp_path / "m.dcm", NumberOfFrames=2, PixelData=pixels * 2))
    with pytest.raises(ImageError, match="modality CT"):
        read_radiograph(_tweaked(raw, tmp_path / "ct.dcm", Modality="CT"))
    report = _tweaked(raw, tmp_path / "n.dcm", Rows=None, PixelData=None)
    with pytest.raises(ImageError):
        read_radiograph(report)
    with pytest.raises(ImageError, match="no DICOM image"):
        read_dicom_tags(report)
    with pytest.raises(ImageError):
        cut = tmp_path / "cut.dcm"
        cut.write_bytes(raw.read_bytes()[:3000])
        read_radiograph(cut)


@needs_shared
def test_real_compressed_cr():
    radiograph = read_radiograph(SHARED / "data/radiograph_cr/RG3_J2KR.dcm")
    assert radiograph.size == (1760, 1760)
    assert (radiograph.pixels.min(), radiograph.pixels.max()) == (0, 1023)
    assert radiograph.dicom.laterality == "R" and radiograph.dicom.views[-1] == "AP"
    assert radiograph.dicom.patient_orientation == ("R", "F")
    assert radiograph.values == "display_inverted" and radiograph.notes
    line, valid, _ = to_line_integral(radiograph.pixels, radiograph.values)
    assert not valid[880, :300].any() and valid[880, 500:1200].all()
    assert line[600, 880] > line[600, 760] > line[600, 500]  # tibia, calf, air

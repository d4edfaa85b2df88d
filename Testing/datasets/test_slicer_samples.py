"""The shipped samples: they are what sample_data.py says, and show the bones that they name."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import RLELossless
from scipy import ndimage

from SSRKDLib.cli import main as cli
from SSRKDLib.core.anatomy import BONES, COLOURS, LABELS
from SSRKDLib.datasets.slicer_samples import CT_JOINT, label_bones, write_segmentation
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.radiographs.reading import read_radiograph
from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom
from SSRKDLib.surfaces.knee import joint_centre
from SSRKDLib.surfaces.label_maps import read_reference
from SSRKDLib.surfaces.mesh_files import read_meshes
from Testing.support.ball_knee import BALLS, ball

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "SSRKD" / "Resources" / "SampleData"
FILMS = (FOLDER / "SSRKD_frontal.dcm", FOLDER / "SSRKD_lateral.dcm")
CT, SEGMENTATION = FOLDER / "SSRKD_CT.nrrd", FOLDER / "SSRKD_CT.seg.nrrd"


def registration():
    """sample_data.py, which takes nothing of Slicer but its translation."""
    path = ROOT / "SSRKD" / "SSRKDSlicer" / "radiographs" / "sample_data.py"
    spec = importlib.util.spec_from_file_location("sample_data_alone", path)
    module = importlib.util.module_from_spec(spec)
    slicer = {"slicer": types.ModuleType("slicer"), "slicer.i18n": types.SimpleNamespace(tr=str)}
    with mock.patch.dict(sys.modules, slicer):
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ct() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU and labels, ``[k, j, i]``, and the first voxel's centre, LPS mm."""
    image, labels = sitk.ReadImage(str(CT)), sitk.ReadImage(str(SEGMENTATION))
    for grid in (image, labels):
        assert grid.GetSpacing() == (1.25, 1.25, 1.25)
        assert grid.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        assert grid.GetOrigin() == image.GetOrigin() and grid.GetSize() == image.GetSize()
    arrays = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(labels)
    return (*arrays, np.array(image.GetOrigin()))


def test_sample_checksums_are_those_of_the_shipped_files():
    samples = registration().SAMPLES
    files = [file for sample in samples.values() for file in sample.files]
    for file in files:
        assert hashlib.sha256((FOLDER / file.name).read_bytes()).hexdigest() == file.sha256
        assert file.name.startswith("SSRKD_")
    names = {file.name for file in files} | {sample.thumbnail for sample in samples.values()}
    assert names == {path.name for path in FOLDER.iterdir()}
    assert len({file.node for file in files}) == len(files)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5_000_000
    assert CT.stat().st_size < 2_500_000


def test_sample_pictures_have_the_sizes_that_slicer_shows():
    for name in ("SSRKD_radiographs.png", "SSRKD_CT.png"):
        assert sitk.ReadImage(str(FOLDER / name)).GetSize() == (192, 128)
    icon = ROOT / "SSRKD.png"
    assert icon.read_bytes() == (ROOT / "SSRKD/Resources/Icons/SSRKD.png").read_bytes()
    image = sitk.ReadImage(str(icon))
    assert image.GetSize() == (128, 128) and image.GetNumberOfComponentsPerPixel() == 4


def test_sample_radiographs_tell_their_rig():
    rig, true = rig_from_dicom(*FILMS), orthogonal(pixels=512)
    assert rig.laterality == "L"
    points = np.random.default_rng(1).uniform(-100, 100, (200, 3))
    for view, other in zip(rig.views, true.views):
        assert view.name == other.name and view.size == (512, 512)
        np.testing.assert_allclose(view.project(points), other.project(points), atol=0.05)


def test_sample_radiographs_are_compressed_anonymous_and_series_of_their_own():
    tags = [pydicom.dcmread(path) for path in FILMS]
    for one in tags:
        assert one.file_meta.TransferSyntaxUID == RLELossless
        assert one.PatientName == "SSRKD^VIRTUAL" and not one.PatientBirthDate
        assert one.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID
        assert not one.PixelData.startswith(b"\0" * 16)
    assert tags[0].StudyInstanceUID == tags[1].StudyInstanceUID
    assert tags[0].SeriesInstanceUID != tags[1].SeriesInstanceUID
    assert tags[0].SOPInstanceUID != tags[1].SOPInstanceUID


@pytest.mark.parametrize("index", [0, 1])
def test_sample_truth_lies_on_the_bones_of_the_radiographs(index):
    """The step in brightness across the outline is largest where the truth is: moved by 3 pixels
    (1.3 mm) along any direction, it is smaller."""
    bones = read_meshes(FOLDER)
    assert list(bones) == list(BONES)
    view = rig_from_dicom(*FILMS).views[index]
    film = read_radiograph(FILMS[index]).pixels
    inside = np.zeros(film.shape, bool)
    for mesh in bones.values():
        inside |= silhouette(mesh.vertices, mesh.faces, view)

    def step(shift: tuple[int, int]) -> float:
        mask = np.roll(inside, shift, (0, 1))
        within = mask & ~ndimage.binary_erosion(mask, iterations=3)
        around = ndimage.binary_dilation(mask, iterations=3) & ~mask
        middle = (slice(24, -24), slice(24, -24))
        return float(film[middle][within[middle]].mean() - film[middle][around[middle]].mean())

    right = step((0, 0))
    for shift in ((3, 0), (-3, 0), (0, 3), (0, -3), (2, 2), (-2, -2), (2, -2), (-2, 2)):
        assert right > 1.05 * step(shift)


def test_sample_ct_is_a_leg_in_hounsfield_units(ct):
    hounsfield, labels, origin = ct
    assert hounsfield.min() == -1000 and 1000 < hounsfield.max() < 2000
    # Air at the sides, the leg cut at both ends.
    for side in (hounsfield[:, 0], hounsfield[:, -1], hounsfield[:, :, 0], hounsfield[:, :, -1]):
        assert (side == -1000).all()
    assert 240 < len(hounsfield) * 1.25 < 250
    soft = hounsfield[(labels == 0) & (hounsfield > -900)]
    assert -150 < np.percentile(soft, 5) < -50 and 0 < np.percentile(soft, 75) < 120
    joint = (CT_JOINT - origin) / 1.25
    assert (np.abs(joint[::-1] / np.array(labels.shape) - 0.5) < 0.15).all()


def test_sample_segmentation_lies_on_bone(ct):
    hounsfield, labels, _ = ct
    for label in LABELS.values():
        bone = labels == label
        rim = bone & ~ndimage.binary_erosion(bone, border_value=1)
        around = ndimage.binary_dilation(bone, iterations=3)
        around &= ~ndimage.binary_dilation(labels > 0, iterations=2)
        assert hounsfield[rim].mean() > 350 and hounsfield[around].mean() < 80
    # Half a voxel of the densest shaft makes 700 HU.
    assert (labels[hounsfield > 700] > 0).mean() > 0.99
    # Shafts leave the volume.
    assert set(np.unique(labels[0])) == {0, LABELS["fibula"], LABELS["tibia"]}
    assert set(np.unique(labels[-1])) == {0, LABELS["femur"]}


def test_sample_ct_is_a_right_knee(ct):
    bones = read_reference(SEGMENTATION).meshes
    middle = {bone: mesh.bounds.mean(0) for bone, mesh in bones.items()}
    assert middle["fibula"][0] < middle["tibia"][0]  # the outer side is the patient's right
    assert middle["patella"][1] < middle["femur"][1]
    # The shipped CT was placed by the definition of the joint's centre before area-weighted-1.
    np.testing.assert_allclose(joint_centre(bones), CT_JOINT, atol=4.0)


def test_segmentation_is_written_as_slicer_writes_it(tmp_path):
    bones = {bone: ball(*BALLS[bone]) for bone in BONES}
    points = np.concatenate([mesh.vertices for mesh in bones.values()])
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = points.min(0) - 6
    shape = tuple(np.ceil((np.ptp(points, axis=0) + 12) / 1.5).astype(int)[::-1])
    labels = label_bones(bones, affine, shape)
    path = tmp_path / "bones.seg.nrrd"
    write_segmentation(path, labels, affine, "L")
    for bone, mesh in read_reference(path).meshes.items():
        np.testing.assert_allclose(mesh.bounds, bones[bone].bounds, atol=1.5)
        assert mesh.volume() == pytest.approx(bones[bone].volume(), rel=0.05)
    image = sitk.ReadImage(str(path))
    for number, bone in enumerate(BONES):
        told = {
            key: image.GetMetaData(f"Segment{number}_{key}")
            for key in ("Name", "Color", "LabelValue", "Extent", "Tags")
        }
        assert told["Name"] == bone.capitalize() and int(told["LabelValue"]) == LABELS[bone]
        assert [float(part) for part in told["Color"].split()] == list(COLOURS[bone])
        assert "~SCT^7771000^Left~" in told["Tags"]
        low, high = np.array(told["Extent"].split(), int).reshape(3, 2).T
        found = np.argwhere(labels == LABELS[bone])[:, ::-1]
        assert (found.min(0) == low).all() and (found.max(0) == high).all()


def assd(folder: Path, reference: Path, out: Path) -> float:
    """Mean distance in mm as the command ``compare`` tells it."""
    assert cli.main(["compare", str(folder), str(reference), "-o", str(out)]) == 0
    rows = {row["bone"]: row for row in csv.DictReader((out / "compare.csv").open())}
    return float(rows["mean"]["assd_mm"])


def test_sample_ct_is_simulated_and_reconstructed(tmp_path):
    out = tmp_path / "films"
    simulate = ["simulate", "--ct", str(CT), "--side", "R", "--preset", "orthogonal"]
    assert cli.main([*simulate, "-o", str(out)]) == 0
    assert cli.main(["reconstruct", str(out / "rig.json"), "-o", str(tmp_path / "a")]) == 0
    assert assd(tmp_path / "a", SEGMENTATION, tmp_path / "c") < 0.9

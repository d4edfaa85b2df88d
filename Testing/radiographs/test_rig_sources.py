"""Rigs from DICOM tags, calibration files and plain numbers (all of it geometry)."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from SSRKDLib.cli import rig as rig_command
from SSRKDLib.core.errors import GeometryError, ImageError, OutputError
from SSRKDLib.geometry.centred_views import centred_view
from SSRKDLib.geometry.detector_pose import seen_from_detector
from SSRKDLib.geometry.rig_from_distances import PlainView, rig_from_distances
from SSRKDLib.geometry.views import Rig
from SSRKDLib.radiographs.dicom_distances import Overrides
from SSRKDLib.radiographs.dicom_writing import write_dicom
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom
from Testing.support.shared_data import SHARED, needs_shared

GRID = np.stack(np.meshgrid(*[np.linspace(-90, 90, 4)] * 3), axis=-1).reshape(-1, 3)
SIZE = (96, 128)
IMAGE = np.random.default_rng(1).random((SIZE[1], SIZE[0])) * 3


def plain_rig(**changes):
    first = PlainView(angle=0, sdd=1150, sod=1000, pixel_spacing=(2.0, 1.7), size=SIZE)
    second = replace(first, angle=-90, sdd=1050, sod=700, pixel_spacing=(2.3, 2.3))
    return rig_from_distances([replace(first, **changes), replace(second, **changes)], "L")


def written(rig, folder, **options):
    paths = [folder / f"{k}.dcm" for k, _ in enumerate(rig.views)]
    for path, view in zip(paths, rig.views):
        write_dicom(path, IMAGE, view, laterality=rig.laterality, **options)
    return paths


def edit(path, **changes):
    dataset = pydicom.dcmread(path)
    for key, value in changes.items():
        if value is None:
            if key in dataset:
                delattr(dataset, key)
        else:
            setattr(dataset, key, value)
    dataset.save_as(path)


def strip(path, **changes):
    """Leave what a plain CR file holds."""
    gone = dict.fromkeys(
        ("DistanceSourceToDetector", "DistanceSourceToPatient", "ViewCodeSequence",
         "PositionerType", "EstimatedRadiographicMagnificationFactor",
         "PositionOfIsocenterProjection",
         "PositionerPrimaryAngle", "PositionerSecondaryAngle")
    )  # fmt: skip
    edit(path, **{**gone, **changes})


def assert_same_projection(made, truth, tolerance=0.05):
    for a, b in zip(made.views, truth.views):
        np.testing.assert_allclose(a.project(GRID), b.project(GRID), atol=tolerance)
        assert a.size == b.size


def test_geometry_plain_numbers_put_the_patient_the_right_way_round():
    rig = plain_rig()
    frontal, lateral = rig.views
    assert frontal.source[1] == -1000 and abs(frontal.source[[0, 2]]).max() == 0
    np.testing.assert_allclose(lateral.source, [-700, 0, 0], atol=1e-9)
    centre = np.array([(SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2])
    for view in rig.views:
        np.testing.assert_allclose(view.project(np.zeros(3)), centre, atol=1e-9)
    # 10 mm at the iso-centre, magnified, in pixels of the detector.
    left, up = frontal.project(np.array([[10.0, 0, 0], [0, 0, 10.0]])) - centre
    np.testing.assert_allclose(left, [10 * 1.15 / 2, 0], atol=1e-9)
    np.testing.assert_allclose(up, [0, -10 * 1.15 / 1.7], atol=1e-9)
    # From the right side of the patient, the front is on the right.
    front = lateral.project(np.array([0, -10.0, 0])) - centre
    np.testing.assert_allclose(front, [10 * 1.5 / 2.3, 0], atol=1e-9)
    turned = rig_from_distances(
        [PlainView(30, 1000, 800, (1, 1), SIZE), PlainView(-70, 1000, 800, (1, 1), SIZE)]
    ).views
    assert turned[0].source[0] > 0 and turned[1].source[0] < 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sdd": 1.15, "sod": 1.0}, "source-to-detector"),
        ({"sod": 1200.0}, "source-to-object"),
        ({"pixel_spacing": (0.0, 1.0)}, "pixel spacing"),
        ({"angle": 10.0}, "view axes"),
        ({"angle": float("nan")}, "angle"),
    ],
)
def test_geometry_impossible_numbers_are_refused(changes, words):
    with pytest.raises(GeometryError, match=words):
        plain_rig(**changes)


def oblique(shift=(0.0, 0.0), angles=((178.0, 4.0), (96.0, -7.5))):
    """A C-arm 82 degrees apart, tilted to head and foot, different distances."""
    views = []
    for k, (primary, secondary) in enumerate(angles):
        centre_pixel = tuple((n - 1) / 2 - s for n, s in zip(SIZE, shift))
        views.append(
            centred_view(
                f"v{k}", *seen_from_detector(primary, secondary), sdd=1050 + 90 * k,
                sod=700 + 20 * k, pixel_spacing=(2.1, 1.9 + k / 5), size=SIZE,
                centre_pixel=centre_pixel,
            )
        )  # fmt: skip
    return Rig(views=tuple(views), laterality="R")


@pytest.mark.parametrize("modality", ["DX", "CR", "XA"])
@pytest.mark.parametrize("shift", [(0, 0), (6.25, -9.5)])
def test_geometry_dicom_round_trip(tmp_path, modality, shift):
    for rig in (plain_rig(), oblique(shift)):
        made = rig_from_dicom(*written(rig, tmp_path, modality=modality))
        assert_same_projection(made, rig)
        assert made.laterality == rig.laterality and made.frame == "LPS"
        assert made.assumptions == ()
        assert made.sources[0].values == "display" and made.images[0].endswith("0.dcm")


def test_geometry_dicom_round_trip_of_flipped_and_turned_images(tmp_path):
    """What is stored mirrored or on its side comes back so: the patient orientation tells."""
    rig = oblique()
    turned = []
    for view in rig.views:
        turned.append(
            replace(
                view,
                detector_origin=view.points_on_detector(np.array([SIZE[0] - 1.0, 0.0])),
                column_direction=view.row_direction,
                row_direction=-view.column_direction,
                pixel_spacing=view.pixel_spacing[::-1],
            )
        )
    rig = replace(rig, views=tuple(turned))
    assert_same_projection(rig_from_dicom(*written(rig, tmp_path)), rig)


def test_geometry_untellable_views_are_not_written(tmp_path):
    view = plain_rig().views[0]
    moved = np.eye(4)
    moved[0, 3] = 5
    rolled = np.eye(4)
    rolled[:3, :3] = [[0.98, 0, 0.19899749], [0, 1, 0], [-0.19899749, 0, 0.98]]
    for bad in (view.transformed(moved), view.transformed(rolled)):
        with pytest.raises(GeometryError, match="cannot be described"):
            write_dicom(tmp_path / "bad.dcm", IMAGE, bad)
    with pytest.raises(ImageError, match="pixels"):
        write_dicom(tmp_path / "bad.dcm", IMAGE.T, view)
    assert not (tmp_path / "bad.dcm").exists()


def test_geometry_positioner_angles_follow_the_standard():
    """PS3.3 C.8.7.5.1.2: zero in front of the chest, + to the left (LAO), + to the head."""
    cases = {(0, 0): (0, -1, 0), (90, 0): (1, 0, 0), (-90, 0): (-1, 0, 0), (0, 90): (0, 0, 1)}
    for angles, detector in cases.items():
        axis, column, row = seen_from_detector(*angles)
        np.testing.assert_allclose(axis, detector, atol=1e-12)
        # Seen from the detector towards the source, columns run right and rows down.
        np.testing.assert_allclose(np.cross(column, row), -axis, atol=1e-12)
    _, column, row = seen_from_detector(0, 0)
    np.testing.assert_allclose([column, row], [[1, 0, 0], [0, 0, -1]], atol=1e-12)  # L and F
    _, column, row = seen_from_detector(90, 0)
    np.testing.assert_allclose([column, row], [[0, 1, 0], [0, 0, -1]], atol=1e-12)  # P and F


def test_geometry_file_with_only_view_position(tmp_path):
    truth = plain_rig()
    paths = written(truth, tmp_path, modality="CR")
    for path in paths:
        strip(path)
    rig = rig_from_dicom(*paths)
    frontal, lateral = rig.views
    assert frontal.axis[1] == pytest.approx(1) and lateral.axis[0] == pytest.approx(1)
    assert frontal.source[1] == pytest.approx(-1100)
    assert frontal.source_to_detector_distance == pytest.approx(1150)
    assert sum("distance" in sentence for sentence in rig.assumptions) == 4
    own = [Overrides(sdd=v.source_to_detector_distance, sod=-v.source @ v.normal)
           for v in truth.views]  # fmt: skip
    made = rig_from_dicom(*paths, frontal=own[0], lateral=own[1])
    assert_same_projection(made, truth)
    assert made.assumptions == ()


@pytest.mark.parametrize(("side", "sign"), [("L", 1), ("R", -1)])
def test_geometry_mediolateral_runs_outwards(tmp_path, side, sign):
    paths = written(plain_rig(), tmp_path, modality="CR")
    for path in paths:
        edit(path, Laterality=side, ImageLaterality=None, ViewCodeSequence=None)
    for view, direction, assumed in (
        ("LATERAL", sign, True),
        ("MEDIOLATERAL", sign, False),
        ("LATERO MEDIAL", -sign, False),
        ("RL", -1, False),
        ("LLAT", 1, False),
    ):
        edit(paths[1], ViewPosition=view)
        rig = rig_from_dicom(*paths)
        assert rig.views[1].axis[0] == pytest.approx(direction)
        assert any("mediolateral" in s for s in rig.assumptions) == assumed


def test_geometry_silent_files_are_taken_by_their_role_and_orientation(tmp_path):
    truth = plain_rig()
    paths = written(truth, tmp_path, modality="CR")
    for path in paths:
        edit(path, ViewPosition=None, ViewCodeSequence=None, PositionerType=None)
    rig = rig_from_dicom(*paths)
    assert_same_projection(rig, truth)
    assert any("frontal, taken as AP" in s for s in rig.assumptions)
    for path in paths:
        edit(path, PatientOrientation=None)
    rig = rig_from_dicom(*paths)
    assert_same_projection(rig, truth)
    assert sum("seen from the tube" in s for s in rig.assumptions) == 2
    edit(paths[0], ViewPosition="PA")
    column = rig_from_dicom(*paths).views[0].column_direction
    np.testing.assert_allclose(column, [1, 0, 0], atol=1e-12)  # facing the patient


def test_geometry_magnification_gives_the_missing_distance(tmp_path):
    truth = plain_rig()
    paths = written(truth, tmp_path)
    for path in paths:
        edit(path, DistanceSourceToPatient=None)
    assert_same_projection(rig_from_dicom(*paths), truth)
    for path, view in zip(paths, truth.views):
        magnification = -view.source_to_detector_distance / (view.source @ view.normal)
        spacing = [f"{s / magnification:.10g}" for s in reversed(view.pixel_spacing)]
        edit(
            path, EstimatedRadiographicMagnificationFactor="1", PixelSpacing=spacing,
            PixelSpacingCalibrationType="GEOMETRY",
        )  # fmt: skip
    assert_same_projection(rig_from_dicom(*paths), truth)
    # Calibrated at the knee only: brought to the detector with the distances.
    for path, view in zip(paths, truth.views):
        sod = f"{-view.source @ view.normal:.10g}"
        edit(path, ImagerPixelSpacing=None, DistanceSourceToPatient=sod)
    rig = rig_from_dicom(*paths)
    assert_same_projection(rig, truth)
    assert any("GEOMETRY" in s for s in rig.assumptions)


def test_geometry_magnification_gives_the_detectors_distance(tmp_path):
    truth = plain_rig()
    paths = written(truth, tmp_path)
    for path in paths:
        edit(path, DistanceSourceToDetector=None)
    assert_same_projection(rig_from_dicom(*paths), truth)


def test_geometry_pixel_spacing_without_type_is_the_detectors(tmp_path):
    truth = plain_rig()
    paths = written(truth, tmp_path)
    for path, view in zip(paths, truth.views):
        spacing = [str(s) for s in reversed(view.pixel_spacing)]
        edit(path, ImagerPixelSpacing=None, PixelSpacing=spacing)
    rig = rig_from_dicom(*paths)
    assert_same_projection(rig, truth)
    assert any("on the detector" in s for s in rig.assumptions)


def test_geometry_contradictions_are_refused(tmp_path):
    def fresh():
        return written(plain_rig(), tmp_path)

    paths = fresh()
    edit(paths[1], ImageLaterality="R", Laterality="R")
    with pytest.raises(GeometryError, match="side L"):
        rig_from_dicom(*paths)
    assert rig_from_dicom(*paths, laterality="R").laterality == "R"

    paths = fresh()
    edit(paths[1], Laterality="R")
    with pytest.raises(GeometryError, match="both sides"):
        rig_from_dicom(*paths)

    paths = fresh()
    with pytest.raises(GeometryError, match="frontal view"):
        rig_from_dicom(paths[0], paths[0])
    with pytest.raises(GeometryError, match="lateral view"):
        rig_from_dicom(paths[1], paths[1])

    edit(paths[0], PatientOrientation=["A", "F"])
    with pytest.raises(GeometryError, match="patient orientation"):
        rig_from_dicom(*paths)

    paths = fresh()
    edit(paths[0], PositionerType="CARM", PositionerPrimaryAngle="90")
    with pytest.raises(GeometryError, match="contradict"):
        rig_from_dicom(*paths)

    paths = fresh()
    edit(paths[1], ImagerPixelSpacing=None)
    with pytest.raises(GeometryError, match="1.dcm gives no pixel spacing") as caught:
        rig_from_dicom(*paths)
    assert caught.value.remedy


def test_geometry_exchanged_files_are_put_right_and_said(tmp_path):
    truth = plain_rig()
    paths = written(truth, tmp_path)
    rig = rig_from_dicom(paths[1], paths[0])
    assert [view.name for view in rig.views] == ["frontal", "lateral"]
    assert_same_projection(rig, truth)
    assert any("exchanged" in s for s in rig.assumptions)


def test_geometry_enhanced_functional_groups(tmp_path):
    """Enhanced XA keeps the same tags one sequence down."""
    truth = oblique()
    paths = written(truth, tmp_path, modality="XA")
    for path in paths:
        dataset = pydicom.dcmread(path)
        position, distances = pydicom.Dataset(), pydicom.Dataset()
        for item, keys in (
            (position, ("PositionerPrimaryAngle", "PositionerSecondaryAngle")),
            (distances, ("DistanceSourceToDetector",)),
        ):
            for key in keys:
                setattr(item, key, dataset[key].value)
                delattr(dataset, key)
        distances.DistanceSourceToIsocenter = float(dataset.DistanceSourceToPatient)
        del dataset.DistanceSourceToPatient
        groups = pydicom.Dataset()
        groups.PositionerPositionSequence = [position]
        groups.XRayGeometrySequence = [distances]
        dataset.PerFrameFunctionalGroupsSequence = [groups]
        dataset.save_as(path)
    assert_same_projection(rig_from_dicom(*paths), truth)


@needs_shared
def test_geometry_real_cr_needs_a_spacing_and_takes_it(tmp_path):
    real = SHARED / "data/radiograph_cr/RG3_J2KR.dcm"
    lateral = written(plain_rig(), tmp_path)[1]
    edit(lateral, Laterality="R", ImageLaterality=None)
    with pytest.raises(GeometryError, match="pixel spacing"):
        rig_from_dicom(real, lateral)
    rig = rig_from_dicom(real, lateral, frontal=Overrides(pixel_spacing=(0.2, 0.2)))
    view = rig.views[0]
    assert rig.laterality == "R" and view.size == (1760, 1760)
    np.testing.assert_allclose(view.column_direction, [-1, 0, 0], atol=1e-12)  # stored R\F
    np.testing.assert_allclose(view.row_direction, [0, 0, -1], atol=1e-12)
    assert any("source-to-detector" in s for s in rig.assumptions)


def command(*words):
    parser = argparse.ArgumentParser()
    rig_command.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["rig", *map(str, words)])
    return arguments.run(arguments)


def test_geometry_rig_command(tmp_path, capsys, monkeypatch):
    truth = plain_rig()
    paths = written(truth, tmp_path)
    target = tmp_path / "RIG.json"
    assert command("--frontal", paths[0], "--lateral", paths[1], "-o", target) == 0
    rig = read_rig(target)
    assert_same_projection(rig, truth)
    assert rig.images[0] == str(paths[0])
    assert "2 views" in capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    (tmp_path / "precious.txt").write_text("years")
    with pytest.raises(OutputError, match="not a rig"):
        command("--frontal", paths[0], "--lateral", paths[1], "-o", "precious.txt")
    assert (tmp_path / "precious.txt").read_text() == "years"
    numbers = ("--sdd", 1150, 1050, "--sod", 1000, 700, "--spacing", 2, "--angle", 0, -90)
    command("--images", "0.dcm", "1.dcm", *numbers, "-o", "plain.json", "--side", "R")
    rig = read_rig("plain.json")
    np.testing.assert_allclose(rig.views[1].source, [-700, 0, 0], atol=1e-9)
    assert rig.laterality == "R" and rig.sources[0].values == "display"

    for words in (
        ("-o", "x.json"),
        ("--frontal", "0.dcm", "-o", "x.json"),
        ("--images", "0.dcm", "1.dcm", "-o", "x.json"),
        ("--images", "0.dcm", "1.dcm", "-o", "x.json", *numbers, "--air", 1, 2, 3),
        ("--images", "0.dcm", "1.dcm", "-o", "x.json", *numbers, "--view", "AP", "LL"),
        ("--frontal", "0.dcm", "--lateral", "1.dcm", "-o", "x.json", "--angle", 0, 90),
    ):
        with pytest.raises(GeometryError):
            command(*words)
    assert not (tmp_path / "x.json").exists()

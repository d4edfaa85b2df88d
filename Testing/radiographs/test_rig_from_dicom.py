"""Which way a DICOM radiograph looks: angles, view codes, names, and the distances of DX."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pydicom
import pytest

from SSRKDLib.core.errors import GeometryError
from SSRKDLib.geometry.centred_views import centred_view
from SSRKDLib.geometry.detector_pose import seen_from_detector
from SSRKDLib.geometry.rig_presets import PRESETS
from SSRKDLib.geometry.slot_view import SlotView
from SSRKDLib.geometry.views import Rig, View
from SSRKDLib.radiographs.dicom_distances import Overrides
from SSRKDLib.radiographs.dicom_tags import read_dicom_tags, tags_from_dict, tags_to_dict
from SSRKDLib.radiographs.dicom_words import side_key, view_key
from SSRKDLib.radiographs.exposure import read_exposures
from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom, rig_from_tags
from SSRKDLib.radiographs.rig_from_one_dicom import rig_from_one_dicom
from SSRKDLib.radiographs.slot_scanners import higher_than_detectors, pixels_of_slot_scanners
from Testing.radiographs.test_rig_sources import (
    SIZE,
    assert_same_projection,
    edit,
    plain_rig,
    written,
)


def test_geometry_angles_alone_lay_the_image_out(tmp_path):
    """An XA file without patient orientation: seen from the detector, head up."""
    views = []
    for angles in ((0.0, 0.0), (90.0, 10.0)):
        axis, column, row = seen_from_detector(*angles)
        views.append(centred_view(
            "view", axis, column, row, sdd=1050, sod=700, pixel_spacing=(2.0, 1.7), size=SIZE
        ))  # fmt: skip
    truth = Rig(views=tuple(views), laterality="L")
    paths = written(truth, tmp_path, modality="XA")
    for path in paths:
        edit(path, PatientOrientation=None)
    assert_same_projection(rig_from_dicom(*paths), truth)


@pytest.mark.parametrize("maker", ["A.MAKER", "EOS IMAGING"])
@pytest.mark.parametrize("sdd, sod, words", [
    (0.0, None, "detector distance of 0 mm"), (None, 0.0, "object distance of 0 mm"),
    (None, float("inf"), "object distance of inf mm"),
])  # fmt: skip
def test_geometry_typed_distances_that_are_impossible_are_refused(tmp_path, maker, sdd, sod, words):
    paths = written(plain_rig(), tmp_path, modality="CR")
    for path in paths:
        edit(path, Manufacturer=maker)
    own = Overrides(sdd=sdd, sod=sod)
    with pytest.raises(GeometryError, match=words):
        rig_from_dicom(*paths, frontal=own, lateral=own)


def test_geometry_the_view_is_told_by_code_then_meaning_then_position(tmp_path):
    paths = written(plain_rig(), tmp_path, modality="CR")
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "local", "99VENDOR"
    code.CodeMeaning = "von hinten nach vorn"
    edit(paths[0], ViewCodeSequence=[code], ViewPosition="PA")
    assert rig_from_dicom(*paths).views[0].axis[1] == pytest.approx(-1)
    code.CodeMeaning = "Antero-Posterior"
    edit(paths[0], ViewCodeSequence=[code], ViewPosition="PA")
    assert rig_from_dicom(*paths).views[0].axis[1] == pytest.approx(1)
    code.CodeValue = "R-10214"
    edit(paths[0], ViewCodeSequence=[code], ViewPosition="AP")
    assert rig_from_dicom(*paths).views[0].axis[1] == pytest.approx(-1)


def test_geometry_a_dx_magnification_is_of_the_patient_its_distance_need_not_be(tmp_path):
    """C.8.11.5: (0018,1111) ends at the table or bucky."""
    truth = plain_rig()
    paths = written(truth, tmp_path, modality="DX")
    for path in paths:
        edit(path, DistanceSourceToPatient=940.0)
    assert_same_projection(rig_from_dicom(*paths), truth)
    for path in paths:
        edit(path, EstimatedRadiographicMagnificationFactor=None)
    rig = rig_from_dicom(*paths)
    assert sum("taken to be to the knee" in s for s in rig.assumptions) == 2


def test_geometry_angles_against_the_named_direction_are_said(tmp_path):
    paths = written(plain_rig(), tmp_path, modality="XA")
    edit(paths[0], ViewPosition="PA")
    rig = rig_from_dicom(*paths)
    assert rig.views[0].axis[1] == pytest.approx(1)
    assert any("opposite direction" in s for s in rig.assumptions)


def rewrite(path, keyword, old, new):
    """Change the bytes of a number: pydicom would not write what some devices do."""
    value = "\\".join(map(str, pydicom.dcmread(path)[keyword].value)).encode()
    data = path.read_bytes()
    assert data.count(value) == 1
    path.write_bytes(data.replace(value, value.replace(old, new)))


def test_geometry_a_source_to_patient_distance_that_is_impossible_counts_as_absent(tmp_path):
    """Devices copy the source-to-detector distance into it (D29)."""
    paths = written(plain_rig(), tmp_path, modality="CR")
    for path in paths:
        edit(
            path, DistanceSourceToDetector=1150.0, DistanceSourceToPatient=1150.0,
            EstimatedRadiographicMagnificationFactor=None,
        )  # fmt: skip
    rig = rig_from_dicom(*paths)
    assert rig.views[0].source[1] == pytest.approx(-1100)
    assert sum("1150 mm is impossible" in s for s in rig.assumptions) == 2
    assert sum("taken as 1100 mm" in s for s in rig.assumptions) == 2
    # With a magnification nothing need be assumed; a distance given by hand is not put aside.
    for path in paths:
        edit(path, EstimatedRadiographicMagnificationFactor=1.25)
    assert rig_from_dicom(*paths).views[0].source[1] == pytest.approx(-920)
    with pytest.raises(GeometryError, match="source-to-object distance of 1150"):
        rig_from_dicom(*paths, frontal=Overrides(sod=1150.0))


@pytest.mark.parametrize(("unit", "mm"), [("centimetres", 10), ("metres", 1000)])
def test_geometry_distances_in_centimetres_are_read_as_such(tmp_path, unit, mm):
    truth = plain_rig()
    paths = written(truth, tmp_path, modality="CR")
    for path, view in zip(paths, truth.views):
        edit(
            path, DistanceSourceToDetector=view.source_to_detector_distance / mm,
            DistanceSourceToPatient=-(view.source @ view.normal) / mm,
        )  # fmt: skip
    rig = rig_from_dicom(*paths)
    assert_same_projection(rig, truth)
    assert sum(f"is read as {unit}" in s for s in rig.assumptions) == 4
    # A small C-arm is that near; what is given by hand is in millimetres.
    for path in paths:
        edit(
            path, DistanceSourceToDetector=450.0, DistanceSourceToPatient=250.0,
            EstimatedRadiographicMagnificationFactor=None,
        )  # fmt: skip
    rig = rig_from_dicom(*paths)
    assert rig.views[0].source[1] == pytest.approx(-250) and rig.assumptions == ()
    with pytest.raises(GeometryError, match="source-to-detector distance of 120"):
        rig_from_dicom(*paths, frontal=Overrides(sdd=120.0))


def test_geometry_spacings_as_devices_write_them_are_read(tmp_path):
    truth = plain_rig()
    paths = written(truth, tmp_path)
    rewrite(paths[0], "ImagerPixelSpacing", b".", b",")
    edit(paths[1], ImagerPixelSpacing=[2.3])
    rig = rig_from_dicom(*paths)
    assert_same_projection(rig, truth)
    comma, single = rig.assumptions
    assert "0.dcm" in comma and "1,7" in comma and "decimal comma" in comma
    assert "1.dcm" in single and "one value, 2.3" in single
    # Both numbers in one text, under a VR that has not several values.
    for written_as in ("2.3\\2.3", "2.3, 2.3", "2,3;2,3", "2.3\\"):
        edit(paths[1], ImagerPixelSpacing=None)
        dataset = pydicom.dcmread(paths[1])
        dataset.add_new(0x00181164, "LT", written_as)
        dataset.save_as(paths[1])
        assert_same_projection(rig_from_dicom(*paths), truth)
    edit(paths[1], ImagerPixelSpacing=None)
    edit(paths[1], ImagerPixelSpacing=[0, 0])
    with pytest.raises(GeometryError, match="no pixel spacing.*is not used: it is 0"):
        rig_from_dicom(*paths)
    edit(
        paths[1], ImagerPixelSpacing=None, DetectorElementSpacing=[1.15, 1.15],
        DetectorBinning=[2, 2],
    )  # fmt: skip
    rig = rig_from_dicom(*paths)
    assert_same_projection(rig, truth)
    assert any("(0018,7022)" in s for s in rig.assumptions)


def test_what_speaks_against_one_knee_of_one_visit_is_told(tmp_path):
    first, second = paths = written(plain_rig(), tmp_path)
    edit(first, StudyDate="20200105", AcquisitionDate="20200103", PatientID="1")
    edit(second, StudyDate="20200103", PatientID="1")
    assert rig_from_dicom(*paths).assumptions == ()
    edit(first, AcquisitionDate=None, PixelAspectRatio=["1", "1"], BodyPartExamined="KNEE")
    (days,) = rig_from_dicom(*paths).assumptions
    assert "2 day(s) apart" in days and "2020" not in days
    edit(second, StudyDate="", PatientID="2", PixelAspectRatio=["2", "1"])
    edit(second, BodyPartExamined="SKULL")
    people, part, ratio = rig_from_dicom(*paths).assumptions
    assert "different patient IDs" in people
    assert "1.dcm" in part and "SKULL, and no knee" in part
    assert "aspect ratio (0028,0034) of 2 to 1 is ignored" in ratio


def test_tags_in_a_saved_scene_are_read_again(tmp_path):
    """Their keys are those of scenes that were saved before."""
    path = written(plain_rig(), tmp_path)[0]
    edit(path, DetectorPrimaryAngle=3.0, StudyDate="20200103")
    tags = read_dicom_tags(path)
    kept = json.loads(json.dumps(tags_to_dict(tags)))
    assert "3 degrees" in kept["oddities"][0]
    assert tags.day and tags_from_dict(kept) == replace(tags, patient="", day=None)
    del kept["element_spacing"]  # as an earlier version wrote them
    assert tags_from_dict(kept) == replace(tags, patient="", day=None)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("AP STANDING", "AP"), ("PA FLEXED", "PA"), ("LAT STANDING", "LATERAL"),
        ("CROSSTABLE LAT", "LATERAL"), ("LATERAL LEFT KNEE", "LATERAL"), ("FRONTAL", "AP"),
        ("PROFIL", "LATERAL"), ("A.P.", "AP"), ("KNEE 1V A-P", "AP"), ("KNIE SEITLICH", "LATERAL"),
        ("medio-lateral", "ML"), ("LATERAL MEDIOLATERAL", "ML"), ("R-10206", "AP"),
        ("AP AND LAT", None), ("LLO", None), ("SUNRISE LAT", None), ("KNEE", None), ("", None),
    ],
)  # fmt: skip
def test_views_in_words(text, key):
    assert view_key(text) == key


@pytest.mark.parametrize(
    ("tag", "side"),
    [("LEFT", "L"), ("Rechts", "R"), ("li", "L"), ("R", "R"), ("BOTH", "B"), ("U", ""), ("", "")],
)
def test_sides_in_words(tag, side):
    assert side_key(tag) == side


def test_an_unknown_view_position_is_named(tmp_path):
    paths = written(plain_rig(), tmp_path, modality="CR")
    edit(paths[1], ViewPosition="LLO", ViewCodeSequence=None, PatientOrientation=None)
    assert any("'LLO' is not known" in s for s in rig_from_dicom(*paths).assumptions)


def test_sides_and_views_come_from_descriptions_where_tags_are_empty(tmp_path):
    paths = written(plain_rig(), tmp_path, modality="CR")
    empty = dict.fromkeys(("Laterality", "ImageLaterality", "ViewPosition", "ViewCodeSequence",
                           "PatientOrientation"))  # fmt: skip
    for path, text in zip(paths, ("KNEE LEFT PA", "Knie links seitlich")):
        edit(path, **empty, SeriesDescription=text)
    rig = rig_from_dicom(*paths)
    assert rig.laterality == "L" and rig.views[0].axis[1] == pytest.approx(-1)
    assert sum("is that of the description" in sentence for sentence in rig.assumptions) == 2
    alone = rig_from_one_dicom(paths[0], "frontal")
    assert alone.laterality == "L" and alone.views[0].axis[1] == pytest.approx(-1)
    # Where each beam's direction came from; that of a lateral one is the side's question.
    typed = Overrides(view_position="AP")
    beams = [view.known.beam for view in rig_from_dicom(*paths, frontal=typed).views]
    assert beams == ["typed", "assumed"]
    # The same words in both files tell nothing, nor do letters of a description.
    for path in paths:
        edit(path, SeriesDescription="R/O FX, KNEE LAT")
    rig = rig_from_dicom(*paths)
    assert rig.laterality is None and rig.views[0].axis[1] == pytest.approx(1)
    modifier, region = pydicom.Dataset(), pydicom.Dataset()
    modifier.CodeValue = "24028007"
    region.AnatomicRegionModifierSequence = [modifier]
    edit(paths[0], AnatomicRegionSequence=[region])
    assert rig_from_dicom(*paths).laterality == "R"


EOS = {"Manufacturer": "EOS imaging", "DistanceSourceToDetector": 1300}


@pytest.mark.parametrize(
    ("tags", "spacing", "words"),
    [
        ({**EOS, "ImagerPixelSpacing": [0.9, 0.9 * 1300 / 918], "DistanceSourceToPatient": 918},
         (0.9 * 1300 / 918, 0.9), ""),
        ({**EOS, "ImagerPixelSpacing": [0.254] * 2, "PixelSpacing": [0.254 * 918 / 1300] * 2,
          "DistanceSourceToPatient": 918}, (0.254, 0.254 * 918 / 1300), ""),
        ({"ManufacturerModelName": "EOSedge", "ImagerPixelSpacing": [0.2, 0.2],
          "DistanceSourceToDetector": None, "DistanceSourceToPatient": None},
         (0.2, 0.2 * 987 / 1300), "987 mm are assumed, as EOS's"),
        ({"ImagerPixelSpacing": [0.9, 1.2], "DistanceSourceToDetector": 1200,
          "DistanceSourceToPatient": 900}, (1.2, 0.9), ""),
    ],
)  # fmt: skip
def test_a_slot_scanner_is_recognised(tmp_path, tags, spacing, words):
    """Columns are magnified, rows are the patient's own, whichever way the file says so."""
    paths = written(plain_rig(), tmp_path, modality="DX")
    for path in paths:
        edit(path, EstimatedRadiographicMagnificationFactor=None, **tags)
    rig = rig_from_dicom(*paths)
    for view in rig.views:
        assert isinstance(view, SlotView)
        assert (view.known.detector, view.known.knee) == ("calibrated", "calibrated")
        assert view.project([0, 0, 30.0])[1] == pytest.approx(
            view.project([40.0, 60, 0])[1] - 30 / view.pixel_spacing[1]
        )
    assert rig.simultaneous
    assert rig.views[0].pixel_spacing == pytest.approx(spacing)
    assert words in " ".join(rig.assumptions)
    # One file of another height: tubes travel together, so upper edges are level.
    view = rig_from_tags(
        [replace(t, size=(t.size[0], s)) for t, s in zip(map(read_dicom_tags, paths), (256, 200))],
        ["a", "b"],
    )[0].views
    tops = [v.points_on_detector(np.array([0, -0.5]))[2] for v in view]
    assert tops[0] == pytest.approx(tops[1])


def test_a_slot_scanner_without_scale_is_refused(tmp_path):
    paths = written(plain_rig(), tmp_path, modality="DX")
    edit(paths[0], **EOS, ImagerPixelSpacing=None)
    with pytest.raises(GeometryError, match="no pixel spacing.*scanner's own image"):
        rig_from_dicom(*paths)


def test_a_slot_image_as_a_cone_beams_is_a_sentence_and_the_reverse(tmp_path):
    paths = written(plain_rig(), tmp_path, modality="DX")
    plain = rig_from_dicom(*paths)
    for path in paths:
        edit(path, EstimatedRadiographicMagnificationFactor=None, **EOS)
    slot = rig_from_dicom(*paths)
    with pytest.raises(GeometryError, match="comes from a slot scanner.*cone beam"):
        read_exposures(plain)
    assert not any("slot" in note for note in read_exposures(slot)[1])
    written(plain_rig(), tmp_path, modality="DX")
    assert sum("the rig is believed" in note for note in read_exposures(slot)[1]) == 2


def test_a_cone_beams_image_higher_than_a_detector_is_pointed_out(tmp_path):
    plain = rig_from_dicom(*written(plain_rig(), tmp_path, modality="DX"))
    assert higher_than_detectors(plain) == []
    view = plain.views[0]
    rows = 1 + int(620 / view.pixel_spacing[1])
    tall = replace(view, size=(view.size[0], rows))
    slot = SlotView(**{entry.name: getattr(tall, entry.name) for entry in fields(tall)})
    assert higher_than_detectors(Rig((slot,))) == []
    (said,) = higher_than_detectors(Rig((tall,)))
    assert "more than any detector" in said and "'type': 'slot'" in said


def test_a_cone_beam_with_a_slot_scanners_pixels_is_warned_of():
    rig = PRESETS["slot"]()
    assert pixels_of_slot_scanners(rig) == [] == pixels_of_slot_scanners(PRESETS["orthogonal"]())
    kept = [entry.name for entry in fields(View)]
    cones = [View(**{name: getattr(view, name) for name in kept}) for view in rig.views]
    said = pixels_of_slot_scanners(replace(rig, views=tuple(cones)))
    assert len(said) == 2 and all("the bones are too short" in one for one in said)

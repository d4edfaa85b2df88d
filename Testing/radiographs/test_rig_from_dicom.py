"""Which way a DICOM radiograph looks: angles, view codes, names, and the distances of DX."""

from __future__ import annotations

import pydicom
import pytest

from SSRKDLib.geometry.detector_pose import centred_view, seen_from_detector
from SSRKDLib.geometry.views import Rig
from SSRKDLib.radiographs.rig_from_dicom import rig_from_dicom
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

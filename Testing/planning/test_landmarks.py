"""Landmarks of real tibias: independent of the other bones, the frame and where shafts end."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.clinical.measures import measure
from SSRKDLib.core.errors import InputError
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.planning.correction import knee_angles
from SSRKDLib.planning.landmarks import find_landmarks
from SSRKDLib.planning.osteotomy import alignment
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.knee import joint_centre


@pytest.fixture(scope="module")
def person():
    return load_person(3)


def shin(bones):
    return {bone: bones[bone] for bone in ("tibia", "fibula")}


def clipped(bones, reach):
    z = joint_centre(bones)[2]
    box = np.array([[-np.inf, -np.inf, z - reach], [np.inf, np.inf, z + reach]])
    return {bone: mesh.clipped(box) for bone, mesh in bones.items()}


def test_angles_are_those_of_the_clinical_measures(person):
    found = {one.name: one.value for one in measure(person, "L")}
    turn = np.array([[0.0, -1, 0, 5], [0, 0, -1, 90], [1, 0, 0, -30], [0, 0, 0, 1]])
    right = {bone: mesh.transformed(turn @ MIRROR) for bone, mesh in clipped(person, 95).items()}
    for bones, side in ((person, "L"), (right, "R")):
        marks = find_landmarks(shin(bones), side)
        angles = alignment(marks, np.eye(3))
        assert angles.mpta == pytest.approx(found["proximal_tibial_angle"], abs=0.25)
        assert angles.slope_medial == pytest.approx(found["tibial_slope_medial"], abs=0.25)
        assert angles.slope_lateral == pytest.approx(found["tibial_slope_lateral"], abs=0.25)
        knee = knee_angles(bones, marks)
        assert knee.convergence == pytest.approx(found["joint_line_convergence"], abs=0.25)
        assert abs(knee.flexion) < 12.0


def test_what_cannot_be_planned_on_is_refused(person):
    tibia, fibula = person["tibia"], person["fibula"]
    with pytest.raises(InputError, match="no tibia"):
        find_landmarks({"fibula": fibula}, "L")
    with pytest.raises(InputError, match="no fibula"):
        find_landmarks({"tibia": tibia}, "L")
    with pytest.raises(InputError, match="left or a right"):
        find_landmarks(person, None)
    with pytest.raises(InputError, match="shaft of the tibia is visible.*80 mm of shaft"):
        find_landmarks(clipped(person, 60.0), "L")
    with pytest.raises(InputError, match=r"right knee, and look like those of a left"):
        find_landmarks(person, "R")

"""Two plans on one tibia and on a changed one; what is written of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SSRKDLib.core.errors import InputError
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.planning.planner import Correction, Planner
from SSRKDLib.planning.same_plan import compare_plans, is_same
from SSRKDLib.simulation.population import load_person

PLANNER = Planner("L", Correction(angle=8.0))


@pytest.fixture(scope="module")
def shin():
    person = load_person(3)
    return {bone: person[bone] for bone in ("tibia", "fibula")}


def test_a_moved_reference_has_the_same_plan_and_a_larger_one_a_higher_wedge(shin):
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec([0.1, 0.2, -0.1]).as_matrix()
    motion[:3, 3] = [30.0, -20.0, 10.0]
    moved = {bone: mesh.transformed(motion) for bone, mesh in shin.items()}
    differences, mine, truth = compare_plans(shin, moved, PLANNER)
    assert is_same(differences)
    assert max(map(abs, differences.values())) < 0.02
    assert truth.height == pytest.approx(mine.height, abs=1e-3)
    # A fibula whose tip is 5 mm higher: the reference's plane is steeper by as much.
    lifted = np.eye(4)
    lifted[2, 3] = 5.0
    higher = {"tibia": shin["tibia"], "fibula": shin["fibula"].transformed(lifted)}
    differences, mine, truth = compare_plans(shin, higher, PLANNER)
    cosine = mine.cut.normal @ truth.cut.normal
    assert differences["plane_deg"] == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-3)
    assert differences["plane_deg"] > 2.0 and not is_same(differences)


def test_a_mirrored_reference_is_refused(shin):
    mirrored = {bone: mesh.transformed(MIRROR) for bone, mesh in shin.items()}
    with pytest.raises(InputError, match="Reference: .*look like"):
        compare_plans(shin, mirrored, PLANNER)


def test_a_reference_without_fibula_is_named_as_such(shin):
    with pytest.raises(InputError, match="Reference: There is no fibula"):
        compare_plans(shin, {"tibia": shin["tibia"]}, PLANNER)
    json.dumps(PLANNER(shin)[1].as_dict(), allow_nan=False)

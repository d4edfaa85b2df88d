"""What a scene of somebody else's may hold in the module's attributes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SSRKDLib.core.errors import SSRKDError
from Testing.support.asymmetric_rig import asymmetric

pytestmark = pytest.mark.usefixtures("module")


@pytest.mark.parametrize(
    "text",
    [
        "{broken",
        "[" * 100_000,
        "[1]",
        '{"frame": "LPS"}',
        '{"frame": "LPS", ...}',
        '{"more": NaN, ...}',
    ],
)
def test_damaged_stored_geometry_is_said(slicer, text):
    from SSRKDSlicer.bones.results import RIG, reconstructionRig
    from SSRKDSlicer.radiographs.radiographs import (
        KEPT_TAGS,
        STORED_RIG,
        RadiographNode,
        storeRig,
    )

    node = slicer.util.addVolumeFromArray(np.zeros((1, 2, 3)))
    storeRig(node, asymmetric(), 0)
    sound = node.GetAttribute(STORED_RIG)
    assert RadiographNode(node, "frontal").storedRig() == json.loads(sound)
    for attribute, read in {
        STORED_RIG: RadiographNode(node, "frontal").storedRig,
        KEPT_TAGS: RadiographNode(node, "frontal").dicomTags,
        RIG: lambda: reconstructionRig({"femur": node}),
    }.items():
        node.SetAttribute(attribute, text.replace("...", sound[1:-1]))
        with pytest.raises(SSRKDError, match="damaged|version"):
            read()
        node.SetAttribute(attribute, None)


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("SSRKD.About", '{"agreement": []}'),
        ("SSRKD.About", "[" * 100_000),
        ("SSRKD.Poses", '{"shown": "frontal", "lateral": [[1, 0], [0, 1]]}'),
        ("SSRKD.Poses", '{"shown": "frontal", "shown": "lateral"}'),
    ],
)
def test_damaged_attributes_of_bones_count_as_none(slicer, attribute, text):
    from SSRKDSlicer.bones.results import aboutModel
    from SSRKDSlicer.radiographs.poses import poseIn, shownPose

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Femur")
    node.SetAttribute(attribute, text)
    assert aboutModel(node) == {} and shownPose(node) is None
    np.testing.assert_array_equal(poseIn(node, "lateral"), np.eye(4))


@pytest.mark.parametrize("change", [{"kind": "none"}, {"angle": float("nan")}, {"side": None}, {}])
def test_a_damaged_plan_is_said(slicer, change):
    from SSRKDSlicer.bones.osteotomy import SETTINGS, Settings

    plane = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "Cut")
    settings = Settings("opening", 8.0, 40.0, 5.0, None, "L")
    settings.store(plane)
    assert Settings.of(plane) == settings
    kept = json.loads(plane.GetAttribute(SETTINGS))
    plane.SetAttribute(SETTINGS, json.dumps({**kept, **change}) if change else None)
    with pytest.raises(SSRKDError, match="is damaged") as caught:
        Settings.of(plane)
    assert "plan again" in caught.value.remedy

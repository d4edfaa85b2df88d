"""Which components are bones of one knee: those whose place beside femur and tibia is possible."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.ct.connected_components import components, one_knee
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.reconstruction.ct import reconstruct_ct
from Testing.support.ball_knee import BALLS
from Testing.support.band_knee import BandModel, band_ct

#: Blocks (low, high) in voxels (k, j, i) of 5 mm: bones of a leg of 300 mm.
LEG = {
    "femur": ((30, 15, 15), (58, 25, 25)),
    "tibia": ((2, 15, 15), (29, 25, 25)),
    "fibula": ((2, 17, 28), (26, 22, 32)),
    "patella": ((32, 6, 18), (38, 10, 22)),
}
AFFINE = np.diag([5.0, 5.0, 5.0, 1.0])


def found_in(**blocks):
    """Components of blocks (several per bone), as :func:`one_knee` takes them."""
    found = {}
    for bone in BONES:
        positive = np.zeros((60, 40, 100), bool)
        for low, high in blocks.get(bone, []):
            positive[tuple(slice(a, b) for a, b in zip(low, high))] = True
        if positive.any():
            found[bone] = components(positive, AFFINE)
    return found


def shifted(block, k=0, i=0):
    return tuple((low + k, j, x + i) for low, j, x in block)


def middles(chosen):
    return {bone: one.centre / 5 + 0.5 for bone, one in chosen.items()}


@pytest.mark.parametrize("bone", ["patella", "fibula"])
def test_a_bone_is_the_component_beside_femur_and_tibia_not_the_largest(bone):
    leg = {name: [block] for name, block in LEG.items()}
    spurious = ((50, 1, 70), (60, 14, 90)) if bone == "fibula" else ((52, 4, 4), (59, 14, 14))
    chosen, sentences = one_knee(found_in(**{**leg, bone: [LEG[bone], spurious]}))
    assert middles(chosen)[bone] == pytest.approx(np.mean(LEG[bone], axis=0)[::-1])
    if bone == "patella":
        assert sentences == []
    # Without a component where the bone can be, it is missing, and that is reported.
    chosen, sentences = one_knee(found_in(**{**leg, bone: [spurious]}))
    assert list(chosen) == [name for name in BONES if name != bone]
    assert len(sentences) == 1 and f"What was segmented as {bone}" in sentences[0]


def test_what_is_longer_than_any_patella_is_none():
    """However near to the joint it lies."""
    spurious = ((32, 26, 12), (35, 32, 30))  # nearer than the patella, 90 mm long
    leg = {name: [block] for name, block in LEG.items()}
    chosen, _ = one_knee(found_in(**{**leg, "patella": [LEG["patella"], spurious]}))
    assert middles(chosen)["patella"] == pytest.approx(np.mean(LEG["patella"], axis=0)[::-1])
    chosen, sentences = one_knee(found_in(**{**leg, "patella": [spurious]}))
    assert "patella" not in chosen and "patella cannot be" in sentences[0]


def test_a_piece_of_shaft_taken_for_another_bone_is_no_second_knee():
    """Far from the joint a network may take as much tibia for femur as it sees of the femur."""
    upper, lower = ((16, 15, 15), (29, 25, 25)), ((2, 15, 15), (16, 25, 25))
    leg = {**{name: [block] for name, block in LEG.items()}, "tibia": [upper]}
    _, sentences = one_knee(found_in(**{**leg, "femur": [LEG["femur"], lower]}))
    assert sentences == []
    beside = shifted(LEG["femur"], i=40)
    _, sentences = one_knee(found_in(**{**leg, "femur": [LEG["femur"], beside]}))
    assert len(sentences) == 1 and "two knees" in sentences[0]


def test_a_joint_is_not_made_of_a_left_femur_and_a_right_tibia():
    other = {bone: shifted(block, i=40) for bone, block in LEG.items()}
    chosen, sentences = one_knee(found_in(femur=[LEG["femur"]], tibia=[other["tibia"]]))
    assert list(chosen) == ["femur"]
    assert "What was segmented as tibia" in sentences[0] and "its femur" in sentences[0]
    # Nor does its middle make a place for a patella.
    between = shifted(LEG["patella"], i=20)
    for patella, kept in ((LEG["patella"], ["patella", "femur"]), (between, ["femur"])):
        blocks = {"femur": [LEG["femur"]], "tibia": [other["tibia"]], "patella": [patella]}
        assert list(one_knee(found_in(**blocks))[0]) == kept


def test_of_two_legs_the_larger_one_s_bones_are_taken():
    legs = {bone: [block, shifted(block, i=40)] for bone, block in LEG.items()}
    legs["femur"][0] = ((30, 15, 15), (50, 25, 25))
    chosen, sentences = one_knee(found_in(**legs))
    assert all(middle[0] > 50 for middle in middles(chosen).values()) and len(chosen) == 4
    assert len(sentences) == 1 and "two knees" in sentences[0]
    assert "the patella, the femur, the fibula and the tibia" in sentences[0]
    assert "patient's left was taken" in " ".join(sentences).replace("one at the ", "")


def test_a_lone_patella_is_taken_as_it_is():
    chosen, sentences = one_knee(found_in(patella=[LEG["patella"]]))
    assert list(chosen) == ["patella"] and sentences == []


def test_a_patella_far_from_the_joint_is_missing_from_the_result():
    """As on the Visible Human Male, where 96 mm from the joint the best there was lay."""
    values, affine = band_ct(size=(80, 90, 150))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in values.shape), indexing="ij"), -1)
    points = index[..., ::-1] @ affine[:3, :3].T + affine[:3, 3]
    radius = BALLS["patella"][1]
    # The fibula goes too: in this stand-in a shell of "patella" lies around it.
    gone = [np.linalg.norm(points - BALLS[bone][0], axis=-1) < BALLS[bone][1] + 6
            for bone in ("patella", "fibula")]  # fmt: skip
    away = np.linalg.norm(points - [0.0, -50.0, 102.0], axis=-1)
    brightness = np.minimum(0.75 + 0.2 * (radius - away), 0.8)
    values = np.where(np.any(gone, axis=0), -4, values)
    values = np.where(away < radius + 1, np.rint(900 * brightness - 400), values).astype(np.int16)
    result = reconstruct_ct(CtScan(values, affine), BandModel(voxel=1.8))
    assert list(result.bones) == ["femur", "tibia"]
    assert result.report["bones"]["patella"] == {"found": False, "volume_mm3": None}
    warnings = result.report["warnings"]
    assert warnings[0] == "The patella was not found."
    assert "What was segmented as patella" in warnings[2]

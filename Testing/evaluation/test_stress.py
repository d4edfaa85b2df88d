"""One factor at a time: what a scene becomes, and the table that is made of the rows."""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.evaluation.stress import BASELINE, scenes, table, virtual_person
from SSRKDLib.evaluation.stress_factors import FACTORS, Scene
from SSRKDLib.surfaces.knee import joint_centre


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(virtual_person(0))


def factor(name: str):
    return next(factor for factor in FACTORS if factor.name == name)


def test_the_joint_lies_where_the_scene_says(scene):
    assert joint_centre(scene.placed()) == pytest.approx(np.array(scene.offset), abs=1e-6)
    turned = factor("turn of the leg").change(scene, 15.0)
    assert joint_centre(turned.placed()) == pytest.approx(np.array(scene.offset), abs=0.2)


def test_a_turn_is_about_the_legs_axis_by_so_many_degrees(scene):
    before, after = (s.placed()["femur"].vertices - s.offset for s in (
        scene, factor("turn of the leg").change(scene, 15.0)))  # fmt: skip
    angles = np.degrees(
        np.arctan2(after[:, 1], after[:, 0]) - np.arctan2(before[:, 1], before[:, 0])
    )
    assert after[:, 2] == pytest.approx(before[:, 2], abs=0.2)
    assert np.median((angles + 180) % 360 - 180) == pytest.approx(15.0, abs=0.5)


def test_each_factor_changes_the_scene_and_nothing_of_the_usual_one(scene):
    for one in FACTORS:
        for value in one.values:
            assert one.change(scene, value) != scene, one.name
    names = [name for name, value, _ in scenes(scene.bones)]
    assert names[0] == BASELINE and set(names[2:]) == {one.name for one in FACTORS}


def test_pictures_lose_the_rim_and_show_the_nail_in_the_tibia(scene):
    view = scene.rig().views[0]
    image = np.ones(view.size[::-1], np.float32)
    rim = factor("undeclared black rim").change(scene, 0.1).finish(image, view)
    assert not rim[:25].any() and not rim[:, -25:].any() and (rim[26:-26, 26:-26] == 1).all()
    nail = factor("nail in the tibia").change(scene, 10.0).finish(image, view)
    rows, columns = np.nonzero(nail > 1 + 0.8 * 9)  # mm of steel, near its axis
    tibia = scene.placed()["tibia"].vertices
    shaft = view.project(tibia[tibia[:, 2] < scene.offset[2] - 60])
    assert shaft[:, 0].min() < columns.mean() < shaft[:, 0].max()
    assert rows.min() > view.project(np.array(scene.offset))[1]


def test_the_table_pays_for_missing_bones_and_knows_slopes():
    def row(name, value, assd):
        found = {"assd": dict.fromkeys(BONES, assd), "true_masks": dict.fromkeys(BONES, 0.3)}
        rest = {"turned": 2.0, "dice": 0.9, "error": ""}
        return {"person": "p", "factor": name, "value": value, **found, **rest}

    rows = [row(BASELINE, None, 0.5), row("blur", 0.0, 0.4), row("blur", 1.5, 0.7)]
    rows.append({**row("letter", 12.0, 0.5), "assd": {**dict.fromkeys(BONES, 0.5), "femur": None}})
    lines = {(line["factor"], line["value"]): line for line in table(rows)}
    assert lines["blur", 1.5]["cost"] == pytest.approx(0.2)
    assert lines["blur", 0.0]["slope"] == pytest.approx(0.2)
    assert np.isnan(lines["letter", 12.0]["all"]) and np.isnan(lines["letter", 12.0]["femur"])

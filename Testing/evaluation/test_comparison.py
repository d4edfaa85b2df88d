"""A whole comparison and its report: closed forms, and what a report may never say."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from SSRKDLib.core.errors import MeshError
from SSRKDLib.evaluation.comparison import SHARES, compare_knees, signed_in_region
from SSRKDLib.evaluation.html_report import Report, curves_svg, render
from SSRKDLib.evaluation.regions import Region
from SSRKDLib.geometry.rig_presets import orthogonal
from SSRKDLib.geometry.views import Rig
from SSRKDLib.simulation.population import load_person
from SSRKDLib.surfaces.knee import joint_centre
from Testing.support.ball_knee import ball
from Testing.support.few_points import few_points  # noqa: F401  (a fixture for every test)


def test_signed_distance_of_concentric_balls_is_the_difference_of_radii():
    inner, outer = ball((3.0, 4.0, 5.0), 20.0), ball((3.0, 4.0, 5.0), 24.0)
    # A sphere of chords lies up to r (1 - cos(3 degrees)) inside its circle.
    np.testing.assert_allclose(signed_in_region(outer, inner, None), 4.0, atol=0.05)
    np.testing.assert_allclose(signed_in_region(inner, outer, None), -4.0, atol=0.05)


def test_signed_distance_outside_the_region_is_nothing():
    box = np.array([[-100.0, -100, 0], [100, 100, 100]])
    mesh = ball((0.0, 0.0, 0.0), 20.0)
    distances = signed_in_region(mesh, ball((0.0, 0.0, 0.0), 19.0), Region(box))
    np.testing.assert_array_equal(np.isnan(distances), mesh.vertices[:, 2] < 0)


@pytest.fixture(scope="module")
def compared():
    """A person against himself, 1 mm to the left."""
    bones = load_person(21)
    shift = np.eye(4)
    shift[0, 3] = 1.0
    moved = {bone: mesh.transformed(shift) for bone, mesh in bones.items()}
    return compare_knees(bones, moved, "none", "L")


def test_a_shift_shows_in_numbers_curves_and_colours(compared):
    for row in compared.rows:
        assert 0.3 < row["assd_mm"] < 0.9  # the mean of |cos| over a rounded surface
    for bone, curve in compared.curves.items():
        assert len(curve) == len(SHARES)
        assert (np.diff(curve) >= 0).all()
        assert curve[-1] == pytest.approx(1.0, abs=0.02)
        evaluated = compared.signed[bone][np.isfinite(compared.signed[bone])]
        assert np.abs(evaluated).max() <= 1.0 + 1e-6
        assert evaluated.min() < -0.9
        assert evaluated.max() > 0.9
    errors = [row["error"] for row in compared.clinical if row["error"] is not None]
    np.testing.assert_allclose(errors, 0, atol=1e-6)  # no measure depends on where the knee is
    assert len(errors) >= 7


def test_alignment_takes_the_shift_away(compared):
    bones = load_person(21)
    shift = np.eye(4)
    shift[0, 3] = 1.0
    moved = {bone: mesh.transformed(shift) for bone, mesh in bones.items()}
    found = compare_knees(bones, moved, "all", "L")
    assert found.rows[-1]["assd_mm"] < 0.01
    np.testing.assert_allclose(found.alignment.matrices["femur"][:3, 3], [-1, 0, 0], atol=0.01)


def test_what_the_views_do_not_see_is_not_evaluated():
    bones = load_person(21)
    joint = joint_centre(bones)
    rig = orthogonal(centre=joint)
    upper = tuple(view.cropped(0, 0, view.size[0], 7 * view.size[1] // 10) for view in rig.views)
    found = compare_knees(bones, bones, "none", "L", Rig(upper))
    tibia = bones["tibia"].vertices
    evaluated = np.isfinite(found.signed["tibia"])
    assert evaluated.sum() < 0.6 * len(evaluated)
    assert evaluated.any()
    assert tibia[evaluated, 2].min() > joint[2] - 50.0


def test_nothing_to_compare_is_said():
    bones = load_person(21)
    with pytest.raises(MeshError, match="No bone is in both"):
        compare_knees({"femur": bones["femur"]}, {"tibia": bones["tibia"]}, "none", "L")


class Tags(HTMLParser):
    """Collects tags and addresses, and checks that tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.addresses, self.seen = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "line"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def report(compared, **more) -> Report:
    return Report(
        side="L",
        date="2026-01-01",
        rows=compared.rows,
        clinical=compared.clinical,
        curves={bone: (SHARES, curve) for bone, curve in compared.curves.items()},
        mode="none",
        rig=orthogonal(),
        pictures={"3D view": b"\x89PNG"},
        definitions={one.name: (one.definition, one.source) for one in compared.measures},
        **more,
    )


def test_report_is_whole_and_self_contained(compared):
    text = render(report(compared, reconstruction={"weights": "w", "warnings": ["<b>odd</b>"]}))
    tags = Tags(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert all(address.startswith("data:image/png;base64,") for address in tags.addresses)
    assert tags.seen.count("polyline") == 4
    assert "&lt;b&gt;odd&lt;/b&gt;" in text
    for row in compared.rows:
        assert f"<td>{row['assd_mm']:.2f}</td>" in text
    assert "SDD (mm)" in text and "1200" in text
    assert "For research, not for diagnosis" in text


def test_report_says_what_the_surfaces_are_and_in_which_pose(compared):
    about = {"weights": "w", "spacing_mm": 0.5}
    text = render(report(compared, reconstruction=about))
    assert "resolution 0.5 mm" in text and "<td>Pose</td>" not in text
    text = render(
        report(compared, reconstruction={**about, "surface": "fitted", "pose": "frontal"})
    )
    assert "shape model" in text and "resolution" not in text
    assert "as in the frontal radiograph" in text


def test_report_names_nobody_unless_told(compared):
    assert "Jane Doe" not in render(report(compared))
    assert "Jane Doe" in render(report(compared, names={"Reference": "Jane Doe CT"}))


def test_report_of_a_missing_bone_has_no_number(compared):
    rows = [{**compared.rows[0], "assd_mm": None, "dsc": float("nan"), "note": "missing"}]
    text = render(report(compared.__class__(**{**compared.__dict__, "rows": rows})))
    assert "<td>patella</td><td>–</td>" in text
    assert ">nan<" not in text


def test_curves_end_at_one_hundred_percent():
    svg = curves_svg({"femur": ([0, 50, 99, 100], [0.0, 1.0, 2.0, 9.0])})
    points = svg.split('points="')[1].split('"')[0].split()
    x, y = np.array([[float(v) for v in point.split(",")] for point in points]).T
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) < 0).all()
    assert x[2] == x[3]  # the longest distance does not squeeze the others
    assert curves_svg({}) == ""

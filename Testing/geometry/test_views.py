"""Views and rigs: projection, rays, the pixel convention, files and every refusal."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from SSRKDLib.core.errors import GeometryError, OutputError
from SSRKDLib.geometry import rig_presets
from SSRKDLib.geometry.rigid_transform import rigid_matrix
from SSRKDLib.geometry.views import (
    Rig,
    View,
    axes_angle,
    to_grid_sample,
    triangulate,
)
from SSRKDLib.radiographs.exposure import Source, with_sources
from SSRKDLib.radiographs.rig_file import read_rig, rig_from_dict, rig_to_dict, write_rig
from Testing.support.asymmetric_rig import RIGS, asymmetric
from Testing.support.projection_truth import rotation

NAMES = ("orthogonal", "c_arm", "oblique", "asymmetric", "slot")


@pytest.fixture(params=[(name, index) for name in NAMES for index in (0, 1)], ids=str)
def view(request) -> View:
    name, index = request.param
    return RIGS[name]().views[index]


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(4).uniform(-100, 100, (50, 3))


def rigid(degrees: float = 130.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((1, 2, -3), degrees)
    matrix[:3, 3] = 210, -45, 80
    return matrix


def as_json(rig: Rig) -> dict:
    return json.loads(json.dumps(rig_to_dict(rig)))


def test_geometry_projection_equals_ray_meeting_plane(view, points):
    """Independent of matrices: where the ray pierces the plane, measured along its edges."""
    normal = np.cross(view.column_direction, view.row_direction)
    spots = view.focal_spots(points)
    ray = points - spots
    reach = ((view.detector_origin - spots) @ normal) / (ray @ normal)
    across = spots + reach[:, None] * ray - view.detector_origin
    expected = np.stack([across @ view.column_direction, across @ view.row_direction], 1)
    np.testing.assert_allclose(view.project(points), expected / view.pixel_spacing, atol=1e-8)
    np.testing.assert_allclose(view.depths(points), 1 / reach)


def test_geometry_first_pixel_is_the_detector_origin(view):
    np.testing.assert_allclose(view.points_on_detector(np.zeros(2)), view.detector_origin)
    np.testing.assert_allclose(view.project(view.detector_origin), [0, 0], atol=1e-8)
    step = view.points_on_detector(np.array([[3.0, 0.0], [0.0, 2.0]])) - view.detector_origin
    edges = [3, 2] * np.array(view.pixel_spacing)
    np.testing.assert_allclose(step[0], edges[0] * view.column_direction, atol=1e-9)
    np.testing.assert_allclose(step[1], edges[1] * view.row_direction, atol=1e-9)
    middle = (np.array(view.size) - 1) / 2
    np.testing.assert_allclose(view.project(view.detector_centre), middle, atol=1e-8)


def test_geometry_rays_are_the_inverse_of_projection(view, points):
    rays = view.rays(view.project(points))
    spots = view.focal_spots(points)
    distance = np.linalg.norm(points - spots, axis=1, keepdims=True)
    np.testing.assert_allclose(spots + distance * rays, points, atol=1e-6)


def test_geometry_slopes_are_those_of_the_projection(view, points):
    moved = points[:, None] + 1e-3 * np.stack([np.eye(3), -np.eye(3)])[:, None]
    ahead, behind = view.project(moved)
    expected = np.swapaxes(ahead - behind, -1, -2) / 2e-3
    np.testing.assert_allclose(view.slopes(points), expected, atol=1e-7)


def test_geometry_points_behind_the_source_are_nowhere(view):
    behind = view.source - 10 * view.axis
    assert np.isnan(view.project(behind)).all()
    assert not view.inside(behind)
    assert view.normal @ view.axis > 0


def test_geometry_inside_ends_half_a_pixel_beyond_the_outer_centres(view):
    columns, rows = view.size
    edge = np.array([[-0.49, 0], [-0.51, 0], [columns - 0.51, 5], [columns - 0.49, 5]])
    edge = np.concatenate([edge, [[3, -0.49], [3, -0.51], [3, rows - 0.51], [3, rows - 0.49]]])
    ends = view.points_on_detector(edge)
    on_ray = ends + 0.3 * (view.focal_spots(ends) - ends)
    assert view.inside(on_ray).tolist() == [True, False] * 4
    assert not view.inside(on_ray, margin=1.0).any()


def test_geometry_presets_look_from_where_they_say():
    frontal, lateral = rig_presets.orthogonal().views
    np.testing.assert_allclose(frontal.source, [0, -900, 0], atol=1e-9)
    np.testing.assert_allclose(lateral.source, [900, 0, 0], atol=1e-9)
    assert frontal.pixel_spacing == pytest.approx((300 / 256, 300 / 256))
    for rig in (rig_presets.orthogonal(), rig_presets.c_arm(), rig_presets.oblique()):
        frontal, lateral = rig.views
        assert (np.diff(frontal.project(np.array([[0, 0, 0], [1, 0, 0]])), axis=0)[0, 0]) > 1
        assert (np.diff(lateral.project(np.array([[0, 0, 0], [0, 1, 0]])), axis=0)[0, 0]) > 1
        for view in rig.views:
            assert (np.diff(view.project(np.array([[0, 0, 0], [0, 0, -1]])), axis=0)[0, 1]) > 1
            around = 110 * np.stack([view.column_direction, view.row_direction])
            assert view.inside(np.concatenate([around, -around])).all()
    oblique = rig_presets.oblique().views
    normals = axes_angle(oblique[0].normal, oblique[1].normal)
    assert normals == pytest.approx(82, abs=1e-6)
    moved = rig_presets.c_arm(centre=(5, 6, 7)).views[0]
    np.testing.assert_allclose(moved.source, [5, -694, 7])


def test_geometry_triangulation_finds_the_point(points):
    views = list(asymmetric().views)
    seen = np.array([view.project(points[0]) for view in views])
    found, residual = triangulate(views, seen)
    np.testing.assert_allclose(found, points[0], atol=1e-6)
    assert residual < 1e-6


def test_geometry_grid_sample_reads_the_column_index():
    """An image whose value is its column (row) index is read at (column, row) exactly."""
    columns, rows = 7, 5
    image = torch.stack(
        [torch.arange(columns).expand(rows, -1), torch.arange(rows)[:, None].expand(-1, columns)]
    ).double()
    where = torch.tensor([[0.0, 0.0], [6.0, 4.0], [2.3, 1.8], [5.5, 0.25]]).double()
    grid = to_grid_sample(where, (columns, rows))
    read = torch.nn.functional.grid_sample(image[None], grid[None, None], align_corners=False)
    torch.testing.assert_close(read[0, :, 0].T, where)
    np.testing.assert_allclose(to_grid_sample(where.numpy(), (columns, rows)), grid.numpy())


def test_geometry_grid_sample_serves_features_of_half_the_size():
    """A 2x2-pooled map keeps the full image's coordinates: the same ramp is read from it."""
    image = torch.arange(8.0).expand(8, -1)[None, None]
    pooled = torch.nn.functional.avg_pool2d(image, 2)
    where = torch.tensor([[2.0, 3.0], [4.5, 4.0]])
    grid = to_grid_sample(where, (8, 8))[None, None]
    read = torch.nn.functional.grid_sample(pooled, grid, align_corners=False)
    torch.testing.assert_close(read.flatten(), where[:, 0])


@pytest.mark.parametrize("name", NAMES)
def test_geometry_moved_rig_sees_the_moved_patient(name, points):
    rig, matrix = RIGS[name](), rigid()
    moved = rig.transformed(matrix)
    points_there = points @ matrix[:3, :3].T + matrix[:3, 3]
    for before, after in zip(rig.views, moved.views):
        np.testing.assert_allclose(after.project(points_there), before.project(points), atol=1e-8)
    assert moved.frame == "lab"
    np.testing.assert_allclose(moved.patient_to_rig, matrix)
    np.testing.assert_allclose(moved.transformed(matrix).patient_to_rig, matrix @ matrix)
    centre = matrix[:3, :3] @ rig.central_point() + matrix[:3, 3]
    np.testing.assert_allclose(moved.central_point(), centre, atol=1e-6)
    unknown = replace(rig, frame="lab").transformed(matrix)
    assert unknown.patient_to_rig is None


@pytest.mark.parametrize("name", NAMES)
def test_geometry_rig_survives_its_file(name, tmp_path):
    rig = RIGS[name]().transformed(rigid())
    rig = replace(rig, assumptions=("SDD was guessed.",))
    rig = with_sources(rig, [Source("images/a.nrrd", "intensity", 4000.0), Source()])
    write_rig(rig, tmp_path / "rig.json")
    read = read_rig(tmp_path / "rig.json")
    assert read.sources[0].image == str(tmp_path / "images" / "a.nrrd")
    written = json.loads((tmp_path / "rig.json").read_text())
    assert written["version"] == (2 if name == "slot" else 1)
    assert written["units"] == "mm"
    assert written["views"][0]["image"] == "images/a.nrrd"
    assert as_json(with_sources(read, rig.sources)) == as_json(rig)
    write_rig(read, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "rig.json").read_text()


def test_geometry_unknown_entries_are_noted():
    data = as_json(rig_presets.orthogonal())
    data["colour"], data["views"][1]["kvp"] = "blue", 70
    notes = rig_from_dict(data).assumptions
    assert any("colour" in note and "rig" in note for note in notes)
    assert any("kvp" in note and "view 1" in note for note in notes)


def change(path: str, value):
    """A change to the rig's JSON: ``a.0.b`` set to a value, or removed where it is None."""

    def apply(data: dict) -> None:
        *parents, last = (int(p) if p.isdigit() else p for p in path.split("."))
        for key in parents:
            data = data[key]
        if value is ...:
            del data[last]
        else:
            data[last] = value

    return apply


def in_metres(data: dict) -> None:
    for view in data["views"]:
        for key in ("source", "detector_origin", "pixel_spacing"):
            view[key] = [x / 1000 for x in view[key]]


def only_lengths_in_metres(data: dict) -> None:
    in_metres(data)
    for view in data["views"]:
        view["pixel_spacing"] = [1.2, 1.2]


def same_side(data: dict) -> None:
    data["views"][1] = dict(data["views"][0], name="lateral")


def opposite_side(data: dict) -> None:
    same_side(data)
    for key in ("source", "detector_origin", "column_direction", "row_direction"):
        data["views"][1][key] = [-x for x in data["views"][0][key]]


def mirrored_pose(data: dict) -> None:
    data["patient_to_rig"] = np.diag([-1.0, 1, 1, 1]).tolist()


def scaled_pose(data: dict) -> None:
    data["patient_to_rig"] = np.diag([2.0, 2, 2, 1]).tolist()


def far_pose(data: dict) -> None:
    data["patient_to_rig"] = np.eye(4).tolist()
    data["patient_to_rig"][1][3] = 1e12


REFUSED = {
    "spacing absurd": (change("views.0.pixel_spacing", [0.0002, 0.0002]), "pixel spacing"),
    "spacing negative": (change("views.0.pixel_spacing", [1.0, -1.0]), "pixel spacing"),
    "spacing not finite": (change("views.0.pixel_spacing", [1.0, float("nan")]), "pixel spacing"),
    "metres for millimetres": (in_metres, "millimetres"),
    "only lengths in metres": (only_lengths_in_metres, "millimetres"),
    "source on the detector": (change("views.0.source", [20, 300, 5]), "lies on the detector"),
    "views on the same side": (same_side, "only 0.0 degrees apart"),
    "views opposite": (opposite_side, "only 0.0 degrees apart"),
    "no view": (change("views", []), "has no view"),
    "no views": (change("views", ...), "no list of views"),
    "view no object": (change("views.0", 7), "not a JSON object"),
    "pose mirrored": (mirrored_pose, "not a rigid transform"),
    "pose scaled": (scaled_pose, "not a rigid transform"),
    "pose not 4x4": (change("patient_to_rig", [1, 2]), "not a 4x4 matrix"),
    "direction not of length 1": (change("views.0.row_direction", [0, 0, -2]), "not a unit"),
    "directions not square": (change("views.0.row_direction", [0.6, 0, -0.8]), "perpendicular"),
    "source of two numbers": (change("views.0.source", [0, -900]), "three finite numbers"),
    "source not finite": (change("views.0.source", [0, float("inf"), 0]), "three finite numbers"),
    "source light years away": (change("views.0.source.0", -1.7e308), "numbers within 10000"),
    "detector far away": (change("views.0.detector_origin.2", 1e12), "numbers within 10000"),
    "direction endless": (change("views.0.row_direction.1", 1e308), "numbers within 10000"),
    "spacing endless": (change("views.0.pixel_spacing", [1e308, 1e308]), "pixel spacing"),
    "pose far away": (far_pose, "at most 10000 mm"),
    "source a word": (change("views.0.source", ["a", 0, 0]), "not a number"),
    "source of true": (change("views.0.source", [True, -900, 0]), "not a number (true or false)"),
    "image no name": (change("views.0.image", "a\0b.nrrd"), "as no file can be called"),
    "image half a character": (change("views.0.image", "\ud800.nrrd"), "as no file can be called"),
    "size of zero": (change("views.0.size", [0, 256]), "image size"),
    "size not whole": (change("views.0.size", [25.5, 256]), "whole numbers"),
    "kind of values": (change("views.0.values", "hounsfield"), "not a kind of pixel values"),
    "air count": (change("views.0.air", -5), "air count"),
    "key missing": (change("views.0.source", ...), "lacks source"),
    "version": (change("version", 3), "version is 3"),
    "type in version 1": (change("views.0.type", "slot"), "version 1 does not know"),
    "units": (change("units", "cm"), "units are 'cm'"),
    "frame": (change("frame", "RAS"), "not a frame"),
    "laterality": (change("laterality", "left"), "not a side"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", REFUSED)
def test_geometry_refuses_in_one_sentence(case):
    spoil, words = REFUSED[case]
    data = as_json(rig_presets.orthogonal())
    spoil(data)
    with pytest.raises(GeometryError) as caught:
        rig_from_dict(data)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert caught.value.cause
    assert caught.value.remedy


def test_geometry_source_on_the_detector_within_its_plane():
    """Beside the image but in its plane: no ray meets the detector."""
    view = rig_presets.orthogonal().views[0]
    with pytest.raises(GeometryError, match="lies on the detector"):
        replace(view, source=view.detector_origin + 900 * view.column_direction)


def test_geometry_axes_angle_counts_opposites_as_parallel():
    first = np.array([0.0, 1.0, 0.0])
    assert axes_angle(first, -first) == 0
    assert axes_angle(first, rotation((0, 0, 1), 150) @ first) == pytest.approx(30)


def test_geometry_refuses_a_file_that_is_none(tmp_path):
    with pytest.raises(GeometryError, match="no rig file"):
        read_rig(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(GeometryError, match="cannot be read"):
        read_rig(tmp_path / "broken.json")
    with pytest.raises(OutputError, match="cannot be written"):
        write_rig(rig_presets.orthogonal(), tmp_path / "absent" / "rig.json")
    with pytest.raises(GeometryError, match="not a JSON object"):
        rig_from_dict([1])


def test_geometry_rigid_matrix_takes_a_rotation():
    np.testing.assert_allclose(rigid_matrix(rigid().tolist()), rigid())

"""Shaded surfaces and the overview picture."""

from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.errors import MissingDependencyError, OutputError
from SSRKDLib.figures import overview as pictures
from SSRKDLib.figures.shading import shade
from SSRKDLib.geometry.rasterise import silhouette
from SSRKDLib.geometry.virtual_cameras import MIRROR
from SSRKDLib.radiographs.exposure import Exposure, read_exposures
from SSRKDLib.radiographs.rig_file import read_rig
from SSRKDLib.reconstruction.radiographs import Reconstruction
from Testing.support.asymmetric_rig import asymmetric
from Testing.support.ball_knee import BALLS, ball, write_ball_case

RIGHT, UP = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def nearest_colour(pixel: np.ndarray) -> str:
    """The bone whose hue a lit pixel has."""
    hue = pixel[:3] / np.linalg.norm(pixel[:3])
    return max(BONES, key=lambda bone: hue @ COLOURS[bone] / np.linalg.norm(COLOURS[bone]))


def test_shade_shows_the_nearer_surface_where_it_is():
    # Looking backwards (+y): the patella, in front, hides the femur behind it.
    meshes = [(ball((0, 0, 0), 30), COLOURS["femur"]), (ball((8, -50, 5), 10), COLOURS["patella"])]
    for order in (meshes, meshes[::-1]):
        picture = shade(order, RIGHT, UP, (-40, 40, -40, 40), 2.0)
        assert picture.shape == (160, 160, 4)
        # (8, 5) mm is column 96, row 70.
        assert nearest_colour(picture[70, 96]) == "patella"
        assert nearest_colour(picture[80, 50]) == "femur"
        assert picture[4, 4, 3] == 0
    # A disc of 30 mm radius, 2 pixels per mm.
    alone = shade(meshes[:1], RIGHT, UP, (-40, 40, -40, 40), 2.0)
    assert alone[..., 3].sum() == pytest.approx(np.pi * 60**2, rel=0.01)


def test_shade_is_brighter_towards_the_lamp():
    picture = shade([(ball((0, 0, 0), 30), (0.5, 0.5, 0.5))], RIGHT, UP, (-40, 40, -40, 40), 2.0)
    upper_left, lower_right = picture[60, 60, 0], picture[105, 105, 0]
    assert upper_left > 1.3 * lower_right > 0


def test_turned_radiographs_keep_their_geometry():
    view = asymmetric().views[0]
    columns, rows = view.size
    image = np.arange(columns * rows, dtype=np.float32).reshape(rows, columns)
    exposure = Exposure(view, image, image >= 0)
    point = np.array([[12.0, -7.0, 21.0]])
    column, row = np.round(view.project(point)[0]).astype(int)
    for _ in range(4):
        exposure = pictures._turned(exposure)
        turned_column, turned_row = np.round(exposure.view.project(point)[0]).astype(int)
        assert exposure.line_integral[turned_row, turned_column] == image[row, column]
    assert np.allclose(exposure.view.detector_origin, view.detector_origin)
    cut = pictures._with_pixels(view, 1.0, (10.0, 20.0), (30, 40))
    assert np.allclose(cut.project(point), view.project(point) - [10, 20])


@pytest.mark.parametrize("side", ["L", "R"])
def test_overview_draws_bones_and_outlines(side, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    exposures, _ = read_exposures(read_rig(write_ball_case(tmp_path)))
    frame = MIRROR if side == "R" else np.eye(4)
    bones = {bone: ball(*about).transformed(frame) for bone, about in BALLS.items()}
    path = tmp_path / "overview.png"
    pictures.overview(path, bones, exposures, frame, "Four balls", "Nobody", bones)
    picture = image.imread(path)[..., :3]
    assert picture.shape[0] > 800 and picture.shape[1] > 1500
    for bone in BONES:  # the legend, at least; outlines and lit surfaces are blended
        assert (np.abs(picture - COLOURS[bone]).max(-1) < 0.02).sum() > 100
    # From the front, the fibula of a left knee is on the right: the viewer faces the patient.
    panel = picture[150:-150, 30 : int(0.2 * picture.shape[1])]
    assert (column_of(panel, "fibula") > column_of(panel, "tibia") + 50) == (side == "L")


def column_of(panel: np.ndarray, bone: str) -> float:
    """Mean column of the pixels in a bone's hue."""
    hue = np.array(COLOURS[bone]) / max(COLOURS[bone])
    found = np.abs(panel / np.maximum(panel.max(-1, keepdims=True), 0.05) - hue).max(-1) < 0.08
    assert found.sum() > 500
    return float(np.argwhere(found)[:, 1].mean())


def test_outlines_lie_on_the_shadow_of_the_bone():
    """A picture of the ball's own shadow: the outline drawn must run along its border."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    view = asymmetric().views[1]
    mesh = ball((5, 3, -4), 30)
    shadow = silhouette(mesh.vertices, mesh.faces, view).astype(np.float32)
    film = pictures._Film(Exposure(view, shadow, shadow >= 0), {"femur": mesh}, np.eye(4))
    axes = Figure().add_axes((0, 0, 1, 1))
    film._outline(axes, mesh, COLOURS["femur"])
    (collection,) = axes.collections
    line = np.concatenate([path.vertices for path in collection.get_paths()])
    expected = film.image > 0.5
    column, row = line.T
    steps = np.arange(-2, 3)
    window = expected[
        np.clip(np.round(row)[:, None, None] + steps[:, None], 0, expected.shape[0] - 1).astype(
            int
        ),
        np.clip(np.round(column)[:, None, None] + steps, 0, expected.shape[1] - 1).astype(int),
    ].mean((1, 2))
    assert (window > 0).all() and (window < 1).all()


def test_each_radiograph_gets_the_bones_as_they_lay_in_it(tmp_path, monkeypatch):
    """A pair between whose views the bones moved, and a third view."""
    pytest.importorskip("matplotlib")
    exposures, _ = read_exposures(read_rig(write_ball_case(tmp_path)))
    bones = {bone: ball(*about) for bone, about in BALLS.items()}
    shift = np.eye(4)
    shift[:3, 3] = [0, 0, 15.0]
    result = Reconstruction(
        bones, np.eye(4), "L", np.zeros(0), (),
        views={"frontal": 1, "lateral": 0}, pose="lateral",
        poses={view: dict.fromkeys(BALLS, pose)
               for view, pose in (("frontal", shift), ("lateral", np.eye(4)))},
    )  # fmt: skip
    lying = pictures.lying_bones(result, 3)
    heights = [about["femur"].bounds.mean(0)[2] for about in lying]
    assert np.subtract(heights, heights[2]) == pytest.approx([0, 15, 0])
    drawn = []
    film = pictures._Film

    def recorded(exposure, seen, frame):
        drawn.append((exposure.view.name, seen))
        return film(exposure, seen, frame)

    monkeypatch.setattr(pictures, "_Film", recorded)
    pictures.overview(tmp_path / "o.png", bones, exposures, np.eye(4), "", lying=lying[:2])
    assert [seen for _, seen in drawn] == lying[:2]


def test_overview_says_what_is_missing_or_not_writable(tmp_path, monkeypatch):
    exposures, _ = read_exposures(read_rig(write_ball_case(tmp_path)))
    bones = {bone: ball(*about) for bone, about in BALLS.items()}
    pytest.importorskip("matplotlib")
    with pytest.raises(OutputError, match="cannot be written"):
        pictures.overview(tmp_path / "none" / "o.png", bones, exposures, np.eye(4), "")
    original = builtins.__import__

    def without_matplotlib(name, *rest, **more):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        pictures.overview(tmp_path / "o.png", bones, exposures, np.eye(4), "")


def test_views_beyond_the_bones_still_make_a_picture(tmp_path):
    """A bone that leaves the image, and an image that is nowhere valid, are no reason to fail."""
    pytest.importorskip("matplotlib")
    exposures, _ = read_exposures(read_rig(write_ball_case(tmp_path)))
    bones = {"femur": ball((150.0, 0.0, 0.0), 60.0)}
    blind = Exposure(exposures[1].view, exposures[1].line_integral, exposures[1].valid & False)
    named = Exposure(replace(exposures[0].view, name="one"), exposures[0].line_integral,
                     exposures[0].valid)  # fmt: skip
    pictures.overview(tmp_path / "o.png", bones, [named, blind], np.eye(4), "Half a ball")
    assert (tmp_path / "o.png").stat().st_size > 10_000

"""The published pair behind this project's rigs: geometry, units, order, and a run."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from SSRKDLib.core.errors import WeightsError  # noqa: E402
from SSRKDLib.geometry.rig_presets import oblique  # noqa: E402
from SSRKDLib.geometry.views import View  # noqa: E402
from SSRKDLib.geometry.virtual_cameras import MIRROR  # noqa: E402
from SSRKDLib.models.official_model import (  # noqa: E402
    OfficialKneeModel,
    OfficialModel,
    bone_margins,
)
from SSRKDLib.networks.official_segmenter import OfficialSegmenter  # noqa: E402
from SSRKDLib.networks.official_student import OfficialStudent  # noqa: E402
from SSRKDLib.radiographs.exposure import Exposure  # noqa: E402
from SSRKDLib.radiographs.published_input import image_points  # noqa: E402
from SSRKDLib.reconstruction import field  # noqa: E402
from SSRKDLib.reconstruction import isosurface as surface  # noqa: E402
from SSRKDLib.reconstruction.radiographs import reconstruct  # noqa: E402
from SSRKDLib.weights.bundle import read_bundle, write_bundle  # noqa: E402
from SSRKDLib.weights.official_import import _manifest  # noqa: E402
from Testing.support.bundled import model as own_model  # noqa: E402
from Testing.support.bundled import plain_case  # noqa: E402

DSD, DSO = 2000.0, 1000.0
STUDENT = {"width": 16, "stacks": 1, "depth": 1, "hidden": [8], "embedding": 4}


def published_view(degrees, pixels, spacing):
    """The published detector at an angle: the source turns about +z from +x."""
    turn = np.deg2rad(degrees)
    out = np.array([np.cos(turn), np.sin(turn), 0.0])
    column, row = np.array([-np.sin(turn), np.cos(turn), 0.0]), np.array([0.0, 0.0, -1.0])
    half = (pixels - 1) / 2 * spacing
    corner = (DSO - DSD) * out - half * column - half * row
    return View(f"{degrees}", DSO * out, corner, column, row, (spacing,) * 2, (pixels,) * 2)


def published_projection(degrees, points, extent):
    """Normalised (row, column) as the published code projects, points mm, detector extent mm."""
    turn = np.deg2rad(degrees)
    x, y, z = points.T
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    scale = DSD / (DSO - along) * 2 / extent
    return np.stack([-z * scale, across * scale], axis=1)


def small_bundle(tmp_path, pixels=64):
    """Networks of reduced size with random weights, for images as wide as the published ones."""
    torch.manual_seed(3)
    networks = {
        "segmenter": ("official_segmenter:OfficialSegmenter", {"width": 2}, OfficialSegmenter),
        "student": ("official_student:OfficialStudent", STUDENT, OfficialStudent),
    }
    described, tensors = {}, {}
    for name, (architecture, arguments, kind) in networks.items():
        described[name] = {"architecture": architecture, "arguments": arguments}
        tensors.update({f"{name}.{k}": t for k, t in kind(**arguments).state_dict().items()})
    manifest = _manifest(described, {})
    manifest["geometry"]["detector_size"] = [pixels, pixels]
    manifest["geometry"]["detector_spacing_mm"] = [0.575 * 512 / pixels] * 2
    write_bundle(tmp_path / "small", manifest, tensors)
    return read_bundle(tmp_path / "small")


@pytest.fixture
def model(tmp_path):
    return OfficialModel.from_bundle(small_bundle(tmp_path))


KEYS = [
    ("geometry", "detector_size"), ("geometry", "detector_spacing_mm"),
    ("geometry", "source_to_axis_mm"), ("geometry", "source_to_detector_mm"),
    ("normalisation", "segmenter_factor"), ("normalisation", "student_factor"),
    ("normalisation", "student_channels"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "key"), KEYS)
def test_a_manifest_without_a_key_is_refused_by_its_name(tmp_path, part, key):
    bundle = small_bundle(tmp_path)
    del bundle.manifest[part][key]
    with pytest.raises(WeightsError, match=f"lacks {key}"):
        OfficialModel.from_bundle(bundle)


def test_wrong_arguments_of_a_network_are_refused(tmp_path):
    bundle = small_bundle(tmp_path)
    bundle.manifest["networks"]["student"]["arguments"]["stages"] = 3
    with pytest.raises(WeightsError, match="student: .*'stages'"):
        OfficialModel.from_bundle(bundle)
    bundle = small_bundle(tmp_path)
    bundle.manifest["geometry"]["detector_size"] = "wide"
    with pytest.raises(WeightsError, match="geometry"):
        OfficialModel.from_bundle(bundle)


def exposures(views, rng):
    return tuple(
        Exposure(
            view,
            rng.random(view.size[::-1]).astype(np.float32) * 4,
            np.ones(view.size[::-1], bool),
        )
        for view in views
    )


@pytest.mark.parametrize("pair", [(0, 90), (180, 90), (0, 270), (180, 270)])
def test_published_geometry_comes_out_as_it_went_in(model, pair):
    """Pixels, order of the views and orientation: with the published rig nothing changes."""
    rng = np.random.default_rng(0)
    views = [published_view(degrees, 64, 4.6) for degrees in pair]
    taken = exposures(views, rng)
    seen = model.input((taken[1], taken[0]), np.eye(4))  # the rig's order does not matter
    assert seen.valid[:, 1:-1, 1:-1].all()  # rounding decides on the outermost pixels
    for slot in range(2):
        wanted = np.where(seen.valid[slot], taken[slot].line_integral, 0)
        np.testing.assert_allclose(seen.images[slot], wanted, atol=1e-5)

    points = rng.uniform(-60, 60, (200, 3))
    answer = model.encode(seen, seen.valid)
    wanted = [published_projection(degrees, points, 64 * 4.6) for degrees in pair]
    np.testing.assert_allclose(image_points(answer.cameras, points), wanted, atol=1e-9)


def test_points_land_where_the_rig_s_own_matrices_put_them(model):
    """Oblique rig, frame anywhere, right knee: the image under a point is the rig's image there."""
    rig = oblique(centre=(30.0, -10.0, 5.0))
    frame = np.eye(4)
    frame[:3, 3] = [33.0, -12.0, 9.0]
    frame = frame @ MIRROR
    # A radiograph that says of every pixel where it is: its column, then its row.
    points = np.random.default_rng(1).uniform(-45, 45, (300, 3))
    in_rig = points @ frame[:3, :3].T + frame[:3, 3]
    for axis in range(2):
        taken = []
        for view in rig.views:
            index = np.indices(view.size[::-1])[1 - axis].astype(np.float32)
            taken.append(Exposure(view, index, np.ones(index.shape, bool)))
        seen = model.input(tuple(taken), frame)
        field_points = image_points(model.encode(seen, seen.valid).cameras, points)
        for slot, k in enumerate((1, 0)):  # lateral, frontal
            # The published simulator's convention: pixel = (d + 1) / 2 * n - 0.5.
            row, column = ((field_points[slot] + 1) / 2 * model.pixels - 0.5).T
            found = bilinear(seen.images[slot], column, row)
            np.testing.assert_allclose(found, rig.views[k].project(in_rig)[:, axis], atol=0.05)


def bilinear(image, column, row):
    from scipy.ndimage import map_coordinates

    return map_coordinates(image.astype(np.float64), [row, column], order=1)


def test_networks_get_their_units_channels_and_masks(model, monkeypatch):
    """Slot, factor and halving, in what is read and in the student's answer asked by hand."""
    read = []
    for network, name in ((model._student, "encode"), (model._segmenter, "forward")):
        monkeypatch.setattr(network, name, spy(getattr(network, name), read))
    rng = np.random.default_rng(2)
    views = [published_view(degrees, 64, 4.6) for degrees in (0, 90)]
    seen = model.input(exposures(views, rng), np.eye(4))
    masks = rng.random((2, 64, 64)) < 0.3
    points = rng.uniform(-50, 50, (40, 3))
    found = model.encode(seen, masks)(points)

    metres = 0.022 * seen.images
    channels = np.stack([np.where(masks, 6 * metres, 3 * metres), 6 * metres], axis=1)
    where = np.stack([published_projection(d, points, 64 * 4.6) for d in (0, 90)])
    student, tensor = model._student, lambda a: torch.from_numpy(a.astype(np.float32))[None]
    with torch.no_grad():
        (answer,) = student.query(student.encode(tensor(channels)), tensor(where))
        logits = answer.logits[0].t().numpy()
        bone = model._segmenter(tensor(metres)[0][:, None]).argmax(1).numpy() > 0
    others = [np.delete(logits, k, axis=1).max(axis=1) for k in range(1, 5)]
    np.testing.assert_allclose(found, logits[:, 1:] - np.stack(others, axis=1), atol=1e-4)
    np.testing.assert_array_equal(model.segment(seen), bone)
    # Norm layers hide a wrong factor from the answers above.
    np.testing.assert_allclose(read[0][0], channels, rtol=1e-5)
    np.testing.assert_allclose([image[0, 0] for image in read[-2:]], metres, rtol=1e-5)


def spy(function, read):
    def noted(tensor):
        read.append(tensor.numpy())
        return function(tensor)

    return noted


def test_margins_tell_the_winner():
    logits = torch.tensor([[1.0, 3.0, 2.5, 0.0, 0.0], [4.0, 1.0, 0.0, 2.0, 1.0]])
    wanted = [[0.5, -0.5, -3.0, -3.0], [-3.0, -4.0, -2.0, -3.0]]
    np.testing.assert_allclose(bone_margins(logits).numpy(), wanted)


def test_region_and_warning_state_the_extent(model):
    assert "147 mm" in model.warning and "uncertain" in model.warning
    views = [published_view(degrees, 64, 4.6) for degrees in (0, 90)]
    seen = model.input(exposures(views, np.random.default_rng(0)), np.eye(4))
    answer = model.encode(seen, seen.valid)
    points = np.array([[0.0, 0, 0], [0, 0, 73.0], [0, 0, 75.0], [0, 60, 0], [60.0, 0, -73]])
    margin = answer.margin(points)
    assert margin[0] == pytest.approx(73.6) and margin[1] == pytest.approx(0.6)
    assert margin[2] == pytest.approx(-1.4) and margin[3] == pytest.approx(13.6)
    assert margin[4] < 0  # nearer to the lateral source than the joint: it sees less there
    low, high = answer.box()
    edge = np.random.default_rng(1).uniform(-1, 1, (2000, 3)) * 200
    inside = edge[answer.margin(edge) > 0]
    assert len(inside) and ((inside > low) & (inside < high)).all()


def test_small_networks_run_from_exposures_to_a_grid(model):
    rig = oblique()
    seen = model.input(exposures(rig.views, np.random.default_rng(5)), np.eye(4))
    answer = model.encode(seen, model.segment(seen))
    low, high = answer.box()
    grid = field.evaluate(
        answer, low, high, 8.0, factor=2, inside=lambda points: answer.margin(points) > 0
    )
    assert grid.values.shape == (4, 22, 22, 22) and np.isfinite(grid.values).all()
    for bone in range(4):
        mesh = surface.extract(grid, bone, clip=answer.margin)
        if mesh is not None:
            assert answer.margin(mesh.vertices).min() > -1.0


def test_the_official_pair_runs_through_reconstruct_with_masks(tmp_path):
    """The same door as the project's own weights: surfaces in rig coordinates, its doubt said."""
    bones, rig, taken = plain_case()
    bundle = small_bundle(tmp_path)
    model = OfficialKneeModel(OfficialModel.from_bundle(bundle), own_model(), bundle.manifest)
    whole = [np.ones((4, *e.line_integral.shape), np.float32) for e in taken]
    results = [reconstruct(taken, rig, model, spacing=4.0, masks=m) for m in (None, whole)]
    for result in results:
        assert result.report["weights"] == model.name
        assert any("at the joint" in warning for warning in result.report["warnings"])
        for mesh in result.bones.values():
            assert np.abs(mesh.vertices).max() < 150
    first, second = ({b: len(m.vertices) for b, m in r.bones.items()} for r in results)
    assert first != second

"""From a CT to bones: closed-form solids come back in the patient's millimetres, whatever the
grid; what is sent to the network; which knee, which side; what is refused and said.

Stand-ins answer by brightness, so truth is known.
"""

from __future__ import annotations

import numpy as np
import pytest

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import Cancelled, ImageError, InputError
from SSRKDLib.ct.grid import CtGrid
from SSRKDLib.ct.reading import CtScan
from SSRKDLib.ct.sliding_window import window_starts
from SSRKDLib.reconstruction import ct as ct_reconstruction
from SSRKDLib.reconstruction.ct import reconstruct_ct
from Testing.support.ball_knee import BALLS
from Testing.support.band_knee import BandModel, band_ct, band_values
from Testing.support.ct_truth import CENTRE, DIRECTIONS, HALF, PLACE, ellipsoid, outside, scan_of


class Bright:
    """A femur where it is brighter than the middle; knows no other bone."""

    name, device, window, notes, extent = "bright", "cpu", 32, (), np.inf
    surface = "field"
    manifest = {"sha256": "0" * 64}  # noqa: RUF012

    def __init__(self, voxel=2.0):
        self.voxel = voxel

    def margins(self, values):
        nothing = np.full_like(values, -1)
        return np.stack([nothing, values - 0.5, nothing, nothing])


# Millimetres


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_solid_without_symmetry_comes_back_where_it_is(direction, stretched, monkeypatch):
    monkeypatch.setattr(ct_reconstruction, "PUBLISHED_SIZE", 56)
    scan = scan_of(ellipsoid, DIRECTIONS[direction])
    result = reconstruct_ct(scan, Bright(None if stretched else 2.0))
    mesh = result.bones["femur"]
    assert mesh.is_closed
    off = np.abs(outside(mesh.vertices))
    assert off.mean() < 0.15 and off.max() < 0.5
    # Outward (the volume is positive), and nothing is lost.
    assert mesh.volume() == pytest.approx(4 / 3 * np.pi * HALF.prod(), rel=0.03)
    middle = (mesh.bounds[0] + mesh.bounds[1]) / 2
    np.testing.assert_allclose(middle, PLACE + CENTRE, atol=0.2)


@pytest.mark.parametrize("direction", ["aligned", "oblique"])
def test_shafts_end_open_where_the_ct_ends(direction):
    """A round shaft that leaves the CT at both ends comes out to within 3 mm of them, as wide there
    as elsewhere: neither capped nor rounded off."""

    def shaft(points):
        across = np.linalg.norm((points - PLACE)[:, :2] - [4.0, -6.0], axis=1)
        return np.clip(0.5 - (across - 13) / 20, 0.02, 1)

    scan = scan_of(shaft, DIRECTIONS[direction])
    mesh = reconstruct_ct(scan, Bright()).bones["femur"]
    report = mesh.edge_report()
    assert report.open > 0 and report.non_manifold == 0
    assert len(mesh.open_loops()) == 2
    assert mesh.volume() > 0
    points = mesh.vertices - PLACE
    across = np.linalg.norm(points[:, :2] - [4.0, -6.0], axis=1)
    assert np.abs(across - 13).max() < 0.3
    # The ends: the middles of the outermost slices.
    to_scan = np.linalg.inv(scan.index_to_lps)
    height = mesh.vertices @ to_scan[2, :3] + to_scan[2, 3]
    last = scan.hounsfield.shape[0] - 1
    assert height.min() == pytest.approx(0, abs=0.02)
    assert height.max() == pytest.approx(last, abs=0.02)


def test_a_ct_much_longer_than_what_was_learned_from_is_worth_a_word():
    values, affine = band_ct()
    model = BandModel(voxel=1.8)
    for extent, warned in ((160.0, 0), (100.0, 1)):  # the CT is 144 to 176 mm long
        model.extent = extent
        said = reconstruct_ct(CtScan(values, affine), model).report["warnings"]
        assert len(said) == warned
    assert "trained on 100 mm around the knee" in said[0] and "crop it to the knee" in said[0]


def test_four_bones_are_told_apart_and_measured():
    values, affine = band_ct()
    result = reconstruct_ct(CtScan(values, affine), BandModel(voxel=1.8))
    assert list(result.bones) == list(BONES)
    for bone, (centre, radius) in BALLS.items():
        mesh = result.bones[bone]
        off = np.linalg.norm(mesh.vertices - centre, axis=1) - radius
        assert np.abs(off).mean() < 0.9, bone  # the bands are steep, and darken at their borders
        about = result.report["bones"][bone]
        assert about == {"found": True, "volume_mm3": round(mesh.volume(), 1)}
    report = result.report
    assert (report["laterality"], report["spacing_mm"], report["device"]) == ("L", 1.8, "cpu")
    assert report["warnings"] == []
    assert report["ct"] == {
        "size": [80, 90, 110], "voxel_mm": [1.8, 1.6, 1.6], "seen_as_voxel_mm": [1.8] * 3,
    }  # fmt: skip


def test_what_the_shape_model_does_not_fit_is_delivered_as_it_was_segmented():
    values, affine = band_ct()
    plain = reconstruct_ct(CtScan(values, affine), BandModel(voxel=1.8))
    assert (plain.report["surface"], plain.report["correspondence"]) == ("field", None)
    fitted = reconstruct_ct(CtScan(values, affine), BandModel(voxel=1.8), surface="fitted")
    assert fitted.report["surface"] == "field"
    assert "shape model does not fit" in fitted.report["warnings"][0]
    for bone in BONES:
        np.testing.assert_array_equal(fitted.bones[bone].vertices, plain.bones[bone].vertices)
    with pytest.raises(InputError, match="no surface called 'smooth'"):
        reconstruct_ct(CtScan(values, affine), BandModel(), surface="smooth")


# What the network sees


def test_the_network_never_sees_more_than_a_window():
    values, affine = band_ct()
    model = BandModel(window=32)
    steps = []
    result = reconstruct_ct(
        CtScan(values, affine), model, progress=lambda *step: steps.append(step)
    )
    grid = CtGrid.isotropic(CtScan(values, affine), model.voxel)
    total = len(window_starts(grid.shape, 32))
    assert total == 8 and model.asked == [(32, 32, 32)] * total
    assert result.report["windows"] == {"visited": total, "total": total}
    assert [stage for stage, *_ in steps].count("field") == total
    fractions = [fraction for _, fraction, _ in steps]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] < 1


def test_windows_of_air_are_not_asked_about():
    values, affine = band_ct()
    far = np.full((220, *values.shape[1:]), -1000, np.int16)
    far[: len(values)] = values
    model = BandModel(window=32)
    whole = reconstruct_ct(CtScan(far, affine), model)
    windows = whole.report["windows"]
    assert len(model.asked) == windows["visited"] < windows["total"]
    plain = reconstruct_ct(CtScan(values, affine), BandModel(window=32))
    for bone in BONES:
        assert whole.bones[bone].volume() == pytest.approx(plain.bones[bone].volume(), rel=0.02)


# Which knee, which side


def pair_of_knees(gap=110.0):
    """A right and a left knee beside each other, the left one's leg fully in the CT."""
    values, affine = band_ct(size=(150, 60, 70), spacing=(2.0, 2.4, 2.5))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (70, 60, 150)), indexing="ij"), -1)
    points = index.reshape(-1, 3)[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    knees = [band_values(sign * (points - [x, 0, 0]) * [1, sign, sign])
             for sign, x in ((1, gap / 2 + 10), (-1, -gap / 2 - 10))]  # fmt: skip
    values = np.maximum(*knees).astype(np.int16).reshape(70, 60, 150)
    return values, affine


def test_of_two_knees_one_is_taken_whole_and_said():
    values, affine = pair_of_knees()
    # The right femur is cut short, so the left knee's is the larger one; the right patella is
    # larger than the left one, which is cut.
    values[51:, :, :75] = 0
    values[34:38, :15, 75:] = 0
    result = reconstruct_ct(CtScan(values, affine), BandModel(voxel=3.0))
    said = [sentence for sentence in result.report["warnings"] if "two knees" in sentence]
    assert len(said) == 1
    assert "patient's left" in said[0] and "the femur" in said[0]
    assert result.laterality == "L"
    for mesh in result.bones.values():
        assert mesh.vertices[:, 0].min() > 0  # the patient's left


def test_the_side_is_told_by_the_fibula_or_by_the_user():
    pose = np.diag([-1.0, 1.0, 1.0, 1.0])
    pose[:3, 3] = PLACE
    values, affine = band_ct(pose)
    scan = CtScan(values, affine)
    result = reconstruct_ct(scan, BandModel())
    assert (result.laterality, result.report["warnings"]) == ("R", [])
    result = reconstruct_ct(scan, BandModel(), "L")
    assert result.laterality == "L"
    assert result.report["warnings"] == ["The bones look like a right knee; check the side."]
    # Without a fibula nothing tells.
    scan = CtScan(np.where(values > 900 * 0.84 - 400, 0, values).astype(np.int16), affine)
    result = reconstruct_ct(scan, BandModel())
    assert result.laterality is None
    assert result.report["bones"]["fibula"] == {"found": False, "volume_mm3": None}
    assert result.report["warnings"] == [
        "The fibula was not found.",
        "The side was not given, and cannot be determined from the bones.",
    ]
    assert reconstruct_ct(scan, BandModel(), "R").laterality == "R"


# What is refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values, affine: (np.minimum(values, 0), affine), "No bone was found"),
        (lambda values, affine: (np.full_like(values, -1000), affine), "No bone was found"),
        (lambda values, affine: (values, np.diag([1e-3, 1e-3, 1e-3, 1]) @ affine), "millimetres"),
        (lambda values, affine: (values, np.diag([100.0, 100, 100, 1]) @ affine), "millimetres"),
        (lambda values, affine: (values[:5], affine), "millimetres"),
    ],
)
def test_a_ct_that_shows_no_knee_is_refused(change, words):
    values, affine = change(*band_ct(size=(40, 45, 55), spacing=(3.6, 3.2, 3.2)))
    with pytest.raises(ImageError, match=words) as caught:
        reconstruct_ct(CtScan(values, affine), BandModel())
    assert caught.value.remedy


def test_cancelling_in_the_middle_of_the_windows_ends_the_work():
    model = BandModel(window=32)

    def stop(stage, fraction, message):
        if message.startswith("Segmenting the bones, part 3 "):
            raise Cancelled

    with pytest.raises(Cancelled):
        reconstruct_ct(CtScan(*band_ct()), model, progress=stop)
    assert len(model.asked) == 2

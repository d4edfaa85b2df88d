"""The pipeline with the shipped weights: accuracy, frames, sides, masks, warnings."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import Cancelled
from SSRKDLib.evaluation.metrics import assd, surface_distances
from SSRKDLib.geometry.known import Known
from SSRKDLib.geometry.rig_presets import c_arm, orthogonal
from SSRKDLib.geometry.virtual_cameras import FRAME_POINTS
from SSRKDLib.models.knee_model import KneeModel
from SSRKDLib.radiographs.exposure import Exposure, best_pair
from SSRKDLib.reconstruction.field import evaluate, labels
from SSRKDLib.reconstruction.localisation import locate
from SSRKDLib.reconstruction.radiographs import reconstruct
from SSRKDLib.reconstruction.report import report_of
from SSRKDLib.reconstruction.sanity_checks import femur_warnings
from SSRKDLib.reconstruction.segmentation import segment
from SSRKDLib.simulation.population import HELD_OUT_PEOPLE
from Testing.support.ball_knee import BallModel
from Testing.support.bundled import expose, model, person, plain_case


def box(centre, reach=80.0):
    return np.array([np.asarray(centre) - reach, np.asarray(centre) + reach])


def mean_assd(bones, truth, centre=(0.0, 0.0, 0.0)):
    """By bone, and their mean, mm."""
    distances = {
        bone: assd(surface_distances(bones[bone], truth[bone], box(centre), 5000)) for bone in BONES
    }
    return {**distances, "mean": np.mean(list(distances.values()))}


def difference(first, second):
    """Largest of the bones' mean surface distances between two reconstructions, mm."""
    pairs = ((first[bone], second[bone]) for bone in BONES)
    return max(assd(surface_distances(*pair, samples=5000)) for pair in pairs)


def frames_read(patch):
    """A list that gets the frames of all that is read from now on."""
    frames = []

    def read(self, radiographs, original=KneeModel.read):
        frames.append(radiographs.frame.tobytes())
        return original(self, radiographs)

    patch.setattr(KneeModel, "read", read)
    return frames


@pytest.fixture(scope="module")
def plain_and_frames():
    """As of every spacing: the surfaces are fitted. The frames that were read."""
    _, rig, exposures = plain_case()
    with pytest.MonkeyPatch.context() as patch:
        frames = frames_read(patch)
        return reconstruct(exposures, rig, model(), spacing=2.0), frames


@pytest.fixture(scope="module")
def plain(plain_and_frames):
    return plain_and_frames[0]


def test_a_held_out_person_is_reconstructed_in_rig_coordinates(plain):
    distances = mean_assd(plain.bones, plain_case()[0])
    assert distances["mean"] < 1.2
    assert max(distances.values()) < 2.0
    assert plain.report["warnings"] == []
    for bone in BONES:
        assert plain.bones[bone].volume() > 0
        assert min(plain.report["bones"][bone]["agreement"].values()) > 0.85
    for left, top, columns, rows in plain.report["locating"]["regions"]:
        assert max(abs(2 * left + columns - 256), abs(2 * top + rows - 256)) < 30


def test_shafts_reach_90_mm_and_end_open_where_the_region_ends(plain):
    canonical = {
        bone: mesh.transformed(np.linalg.inv(plain.frame)) for bone, mesh in plain.bones.items()
    }
    assert canonical["femur"].vertices[:, 2].max() > 90
    assert canonical["tibia"].vertices[:, 2].min() < -90
    assert plain.bones["patella"].is_closed
    for bone in ("femur", "tibia", "fibula"):
        report = plain.bones[bone].edge_report()
        assert report.open > 0 and report.non_manifold == 0


@pytest.mark.parametrize("index", HELD_OUT_PEOPLE)
def test_field_of_the_shipped_weights_is_sparse_without_a_different_label(index):
    _, rig, exposures = plain_case(index)
    pair = best_pair(exposures)
    bones = locate(pair, rig, model(), rig.laterality).field
    sparse = evaluate(bones.query, bones.low, bones.high, 4.0, factor=4, band=bones.band)
    dense = evaluate(bones.query, bones.low, bones.high, 4.0, factor=1, band=bones.band)
    np.testing.assert_array_equal(labels(sparse), labels(dense))
    assert sparse.visited < 0.35 * sparse.total


def test_radiographs_are_read_once_in_each_frame(plain_and_frames, monkeypatch):
    """Reconstruction takes images, masks and features of the frame that localisation chose; only
    masks that the user edited are read anew, and change what is found."""
    plain, read = plain_and_frames
    assert read.count(plain.frame.tobytes()) == 1 and len(set(read)) == len(read)
    frames = frames_read(monkeypatch)
    _, rig, exposures = plain_case()
    empty = np.zeros((4, *exposures[0].valid.shape), np.float32)
    edited = reconstruct(exposures, rig, model(), spacing=2.0, masks=[empty, None])
    assert frames.count(edited.frame.tobytes()) == 2
    assert not edited.masks[0].any() and edited.masks[1].any()
    assert any(
        bone not in edited.bones
        or assd(surface_distances(edited.bones[bone], plain.bones[bone])) > 0.02
        for bone in BONES
    )


def test_a_job_can_be_ended_before_every_run_of_a_network(monkeypatch):
    """Finding a knee, other explanations and a field for every bone take many runs, seconds of
    work without any other report."""
    runs, reports = [], []
    for name in ("locate", "segment", "read"):
        of_model = getattr(KneeModel, name)

        def counted(self, given, original=of_model):
            result = original(self, given)
            runs.append(len(reports))
            return result

        monkeypatch.setattr(KneeModel, name, counted)

    def stop(stage, fraction, message):
        reports.append((stage, fraction))
        if len(reports) == 4:
            raise Cancelled

    _, rig, exposures = plain_case()
    with pytest.raises(Cancelled):
        reconstruct(exposures, rig, model(), progress=stop)
    assert reports == [("locate", 0.05)] * 4  # that the stage begins, and three runs' own
    assert runs == [2, 3]
    reports.clear()
    with pytest.raises(Cancelled):
        segment(exposures, rig, model(), progress=stop)
    assert runs == [2, 3, 2, 3]


def test_geometry_a_right_knee_comes_out_as_the_mirrored_left_one(plain):
    """The view mirrored, and its pixels too: they are averaged over other blocks then (D28)."""
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    bones = person(21, mirror=True)
    reference = mean_assd(plain.bones, plain_case()[0])
    for pixels_too, tolerance in ((False, 0.05), (True, 0.2)):
        exposures = [mirrored(exposure, mirror, pixels_too) for exposure in plain_case()[2]]
        views = tuple(exposure.view for exposure in exposures)
        rig = dataclasses.replace(orthogonal(laterality="R"), views=views)
        result = reconstruct(exposures, rig, model(), spacing=2.0)
        assert result.laterality == "R"
        assert abs(mean_assd(result.bones, bones)["mean"] - reference["mean"]) < tolerance
        back = {bone: mesh.transformed(mirror) for bone, mesh in result.bones.items()}
        assert difference(back, plain.bones) < tolerance, pixels_too


def mirrored(exposure, mirror, pixels_too):
    """The radiograph of the mirrored knee: as it is, or as the detector would store it, its columns
    running the same way as before."""
    view = exposure.view.transformed(mirror)
    if not pixels_too:
        return Exposure(view, exposure.line_integral, exposure.valid)
    last = view.points_on_detector(np.array([view.size[0] - 1.0, 0.0]))
    view = dataclasses.replace(view, detector_origin=last, column_direction=-view.column_direction)
    return Exposure(view, exposure.line_integral[:, ::-1], exposure.valid[:, ::-1])


def test_geometry_knee_and_rig_moved_together_give_the_same_bones(plain):
    _, rig, exposures = plain_case()
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", [70, -40, 130], degrees=True).as_matrix()
    move[:3, 3] = [310.0, -45.0, 120.0]
    moved_rig = rig.transformed(move)
    moved = [
        Exposure(view, e.line_integral, e.valid) for view, e in zip(moved_rig.views, exposures)
    ]
    result = reconstruct(moved, moved_rig, model(), spacing=2.0)
    back = {bone: m.transformed(np.linalg.inv(move)) for bone, m in result.bones.items()}
    assert difference(back, plain.bones) < 0.2

    unknown = dataclasses.replace(moved_rig, patient_to_rig=None)
    result = reconstruct(moved, unknown, model(), spacing=2.0)
    back = {bone: m.transformed(np.linalg.inv(move)) for bone, m in result.bones.items()}
    assert difference(back, plain.bones) < 0.5
    assert any("pose" in warning for warning in result.report["warnings"])


@pytest.mark.parametrize("shift", [(15.0, -10.0, 20.0), (-18.0, 14.0, -14.0)])
def test_a_knee_moved_within_its_rig_costs_little(plain, shift):
    bones, rig = person(21, shift), plain_case()[1]
    result = reconstruct(expose(bones, rig, shift), rig, model(), spacing=2.0)
    reference = mean_assd(plain.bones, plain_case()[0])
    assert mean_assd(result.bones, bones, shift)["mean"] < reference["mean"] + 0.1


def test_a_knee_far_from_the_origin_is_found():
    centre = np.array([25.0, 20.0, 95.0])
    rig = c_arm()
    bones = person(22, shift=centre)
    larger = dataclasses.replace(
        rig,
        views=tuple(
            dataclasses.replace(
                view,
                size=(512, 640),
                detector_origin=view.detector_origin
                - (512 - view.size[0]) / 2 * view.pixel_spacing[0] * view.column_direction
                - (640 - view.size[1]) / 2 * view.pixel_spacing[1] * view.row_direction,
            )
            for view in rig.views
        ),
    )
    result = reconstruct(expose(bones, larger, joint=centre), larger, model(), spacing=2.0)
    assert mean_assd(result.bones, bones, centre)["mean"] < 1.5


def test_the_side_is_found_out_when_it_is_not_given():
    """Also where nobody has measured the distances: they are estimated, too, and fit here."""
    _, rig, exposures = plain_case()
    views = tuple(dataclasses.replace(view, known=Known(knee="typed")) for view in rig.views)
    typed = [Exposure(v, e.line_integral, e.valid) for v, e in zip(views, exposures)]
    unknown = dataclasses.replace(rig, views=views, laterality=None)
    result = reconstruct(typed, unknown, model(), spacing=2.0)
    assert result.laterality == "L"
    found = result.report["fitted_rig"]
    assert np.linalg.norm(found["lateral_moved_mm"]) < 8
    for view, (name, distance) in zip(views, found["source_to_knee_mm"].items()):
        value, deviation = distance["found"]
        assert distance["given"] == pytest.approx(-view.axis @ view.source, abs=0.1), name
        assert abs(value - distance["given"]) < 3 * deviation
    assert not any("distances" in warning for warning in result.report["warnings"])
    assert any("left knee" in warning for warning in result.report["warnings"])


def test_a_wrong_side_is_reported():
    """Person 20 as a right knee agrees by 0.85 with the radiographs of the left one."""
    _, rig, exposures = plain_case(20)
    wrong = dataclasses.replace(rig, laterality="R")
    result = reconstruct(exposures, wrong, model(), spacing=2.0)
    assert any("left knee" in warning for warning in result.report["warnings"])


def test_swapped_radiographs_are_said(cut=20):
    """Also where they differ in size, as a CR and a DX image do."""
    _, rig, (frontal, lateral) = plain_case()
    narrower = dataclasses.replace(
        lateral.view,
        size=(lateral.view.size[0] - 2 * cut, lateral.view.size[1]),
        detector_origin=lateral.view.points_on_detector(np.array([cut, 0.0])),
    )
    columns = slice(cut, lateral.view.size[0] - cut)
    views = (placed_like(frontal.view, narrower), placed_like(narrower, frontal.view))
    swapped = [
        Exposure(views[0], lateral.line_integral[:, columns], lateral.valid[:, columns]),
        Exposure(views[1], frontal.line_integral, frontal.valid),
    ]
    result = reconstruct(swapped, dataclasses.replace(rig, views=views), model(), spacing=2.0)
    assert any("swapped" in warning for warning in result.report["warnings"])


def placed_like(view, other):
    """The detector of ``other`` where ``view`` has its own."""
    middle = (np.array(other.size) - 1) / 2 * other.pixel_spacing
    return dataclasses.replace(
        other,
        source=view.source,
        detector_origin=view.detector_centre
        - middle[0] * view.column_direction
        - middle[1] * view.row_direction,
        column_direction=view.column_direction,
        row_direction=view.row_direction,
    )


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_a_scale_that_no_knee_has_is_said(factor):
    _, rig, exposures = plain_case()
    views = tuple(
        dataclasses.replace(
            view,
            source=factor * view.source,
            detector_origin=factor * view.detector_origin,
            pixel_spacing=tuple(factor * mm for mm in view.pixel_spacing),
        )
        for view in rig.views
    )
    scaled = [Exposure(v, e.line_integral, e.valid) for v, e in zip(views, exposures)]
    result = reconstruct(scaled, dataclasses.replace(rig, views=views), model(), spacing=2.0)
    assert any("pixel spacing" in warning for warning in result.report["warnings"])


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [(80, 0, None), (200, 0, "is 200 mm wide"), (20, 0, "is 20 mm wide"), (80, 90, "not reach")],
)
def test_a_femur_that_no_knee_has_is_said(width, height, said):
    corners = np.array(np.meshgrid([-width / 2, width / 2], [-30, 30], [-30, 30])).reshape(3, -1).T
    doubts = femur_warnings(corners + [0, 0, height])
    assert len(doubts) == (said is not None)
    assert said is None or said in doubts[0]


class AstrayModel(BallModel):
    """Its locator's rays meet some 60 m away: seen from 900 mm, so far off the axis the rays of two
    perpendicular views are nearly parallel."""

    def locate(self, images):
        points = FRAME_POINTS[:, [[0, 2], [1, 2]]].transpose(1, 0, 2) / self.framing.wide_pixel_mm
        points = points * [1, -1] + (self.framing.wide_pixels - 1) / 2
        points[:, :, 0] += np.array([[1], [-1]]) * 0.99 * 900 / self.framing.wide_pixel_mm
        return points


def test_a_lost_localisation_leaves_a_report_that_json_can_hold():
    """The starting frame is kept, and not the quality of the frame that was lost."""
    _, rig, exposures = plain_case()
    result = reconstruct(exposures, rig, AstrayModel(rig), spacing=4.0)
    np.testing.assert_allclose(result.frame, np.eye(4), atol=1e-9)
    assert result.report["locating"]["spread_mm"] is None
    json.dumps(result.report, allow_nan=False)


def test_no_report_holds_nan_or_infinity():
    details = {"spread_mm": float("inf"), "frame": [[1.0, float("nan")]]}
    by_bone = {"femur": {"agreement": {"frontal": np.float64("nan")}}}
    torn = SimpleNamespace(volume=lambda: float("-inf"))
    report = report_of(model(), {"femur": torn}, {}, details, by_bone)
    json.dumps(report, allow_nan=False)
    assert (report["spread_mm"], report["frame"]) == (None, [[1.0, None]])
    femur = {"found": True, "volume_mm3": None, "agreement": {"frontal": None}}
    assert report["bones"]["femur"] == femur

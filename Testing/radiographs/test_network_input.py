"""Radiographs as networks read them: the doors of training and inference give the same arrays."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from SSRKDLib.datasets.case_cache import read_radiographs  # noqa: E402
from SSRKDLib.datasets.splits import read_info  # noqa: E402
from SSRKDLib.datasets.virtual_cohort import make_knee  # noqa: E402
from SSRKDLib.geometry.virtual_cameras import FRAME_POINTS, Framing  # noqa: E402
from SSRKDLib.models.interface import BoneField  # noqa: E402
from SSRKDLib.models.official_model import OfficialModel  # noqa: E402
from SSRKDLib.radiographs.published_input import image_points  # noqa: E402
from SSRKDLib.reconstruction import localisation  # noqa: E402
from SSRKDLib.reconstruction.localisation import FrameEstimate, refine_frame  # noqa: E402
from SSRKDLib.training.data import case_datasets, student_datasets, virtual_dataset  # noqa: E402
from SSRKDLib.training.data.case_datasets import Lists, any_image  # noqa: E402
from SSRKDLib.training.data.student_datasets import AcquisitionSettings, StudentSamples  # noqa: E402
from SSRKDLib.training.tasks.student import OfficialStudentTask  # noqa: E402
from Testing.models.test_official_model import small_bundle, spy  # noqa: E402
from Testing.support.prepared_cases import PIXEL_MM, PIXELS  # noqa: E402


def recorded(monkeypatch, module, name):
    """What a function of a module returns from now on, in order."""
    results, function = [], getattr(module, name)

    def noted(*arguments, **options):
        results.append(function(*arguments, **options))
        return results[-1]

    monkeypatch.setattr(module, name, noted)
    return results


class Recorder:
    """Takes the place of the project's own networks and keeps what they are given."""

    def __init__(self, framing: Framing) -> None:
        self.framing, self.images, self.matrices = framing, {}, None

    def locate(self, images):
        self.images["wide"] = images
        x, y, z = FRAME_POINTS.T / self.framing.wide_pixel_mm
        return images.shape[-1] / 2 + np.stack([np.stack([x, -z], 1), np.stack([y, -z], 1)])

    def segment(self, images):
        self.images["near"] = images
        return np.zeros((2, 4, *images.shape[2:]), np.float32)

    def read(self, radiographs):
        self.matrices = [c.view.projection_matrix for c in radiographs.input.cameras]
        reach = np.full(3, 90.0)
        return BoneField(lambda points: -np.ones((len(points), 4)), "metric", -reach, reach)


def show_detail(monkeypatch, exposures, recorder, frame):
    """Let inference read radiographs in a frame that its locator leaves as it is."""
    with monkeypatch.context() as patched:
        patched.setattr(localisation, "refine_frame", lambda *about: FrameEstimate(about[2]))
        localisation.localise_from(exposures, recorder, frame, "L")


def test_own_networks_are_trained_on_what_inference_shows_them(monkeypatch):
    """Detail and overview of a virtual knee, collimated and noisy, in frames that are off."""
    exposed = recorded(monkeypatch, virtual_dataset, "random_exposures")
    frames = recorded(monkeypatch, virtual_dataset, "random_frame")
    knee, framing = make_knee(1, 0), Framing()
    for seed in (2, 9):  # of the first, both radiographs have blank borders
        sample = virtual_dataset.make_sample(knee, framing, 20, np.random.default_rng(seed))
        near_frame, wide_frame = frames[-2:]
        recorder = Recorder(framing)
        refine_frame(exposed[-1], recorder, wide_frame, rounds=1)
        show_detail(monkeypatch, exposed[-1], recorder, near_frame)
        np.testing.assert_array_equal(sample["images"].numpy(), recorder.images["near"])
        np.testing.assert_array_equal(sample["overview"].numpy(), recorder.images["wide"])
        matrices = np.float32(recorder.matrices)
        np.testing.assert_array_equal(sample["matrices"].numpy(), matrices)
        assert not (sample["masks"].bool().any(1) & (sample["images"][:, 2] == 0)).any()
    assert not exposed[0][0].valid.all() and exposed[1][0].valid.all()


@pytest.fixture(scope="module")
def lists(processed):
    return Lists(processed, tuple(read_info(processed)["train"]), (), seed=1)


def test_own_student_is_trained_on_what_inference_shows_it(monkeypatch, lists):
    exposed = recorded(monkeypatch, student_datasets, "exposures")
    frames = recorded(monkeypatch, student_datasets, "random_frame")
    sample = StudentSamples(lists, 1, "own", AcquisitionSettings(64, 3.45), 20, None)[0]["labelled"]
    recorder = Recorder(Framing(near_pixels=64, near_pixel_mm=3.45))
    show_detail(monkeypatch, exposed[0], recorder, frames[0])
    np.testing.assert_array_equal(sample["images"].numpy(), recorder.images["near"])


@pytest.fixture
def published(tmp_path):
    """The published pair for the tiny cases' pixels, and the tensors that its networks read."""
    bundle = small_bundle(tmp_path, PIXELS)
    spacing = [PIXEL_MM * 2] * 2  # magnified twice on the published detector
    bundle.manifest["geometry"]["detector_spacing_mm"] = spacing
    model = OfficialModel.from_bundle(bundle)
    model.tensors = []
    model._student.encode = spy(model._student.encode, model.tensors)
    model._segmenter.forward = spy(model._segmenter.forward, model.tensors)
    return model


def test_published_student_is_trained_on_what_inference_shows_it(monkeypatch, lists, published):
    """Images, channels, masks and points, bit for bit."""
    exposed = recorded(monkeypatch, student_datasets, "exposures")
    frames = recorded(monkeypatch, student_datasets, "random_frame")
    asked = recorded(monkeypatch, student_datasets, "image_points")
    taking = AcquisitionSettings(
        PIXELS, PIXEL_MM, z_crop=(1.0, 1.0), shift_mm=40.0, turn_degrees=10.0
    )
    sample = StudentSamples(lists, 1, "official", taking, 20, None)[0]["labelled"]
    given = published.input(exposed[0], frames[0])
    np.testing.assert_array_equal(sample["images"].numpy(), given.images)
    # Shifted so far, the images reach beyond the detector: no mask there, in training either.
    assert not given.valid.all() and not sample["masks"].numpy()[~given.valid].any()

    masks = sample["masks"].numpy() > 0
    field = published.encode(given, masks)
    channels = OfficialStudentTask()._channels({k: v[None] for k, v in sample.items()}, True)
    np.testing.assert_array_equal(channels.numpy(), published.tensors[0])
    points = np.random.default_rng(0).uniform(-50, 50, (5, 3))
    np.testing.assert_array_equal(
        image_points(field.cameras, points), student_datasets.image_points(given.cameras, points)
    )
    np.testing.assert_array_equal(sample["points"].numpy(), np.float32(asked[0]))


def test_published_segmenter_is_trained_on_what_inference_shows_it(monkeypatch, lists, published):
    exposed = recorded(monkeypatch, case_datasets, "exposures")
    folder = lists.processed / lists.labelled[0]
    line, bits = any_image(folder, PIXELS, PIXEL_MM, (3e4, 3e5), np.random.default_rng(0))
    given = published.input(exposed[0], np.eye(4))
    (slot,) = [k for k, camera in enumerate(given.cameras) if camera.index == 0]
    np.testing.assert_array_equal(line, given.images[slot])
    assert bits.any() and not bits[~given.valid[slot]].any()
    assert not published.segment(given)[~given.valid].any()
    assert read_radiographs(folder).unit == 1.0

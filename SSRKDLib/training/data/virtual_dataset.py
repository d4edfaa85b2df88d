"""From a stored knee to one training sample: exposure, framing, points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch.utils.data import Dataset

from SSRKDLib.core.rigid import moved_points
from SSRKDLib.datasets.memory_cache import cached
from SSRKDLib.datasets.virtual_cohort import STORED_PIXEL_MM, StoredKnee, VirtualCohort
from SSRKDLib.geometry.virtual_cameras import BONE_POINTS, FRAME_POINTS, Framing
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.radiographs.network_input import framed_labels, network_input
from SSRKDLib.simulation.random_motion import disturbance
from SSRKDLib.simulation.random_radiograph import random_line_integral
from SSRKDLib.training.data.sampling import streamed

#: Share of the moved pairs that are shown as they were taken, to segmenter and locators alone.
AS_TAKEN_SHARE = 0.25

#: How well a fit knows a bone's motion between the exposures: standard deviations per axis in
#: degrees and mm, of seven motions in ten, and of the others.
FITTED_SD = ((1.5, 1.0), (3.0, 4.0))


@dataclass(frozen=True)
class Streaming:
    """How knees that are not kept on disk are used.

    Attributes:
        pool: knees in memory at a time (2.4 MB each, in each of the loader's processes).
        uses: of each knee, with another exposure, framing and points every time.
    """

    pool: int = 64
    uses: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.pool <= 100 or self.uses < 1:
            raise ValueError(f"a pool of {self.pool} knees (1 to 100) used {self.uses} times")


class KneeSamples(Dataset):
    """Samples that depend on seed and item alone.

    Item ``i`` is a sample of its own for every ``i``: exposure, framing and points are never drawn
    the same twice. A resumed training goes on at the item where it stopped and sees exactly what
    it would have seen.

    Args:
        cohort: the knees. Those of a folder are visited in a new random order each epoch; a cohort
            without a folder is a stream of new knees.
        knees: how many of a folder's cohort are used.
        framing: of the networks' images.
        points: of a sample.
        streaming: how a stream's knees are used.
    """

    def __init__(
        self,
        cohort: VirtualCohort,
        knees: int,
        framing: Framing,
        points: int,
        streaming: Streaming = Streaming(),
    ) -> None:
        self.cohort, self.knees, self.framing = cohort, knees, framing
        self.points, self.streaming = points, streaming

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        seed = self.cohort.seed
        if self.cohort.folder is None:
            index = streamed(self.streaming.pool, self.streaming.uses, seed, item)
            knee, rng = _made(self.cohort, index), np.random.default_rng([seed, item])
        else:
            epoch, place = divmod(item, self.knees)
            order = np.random.default_rng([seed, epoch]).permutation(self.knees)
            knee = self.cohort.read(int(order[place]))
            rng = np.random.default_rng([seed, epoch, place])
        return make_sample(knee, self.framing, self.points, rng)


@cached
def _made(cohort: VirtualCohort, index: int) -> StoredKnee:
    return cohort.read(index)


def random_frame(
    rng: np.random.Generator, shifts: tuple[float, float], degrees: tuple[float, float]
) -> np.ndarray:
    """A frame near the true one, as localisation finds it: three times in four with the first
    standard deviation (mm and degrees per axis), else with the second."""
    near = 0 if rng.random() < 0.75 else 1
    frame = np.eye(4)
    turn = rng.normal(0, degrees[near], 3)
    frame[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    frame[:3, 3] = rng.normal(0, shifts[near], 3)
    return frame


def random_collimation(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Bool mask of the exposed rectangle, half the time the whole detector."""
    valid = np.ones(shape, bool)
    if rng.random() < 0.5:
        for axis in (0, 1):
            low, high = rng.uniform(0, 0.22, 2) * shape[axis] * (rng.random(2) < 0.5)
            edge = [slice(None), slice(None)]
            edge[axis] = slice(0, int(low))
            valid[tuple(edge)] = False
            edge[axis] = slice(shape[axis] - int(high), None)
            valid[tuple(edge)] = False
    return valid


def random_exposures(knee: StoredKnee, rng: np.random.Generator) -> tuple[Exposure, Exposure]:
    """Two radiographs of a stored knee, as reading files would give them."""
    exposures = []
    for k in range(2):
        view, paths = knee.view(k), knee.paths[k].astype(np.float32)
        joint_row = float(view.project(np.zeros(3))[1])
        line_integral = random_line_integral(paths, joint_row, STORED_PIXEL_MM, rng)
        exposures.append(Exposure(view, line_integral, random_collimation(paths.shape[1:], rng)))
    return exposures[0], exposures[1]


def make_sample(
    knee: StoredKnee, framing: Framing, points: int, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    """One sample.

    Where the leg moved between the exposures, the student is mostly asked for one bone, with the
    rig as that bone sees it: the second camera stands where it would have seen the bone, had it not
    moved, by a motion that is known about as well as a fit knows it. In the pair as it was taken
    it is asked for nothing then, since no one knee shows in both views.

    Returns:
        ``images [2, 3, n, n]`` (two channels and where they are valid), ``masks [2, 4, n, n]``,
        ``matrices [2, 3, 4]`` (points mm to pixels), ``points [P, 3]``, ``distances [P, 4]``,
        ``asked [4]`` (1 where the student is asked for a bone), ``bone_landmarks [2, 4, 5, 2]``
        (column, row) of :data:`~SSRKDLib.geometry.virtual_cameras.BONE_POINTS` in the images,
        ``overview [2, 3, w, w]`` (the locator's images), ``landmarks [2, 5, 2]`` (column, row) of
        the frame points in them.
    """
    exposures = random_exposures(knee, rng)
    seen, to_second, start, asked = _asked(knee, exposures, rng)
    detail_frame = start @ random_frame(rng, (3.0, 9.0), (3.0, 8.0))
    detail = network_input(seen, detail_frame, framing.near_pixels, framing.near_pixel_mm)
    masks, bone_landmarks = [], []
    for camera, valid in zip(detail.cameras, detail.valid):
        view = camera.index
        bits = framed_labels(knee.bones[view], seen[view].view, camera, detail_frame)
        masks.append([np.where(valid, bits >> bone & 1, 0) for bone in range(4)])
        to_frame = np.linalg.inv(to_second @ detail_frame if view else detail_frame)
        bone_landmarks.append(
            [
                camera.view.project(
                    moved_points(to_frame @ knee.place(bone, view), BONE_POINTS[bone])
                )
                for bone in range(4)
            ]
        )

    overview_frame = random_frame(rng, (15.0, 45.0), (5.0, 12.0))
    overview = network_input(exposures, overview_frame, framing.wide_pixels, framing.wide_pixel_mm)
    landmarks = []
    for camera in overview.cameras:
        to_frame = np.linalg.inv(overview_frame) @ knee.frame(camera.index)
        landmarks.append(camera.view.project(moved_points(to_frame, FRAME_POINTS)))

    chosen = rng.choice(len(knee.points), points, p=_evened(knee.distances[:, asked > 0]))
    located = moved_points(np.linalg.inv(detail_frame), knee.points[chosen].astype(np.float64))
    return {
        "images": torch.from_numpy(detail.images),
        "masks": torch.from_numpy(np.stack(masks).astype(np.float32)),
        "matrices": torch.from_numpy(
            np.stack([c.view.projection_matrix for c in detail.cameras]).astype(np.float32)
        ),
        "points": torch.from_numpy(located.astype(np.float32)),
        "distances": torch.from_numpy(knee.distances[chosen].astype(np.float32)),
        "asked": torch.from_numpy(asked),
        "bone_landmarks": torch.from_numpy(np.stack(bone_landmarks).astype(np.float32)),
        "overview": torch.from_numpy(overview.images),
        "landmarks": torch.from_numpy(np.stack(landmarks).astype(np.float32)),
    }


def _asked(
    knee: StoredKnee, exposures: tuple[Exposure, Exposure], rng: np.random.Generator
) -> tuple[tuple[Exposure, Exposure], np.ndarray, np.ndarray, np.ndarray]:
    """How the student is asked.

    Returns:
        The exposures with their views as the asked bone sees them, the motion that carries that
        world to where the bone lay in the second view, the frame about which to look, and which
        bones are asked for, ``[4]`` float32.
    """
    still = np.eye(4)
    if not knee.moved:
        return exposures, still, still, np.ones(4, np.float32)
    if rng.random() < AS_TAKEN_SHARE:
        return exposures, still, still, np.zeros(4, np.float32)
    bone = int(rng.integers(4))
    place = knee.places[bone]
    frame = np.eye(4)
    frame[:3, :3] = place[:3, :3] / np.cbrt(np.linalg.det(place[:3, :3]))
    frame[:3, 3] = place[:3, 3]
    degrees, shift = FITTED_SD[0 if rng.random() < 0.7 else 1]
    middle = moved_points(place, BONE_POINTS[bone, 0])
    motion = knee.motions[bone] @ disturbance(middle, degrees, shift, rng)
    first, second = exposures
    view = second.view.transformed(np.linalg.inv(motion))
    seen = Exposure(view, second.line_integral, second.valid)
    return (first, seen), motion, frame, np.eye(4, dtype=np.float32)[bone]


def _evened(distances: np.ndarray) -> np.ndarray:
    """Probabilities with which stored points are drawn, ``[P]``.

    Stored points crowd at the surfaces; drawn as they are, a point's mere presence would
    reveal that a surface is detail. Points well inside a bone are few, since bones are small.
    """
    if not distances.shape[1]:
        return np.full(len(distances), 1 / len(distances))
    nearest = np.abs(distances.astype(np.float32)).min(1)
    weights = np.interp(nearest, [0.0, 1.0, 3.0, 5.0, 8.0, 12.0], [0.5, 0.6, 1.0, 2.5, 2.5, 1.0])
    weights = np.where(distances.max(1) > 2.5, 3 * weights, weights)
    return weights / weights.sum()

"""A frozen teacher's predictions for cases: labels, confidence and features at points, on disk.

The teacher does not change while the student is trained, so it predicts once per case. The files
are ``<processed>/.teacher/<fingerprint of the teacher>/<case>-<its preparation>.npz``: labelled
cases at their stored points, unlabelled cases half near the surfaces that the teacher finds and
half anywhere.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.output_file import cannot_write, write_file
from SSRKDLib.ct.sliding_window import window_starts
from SSRKDLib.datasets.case_cache import read_box, read_frame, read_points, read_volume
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.datasets.memory_cache import cached
from SSRKDLib.datasets.npz import mapped_npz
from SSRKDLib.datasets.point_sampling import OFFSETS
from SSRKDLib.networks.official_teacher import OfficialTeacher, TeacherFeatures
from SSRKDLib.training.data.case_datasets import Lists, voxel_coordinates

#: Points of one query of a network.
POINTS_PER_QUERY = 1 << 16
#: Volumes of up to so many voxels per edge are read at once: the published teacher then takes
#: less than 2 GB.
WHOLE_VOLUME = 128


def reading_window(size: int, crop: int) -> int:
    """Voxels per edge that a teacher trained on crops reads of a volume at once: all of it where
    that is not too much, since more context makes its predictions better."""
    return size if size <= WHOLE_VOLUME and size % 16 == 0 else crop


def check_window(window: int, size: int) -> None:
    """Raise :class:`~SSRKDLib.core.errors.InputError` where a volume of ``size`` voxels per edge
    cannot be read ``window`` at a time."""
    if window % 16 or not 16 <= window <= size:
        raise InputError(
            f"The crop must be a multiple of 16 voxels, up to the CT's {size} (got {window}).",
            "Set data.crop, of a student data.window.",
        )


class TeacherPredictor:
    """A teacher's predictions for one volume.

    A volume larger than :data:`WHOLE_VOLUME` is read in overlapping windows, and each point belongs
    to the window whose border is farthest away, so memory does not grow with the volume.

    Args:
        teacher: in evaluation mode.
        volume: uint8 ``[k, j, i]``, 0 to 255 for -400 to 500 HU.
        window: voxels per edge, a multiple of 16, of the windows of a large volume.
    """

    def __init__(self, teacher: OfficialTeacher, volume: np.ndarray, window: int) -> None:
        self.teacher, self.volume = teacher, volume
        self.window = reading_window(len(volume), window)
        self.starts = np.array(window_starts(volume.shape, self.window))
        self._whole: TeacherFeatures | None = None

    @torch.inference_mode()
    def predict(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The finest head's logits ``[N, classes]`` and features ``[N, channels]`` at points
        ``[N, 3]``, -1 and 1 at the volume's outer faces, in the array's order."""
        voxels = voxel_coordinates(stored, len(self.volume)).astype(np.float32)
        home, deepest = np.zeros(len(voxels), np.int16), np.full(len(voxels), -np.inf, np.float32)
        for k, start in enumerate(self.starts):
            depth = np.minimum(voxels - start, start + self.window - 1 - voxels).min(axis=1)
            home[depth > deepest] = k
            deepest = np.maximum(depth, deepest)
        predictions: list[tuple[np.ndarray, np.ndarray]] = []
        places = [np.flatnonzero(home == k) for k in range(len(self.starts))]
        for start, chosen in zip(self.starts, places):
            if len(chosen):
                predictions += self._in_window(start, voxels[chosen] - start)
        order = np.argsort(np.concatenate(places))
        logits, features = (np.concatenate(parts)[order] for parts in zip(*predictions))
        return logits, features

    def _in_window(
        self, start: np.ndarray, voxels: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        encoded = self._encoded(start)
        for part in np.array_split(voxels, -(-len(voxels) // POINTS_PER_QUERY)):
            points = torch.from_numpy((2 * part.T / (self.window - 1) - 1).astype(np.float32))
            found = self.teacher.query(encoded, points[None].to(self._device))[-1]
            yield tuple(x[0].T.float().cpu().numpy() for x in (found.logits, found.embedding))

    def _encoded(self, start: np.ndarray) -> TeacherFeatures:
        if self._whole is not None:
            return self._whole
        part = tuple(slice(first, first + self.window) for first in start)
        crop = torch.from_numpy(self.volume[part].astype(np.float32) / 255)
        encoded = self.teacher.encode(crop[None, None].to(self._device))
        if len(self.starts) == 1:
            self._whole = encoded
        return encoded

    @property
    def _device(self) -> torch.device:
        return next(self.teacher.parameters()).device


def fingerprint(teacher: OfficialTeacher, size: int, window: int, count: int) -> str:
    """Names a teacher's predictions: by its weights, and how it reads volumes."""
    digest = hashlib.sha256(f"{size} {window} {count}".encode())
    for key, tensor in sorted(teacher.state_dict().items()):
        digest.update(key.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def write_predictions(
    teacher: OfficialTeacher,
    lists: Lists,
    size: int,
    window: int,
    count: int,
    progress: Callable[[int, int], None],
) -> Path:
    """Predict every case that has no predictions yet.

    Args:
        teacher: in evaluation mode.
        lists: the cases.
        size: voxels per edge of the CTs to read.
        window: voxels per edge that the teacher reads at once.
        count: points of an unlabelled case.
        progress: called with the number of cases done, and of all.

    Returns:
        The folder of the predictions, see :func:`read_predictions`.

    Raises:
        OutputError: they cannot be written.
    """
    names: Sequence[str] = (*lists.labelled, *lists.unlabelled)
    folder = lists.processed / ".teacher" / fingerprint(teacher, size, window, count)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for done, name in enumerate(names):
            progress(done, len(names))
            path = _file(folder, lists.processed / name, name in lists.labelled)
            if path.exists():
                continue
            arrays = _predict_case(teacher, lists, name, size, window, count)
            write_file(path, partial(np.savez, **arrays))
    except OSError as error:
        raise cannot_write(folder, error) from error
    progress(len(names), len(names))
    return folder


def read_predictions(folder: Path, case: Path, labelled: bool) -> dict[str, np.ndarray]:
    """A case's predictions: ``points [N, 3]`` (stored), ``labels [N]`` uint8, ``confidence [N]``
    (the largest probability), ``features [N, channels]``, the last mapped from the disk."""
    return _read(_file(folder, case, labelled))


@cached
def _read(path: Path) -> dict[str, np.ndarray]:
    return {key: mapped_npz(path, key) for key in ("points", "labels", "confidence", "features")}


@cached
def _file(folder: Path, case: Path, labelled: bool) -> Path:
    """The file of a case's predictions; another preparation of the case has another one."""
    about = CaseFolder(case).record() or {"files": sorted(p.name for p in case.iterdir())}
    text = json.dumps([about, labelled], sort_keys=True)
    return folder / f"{case.name}-{zlib.crc32(text.encode()):08x}.npz"


def _predict_case(
    teacher: OfficialTeacher, lists: Lists, name: str, size: int, window: int, count: int
) -> dict[str, np.ndarray]:
    case = lists.processed / name
    predictor = TeacherPredictor(teacher, read_volume(case, size), window)
    if name in lists.labelled:
        points = read_points(case)[0]
    else:
        rng = np.random.default_rng([0, zlib.crc32(name.encode())])
        points = _unlabelled_points(predictor, case, count, rng)
    logits, features = predictor.predict(points)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    confidence = probabilities.max(axis=1) / probabilities.sum(axis=1)
    return {
        "points": points.astype(np.float32),
        "labels": logits.argmax(axis=1).astype(np.uint8),
        "confidence": confidence.astype(np.float16),
        "features": features.astype(np.float16),
    }


def _unlabelled_points(
    predictor: TeacherPredictor, case: Path, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Points of an unlabelled case, stored ``[count, 3]``: as labelled cases are sampled, with the
    surfaces that the teacher predicts."""
    box, half_edge = read_box(case)[:, ::-1], read_frame(case).half_edge
    anywhere = rng.uniform(box[0], box[1], (count - count // 2, 3)) / half_edge
    # Every second voxel shows where the surfaces are.
    size = len(predictor.volume)
    grid = np.stack(np.meshgrid(*[np.arange(0, size, 2)] * 3, indexing="ij"), axis=-1)
    centres = (2 * grid.reshape(-1, 3) + 1) / size - 1
    labels = predictor.predict(centres)[0].argmax(axis=1).reshape(grid.shape[:3])
    border = np.zeros(labels.shape, bool)
    for axis in range(3):
        changes = np.diff(labels, axis=axis) != 0
        for shift in ((1, 0), (0, 1)):
            pad = [(0, 0)] * 3
            pad[axis] = shift
            border |= np.pad(changes, pad)
    places = centres.reshape(*grid.shape[:3], 3)[border]
    if not len(places):
        places = anywhere
    near = places[rng.integers(len(places), size=count // 2)]
    # A border voxel stands for two voxels' width, within which the surface is anywhere.
    near = near + rng.uniform(-2, 2, near.shape) / size
    widths = rng.choice([w for _, w in OFFSETS], len(near), p=[share for share, _ in OFFSETS])
    near = near + rng.standard_normal(near.shape) * widths[:, None] / half_edge
    low, high = box / half_edge
    return np.concatenate([np.clip(near, low, high), anywhere]).astype(np.float32)

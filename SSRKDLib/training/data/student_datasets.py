"""Samples for the student: two radiographs, and points with what is known about them.

Of a labelled case the labels are known; of any case, where a teacher has predicted it
(:mod:`SSRKDLib.training.pseudo_labels`), its class, its confidence and its features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from SSRKDLib.core.errors import InputError
from SSRKDLib.datasets.case_cache import CaseRadiographs, read_points, read_radiographs
from SSRKDLib.radiographs.network_input import network_input
from SSRKDLib.radiographs.published_input import image_points
from SSRKDLib.training.data.case_datasets import CaseSamples, Lists, Sample
from SSRKDLib.training.data.case_images import case_images, exposures, random_z_crop, visible
from SSRKDLib.training.data.sampling import choose_evenly
from SSRKDLib.training.data.virtual_dataset import random_frame
from SSRKDLib.training.pseudo_labels import read_predictions

ARCHITECTURES = ("official", "own")


@dataclass(frozen=True)
class AcquisitionSettings:
    """How the student's radiographs are acquired.

    Attributes:
        pixels: rows and columns of an image.
        pixel_mm: size of a pixel at the joint.
        lateral, frontal: angles that a pair is drawn from, one of each, degrees as in the cases.
        photons: see :func:`~SSRKDLib.training.data.case_images.exposures`.
        z_crop: shares of the height, lowest and highest (official architecture).
        shift_mm, turn_degrees: standard deviations per axis of what localisation leaves.
    """

    pixels: int = 512
    pixel_mm: float = 0.2875
    lateral: tuple[float, ...] = (0.0, 180.0)
    frontal: tuple[float, ...] = (90.0, 270.0)
    photons: tuple[float, float] = (3e4, 3e5)
    z_crop: tuple[float, float] = (0.7, 1.0)
    shift_mm: float = 3.0
    turn_degrees: float = 3.0


class StudentSamples(CaseSamples):
    """Samples as :meth:`sample` describes them.

    Args:
        lists, items: see :class:`~SSRKDLib.training.data.case_datasets.CaseSamples`.
        architecture: one of :data:`ARCHITECTURES`.
        acquisition: how radiographs are acquired.
        count: points of a sample, half of them inside bones.
        predictions: folder of the teacher's predictions, or None.
    """

    def __init__(
        self,
        lists: Lists,
        items: int,
        architecture: str,
        acquisition: AcquisitionSettings,
        count: int,
        predictions: Path | None,
    ) -> None:
        super().__init__(lists, items)
        self.architecture, self.acquisition = architecture, acquisition
        self.count, self.predictions = count, predictions

    def sample(self, folder: Path, rng: np.random.Generator) -> Sample:
        """One sample.

        Returns:
            ``labels [count]`` of the bone each point lies in, the teacher's for an unlabelled
            case; where the teacher predicted, ``confidence [count]`` and ``features [64, count]``.

            For the official architecture ``images [2, n, n]`` (lateral first, natural line
            integrals), ``masks [2, n, n]`` (where any bone is; zeros of an unlabelled case) and
            ``points [2, count, 2]`` (row, column) as its student takes them.

            For the project's own ``images [2, 3, n, n]`` (frontal first), ``matrices [2, 3, 4]``
            and ``points [count, 3]`` mm.
        """
        acquisition = self.acquisition
        case = read_radiographs(folder)
        pair = (
            case.index(acquisition.lateral[rng.integers(len(acquisition.lateral))]),
            case.index(acquisition.frontal[rng.integers(len(acquisition.frontal))]),
        )
        frame = random_frame(
            rng, (acquisition.shift_mm, 2 * acquisition.shift_mm),
            (acquisition.turn_degrees, 2 * acquisition.turn_degrees),
        )  # fmt: skip
        known = self._known(folder)
        millimetres = case.frame.millimetres(known["points"])
        in_frame = (millimetres - frame[:3, 3]) @ frame[:3, :3]
        make = self._official if self.architecture == "official" else self._own
        sample, cameras, place = make(case, pair, frame, rng)
        real = tuple(case.views[k].transformed(np.linalg.inv(frame)) for k in pair)
        allowed = visible((*(camera.view for camera in cameras), *real), in_frame)
        if not allowed.any():
            raise InputError(
                f"The radiographs of {folder} show none of its points.",
                "Check pixels, pixel_mm and the angles of the configuration.",
            )
        chosen = choose_evenly(known["labels"], allowed, self.count, rng)
        sample["points"] = place(in_frame[chosen])
        sample["labels"] = torch.from_numpy(known["labels"][chosen].astype(np.int64))
        if "features" in known:
            sample["confidence"] = torch.from_numpy(known["confidence"][chosen].astype(np.float32))
            features = known["features"][chosen].T.astype(np.float32)
            sample["features"] = torch.from_numpy(np.ascontiguousarray(features))
        return sample

    def _known(self, folder: Path) -> dict[str, np.ndarray]:
        """Points ``[N, 3]`` (stored) with their labels and the teacher's predictions."""
        labelled = folder.name in self.lists.labelled
        known = {}
        if self.predictions is not None:
            known = read_predictions(self.predictions, folder, labelled)
        if labelled:
            points, labels = read_points(folder)
            return {**known, "points": points, "labels": labels}
        return known

    def _official(self, case: CaseRadiographs, pair, frame: np.ndarray, rng):
        acquisition = self.acquisition
        taken = exposures(case, pair, acquisition.photons, rng)
        crop = random_z_crop(acquisition.z_crop, rng)
        images = case_images(
            case, taken, pair, frame, acquisition.pixels, acquisition.pixel_mm, crop
        )
        masks = np.zeros(images.input.images.shape, np.float32)
        if images.bits is not None:
            masks = (images.bits > 0).astype(np.float32)
        sample = {
            "images": torch.from_numpy(images.input.images), "masks": torch.from_numpy(masks)
        }  # fmt: skip
        cameras = images.input.cameras
        return sample, cameras, lambda points: _tensor(image_points(cameras, points))

    def _own(self, case: CaseRadiographs, pair, frame: np.ndarray, rng):
        acquisition = self.acquisition
        taken = exposures(case, pair, acquisition.photons, rng)
        read = network_input(taken, frame, acquisition.pixels, acquisition.pixel_mm)
        matrices = np.stack([camera.view.projection_matrix for camera in read.cameras])
        sample = {"images": torch.from_numpy(read.images), "matrices": _tensor(matrices)}
        return sample, read.cameras, _tensor


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))

"""Samples of prepared cases for the segmenter and the teacher; the student's are in
:mod:`SSRKDLib.training.data.student_datasets`.

An item holds a labelled sample and, where there are unlabelled cases, an unlabelled one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from SSRKDLib.datasets.case_cache import read_points, read_radiographs, read_volume
from SSRKDLib.radiographs.published_input import NETWORK_UNITS
from SSRKDLib.training.data.case_images import case_images, exposures
from SSRKDLib.training.data.sampling import case_of_item, choose_evenly, generator

#: Voxels brighter than this (of 255 for -400 to 500 HU; 200 HU) may be bone: where an unlabelled
#: case is worth sampling.
BRIGHT = 170

Sample = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Lists:
    """Cases to train on.

    Attributes:
        processed: folder of the cases.
        labelled, unlabelled: names; the latter may be empty.
        seed: of everything that is drawn.
    """

    processed: Path
    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    seed: int


class CaseSamples(Dataset):
    """What the samples of these tasks have in common."""

    def __init__(self, lists: Lists, items: int) -> None:
        self.lists, self.items = lists, items

    def __len__(self) -> int:
        return self.items

    def __getitem__(self, item: int) -> dict[str, Sample]:
        lists = self.lists
        sample = {}
        for stream, (part, names) in enumerate(
            {"labelled": lists.labelled, "unlabelled": lists.unlabelled}.items()
        ):
            if names:
                folder = lists.processed / case_of_item(names, lists.seed, stream, item)
                sample[part] = self.sample(folder, generator(lists.seed, stream, item))
        return sample

    def sample(self, folder: Path, rng: np.random.Generator) -> Sample:
        """A sample of one case; labels are there where the case has them."""
        raise NotImplementedError


class SegmentationSamples(CaseSamples):
    """Crops of radiographs: ``image [1, crop, crop]`` in the published units, and, of labelled
    cases, ``mask [crop, crop]``, 1 where any bone is.

    Args:
        lists, items: see :class:`CaseSamples`.
        pixels, pixel_mm: of the whole image, at the joint.
        crop: pixels of a crop.
        photons: see :func:`~SSRKDLib.training.data.case_images.exposures`.
        intensity: largest relative change of contrast, and of brightness.
        flips: whether crops are mirrored at random, upside down too, as in the published recipe.
    """

    def __init__(
        self,
        lists: Lists,
        items: int,
        pixels: int,
        pixel_mm: float,
        crop: int,
        photons: tuple[float, float],
        intensity: float,
        flips: bool = True,
    ) -> None:
        super().__init__(lists, items)
        self.pixels, self.pixel_mm, self.crop = pixels, pixel_mm, crop
        self.photons, self.intensity, self.flips = photons, intensity, flips

    def sample(self, folder: Path, rng: np.random.Generator) -> Sample:
        line, bits = any_image(folder, self.pixels, self.pixel_mm, self.photons, rng)
        top, left = rng.integers(0, self.pixels - self.crop + 1, 2)
        part = (slice(top, top + self.crop), slice(left, left + self.crop))
        turned = [rng.random() < 0.5 and self.flips for _ in range(2)]
        turns = tuple(slice(None, None, -1 if turn else 1) for turn in turned)
        line = line[part][turns]
        contrast, brightness = 1 + self.intensity * rng.uniform(-1, 1, 2)
        scale = max(float(line.mean()), 1e-3)
        line = scale * brightness * np.abs(line / scale) ** contrast * np.sign(line)
        image = (NETWORK_UNITS * line[None]).astype(np.float32)
        sample = {"image": torch.from_numpy(np.ascontiguousarray(image))}
        if folder.name in self.lists.labelled:
            mask = (bits[part][turns] > 0).astype(np.int64)
            sample["mask"] = torch.from_numpy(np.ascontiguousarray(mask))
        return sample


def any_image(
    folder: Path,
    pixels: int,
    pixel_mm: float,
    photons: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray | None]:
    """One radiograph of a case, of any of its views: natural line integrals and bits ``[n, n]`` as
    in :class:`~SSRKDLib.training.data.case_images.CaseImages`."""
    case = read_radiographs(folder)
    first = int(rng.integers(len(case.views)))
    # The cameras come in pairs: the other view is the one most nearly across.
    across = np.abs([case.views[first].axis @ view.axis for view in case.views])
    pair = (first, int(across.argmin()))
    taken = exposures(case, pair, photons, rng)
    images = case_images(case, taken, pair, np.eye(4), pixels, pixel_mm)
    slot = [camera.index for camera in images.input.cameras].index(0)
    return images.input.images[slot], None if images.bits is None else images.bits[slot]


class TeacherSamples(CaseSamples):
    """Crops of CTs: ``volume [1, crop, crop, crop]``, 0 to 1 for -400 to 500 HU; ``points
    [3, count]``, -1 and 1 at the centres of the crop's outer voxels, in the arrays' order; and, of
    labelled cases, ``labels [count]``.

    Mirrored in x half the time: the bones' names do not depend on the side, so the teacher need
    not know the side either.

    Args:
        lists, items: see :class:`CaseSamples`.
        size: voxels per edge of the CTs to take.
        crop: voxels per edge of a crop, a multiple of 16.
        count: points of a crop, half of them inside bones.
        intensity: largest change of slope and offset of the grey values, and of their noise.
    """

    def __init__(
        self, lists: Lists, items: int, size: int, crop: int, count: int, intensity: float
    ) -> None:
        super().__init__(lists, items)
        self.size, self.crop, self.count, self.intensity = size, crop, count, intensity

    def sample(self, folder: Path, rng: np.random.Generator) -> Sample:
        volume = read_volume(folder, self.size)
        labelled = folder.name in self.lists.labelled
        if labelled:
            stored, labels = read_points(folder)
            everywhere = voxel_coordinates(stored, self.size)
            start = self._around(everywhere[rng.integers(len(everywhere))], rng)
            voxels = everywhere - start
            inside = ((voxels > -0.5) & (voxels < self.crop - 0.5)).all(axis=1)
            chosen = choose_evenly(labels, inside, self.count, rng)
            voxels, labels = voxels[chosen], labels[chosen]
        else:
            start = rng.integers(0, self.size - self.crop + 1, 3)
        part = tuple(slice(first, first + self.crop) for first in start)
        if not labelled:
            voxels = self._bright_points(volume[part], rng)
        crop = volume[part].astype(np.float32) / 255
        if rng.random() < 0.5:
            crop, voxels = crop[:, :, ::-1], voxels * [1, 1, -1] + [0, 0, self.crop - 1]
        crop = self._changed(crop, rng)
        points = 2 * voxels.T / (self.crop - 1) - 1
        sample = {
            "volume": torch.from_numpy(np.ascontiguousarray(crop[None])),
            "points": torch.from_numpy(points.astype(np.float32)),
        }
        if labelled:
            sample["labels"] = torch.from_numpy(labels.astype(np.int64))
        return sample

    def _around(self, voxel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A crop's first voxel ``[3]``, such that the crop holds a place."""
        # Points may lie a little beyond the cube.
        voxel = np.clip(np.rint(voxel), 0, self.size - 1)
        low = np.maximum(voxel - self.crop + 1, 0)
        high = np.minimum(voxel, self.size - self.crop)
        return rng.integers(low, np.maximum(high, low) + 1).astype(int)

    def _bright_points(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Voxel coordinates ``[count, 3]``, half of them where something is bright."""
        voxels = rng.uniform(-0.5, self.crop - 0.5, (self.count, 3))
        bright = np.argwhere(crop > BRIGHT)
        if len(bright):
            half = self.count // 2
            voxels[:half] = bright[rng.integers(0, len(bright), half)]
            voxels[:half] += rng.uniform(-1.5, 1.5, (half, 3))
        return np.clip(voxels, -0.5, self.crop - 0.5)

    def _changed(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        slope, offset = rng.uniform(-1, 1, 2) * self.intensity
        noise = rng.uniform(0, self.intensity / 2)
        changed = crop * (1 + slope) + offset / 2
        changed = changed + noise * rng.standard_normal(crop.shape)
        return np.clip(changed, 0, 1).astype(np.float32)


def voxel_coordinates(stored: np.ndarray, size: int) -> np.ndarray:
    """Stored points (``[-1, 1]`` at the cube's outer faces) as voxel indices of a volume of
    ``size`` per edge, whole numbers at the centres."""
    return (np.asarray(stored, dtype=np.float64) + 1) * size / 2 - 0.5

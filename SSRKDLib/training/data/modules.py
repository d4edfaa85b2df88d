"""Prepared cases for Lightning: which of them are trained on, and as what samples."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import InputError
from SSRKDLib.datasets.case_cache import read_frame, read_points, read_volume
from SSRKDLib.datasets.case_folder import CaseFolder
from SSRKDLib.datasets.splits import read_info
from SSRKDLib.training.data.case_datasets import Lists, SegmentationSamples, TeacherSamples
from SSRKDLib.training.data.resumable_loader import step_loader
from SSRKDLib.training.data.sampling import ENDLESS
from SSRKDLib.training.pseudo_labels import check_window, reading_window

#: The warning of weights trained on cases of the published code.
STRETCHED = (
    "They were trained on CTs stretched to a cube, so the size of what they reconstruct is "
    "uncertain."
)

#: Edges of cases' voxels may differ by this share where a network must know their size.
SAME = 0.02


class CaseData(lightning.LightningDataModule):
    """What the three tasks' data have in common.

    Args:
        processed: folder that ``prepare`` wrote, with info.json.
        batch_size: labelled samples of a step, and as many unlabelled ones, in each process.
        steps_per_epoch: steps between two validations.
        seed: of everything that is drawn.
        labelled: how many labelled cases to train on, None: all.
        unlabelled: whether to train on unlabelled cases too.
        workers: processes that make samples; 0: the training's own.
    """

    def __init__(
        self,
        processed: str,
        batch_size: int,
        steps_per_epoch: int,
        seed: int,
        labelled: int | None,
        unlabelled: bool,
        workers: int,
    ) -> None:
        super().__init__()
        self.processed, self.batch_size = Path(processed), batch_size
        self.steps_per_epoch, self.workers = steps_per_epoch, workers
        splits = read_info(self.processed)
        if not splits["train"][:labelled]:
            raise InputError(
                f"{self.processed} has no labelled cases to train on.",
                "Prepare cases with bones, or lower --eval-share and --test-share.",
            )
        self.lists = Lists(
            self.processed,
            tuple(splits["train"][:labelled]),
            tuple(splits["unlabeled"]) if unlabelled else (),
            seed,
        )
        # Drawn alike for every seed, so that trainings are measured on the same images.
        self.held_out = {
            split: Lists(self.processed, tuple(splits[split]), (), 0) for split in ("eval", "test")
        }

    @property
    def has_test_cases(self) -> bool:
        return bool(self.held_out["test"].labelled)

    def samples(self, lists: Lists, items: int) -> Dataset:
        """The task's samples."""
        raise NotImplementedError

    def geometry(self) -> dict[str, Any]:
        """The geometry that the networks are trained with, for a bundle's manifest."""
        raise NotImplementedError

    def held_out_samples(self, lists: Lists) -> Dataset:
        """What is measured of held-out cases: ``eval`` after each epoch, ``test`` at the end."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """Where the weights come from, as JSON values."""
        cases = (*self.lists.labelled, *self.lists.unlabelled)
        record = CaseFolder(self.processed / cases[0]).record()
        virtual = all(name.startswith("virtual-") for name in cases)
        names = "\n".join((*self.lists.labelled, "", *self.lists.unlabelled))
        return {
            "data": "virtual people" if virtual else f"cases in '{self.processed.name}'",
            "labelled": len(self.lists.labelled),
            "unlabelled": len(self.lists.unlabelled),
            "cases_sha256": hashlib.sha256(names.encode()).hexdigest(),
            "first_case_prepared": record.get("settings", "by the published code"),
            "seed": self.lists.seed,
            "batch_size": self.batch_size,
            "geometry": {
                **self.geometry(),
                **({} if self.true_to_scale else {"warning": STRETCHED}),
            },
        }

    @cached_property
    def true_to_scale(self) -> bool:
        """Whether this project prepared all cases; the published code stretches each CT."""
        cases = (*self.lists.labelled, *self.lists.unlabelled)
        return all(CaseFolder(self.processed / name).finished for name in cases)

    def train_dataloader(self) -> DataLoader:
        samples = self.samples(self.lists, ENDLESS)
        return step_loader(
            samples, self.batch_size, self.steps_per_epoch, self.workers, self.trainer
        )

    def val_dataloader(self) -> list[DataLoader]:
        return self._held_out_loaders("eval")

    def test_dataloader(self) -> list[DataLoader]:
        return self._held_out_loaders("test")

    def _held_out_loaders(self, split: str) -> list[DataLoader]:
        lists = self.held_out[split]
        return [DataLoader(self.held_out_samples(lists))] if lists.labelled else []


class SegmentationData(CaseData):
    """Radiographs and where bone is in them.

    Args:
        processed, batch_size, steps_per_epoch, seed, labelled, unlabelled, workers: see
            :class:`CaseData`.
        pixels: rows and columns of an image.
        pixel_mm: size of a pixel at the joint.
        crop: pixels of a training crop.
        photons: in air, lowest and highest.
        intensity: largest relative change of contrast, and of brightness.
    """

    def __init__(
        self,
        processed: str,
        batch_size: int = 8,
        steps_per_epoch: int = 100,
        seed: int = 0,
        labelled: int | None = None,
        unlabelled: bool = True,
        workers: int = 1,
        pixels: int = 512,
        pixel_mm: float = 0.2875,
        crop: int = 384,
        photons: tuple[float, float] = (3e4, 3e5),
        intensity: float = 0.2,
    ) -> None:
        super().__init__(
            processed, batch_size, steps_per_epoch, seed, labelled, unlabelled, workers
        )
        if not 16 <= crop <= pixels:
            raise InputError(
                f"The crop must have 16 to {pixels} pixels, as the images do (got {crop}).",
                "Set data.crop.",
            )
        self.pixels, self.pixel_mm, self.crop = pixels, pixel_mm, crop
        self.photons, self.intensity = photons, intensity

    def samples(self, lists: Lists, items: int) -> Dataset:
        return SegmentationSamples(
            lists, items, self.pixels, self.pixel_mm, self.crop, self.photons, self.intensity
        )

    def held_out_samples(self, lists: Lists) -> Dataset:
        """Whole images, as they come, four of each case."""
        return SegmentationSamples(
            lists, 4 * len(lists.labelled), self.pixels, self.pixel_mm, self.pixels,
            self.photons, 0.0, flips=False,
        )  # fmt: skip

    def geometry(self) -> dict[str, Any]:
        return {"pixels": self.pixels, "pixel_mm": self.pixel_mm}


class TeacherData(CaseData):
    """CTs and points in them.

    Args:
        processed, batch_size, steps_per_epoch, seed, labelled, unlabelled, workers: see
            :class:`CaseData`.
        size: voxels per edge of the CTs.
        crop: voxels per edge of a training crop, a multiple of 16.
        points: of a crop.
        intensity: largest change of the grey values' slope and offset.
    """

    def __init__(
        self,
        processed: str,
        batch_size: int = 3,
        steps_per_epoch: int = 100,
        seed: int = 0,
        labelled: int | None = None,
        unlabelled: bool = True,
        workers: int = 1,
        size: int = 256,
        crop: int = 128,
        points: int = 5000,
        intensity: float = 0.1,
    ) -> None:
        super().__init__(
            processed, batch_size, steps_per_epoch, seed, labelled, unlabelled, workers
        )
        check_window(crop, size)
        self.size, self.crop, self.points, self.intensity = size, crop, points, intensity

    def samples(self, lists: Lists, items: int) -> Dataset:
        return TeacherSamples(lists, items, self.size, self.crop, self.points, self.intensity)

    def held_out_samples(self, lists: Lists) -> Dataset:
        return WholeVolumes(lists, self.size)

    def points_per_bone(self) -> list[int]:
        """How many of the labelled cases' points lie in each bone."""
        counts = np.zeros(1 + len(BONES), np.int64)
        for name in self.lists.labelled:
            counts += np.bincount(read_points(self.processed / name)[1], minlength=len(counts))
        return counts[1:].tolist()

    def setup(self, stage: str) -> None:
        """Compare all cases' voxels before the first step; raises as :meth:`_measured_geometry`."""
        self._geometry = self._measured_geometry()

    def geometry(self) -> dict[str, Any]:
        return self._geometry

    def _measured_geometry(self) -> dict[str, Any]:
        """The voxels' size, and how many per edge are read at once.

        Raises:
            InputError: the cases' voxels differ, so that a network cannot know a bone's size.
        """
        if not self.true_to_scale:
            return {}
        edges = [
            2 * read_frame(self.processed / name).half_edge / self.size
            for name in (*self.lists.labelled, *self.lists.unlabelled)
        ]
        if max(edges) > (1 + SAME) * min(edges):
            raise InputError(
                f"The cases' voxels measure from {min(edges):.3g} to {max(edges):.3g} mm.",
                "Prepare all cases with one --extent.",
            )
        window = reading_window(self.size, self.crop)
        voxel = float(np.median(edges))
        return {"ct": {"voxel_mm": voxel, "window": window, "extent_mm": voxel * self.size}}


class WholeVolumes(Dataset):
    """``volume`` uint8 ``[k, j, i]``, uniform ``points [N, 3]`` (stored) and their ``labels``."""

    def __init__(self, lists: Lists, size: int) -> None:
        self.lists, self.size = lists, size

    def __len__(self) -> int:
        return len(self.lists.labelled)

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        folder = self.lists.processed / self.lists.labelled[item]
        sampling = CaseFolder(folder).sampling()
        points = np.concatenate([sampling.random_inside, sampling.random_outside])
        labels = np.zeros(len(points), np.int64)
        labels[: len(sampling.random_inside)] = sampling.random_inside_labels
        return {
            "volume": torch.from_numpy(read_volume(folder, self.size)),
            "points": torch.from_numpy(points),
            "labels": torch.from_numpy(labels),
        }

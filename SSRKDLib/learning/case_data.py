"""Prepared cases for Lightning: which of them are learned from, and as what samples."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from SSRKDLib.anatomy import BONES
from SSRKDLib.cases.layout import CaseFolder
from SSRKDLib.cases.splits import read_info
from SSRKDLib.errors import InputError
from SSRKDLib.learning.case_reading import read_frame, read_points, read_volume
from SSRKDLib.learning.case_samples import Lists, SegmentationSamples, TeacherSamples
from SSRKDLib.learning.checkpoints import read_network
from SSRKDLib.learning.step_loading import StepLoader, Steps, one_thread
from SSRKDLib.learning.student_samples import StudentSamples, Taking
from SSRKDLib.learning.teacher_answers import fingerprint, reading_window, write_answers

#: Edges of cases' voxels may differ by this share where a network must know their size.
SAME = 0.02


class CaseData(lightning.LightningDataModule):
    """What the three tasks' data have in common.

    Args:
        processed: folder that ``prepare`` wrote, with info.json.
        batch_size: labelled samples of a step, and as many unlabelled ones, in each process.
        steps_per_epoch: steps between two validations.
        seed: of everything that is drawn.
        labelled: how many labelled cases to learn from, None: all.
        unlabelled: whether to learn from unlabelled cases too.
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
        if not splits["train"]:
            raise InputError(
                f"{self.processed} has no labelled cases to learn from.",
                "Prepare cases with bones, or lower --eval-share and --test-share.",
            )
        self.lists = Lists(
            self.processed,
            tuple(splits["train"][:labelled]),
            tuple(splits["unlabeled"]) if unlabelled else (),
            seed,
        )
        self.held_out = {
            split: Lists(self.processed, tuple(splits[split]), (), seed)
            for split in ("eval", "test")
        }

    def samples(self, lists: Lists, items: int) -> Dataset:
        """The task's samples."""
        raise NotImplementedError

    def geometry(self) -> dict[str, Any]:
        """What a bundle's manifest says of the geometry that was learned."""
        raise NotImplementedError

    def held_out_samples(self, lists: Lists) -> Dataset:
        """What is measured of held-out cases: ``eval`` after each epoch, ``test`` at the end."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """Where the weights come from, as JSON values."""
        record = CaseFolder(self.processed / self.lists.labelled[0]).record()
        virtual = all(name.startswith("virtual-") for name in self.lists.labelled)
        names = "\n".join((*self.lists.labelled, "", *self.lists.unlabelled))
        return {
            "data": "virtual people" if virtual else f"cases in '{self.processed.name}'",
            "labelled": len(self.lists.labelled),
            "unlabelled": len(self.lists.unlabelled),
            "cases_sha256": hashlib.sha256(names.encode()).hexdigest(),
            "prepared": record.get("settings", "by the published code"),
            "seed": self.lists.seed,
            "batch_size": self.batch_size,
            "geometry": self.geometry(),
        }

    def train_dataloader(self) -> DataLoader:
        trainer = self.trainer

        def position() -> tuple[int, int, int]:
            step = trainer.global_step * trainer.accumulate_grad_batches
            return step, trainer.global_rank, trainer.world_size

        items = 1 << 62  # as many as anyone asks for
        return StepLoader(
            self.samples(self.lists, items),
            batch_sampler=Steps(self.batch_size, self.steps_per_epoch, position),
            num_workers=self.workers,
            worker_init_fn=one_thread,
            persistent_workers=self.workers > 0,
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
            self.photons, 0.0,
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
        if crop % 16 or not 16 <= crop <= size:
            raise InputError(
                f"A crop of {crop} voxels does not do for CTs of {size}.",
                "Give a multiple of 16, no larger than the CT.",
            )
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

    def geometry(self) -> dict[str, Any]:
        """The voxels' size, and how many per edge are read at once.

        Raises:
            InputError: the cases' voxels differ, so that a network cannot know a bone's size.
        """
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
        return {"ct": {"voxel_mm": float(np.median(edges)), "window": window}}


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


class StudentData(CaseData):
    """Pairs of radiographs, and points; with a teacher, what it says of them.

    Args:
        processed, batch_size, steps_per_epoch, seed, labelled, unlabelled, workers: see
            :class:`CaseData`; unlabelled cases need a teacher.
        taking: how radiographs are taken.
        points: of a sample.
        teacher: checkpoint or bundle of the teacher, or None.
        size: voxels per edge of the CTs that the teacher reads.
        window: voxels per edge that it reads at once: the crop it was trained with.
        answers: points of an unlabelled case that it is asked about.
    """

    ARCHITECTURE = "official"

    def __init__(
        self,
        processed: str,
        batch_size: int = 2,
        steps_per_epoch: int = 100,
        seed: int = 0,
        labelled: int | None = None,
        unlabelled: bool = True,
        workers: int = 1,
        taking: Taking = Taking(),
        points: int = 5000,
        teacher: str | None = None,
        size: int = 256,
        window: int = 128,
        answers: int = 20_000,
    ) -> None:
        super().__init__(
            processed, batch_size, steps_per_epoch, seed, labelled, unlabelled, workers
        )
        if self.lists.unlabelled and teacher is None:
            raise InputError(
                "Unlabelled cases have labels only from a teacher.",
                "Give one (--data.teacher), or set data.unlabelled to false.",
            )
        self.taking, self.points = taking, points
        self.teacher, self.size, self.window = teacher, size, window
        self.answer_count = answers
        self.answers: Path | None = None

    def prepare_data(self) -> None:
        """Ask the teacher about every case that it was not asked about before."""
        if self.teacher is not None:
            network = read_network(self.teacher, "teacher")
            write_answers(
                network, self.lists, self.size, self.window, self.answer_count, _say_answers
            )

    def setup(self, stage: str) -> None:
        """Find the answers; Lightning calls this in every process."""
        if self.teacher is not None:
            network = read_network(self.teacher, "teacher")
            name = fingerprint(network, self.size, self.window, self.answer_count)
            self.answers = self.processed / ".teacher" / name

    def samples(self, lists: Lists, items: int) -> Dataset:
        return StudentSamples(
            lists, items, self.ARCHITECTURE, self.taking, self.points, self.answers
        )

    def held_out_samples(self, lists: Lists) -> Dataset:
        """Four pairs of each case, whole and where they belong."""
        taking = Taking(**{**vars(self.taking), "z_crop": (1.0, 1.0), "shift_mm": 0.0,
                           "turn_degrees": 0.0})  # fmt: skip
        items = 4 * len(lists.labelled)
        return StudentSamples(lists, items, self.ARCHITECTURE, taking, self.points, None)

    def geometry(self) -> dict[str, Any]:
        return {"pixels": self.taking.pixels, "pixel_mm": self.taking.pixel_mm}


#: Views of the project's own student: the bundled weights' framing, and every prepared pair whose
#: views are 50 to 130 degrees apart.
OWN_TAKING = Taking(
    pixels=192,
    pixel_mm=1.15,
    lateral=(340.0, 350.0, 0.0, 10.0, 20.0, 160.0, 170.0, 180.0, 190.0, 200.0),
    frontal=(70.0, 80.0, 90.0, 100.0, 110.0, 250.0, 260.0, 270.0, 280.0, 290.0),
)


class OwnStudentData(StudentData):
    """As :class:`StudentData`, for the project's own student; ``taking.z_crop`` is not used."""

    ARCHITECTURE = "own"

    def __init__(self, *args: Any, taking: Taking = OWN_TAKING, **options: Any) -> None:
        super().__init__(*args, taking=taking, **options)


def _say_answers(done: int, count: int) -> None:
    if done % 10 == 0 or done == count:
        print(json.dumps({"teacher asked about": done, "of": count}), flush=True)

"""Prepared cases for the student's training, and a teacher's predictions for them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from SSRKDLib.core.errors import InputError
from SSRKDLib.training.checkpoints import read_network
from SSRKDLib.training.data.case_datasets import Lists
from SSRKDLib.training.data.modules import CaseData
from SSRKDLib.training.data.student_datasets import AcquisitionSettings, StudentSamples
from SSRKDLib.training.pseudo_labels import (
    check_window,
    fingerprint,
    reading_window,
    write_predictions,
)


class StudentData(CaseData):
    """Pairs of radiographs, and points; with a teacher, its predictions.

    Args:
        processed, batch_size, steps_per_epoch, seed, labelled, unlabelled, workers: see
            :class:`CaseData`; unlabelled cases need a teacher.
        taking: how radiographs are acquired.
        points: of a sample.
        teacher: checkpoint or bundle of the teacher, or None.
        size: voxels per edge of the CTs that the teacher reads.
        window: voxels per edge that it reads at once: the crop it was trained with.
        answers: points of an unlabelled case that it predicts.
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
        taking: AcquisitionSettings = AcquisitionSettings(),
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
        check_window(reading_window(size, window), size)
        self.acquisition, self.points = taking, points
        # All nodes share the cases' folder, which holds the predictions, too.
        self.prepare_data_per_node = False
        self.teacher, self.size, self.window = teacher, size, window
        self.predicted_points = answers
        self.predictions: Path | None = None
        self.teacher_channels: int | None = None

    def prepare_data(self) -> None:
        """Predict every case that the teacher has not predicted before."""
        if self.teacher is not None:
            network = read_network(self.teacher, "teacher").to(self.trainer.strategy.root_device)
            write_predictions(
                network, self.lists, self.size, self.window, self.predicted_points, _report_progress
            )

    def setup(self, stage: str) -> None:
        """Find the predictions; Lightning calls this in every process."""
        if self.teacher is not None:
            network = read_network(self.teacher, "teacher")
            name = fingerprint(network, self.size, self.window, self.predicted_points)
            self.predictions = self.processed / ".teacher" / name
            self.teacher_channels = network.surface_classifier.layers[0].in_channels

    def samples(self, lists: Lists, items: int) -> Dataset:
        return StudentSamples(
            lists, items, self.ARCHITECTURE, self.acquisition, self.points, self.predictions
        )

    def held_out_samples(self, lists: Lists) -> Dataset:
        """Four pairs of each case, whole and where they belong."""
        exact = replace(self.acquisition, z_crop=(1.0, 1.0), shift_mm=0.0, turn_degrees=0.0)
        items = 4 * len(lists.labelled)
        return StudentSamples(lists, items, self.ARCHITECTURE, exact, self.points, None)

    def geometry(self) -> dict[str, Any]:
        return {"pixels": self.acquisition.pixels, "pixel_mm": self.acquisition.pixel_mm}


#: Views of the project's own student: the bundled weights' framing, and every prepared pair whose
#: views are 50 to 130 degrees apart.
OWN_ACQUISITION = AcquisitionSettings(
    pixels=192,
    pixel_mm=1.15,
    lateral=(340.0, 350.0, 0.0, 10.0, 20.0, 160.0, 170.0, 180.0, 190.0, 200.0),
    frontal=(70.0, 80.0, 90.0, 100.0, 110.0, 250.0, 260.0, 270.0, 280.0, 290.0),
)


class OwnStudentData(StudentData):
    """As :class:`StudentData`, for the project's own student; ``taking.z_crop`` is not used."""

    ARCHITECTURE = "own"

    def __init__(
        self, *args: Any, taking: AcquisitionSettings = OWN_ACQUISITION, **options: Any
    ) -> None:
        super().__init__(*args, taking=taking, **options)


def _report_progress(done: int, count: int) -> None:
    if done % 10 == 0 or done == count:
        print(json.dumps({"cases predicted by the teacher": done, "of": count}), flush=True)

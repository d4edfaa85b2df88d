"""Which of the paper's ideas pay: the table in Training/README.md.

    python Training/ablation.py -o runs/ablation

On a virtual cohort: 16 labelled and 96 unlabelled people for training, 20 to measure; CTs of 96^3
voxels, radiographs of 128^2 pixels, narrow networks (Training/configs/ablation). Students are
trained with three seeds, on the same segmenter and teacher. One to two hours on two cores;
stopped and started again, it goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np

import experiment
from SSRKDLib.core.errors import script
from SSRKDLib.core.output_folder import grown_folder, write_into
from SSRKDLib.core.output_manifest import ResultKind, files_with

CONFIGS = Path(__file__).resolve().parent / "configs" / "ablation"
COHORT = (
    "--virtual", "136", "--labelled", "40", "--seed", "5", "--size", "96", "--detector", "128",
    "--angles", "5", "--surface-points", "4000", "--uniform-points", "8000", "--eval-share", "0.1",
    "--test-share", "0.5",
)  # fmt: skip

TEACHERS = {
    "segmentation_alone": ("segmentation", "segmenter, 16 labelled people"),
    "segmentation": ("segmentation", "+ cross pseudo supervision, 96 unlabelled"),
    "teacher_alone": ("teacher", "teacher, 16 labelled people"),
    "teacher": ("teacher", "+ cross pseudo supervision, 96 unlabelled"),
}
STUDENTS = {
    "student_labelled": "student, 16 labelled people",
    "student_pseudo": "+ teacher's labels of 96 unlabelled people",
    "student_distilled": "+ distillation of the teacher's features",
    "student_no_masks": "the same without masks as second channel",
}


#: What is written, and what begins each file.
_FILES = {"table.md": b"| network | IoU on test people, % |", "table.json": b'"segmentation_alone"'}
ABLATION = ResultKind("ablation", partial(files_with, marks=_FILES))


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    output = arguments.output.absolute()
    grown_folder(output, ABLATION, _FILES)
    run(output, arguments.processes, arguments.seeds)


def run(output: Path, processes: int, seeds: list[int]) -> None:
    processed, cases, runs = output / "processed", output / "cases", output / "runs"
    logs = output / "logs"
    experiment.run_steps([experiment.prepare(processed, COHORT)], logs)
    experiment.run_steps([experiment.test_cases(processed, cases)], logs)
    experiment.run_steps(
        [
            experiment.train(name, task, CONFIGS / f"{name}.yaml", processed, runs / name)
            for name, (task, _) in TEACHERS.items()
        ],
        logs, processes,
    )  # fmt: skip
    # Seed by seed, so that a run that was stopped has whole rows of fewer seeds.
    students = [(f"{name}-{seed}", name, seed) for seed in seeds for name in STUDENTS]
    experiment.run_steps(
        [
            experiment.train(
                run_name, "student", CONFIGS / f"{name}.yaml", processed, runs / run_name,
                "--seed_everything", seed, "--data.seed", seed,
                *segmenter_and_teacher(name, runs),
            )
            for run_name, name, seed in students
        ],
        logs, processes,
    )  # fmt: skip
    bundles = {run_name: output / "bundles" / f"{run_name}.zip" for run_name, *_ in students}
    experiment.run_steps(
        [
            experiment.export(
                run_name,
                [runs / "segmentation" / "last.ckpt", runs / run_name / "last.ckpt"],
                bundles[run_name],
            )
            for run_name, *_ in students
        ],
        logs,
    )
    experiment.run_steps(
        [
            experiment.evaluate(
                run_name, cases, bundles[run_name], output / "evaluations" / run_name,
                "--spacing", "2", "--limit", "6", "--processes", "1",
            )
            for run_name, *_ in students
        ],
        logs, processes,
    )  # fmt: skip
    write_table(output, seeds)


def segmenter_and_teacher(name: str, runs: Path) -> list[str]:
    options = []
    if name != "student_no_masks":
        options += ["--model.segmenter", str(runs / "segmentation" / "last.ckpt")]
    if name != "student_labelled":
        options += ["--data.teacher", str(runs / "teacher" / "last.ckpt")]
    return options


def write_table(output: Path, seeds: list[int]) -> None:
    lines = ["| network | IoU on test people, % |", "|---|---|"]
    found: dict[str, dict] = {}
    for name, (_, words) in TEACHERS.items():
        found[name] = {"iou": 100 * experiment.test_score(output / "runs" / name)}
        lines.append(f"| {words} | {found[name]['iou']:.1f} |")
    lines += [
        "",
        "| student | point IoU, % | DSC, % | ASSD, mm | bones lost |",
        "|---|---|---|---|---|",
    ]
    for name, words in STUDENTS.items():
        rows = []
        for seed in seeds:
            run_name = f"{name}-{seed}"
            iou = 100 * experiment.test_score(output / "runs" / run_name)
            surfaces = experiment.measured(output / "evaluations" / run_name)
            rows.append({"iou": iou, **surfaces})
        found[name] = {key: [row[key] for row in rows] for key in rows[0]}
        iou, dsc, assd = (spread(found[name][key]) for key in ("iou", "dsc", "assd_mm"))
        lines.append(f"| {words} | {iou} | {dsc} | {assd} | {sum(found[name]['missing'])} |")
    text = "\n".join(lines) + "\n"
    write_into(output, ABLATION, "table.md", text)
    write_into(output, ABLATION, "table.json", json.dumps(found, indent=1) + "\n")
    print(text)


def spread(values: list[float]) -> str:
    """Mean and standard deviation over the seeds; a dash where a seed has no value."""
    if np.isnan(values).any():
        return "–"
    deviation = np.std(values, ddof=1) if len(values) > 1 else float("nan")
    return f"{np.mean(values):.2f} ± {deviation:.2f}"


if __name__ == "__main__":
    sys.exit(main())

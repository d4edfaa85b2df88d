"""From virtual people to weights that reconstruct, in one go and in about a minute.

    python Training/pipeline.py -o runs/tiny

Runs the commands of Training/README.md, one after the other: prepare, the trainings of segmenter,
teacher and student, export, evaluation. With its tiny cohort and networks it shows that everything
works, not how well. Stopped and started again, it goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import experiment
from SSRKDLib.core.errors import script

CONFIGS = Path(__file__).resolve().parent / "configs" / "tiny"
COHORT = (
    "--virtual", "7", "--labelled", "6", "--seed", "3", "--size", "32", "--detector", "64",
    "--angles", "5", "--workers", "0", "--surface-points", "500", "--uniform-points", "2000",
)  # fmt: skip


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    bundle = run(arguments.output.absolute())
    print(f"The weights are in {bundle}: python -m SSRKDLib reconstruct ... --weights {bundle}")


def run(output: Path) -> Path:
    """Everything; the bundle."""
    processed, runs, logs = output / "processed", output / "runs", output / "logs"
    bundle, cases = output / "tiny.zip", output / "cases"
    last = {name: runs / name / "last.ckpt" for name in ("segmentation", "teacher", "student")}
    options = {
        "student": ["--model.segmenter", str(last["segmentation"]),
                    "--data.teacher", str(last["teacher"])]
    }  # fmt: skip
    trainings = [
        experiment.train(
            name, name, CONFIGS / f"{name}.yaml", processed, runs / name, *options.get(name, [])
        )
        for name in last
    ]
    everything = [
        experiment.prepare(processed, COHORT),
        *trainings,
        experiment.export("tiny", list(last.values()), bundle),
        experiment.test_cases(processed, cases),
        experiment.evaluate("tiny", cases, bundle, output / "evaluation", "--spacing", "2"),
    ]
    for step in everything:
        experiment.run_steps([step], logs)
    found = experiment.measured(output / "evaluation")
    print(
        f"test people: DSC {found['dsc']:.1f} %, ASSD {found['assd_mm']:.2f} mm, "
        f"{found['missing']} bones not found"
    )
    return bundle


if __name__ == "__main__":
    sys.exit(main())

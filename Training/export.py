"""Export trainings as a weights bundle.

    python Training/export.py runs/segmentation/last.ckpt runs/teacher/last.ckpt \\
        runs/student/last.ckpt --name my-knees --output my-knees.zip
    python Training/export.py runs/virtual_knee/checkpoint.pt --output virtual-knee.zip

Checkpoints of Training/learn.py are joined, with --base on top of another bundle's networks; the
checkpoint of Training/train.py is exported alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from SSRKDLib.core.errors import InputError, SSRKDError
from SSRKDLib.training import bundling
from SSRKDLib.training import export as exporting
from SSRKDLib.training.checkpoints import read_values


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--name", help="of the bundle (default: the output's)")
    parser.add_argument("--base", help="bundle whose other networks are taken along")
    parser.add_argument("--scores", type=Path, help="JSON of an evaluation, to record")
    arguments = parser.parse_args()
    paths = arguments.checkpoints
    try:
        if all(path.suffix == ".ckpt" for path in paths):
            name = arguments.name or arguments.output.stem
            exporting.export(paths, arguments.output, name, arguments.base, arguments.scores)
        elif len(paths) == 1 and arguments.base is None and arguments.name is None:
            state = read_values(paths[0])
            bundling.export(state, arguments.output, arguments.scores)
        else:
            raise InputError(
                "These checkpoints cannot be joined.",
                "Give .ckpt files of Training/learn.py, or one checkpoint.pt of Training/train.py.",
            )
    except SSRKDError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.output}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())

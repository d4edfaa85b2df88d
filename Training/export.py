"""Export trainings as a weights bundle.

    python Training/export.py runs/segmentation/last.ckpt runs/teacher/last.ckpt \\
        runs/student/last.ckpt --name my-knees --output my-knees.zip
    python Training/export.py runs/virtual_knee/last.ckpt --output virtual-knee.zip

The checkpoints' networks are joined, with --base on top of another bundle's networks. With
--storage int8 the bundle takes half the space of half precision.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from SSRKDLib.core.errors import script
from SSRKDLib.training.export import export
from SSRKDLib.weights.storage import STORAGES


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--name", help="of the bundle (default: its configuration's, else the output's)"
    )
    parser.add_argument("--base", help="bundle whose other networks are taken along")
    parser.add_argument("--scores", type=Path, help="JSON of an evaluation, to record")
    parser.add_argument(
        "--storage", choices=STORAGES, help="of the tensors (default half precision, float16)"
    )
    arguments = parser.parse_args()
    export(
        arguments.checkpoints, arguments.output, arguments.name, arguments.base, arguments.scores,
        arguments.storage,
    )  # fmt: skip
    print(f"{arguments.output}: written")


if __name__ == "__main__":
    sys.exit(main())

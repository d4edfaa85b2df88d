"""Export a training as a weights bundle.

python Training/export.py runs/virtual_knee --output SSRKDLib/data/weights/virtual-knee.zip
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from SSRKDLib.learning.bundling import export


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scores", type=Path, help="JSON written by Training/evaluate.py")
    arguments = parser.parse_args()
    state = torch.load(arguments.run / "checkpoint.pt", weights_only=True)
    export(state, arguments.output, arguments.scores)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()

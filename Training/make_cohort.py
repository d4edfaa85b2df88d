"""Make a cohort of virtual knees on disk.

    python Training/make_cohort.py FOLDER --seed 1 --first 0 --last 5000

Training makes the knees that it misses by itself; this makes them beforehand, on other machines or
beside it. Knees that are there already are kept, so it can be stopped and started again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from SSRKDLib.datasets.virtual_cohort import write_knee


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, required=True, help="exclusive")
    arguments = parser.parse_args()
    for index in tqdm(range(arguments.first, arguments.last), unit="knee"):
        write_knee(arguments.folder, arguments.seed, index)


if __name__ == "__main__":
    main()

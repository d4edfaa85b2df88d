"""Make a cohort of virtual knees on disk.

    python Training/make_cohort.py FOLDER --seed 1 --first 0 --last 5000

Training makes the knees that are missing by itself; this makes them beforehand, on other machines
or beside it. Existing knees are kept, so it can be stopped and started again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from SSRKDLib.core.errors import script
from SSRKDLib.datasets.virtual_cohort import VirtualCohort


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, required=True, help="exclusive")
    arguments = parser.parse_args()
    cohort = VirtualCohort(arguments.seed, arguments.folder)
    cohort.check()
    for index in tqdm(range(arguments.first, arguments.last), unit="knee"):
        cohort.write(index)


if __name__ == "__main__":
    sys.exit(main())

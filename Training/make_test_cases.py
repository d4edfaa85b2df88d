"""Write the test cases of prepared cases for ``python -m SSRKDLib evaluate``.

    python Training/make_test_cases.py PROCESSED -o CASES

Each labelled case of the split becomes a folder with rig.json, two radiographs with noise (at 0 and
90 degrees) and the true bones.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from SSRKDLib.core.errors import script
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.datasets.evaluation_cases import RIG_CASES, write_rig_case
from SSRKDLib.datasets.splits import SPLITS, read_info


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("processed", type=Path)
    parser.add_argument("--split", default="test", choices=[s for s in SPLITS if s != "unlabeled"])
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    names = read_info(arguments.processed)[arguments.split]
    with replaced_folder(arguments.output, RIG_CASES, [arguments.processed]) as fresh:
        for name in names:
            write_rig_case(arguments.processed / name, fresh / name)
    print(f"{arguments.output}: {len(names)} cases")


if __name__ == "__main__":
    sys.exit(main())

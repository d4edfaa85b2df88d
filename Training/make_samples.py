"""Make the files of Slicer's Sample Data module again.

    python Training/make_samples.py [FOLDER]

Writes the two samples (by default where the Slicer module looks for them) and prints each file's
size and SHA-256; the sums belong into SSRKD/SSRKDSlicer/radiographs/sample_data.py.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from SSRKDLib.core.errors import OutputError, script
from SSRKDLib.datasets.slicer_samples import PREFIX, write_ct_sample, write_radiograph_sample

SHIPPED = Path(__file__).resolve().parents[1] / "SSRKD" / "Resources" / "SampleData"


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SHIPPED)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob(f"{PREFIX}*")) and not folder.samefile(SHIPPED):
        raise OutputError(f"'{folder}' contains samples already.", "Choose another folder.")
    write_radiograph_sample(folder, print)
    write_ct_sample(folder, print)
    for path in sorted(folder.glob(f"{PREFIX}*")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.name:26} {path.stat().st_size:9,d} bytes  SHA256:{digest}")


if __name__ == "__main__":
    sys.exit(main())

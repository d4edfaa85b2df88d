"""``make fuzz SECONDS=600 SEED=n``: damaged files through every reader, in a watched process.

Prints how the readers ended, as a table. Whatever died, hung, took too much memory, or raised what
is no sentence is kept in ``Testing/fuzz/found/READER/`` and is replayed by the tests from then on;
the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from Testing.fuzz.mutators import damaged
from Testing.fuzz.seeds import SLOW, write_seeds
from Testing.fuzz.watch import Watched

FOUND = Path(__file__).with_name("found")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=FOUND, help="folder for what is found")
    arguments = parser.parse_args(argv)
    rng = random.Random(arguments.seed)
    counts: Counter = Counter()
    with tempfile.TemporaryDirectory(prefix="ssrkd-fuzz-") as work:
        seeds = write_seeds(Path(work), slow=arguments.seconds >= 30)
        shares = [0.01 if reader in SLOW else 1 for reader, _ in seeds]
        watched = Watched()
        for reader, path in seeds:
            said = watched.read(reader, path)
            if said != "read":
                print(f"The seed {path.name} is not read: {said}")
                return 1
        end, number = time.monotonic() + arguments.seconds, 0
        while time.monotonic() < end:
            ((reader, seed),) = rng.choices(seeds, shares)
            content = damaged(seed.read_bytes(), rng)
            unique = f"s{arguments.seed}n{number}"
            # A case's member begins the name.
            name = (
                seed.name.replace("-0", f"-{unique}")
                if reader == "case"
                else f"{unique}-{seed.name}"
            )
            path = Path(work) / name
            path.write_bytes(content)
            said = watched.read(reader, path)
            counts[reader, said] += 1
            if said not in ("read", "refused"):
                (arguments.keep / reader).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, arguments.keep / reader / path.name)
            path.unlink()
            number += 1
        watched.end()
    print(table(counts))
    bad = sum(count for (_, said), count in counts.items() if said not in ("read", "refused"))
    print(f"{number} files, seed {arguments.seed}: {bad} ended as none may.")
    return 1 if bad else 0


def table(counts: Counter) -> str:
    """Readers by row, kinds of ending by column."""
    endings = sorted({said for _, said in counts}, key=lambda s: (s not in ("read", "refused"), s))
    lines = [f"| reader | {' | '.join(endings)} |", "|---" * (len(endings) + 1) + "|"]
    for reader in sorted({reader for reader, _ in counts}):
        cells = (str(counts[reader, said]) for said in endings)
        lines.append(f"| {reader} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

"""The end of ``make coverage``: lines of SSRKDLib and SSRKD that no test runs, by the reason why.

Reads what coverage measured and combined, and ``unrun.txt`` beside this file: reasons in brackets,
and below each ``FILE: beginning of a line``, where the file may be a pattern (``*``) and the line
anything (``*``). A line stands for the block of unrun lines that it begins; some entries give a
whole kind its reason, such as refusals, and nobody judged each of these. The exit code is 1
where a block has no reason. By rooms, where the whole is too much at once::

    python -m coverage erase
    python -m coverage run -m pytest -q Testing/core    # and so on
    python -m coverage combine && python -m Testing.unrun
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from Testing.structure.repository import ROOT

LIST = Path(__file__).with_name("unrun.txt")

NO_REASON = "no reason"


class Entry(NamedTuple):
    """What a reason is given for: files, a pattern, and how a block's first line begins."""

    reason: str
    file: str
    beginning: str

    def fits(self, file: str, line: str) -> bool:
        begins = self.beginning == "*" or line.strip().startswith(self.beginning)
        return begins and fnmatch(file, self.file)


def read_list(text: str) -> list[Entry]:
    """The entries of ``unrun.txt``; empty lines and those that begin with # do not count."""
    entries, reason = [], ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            reason = line.strip("[]")
        elif not line.startswith("#"):
            file, _, beginning = line.partition(": ")
            entries.append(Entry(reason, file, beginning))
    return entries


def blocks(statements: Sequence[int], missing: Iterable[int]) -> list[tuple[int, int]]:
    """Runs of statements, by line, none of which was run: first and last line of each."""
    found: list[tuple[int, int]] = []
    place = {line: index for index, line in enumerate(statements)}
    for line in sorted(missing):
        if found and place[line] == place[found[-1][1]] + 1:
            found[-1] = (found[-1][0], line)
        else:
            found.append((line, line))
    return found


def main() -> int:
    import coverage

    measured = coverage.Coverage()
    measured.load()
    entries = read_list(LIST.read_text(encoding="utf-8"))
    told: dict[str, list[str]] = {entry.reason: [] for entry in entries}
    for path in sorted(measured.get_data().measured_files()):
        file = Path(path).relative_to(ROOT).as_posix()
        _, statements, _, missing, _ = measured.analysis2(path)
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        for first, last in blocks(statements, missing):
            text = lines[first - 1].strip()
            reasons = (entry.reason for entry in entries if entry.fits(file, text))
            place = f"{file}:{first}" + (f"-{last}" if last > first else "")
            told.setdefault(next(reasons, NO_REASON), []).append(f"{place}: {text}")
    for reason, found in told.items():
        print(f"\n{reason}: {len(found)}", *found, sep="\n  ")
    return 1 if told.get(NO_REASON) else 0


if __name__ == "__main__":
    sys.exit(main())

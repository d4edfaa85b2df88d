"""Compare two folders of ``freeze.py``: surfaces, reports, tables, arrays.

    python Testing/golden/compare.py BEFORE AFTER [--only ITEM ...]

Prints per item the largest distance between the surfaces of each bone, BEFORE to AFTER and back, mm
(0.01 mm are allowed), and every other difference. Not compared are times, versions, absolute paths,
what commands print, and pictures. Sentences whose words differ are listed at the end and are no
failure; one more or one less, or another number in the same words, is a difference.

Exit code: 0 where nothing differs, 1 where something does, 2 where there is nothing to compare.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SSRKDLib.core.output_manifest import MANIFEST  # noqa: E402
from Testing.golden.surfaces import (  # noqa: E402
    READERS,
    arrays,
    largest_distances,
    read_surface,
)

#: The largest distance between surfaces that counts as the same result, mm.
SURFACE_MM = 0.01
#: Numbers are the same within this share of the larger one, or this much.
RELATIVE, ABSOLUTE = 1e-6, 1e-9

#: Keys and columns that hold times, versions, or what the computer is.
UNCOMPARED = re.compile(r"seconds|program|(^|_)(version|torch|pid|time|date)$")
#: Files that hold what commands print, or pictures of what is compared anyway.
SKIPPED = {".png", ".svg", ".html"}
LOG, ITEMS = "log.txt", "items.json"

_PATH = re.compile(r"(?:[A-Za-z]:|\.\.)?(?:[/\\][^/\\\s'\",;]+)*[/\\]([^/\\\s'\",;]+)")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass
class Findings:
    """What was found in one item.

    Attributes:
        surfaces: lines on surfaces, differing or not.
        differences: lines, empty where the item is the same.
        wording: lines on sentences that read differently.
        largest: the largest distance between surfaces, mm.
    """

    surfaces: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    wording: list[str] = field(default_factory=list)
    largest: float = 0.0

    def values(self, where: str, one: Any, other: Any) -> None:
        """Compare JSON values."""
        if isinstance(one, dict) and isinstance(other, dict):
            for key in [*one, *(key for key in other if key not in one)]:
                if UNCOMPARED.search(str(key)):
                    continue
                if key not in one or key not in other:
                    gone = key not in other
                    value = json.dumps(one[key] if gone else other[key])
                    word = "is gone" if gone else "is new"
                    self.differences.append(f"{where}: {key} {word} ({value[:160]})")
                else:
                    self.values(f"{where}: {key}", one[key], other[key])
        elif _texts(one) and _texts(other):
            self._sentences(where, one, other)
        elif isinstance(one, list) and isinstance(other, list):
            numbers = _numbers(one), _numbers(other)
            if all(array is not None for array in numbers):
                self.arrays(where, *numbers)
            elif len(one) != len(other):
                self.differences.append(f"{where}: {len(one)} entries, now {len(other)}")
            else:
                for index, pair in enumerate(zip(one, other)):
                    self.values(f"{where}[{index}]", *pair)
        elif isinstance(one, str) and isinstance(other, str):
            if _plain(one) != _plain(other):
                worded = _sentence(one) and _sentence(other) and _words(one) != _words(other)
                lines = self.wording if worded else self.differences
                lines.append(f"{where}: {one!r}, now {other!r}")
        elif not _same(one, other):
            self.differences.append(f"{where}: {one!r}, now {other!r}")

    def _sentences(self, where: str, one: list[str], other: list[str]) -> None:
        """Compare lists of texts, whatever their order; those without a counterpart are paired."""
        before = [text for text in one if _plain(text) not in map(_plain, other)]
        after = [text for text in other if _plain(text) not in map(_plain, one)]
        for old, new in zip(before, after):
            self.values(where, old, new)
        paired = min(len(before), len(after))
        self.differences += [f"{where}: is gone: {text!r}" for text in before[paired:]]
        self.differences += [f"{where}: is new: {text!r}" for text in after[paired:]]
        if not before and not after and len(one) != len(other):
            self.differences.append(f"{where}: {len(one)} texts, now {len(other)}")

    def arrays(self, where: str, one: np.ndarray, other: np.ndarray) -> None:
        """Compare arrays: shape, kind of numbers, and the numbers."""
        if one.shape != other.shape or one.dtype != other.dtype:
            self.differences.append(
                f"{where}: {one.dtype}{list(one.shape)}, now {other.dtype}{list(other.shape)}"
            )
            return
        if one.dtype.kind not in "biuf":
            if not np.array_equal(one, other):
                self.differences.append(f"{where}: other content")
            return
        one, other = one.astype(np.float64), other.astype(np.float64)
        same = np.isclose(one, other, RELATIVE, ABSOLUTE, equal_nan=True)
        if not same.all():
            self.differences.append(
                f"{where}: {np.count_nonzero(~same)} of {same.size} numbers, by up to "
                f"{np.abs(one - other)[~same].max():.4g} (largest {np.abs(one).max():.4g})"
            )

    def texts(self, where: str, one: str, other: str) -> None:
        """Compare documents: their numbers, and apart from these their words."""
        one, other = _plain(one), _plain(other)
        numbers = [[float(n) for n in _NUMBER.findall(text)] for text in (one, other)]
        if len(numbers[0]) != len(numbers[1]):
            self.differences.append(f"{where}: {len(numbers[0])} numbers, now {len(numbers[1])}")
        else:
            self.arrays(where, *(np.array(n) for n in numbers))
        if _words(one) != _words(other):
            self.wording.append(f"{where}: other words")

    def meshes(self, where: str, one: Path, other: Path) -> None:
        """Compare surfaces."""
        surfaces = read_surface(one), read_surface(other)
        scale = _millimetres(one)
        forth, back = (scale * distance for distance in largest_distances(*surfaces))
        counts = [len(arrays(surface)[1]) for surface in surfaces]
        line = f"{where}: {forth:.4f} mm, back {back:.4f} mm"
        if counts[0] != counts[1]:
            line += f" ({counts[0]} triangles, now {counts[1]})"
        self.surfaces.append(line)
        self.largest = max(self.largest, forth, back)
        if max(forth, back) > SURFACE_MM:
            self.differences.append(f"{where}: surfaces differ by more than {SURFACE_MM} mm")
        heads = [_ply_head(path) for path in (one, other) if path.suffix == ".ply"]
        if len(heads) == 2 and heads[0] != heads[1]:
            self.differences.append(f"{where}: other PLY header")
        colours = [surface.GetPointData().GetScalars() for surface in surfaces]
        ranges = [None if c is None else [c.GetRange(k) for k in range(3)] for c in colours]
        self.values(f"{where}: colours", *ranges)

    def file(self, where: str, one: Path, other: Path) -> None:
        """Compare two files of the same name."""
        kind = "".join(one.suffixes[-2:]) if one.suffix == ".gz" else one.suffix
        if kind in READERS:
            self.meshes(where, one, other)
        elif kind == ".json":
            self.values(where, *(json.loads(path.read_text("utf-8")) for path in (one, other)))
        elif kind == ".csv":
            self.values(where, _table(one), _table(other))
        elif kind == ".npy":
            self.arrays(where, np.load(one), np.load(other))
        elif kind == ".npz":
            archives = np.load(one), np.load(other)
            self.values(f"{where}: arrays", *(sorted(archive.files) for archive in archives))
            for key in set(archives[0].files) & set(archives[1].files):
                self.arrays(f"{where}: {key}", *(archive[key] for archive in archives))
        elif kind in (".nrrd", ".nii.gz"):
            images = [sitk.ReadImage(str(path)) for path in (one, other)]
            for name in ("Spacing", "Origin", "Direction"):
                pair = (list(getattr(image, f"Get{name}")()) for image in images)
                self.values(f"{where}: {name.lower()}", *pair)
            self.arrays(where, *(sitk.GetArrayFromImage(image) for image in images))
        elif kind in (".md", ".txt"):
            self.texts(where, *(path.read_text("utf-8") for path in (one, other)))
        elif one.read_bytes() != other.read_bytes():
            self.differences.append(f"{where}: other bytes")


def _plain(text: str) -> str:
    """A text with paths cut to their last part, times removed."""
    text = re.sub(r"\d+(\.\d+)? ?(s|seconds|min)\b", "TIME", text)
    return _PATH.sub(r"\1", text)


def _sentence(text: str) -> bool:
    return len(text.split()) > 2


def _words(text: str) -> str:
    """A text without its numbers."""
    return _NUMBER.sub("#", _plain(text))


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _numbers(value: list) -> np.ndarray | None:
    """A list as an array of numbers, None where it is none."""
    try:
        found = np.array(value)
    except ValueError:  # lists of different lengths
        return None
    return found.astype(np.float64) if found.size and found.dtype.kind in "iuf" else None


def _same(one: Any, other: Any) -> bool:
    number = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (one, other))
    if number:
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return type(one) is type(other) and one == other


def _table(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, cells read as JSON where they are."""

    def read(cell: str) -> Any:
        try:
            return json.loads(cell)
        except ValueError:
            return cell

    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: read(cell or "") for key, cell in row.items()} for row in rows]


def _ply_head(path: Path) -> list[bytes]:
    """Lines of a PLY file's header but those that count."""
    head = path.read_bytes()[:4000].split(b"end_header")[0].splitlines()
    return [line for line in head if not line.startswith((b"element", b"comment"))]


def _millimetres(path: Path) -> float:
    """Millimetres in a unit of a surface's file: prepared cases are stored in half cubes."""
    for folder in path.parents[:2]:
        if path.suffix == ".obj" and (folder / "spacing.npz").is_file():
            return float(np.load(folder / "spacing.npz")["mesh"][0])
    return 1.0


def compare_items(before: Path, after: Path) -> Findings:
    """Compare the folders of one item."""
    found = Findings()
    names = [
        {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and path.name not in (LOG, MANIFEST)
        }
        for folder in (before, after)
    ]
    found.differences += [f"{name}: is gone" for name in sorted(names[0] - names[1])]
    found.differences += [f"{name}: is new" for name in sorted(names[1] - names[0])]
    for name in sorted(names[0] & names[1]):
        if Path(name).suffix not in SKIPPED:
            found.file(name, before / name, after / name)
    return found


def compare(before: Path, after: Path, only: tuple[str, ...] = ("",)) -> bool:
    """Compare two frozen folders and print what was found; return whether they are the same."""
    records = [json.loads((folder / ITEMS).read_text("utf-8")) for folder in (before, after)]
    wording, largest, count = [], 0.0, 0
    if records[0]["inputs"] != records[1]["inputs"]:
        count += 1
        print("DIFFERENT INPUTS: give freeze.py the same --inputs both times.")
    items = [record["items"] for record in records]
    for name in [*items[0], *(name for name in items[1] if name not in items[0])]:
        if not name.startswith(only):
            continue
        if name not in items[0] or name not in items[1]:
            count += 1
            print(f"{name}\n  DIFFERENT: only in {before if name in items[0] else after}")
            continue
        found = compare_items(before / name, after / name)
        codes = (item[name]["exit_codes"] for item in items)
        found.values("exit codes", *codes)
        print(name + (" (failed)" if any(items[0][name]["exit_codes"]) else ""))
        for line in found.surfaces:
            print(f"  {line}")
        for line in found.differences:
            print(f"  DIFFERENT: {line}")
        wording += [f"{name}: {line}" for line in found.wording]
        largest, count = max(largest, found.largest), count + len(found.differences)
    if wording:
        print("\nOther wording:")
        print("\n".join(f"  {line}" for line in wording))
    verdict = "no difference" if not count else f"differences: {count}"
    print(f"\nLargest distance between surfaces {largest:.4f} mm; {verdict}.")
    return not count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", nargs="+", default=[""], help="items whose names begin so")
    arguments = parser.parse_args()
    for folder in (arguments.before, arguments.after):
        if not (folder / ITEMS).is_file():
            print(f"error: '{folder}' was not made by freeze.py.", file=sys.stderr)
            return 2
    same = compare(arguments.before, arguments.after, tuple(arguments.only))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())

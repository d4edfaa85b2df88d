"""``make audit ADVISORIES=FOLDER``: which pinned packages have known vulnerabilities.

The folder is a checkout of a database of advisories in the OSV format, such as
github.com/pypa/advisory-database; nothing is asked of any server. Prints a line per package of
requirements/*.txt that an advisory names in that version, and how old the database is; the exit
code is 1 where there is one.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from Testing.structure.repository import ROOT

#: What libyaml reads in a tenth of the time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("advisories", type=Path, help="checkout of a database, OSV's format")
    arguments = parser.parse_args()
    packages = pinned()
    advisories = list(read_advisories(arguments.advisories, packages))
    if not advisories:
        print(f"{arguments.advisories} has no advisory that names one of the pinned packages.")
        print("Give a checkout of github.com/pypa/advisory-database.")
        return 2
    found = 0
    for advisory in advisories:
        for name, version in sorted(affected(advisory, packages)):
            found += 1
            aliases = ", ".join([advisory["id"], *advisory.get("aliases", ())])
            told = " ".join((advisory.get("summary") or advisory.get("details", "")).split())
            print(f"{name} {version}: {aliases}: {told[:200]}")
    newest = max(str(advisory.get("modified", ""))[:10] for advisory in advisories)
    print(
        f"{found} known vulnerabilities in {sum(map(len, packages.values()))} versions of "
        f"{len(packages)} packages, by {len(advisories)} advisories about them, the newest of "
        f"{newest}."
    )
    return 1 if found else 0


def pinned(folder: Path = ROOT / "requirements") -> dict[str, set[Version]]:
    """Every version of a package that a lock file pins, by name: two files may differ."""
    found: dict[str, set[Version]] = {}
    for path in folder.glob("*.txt"):
        for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;\\]+)", path.read_text("utf-8")):
            found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


def read_advisories(folder: Path, names: Iterable[str]) -> Iterator[dict]:
    """Advisories, not withdrawn, that name one of these packages.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is no advisory.
    """
    either = "|".join(re.escape(name).replace(r"\-", "[-_.]") for name in names)
    wanted = re.compile(rf"""(?im)^[\s"-]*name["\s:]+(?:{either})["',]*$""")
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".yaml", ".yml", ".json"):
            continue
        text = path.read_text(encoding="utf-8")
        if not wanted.search(text):
            continue
        read = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
        if isinstance(read, dict) and "affected" in read and not read.get("withdrawn"):
            yield read


def affected(advisory: dict, packages: dict[str, set[Version]]) -> set[tuple[str, Version]]:
    """Which of the packages it says are vulnerable, in which of their versions."""
    found = set()
    for entry in advisory["affected"]:
        name = canonicalize_name(entry.get("package", {}).get("name", ""))
        if entry.get("package", {}).get("ecosystem") != "PyPI":
            continue
        listed = {_version(text) for text in entry.get("versions", ())}
        ranges = [one for one in entry.get("ranges", ()) if one["type"] == "ECOSYSTEM"]
        for version in packages.get(name, ()):
            if version in listed or any(_within(version, one["events"]) for one in ranges):
                found.add((name, version))
    return found


def _within(version: Version, events: list[dict[str, str]]) -> bool:
    """Whether a version lies between an ``introduced`` and what ends it."""
    inside = False
    for event in sorted(events, key=lambda one: _version(next(iter(one.values()))) or Version("0")):
        ((kind, text),) = event.items()
        bound = _version(text)
        if bound is None:
            continue
        if kind == "introduced" and version >= bound:
            inside = True
        elif (kind == "fixed" and version >= bound) or (
            kind == "last_affected" and version > bound
        ):
            inside = False
    return inside


def _version(text: str) -> Version | None:
    try:
        return Version(str(text))
    except InvalidVersion:
        return None


if __name__ == "__main__":
    sys.exit(main())

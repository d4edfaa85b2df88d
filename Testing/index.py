"""What Slicer's Extensions Index checks of a submission, without a network: ``make index``.

A line per check. The address counts as a placeholder until ``make address`` has written another
one; that is said and is no failure, since nothing else can be done about it here. What the Index
asks people is in ``Docs/submission.md``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

from Testing.address import PLACEHOLDER, address, raw
from Testing.structure.repository import ROOT

#: slicer-extension-catalog-entry-schema-v1.0.2.json: keys and their types.
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/"
    "slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
REQUIRED = {"$schema": str, "category": str, "scm_url": str}
OPTIONAL = {
    "scm_revision": str, "scm_type": str, "build_dependencies": list, "build_subdirectory": str,
    "dicom_support_rule": str, "enabled": bool, "tier": int,
}  # fmt: skip

#: Of the categories that the Index knows, those that would suit; and the extensions it lists that
#: this one may depend on.
CATEGORIES = ("Segmentation", "Surface Models", "Tomographic Reconstruction")
DEPENDENCIES = ("PyTorch",)

#: The Index refuses a clone with its .git of more than 100 MiB; some is left for later commits.
LARGEST_CLONE = 97 * 2**20

_LICENCES = ("LICENSE", "LICENSE.txt", "LICENCE", "COPYING")


def check_json(root: Path) -> list[str]:
    """The file is JSON with LF line ends and follows the schema."""
    data = (root / "SSRKD.json").read_bytes()
    try:
        entry = json.loads(data)
    except ValueError as error:
        return [f"SSRKD.json is not JSON: {error}"]
    known, found = {**REQUIRED, **OPTIONAL}, []
    if b"\r" in data:
        found.append("SSRKD.json has CR line ends; the Index takes LF only")
    if entry.get("$schema") != SCHEMA:
        found.append(f"$schema is {entry.get('$schema')}; expected {SCHEMA}")
    found += [f"SSRKD.json lacks {key}" for key in REQUIRED if key not in entry]
    found += [
        f"SSRKD.json has {key}, which the schema does not know" for key in entry.keys() - known
    ]
    found += [
        f"{key} must be {known[key].__name__}, not {value!r}"
        for key, value in entry.items()
        if key in known and type(value) is not known[key]
    ]
    if not 1 <= entry.get("tier", 1) <= 5:
        found.append(f"tier is {entry['tier']}; it is 1 to 5")
    return found


def _entry(root: Path) -> dict:
    return json.loads((root / "SSRKD.json").read_text(encoding="utf-8"))


def check_category(root: Path) -> list[str]:
    category = _entry(root)["category"]
    return [] if category in CATEGORIES else [f"the category {category} is none of {CATEGORIES}"]


def check_name(root: Path) -> list[str]:
    """The extension's name does not begin with Slicer, the repository's does."""
    url = urlparse(address(root))
    name, found = url.path.rsplit("/", 1)[-1], []
    if (url.scheme, url.netloc) != ("https", "github.com"):
        found.append(f"{address(root)} is not an https address at github.com")
    if not name.startswith("Slicer"):
        found.append(f"the repository's name, {name}, does not begin with Slicer")
    return found


def _cmake(root: Path) -> str:
    return (root / "CMakeLists.txt").read_text(encoding="utf-8")


def check_project(root: Path) -> list[str]:
    names = re.findall(r"project\s*\(\s*([^\s\)]+)", _cmake(root))
    return [] if names[:1] == ["SSRKD"] else [f"CMakeLists.txt's project is {names[:1]}"]


def check_pictures(root: Path) -> list[str]:
    """Icon and screenshots are files of the repository, at the addresses that are given.

    The Index finds addresses in CMakeLists.txt with these patterns, and expands no variables.
    """
    text, found = _cmake(root), []
    prefix = f"{raw(address(root))}/{_entry(root)['scm_revision']}/"
    icon = re.findall(r'set\s*\(EXTENSION_ICONURL\s*"([^"]+)"[ ]*\)', text)
    screenshots = re.findall(r'set\s*\(EXTENSION_SCREENSHOTURLS\s*"([^"]+)"\)', text)
    if not icon or not screenshots:
        return ["CMakeLists.txt has no EXTENSION_ICONURL or no EXTENSION_SCREENSHOTURLS"]
    for url in [*icon[:1], *screenshots[0].split()]:
        if not url.startswith(prefix):
            found.append(f"{url} is not of this repository and branch ({prefix})")
        elif not (root / url[len(prefix) :]).is_file():
            found.append(f"{url[len(prefix) :]} is not in the repository")
    return found


def check_licence(root: Path) -> list[str]:
    if not any((root / name).is_file() for name in _LICENCES):
        return ["there is no LICENSE.txt at the top"]
    readme = (root / "README.md").read_text(encoding="utf-8")
    return [] if "MIT" in readme else ["README.md does not name the licence"]


def check_dependencies(root: Path) -> list[str]:
    entry = _entry(root)
    unknown = [name for name in entry.get("build_dependencies", ()) if name not in DEPENDENCIES]
    found = [f"{name} is not known to be in the Index" for name in unknown]
    listed = re.findall(r'set\s*\(EXTENSION_DEPENDS\s*"([^"]*)"', _cmake(root))
    if listed and listed[0].split() != entry.get("build_dependencies", []):
        found.append(f"CMakeLists.txt depends on {listed[0]}, SSRKD.json on something else")
    return found


def clone_size(root: Path) -> int:
    """Bytes of a fresh clone of what is checked out, with its .git."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        command = ["git", "clone", "--quiet", "--no-local", "--single-branch"]
        subprocess.run([*command, str(root), str(clone)], check=True, capture_output=True)
        return sum(path.stat().st_size for path in clone.rglob("*") if path.is_file())


def check_size(root: Path) -> list[str]:
    size = clone_size(root)
    if size < LARGEST_CLONE:
        return []
    return [f"a fresh clone has {size / 2**20:.0f} MiB; {LARGEST_CLONE / 2**20:.0f} are allowed"]


CHECKS: dict[str, Callable[[Path], list[str]]] = {
    "json and schema": check_json,
    "category": check_category,
    "names": check_name,
    "project": check_project,
    "icon and screenshots": check_pictures,
    "licence": check_licence,
    "dependencies": check_dependencies,
    "size of a clone": check_size,
}


def main() -> int:
    """Print a line per check.

    Returns:
        1 where a check failed, else 0.
    """
    failed = False
    for name, check in CHECKS.items():
        found = check(ROOT)
        failed |= bool(found)
        print(f"{'FAILED' if found else 'passed'}  {name}{''.join(f': {text}' for text in found)}")
    if address() == PLACEHOLDER:
        print(f"left    the address, {PLACEHOLDER}, is a placeholder: make address URL=...")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

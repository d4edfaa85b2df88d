"""The names of Slicer, MRML, VTK and Qt that the module uses, and where each was seen.

    python -m Testing.names            # prints them
    python -m Testing.names --record   # notes in Testing/bench/names.json what is installed here

What a version lacks is found before somebody opens the module in it. Names of the application
itself (``slicer.app``, ``slicer.modules``, ``qt``, ``ctk``) are those of the bench's stand-ins.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from importlib import metadata

from Testing.structure.repository import ROOT

FILE = ROOT / "Testing" / "bench" / "names.json"
MODULE = ROOT / "SSRKD"

#: Made by the application, or by the module itself; not on the bench.
NOT_ON_THE_BENCH = ("slicer.modules.SegmentEditorWidget", "slicer.modules.ssrkd")

_PACKAGES = ("slicer", "vtk", "qt", "ctk")
#: A method or constant of a class of VTK or MRML.
_MEMBER = re.compile(r"[A-Z]\w*[a-z]\w*$")
_NODE = re.compile(r"vtkMRML\w+Node$")


def used() -> dict[str, str]:
    """Every name, and the first place where it is used: ``slicer.util.loadUI``, ``.GetPolyData``
    (of an object), ``slicer.vtkMRMLTextNode`` (also as a text)."""
    found: dict[str, str] = {}
    for path in sorted(MODULE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = set(_imported(tree)) - {*_PACKAGES}
        for node in ast.walk(tree):
            for name in _names(node, imported):
                found.setdefault(name, f"{path.relative_to(ROOT).as_posix()}:{node.lineno}")
    return dict(sorted(found.items()))


def _imported(tree: ast.Module):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield (alias.asname or alias.name).split(".")[0]


def _names(node: ast.AST, imported: set[str]):
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NODE.match(node.value):
        yield f"slicer.{node.value}"
    if not isinstance(node, ast.Attribute):
        return
    parts, root = [node.attr], node.value
    while isinstance(root, ast.Attribute):
        parts.append(root.attr)
        root = root.value
    first = root.id if isinstance(root, ast.Name) else ""
    if first in _PACKAGES:
        yield ".".join([first, *reversed(parts)])
    elif _MEMBER.match(node.attr) and first not in imported:
        yield f".{node.attr}"


def versions() -> dict[str, str]:
    """What is installed: versions by the package that a name begins with; "" for members."""
    core, qt = metadata.version("slicer-core"), metadata.version("PySide6-Essentials")
    vtk = metadata.version("vtk")
    return {
        "slicer": f"slicer-core {core}",
        "": f"slicer-core {core}",
        "vtk": f"VTK {vtk}",
        "qt": f"PySide6 {qt}",
        "ctk": "the bench",
    }


def there(names) -> list[str]:
    """Those of some names that what is installed has."""
    from Testing import bench

    bench.boot()
    import slicer
    import vtk

    members = set()
    for package in (slicer, vtk):
        for kind in map(vars(package).get, dir(package)):
            if isinstance(kind, type):
                members.update(dir(kind))
    return [
        name
        for name in names
        if (name[1:] in members if name[0] == "." else _resolves(name.split(".")))
    ]


def _resolves(parts: list[str]) -> bool:
    found = sys.modules[parts[0]]
    for name in parts[1:]:
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


def missing_here() -> list[str]:
    """Names that are used, and that what is installed lacks."""
    names = [name for name in used() if not name.startswith(NOT_ON_THE_BENCH)]
    return sorted(set(names) - set(there(names)))


def read() -> dict[str, list[str]]:
    """The file: by name, the versions in which it was seen."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def record() -> None:
    """Note what is installed here; names that are no longer used go."""
    before, names, here = read(), used(), versions()
    present = set(there(names))
    seen = {name: set(before.get(name, ())) for name in names}
    for name in names:
        version = here[name.split(".")[0]]
        (seen[name].add if name in present else seen[name].discard)(version)
    text = json.dumps({name: sorted(where) for name, where in seen.items()}, indent=0)
    FILE.write_text(re.sub(r"\[\n(.*?)\n\]", _one_line, text, flags=re.S) + "\n", encoding="utf-8")


def _one_line(match: re.Match[str]) -> str:
    return "[" + match.group(1).replace("\n", " ") + "]"


def main(arguments: list[str] | None = None) -> int:
    """See above.

    Returns:
        0, or 1 where a name is not in what is installed.
    """
    parser = argparse.ArgumentParser(prog="names", description=__doc__.split("\n")[0])
    parser.add_argument("--record", action="store_true", help=f"write {FILE.name}")
    if parser.parse_args(arguments).record:
        record()
    places, seen = used(), read()
    missing = missing_here()
    for name in places:
        print(f"{name:60} {', '.join(seen.get(name, ())) or 'never seen'}")
    for name in missing:
        print(f"{name} ({places[name]}) is not in what is installed", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())

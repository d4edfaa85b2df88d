"""The order of the rooms, and the rules that keep modules in it.

A room is a folder of a package. Its modules import modules of the same room and of rooms that
stand earlier in the package's table. To move a room, change the table here and
``Docs/architecture.md``. ``python -m Testing.structure.layers`` prints every violation.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from Testing.structure.imports import Import, module_name, read_imports
from Testing.structure.repository import ROOT


@dataclass(frozen=True)
class Room:
    """One row of a table.

    Attributes:
        name: the folder, or a single module at the package's top.
        torch_free: the modules load where torch is not installed.
        vtk_free: the modules load where VTK is not installed.
        torch_modules: modules of a torch-free room that need torch nevertheless.
        subfolders: folders of the room; a module there belongs to the room.
    """

    name: str
    torch_free: bool = True
    vtk_free: bool = True
    torch_modules: tuple[str, ...] = ()
    subfolders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Package:
    """A package whose modules lie in rooms.

    Attributes:
        folder: relative to the repository.
        rooms: lowest first.
        top: other files at the package's top. They stand above all rooms.
    """

    folder: str
    rooms: tuple[Room, ...]
    top: tuple[str, ...]

    @property
    def name(self) -> str:
        return Path(self.folder).name


LIBRARY = Package(
    "SSRKDLib",
    rooms=(
        Room("core"),
        Room("geometry"),
        Room("images"),
        Room("surfaces"),
        Room("radiographs"),
        Room("ct"),
        Room(
            "simulation",
            torch_modules=(
                "ct_volume",
                "joseph",
                "projector",
                "soft_tissue",
                "tigre",
                "voxel_phantom",
            ),
        ),
        Room("datasets"),
        Room("networks", torch_free=False),
        Room("weights"),
        Room("models"),
        Room("reconstruction", subfolders=("fitting",)),
        Room("clinical"),
        Room(
            "evaluation",
            torch_modules=(
                "calibration",
                "held_out_people",
                "moved_pairs",
                "stress",
                "stress_factors",
            ),
        ),
        Room("planning"),
        Room("training", torch_free=False, subfolders=("data", "tasks")),
        Room("figures"),
        Room("worker"),
        Room("cli"),
    ),
    top=("__init__.py", "__main__.py", "CMakeLists.txt"),
)

#: Loads inside Slicer only: the flags are not tested.
MODULE = Package(
    "SSRKD/SSRKDSlicer",
    rooms=tuple(
        map(Room, ("scene", "radiographs", "bones", "worker", "tasks", "panel", "self_test"))
    ),
    top=("__init__.py",),
)

PACKAGES = (LIBRARY, MODULE)

#: What the files of a top folder must not import.
FORBIDDEN = {
    "SSRKDLib": {"slicer", "qt", "ctk", "SSRKD", "SSRKDSlicer", "Training", "Testing"},
    "SSRKD": {"torch", "Training", "Testing"},
    "Training": {"slicer", "qt", "ctk", "SSRKD", "SSRKDSlicer", "Testing"},
}

#: Top folders whose files are at most this long.
SHORT_FILES = ("SSRKDLib", "SSRKD", "Training", "Testing")
LONGEST_FILE = 400


@dataclass(frozen=True)
class Violation:
    """A broken rule.

    Attributes:
        file: relative to the repository.
        line: counted from 1.
        text: what is wrong.
    """

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True)
class _Edge:
    source: str
    target: str
    line: int


def find_violations(root: Path = ROOT) -> list[Violation]:
    """Check every rule on the files below ``root``."""
    violations = [*find_long_files(root), *find_forbidden_imports(root)]
    for package in PACKAGES:
        violations += find_misplaced_files(root, package)
        violations += find_code_in_init(root, package)
        violations += find_imports_of_higher_rooms(root, package)
        violations += find_circles(root, package)
    return sorted(set(violations), key=lambda item: (item.file, item.line, item.text))


def find_long_files(root: Path) -> list[Violation]:
    """Files of more than :data:`LONGEST_FILE` lines; the line given is their last."""
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for folder in SHORT_FILES
        for path in _python_files(root / folder)
    }
    return [
        Violation(_relative(path, root), lines, f"longer than {LONGEST_FILE} lines")
        for path, lines in lengths.items()
        if lines > LONGEST_FILE
    ]


def find_forbidden_imports(root: Path) -> list[Violation]:
    """Imports between top folders that :data:`FORBIDDEN` rules out."""
    return [
        Violation(_relative(path, root), found.line, f"{folder} must not import {found.module}")
        for folder, forbidden in FORBIDDEN.items()
        for path in _python_files(root / folder)
        for found in read_imports(path, root / folder if folder == "SSRKD" else root)
        if found.module.split(".")[0] in forbidden
    ]


def find_misplaced_files(root: Path, package: Package) -> list[Violation]:
    """Modules in no room, folders of modules that no table names, superfluous files at the top.

    A row of the table that has no folder is reported as well.
    """
    place = root / package.folder
    rooms = {room.name: room for room in package.rooms}
    violations = []
    for path in sorted(place.glob("*")):
        if not path.is_file() or path.name in package.top or path.suffix == ".pyc":
            continue
        if path.suffix == ".py" and path.stem in rooms:
            continue
        text = "not in a room" if path.suffix == ".py" else f"a file at the top of {package.name}"
        text += f" (only {', '.join(package.top)} may be here; the rooms are {', '.join(rooms)})"
        violations.append(Violation(_relative(path, root), 1, text))
    folders = sorted({path.parent for path in _python_files(place)} - {place})
    for folder in folders:
        name, *inner = folder.relative_to(place).parts
        if name in rooms and (not inner or "/".join(inner) in rooms[name].subfolders):
            continue
        file = min(folder.glob("*.py"))
        text = f"the room {'/'.join((name, *inner))} is in no table"
        violations.append(Violation(_relative(file, root), 1, text))
    for name in rooms:
        if not (place / f"{name}.py").is_file() and not _python_files(place / name):
            text = f"the table names the room {name}, which does not exist"
            violations.append(Violation(package.folder, 1, text))
    return violations


def find_code_in_init(root: Path, package: Package) -> list[Violation]:
    """Statements in a room's ``__init__.py`` beside its docstring.

    Modules are imported where they are needed, so that a room can be used without everything
    that its other modules load.
    """
    place = root / package.folder
    violations = []
    for path in _python_files(place):
        if path.name != "__init__.py" or path.parent == place:
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        is_docstring = [
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body
        ]
        if is_docstring != [True]:
            line = body[is_docstring.index(False)].lineno if False in is_docstring else 1
            text = "the __init__.py of a room consists of its docstring"
            violations.append(Violation(_relative(path, root), line, text))
    return violations


def find_imports_of_higher_rooms(root: Path, package: Package) -> list[Violation]:
    """Imports of a room that stands later in the table, or of the package's top."""
    violations = []
    for edge in _edges(root, package):
        if _leads_up(edge, package):
            text = f"{_room(edge.source)} must not import {edge.target}, which stands above it"
            violations.append(Violation(_file(edge.source, root, package), edge.line, text))
    return violations


def find_circles(root: Path, package: Package) -> list[Violation]:
    """Imports by which a module imports itself through others, each with the shortest such way.

    A circle through a higher room contains an import of that room, which is reported by
    :func:`find_imports_of_higher_rooms` and left out here: it would put most modules into circles.
    """
    edges = [edge for edge in _edges(root, package) if not _leads_up(edge, package)]
    neighbours: dict[str, list[str]] = {}
    for edge in edges:
        neighbours.setdefault(edge.source, []).append(edge.target)
    violations = []
    for edge in edges:
        way = _shortest_way(edge.target, edge.source, neighbours)
        if way:
            circle = " -> ".join([edge.source, *way])
            text = f"imports {edge.target} in a circle ({circle})"
            violations.append(Violation(_file(edge.source, root, package), edge.line, text))
    return violations


def room_modules(room: Room, root: Path = ROOT, package: Package = LIBRARY) -> list[str]:
    """Dotted names of the modules of a room."""
    place = root / package.folder
    files = [*_python_files(place / room.name), place / f"{room.name}.py"]
    return [module_name(path, place.parent) for path in files if path.is_file()]


def torch_modules(package: Package = LIBRARY) -> list[str]:
    """Dotted names of the modules that need torch in rooms that are otherwise torch-free."""
    return [f"{package.name}.{room.name}.{x}" for room in package.rooms for x in room.torch_modules]


def _edges(root: Path, package: Package) -> list[_Edge]:
    """Imports from one module of a package to another."""
    place = root / package.folder
    files = {module_name(path, place.parent): path for path in _python_files(place)}
    edges = []
    for module, path in files.items():
        for found in read_imports(path, place.parent):
            target = _target(found, files)
            # The version is a constant that the package has before it has anything else.
            if target is None or (target, found.name) == (package.name, "__version__"):
                continue
            edges.append(_Edge(module, target, found.line))
    return edges


def _target(found: Import, modules: Container[str]) -> str | None:
    """The module of the package that is imported; None where it is another package's."""
    for name in (f"{found.module}.{found.name}", found.module):
        if name in modules:
            return name
    return None


def _shortest_way(start: str, end: str, neighbours: dict[str, list[str]]) -> list[str]:
    """Modules from ``start`` to ``end``, both included; empty where there is no way."""
    ways = {start: [start]}
    queue = [start]
    for module in queue:
        if module == end:
            return ways[module]
        for target in neighbours.get(module, ()):
            if target not in ways:
                ways[target] = [*ways[module], target]
                queue.append(target)
    return []


def _room(module: str) -> str:
    """Name of the room of a dotted module."""
    return ".".join(module.split(".")[1:2])


def _leads_up(edge: _Edge, package: Package) -> bool:
    source, target = _level(edge.source, package), _level(edge.target, package)
    return source is not None and target is not None and source < target


def _level(module: str, package: Package) -> int | None:
    """Place in the table; the package's top is above all rooms. None for a module in no room."""
    names = [room.name for room in package.rooms]
    if _room(module) in names:
        return names.index(_room(module))
    is_top = module == package.name or f"{_room(module)}.py" in package.top
    return len(names) if is_top else None


def _file(module: str, root: Path, package: Package) -> str:
    path = (root / package.folder).parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return _relative(path, root)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


if __name__ == "__main__":
    violations = find_violations()
    for violation in violations:
        print(violation)
    sys.exit(bool(violations))

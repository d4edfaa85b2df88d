"""Which modules a Python file imports, read from its syntax tree."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One imported name.

    Attributes:
        module: absolute dotted module, also where the import is relative.
        name: ``name`` of ``from module import name``; None for ``import module``.
        line: where the statement begins, counted from 1.
    """

    module: str
    name: str | None
    line: int


def module_name(path: Path, import_root: Path) -> str:
    """Dotted name of a file; a package's ``__init__.py`` has the package's name."""
    parts = path.relative_to(import_root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_imports(path: Path, import_root: Path) -> list[Import]:
    """Every import of a file: in functions and under ``TYPE_CHECKING`` too.

    Args:
        path: a Python file.
        import_root: the folder on ``sys.path`` from which the file is imported.
    """
    package = path.relative_to(import_root).parent.parts
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, None, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            found += [Import(module, alias.name, node.lineno) for alias in node.names]
    return sorted(found, key=lambda item: item.line)

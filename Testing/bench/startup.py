"""What a module imports while Slicer starts: every Slicer that has the extension pays for it."""

from __future__ import annotations

import builtins
import contextlib
import sys
from pathlib import Path

#: What Slicer itself has loaded by then, beside the standard library.
LOADED = frozenset({"slicer", "qt", "ctk", "SampleData"})


@contextlib.contextmanager
def only_allowed_imports(path: Path):
    """Demand that a module and the packages beside it import nothing but what Slicer has loaded.

    Args:
        path: the module's file.

    Raises:
        RuntimeError: something else was imported, whether it was loaded before or not.
    """
    own = {path.stem, *(folder.name for folder in path.parent.iterdir() if folder.is_dir())}
    allowed = own | LOADED | sys.stdlib_module_names
    refused, plain = {}, builtins.__import__

    def look(name, globals=None, locals=None, fromlist=(), level=0):
        importer = (globals or {}).get("__name__") or ""
        top = name.split(".")[0]
        if importer.split(".")[0] in own and level == 0 and top not in allowed:
            refused.setdefault(name, importer)
        return plain(name, globals, locals, fromlist, level)

    builtins.__import__ = look
    try:
        yield
    finally:
        builtins.__import__ = plain
    if refused:
        found = ", ".join(f"{name} (by {importer})" for name, importer in refused.items())
        raise RuntimeError(
            f"At start-up a module may import the standard library and {sorted(LOADED)}; "
            f"{path.name} imports {found}. Import them where they are used."
        )

"""What tests of the command line share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from SSRKDLib.cli import main as cli
from SSRKDLib.surfaces.mesh import Mesh
from SSRKDLib.surfaces.mesh_files import write_mesh


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def write_earlier_result(folder: Path) -> None:
    """What a version before the manifest left of a reconstruction that found one bone."""
    folder.mkdir()
    write_mesh(folder / "femur.ply", Mesh(np.eye(3), np.array([[0, 1, 2]])))
    (folder / "report.json").write_text(json.dumps({"program": "SSRKD 0.1.0", "warnings": []}))


def refused(arguments: list, capsys, *words: str) -> None:
    """The command must end with 2 and one sentence that holds the words."""
    assert cli.main([str(argument) for argument in arguments]) == cli.BAD_INPUT
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1 and shown.err.endswith("\n")
    for word in words:
        assert word in shown.err

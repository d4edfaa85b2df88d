"""The folder that a reconstruction is written to."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.errors import MeshError
from SSRKDLib.core.input_files import json_or_none
from SSRKDLib.core.messages import Message
from SSRKDLib.core.output_file import write_file
from SSRKDLib.core.output_manifest import ResultKind, file_hash, recorded_files
from SSRKDLib.surfaces.mesh_files import is_written_mesh, write_mesh

if TYPE_CHECKING:
    from SSRKDLib.reconstruction.ct import CtReconstruction
    from SSRKDLib.reconstruction.radiographs import Reconstruction

REPORT = "report.json"

#: The vertices' property of fitted bones' files: mm within which nine of ten vertices lie from the
#: real bone, its shape laid on it.
UNCERTAINTY = "uncertainty_mm"


def is_reconstruction(folder: Path) -> bool:
    """Whether the report in a folder is a reconstruction's, of any version."""
    program = read_report(folder).get("program")
    return isinstance(program, str) and program.startswith("SSRKD ")


def read_report(folder: str | Path) -> dict:
    """What the report in a folder says; empty where there is none: surfaces that are measured or
    planned on may come from elsewhere."""
    report = json_or_none(Path(folder) / REPORT)
    return report if isinstance(report, dict) else {}


def reported_side(report: dict) -> str | None:
    """The knee's side according to a report, "L", "R" or None."""
    side = report.get("laterality")
    return side if side in ("L", "R") else None


def check_same_side(reference: str | Path, side: str | None) -> None:
    """Whether a reference that is a result itself is of this side ("L", "R" or None).

    Raises:
        MeshError: its report names the other.
    """
    told = reported_side(read_report(reference))
    if side and told and told != side:
        raise MeshError(
            "The reference '{path}' is of side {told}, as its report says; the reconstruction is "
            "of side {side}.",
            "Choose a reference of the same knee.",
            path=reference,
            told=told,
            side=side,
        )


def changed_since(folder: str | Path) -> tuple[Message, ...]:
    """A sentence where bones or report of a result are not those that were written together."""
    folder = Path(folder)
    try:
        kind, files = recorded_files(folder)
        if kind != RECONSTRUCTION.name:
            return ()
        names = sorted(files.keys() & _names())
        changed = [name for name in names if file_hash(folder, name) not in (None, files[name])]
    except (OSError, ValueError):  # no result, or not to be told
        return ()
    if not changed:
        return ()
    return (
        Message(
            "{names} in '{folder}' changed since the result was written: what its report says of "
            "the bones may not be true of them.",
            names=", ".join(changed),
            folder=folder,
        ),
    )


def _names() -> set[str]:
    return {REPORT, *(f"{bone}.ply" for bone in BONES)}


def _earlier(folder: Path) -> Collection[str]:
    if not is_reconstruction(folder):
        return ()
    return {name for name in _names() if name == REPORT or is_written_mesh(folder / name)}


RECONSTRUCTION = ResultKind("reconstruction", _earlier)


def write_result(folder: Path, result: Reconstruction | CtReconstruction) -> None:
    """Write ``{bone}.ply`` of every bone found, of fitted ones with :data:`UNCERTAINTY` at each
    vertex, and ``report.json``.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    for bone, mesh in result.bones.items():
        scalars = {UNCERTAINTY: result.within_mm[bone]} if bone in result.within_mm else {}
        write_mesh(folder / f"{bone}.ply", mesh, COLOURS[bone], scalars)
    write_file(folder / REPORT, json.dumps(result.report, indent=2, allow_nan=False) + "\n")

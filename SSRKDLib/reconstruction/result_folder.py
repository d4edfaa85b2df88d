"""The folder that a reconstruction is written to."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from SSRKDLib.core.anatomy import BONES, COLOURS
from SSRKDLib.core.errors import OutputError
from SSRKDLib.core.output_folder import replaced_folder
from SSRKDLib.surfaces.mesh_files import write_mesh

if TYPE_CHECKING:
    from SSRKDLib.reconstruction.ct import CtReconstruction
    from SSRKDLib.reconstruction.radiographs import Reconstruction

REPORT = "report.json"

#: What a reconstruction consists of.
RESULT_FILES = frozenset({*(f"{bone}.ply" for bone in BONES), REPORT})


@contextmanager
def result_folder(
    path: str | os.PathLike,
    own: Collection[str] = RESULT_FILES,
    mark: str | None = REPORT,
    inputs: Iterable[str | os.PathLike] = (),
) -> Iterator[Path]:
    """A new folder that takes the place of ``path`` when the block ends well.

    An existing folder is replaced as a whole, or left alone where the block raises; then nothing
    stays behind, new parent folders included. Since replacing means deleting, a folder is only
    replaced that looks like an earlier result.

    Args:
        path: where the result belongs.
        own: names that results consist of; a folder that holds nothing else may be replaced.
        mark: a name that tells an earlier result even among other files, or None.
        inputs: files that must not be deleted along.

    Raises:
        OutputError: the place cannot be written to, or holds something else.
    """
    path = Path(os.path.abspath(path))
    _refuse_to_delete(path, own, mark, inputs)
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        with replaced_folder(path) as folder:
            yield folder
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # not empty: someone else uses it by now
                folder.rmdir()
        raise


def _refuse_to_delete(
    path: Path, own: Collection[str], mark: str | None, inputs: Iterable[str | os.PathLike]
) -> None:
    if not path.is_dir():
        return
    try:
        names = {entry.name for entry in path.iterdir()}
    except OSError as error:
        raise OutputError(
            f"The folder '{path}' cannot be read ({error.strerror}).", "Choose another folder."
        ) from error
    if mark not in names and not names <= set(own):
        other = sorted(names - set(own))[0]
        raise OutputError(
            f"The folder '{path}' holds other things than an earlier result ('{other}'), which "
            "would be deleted.",
            "Choose a new or an empty folder.",
        )
    real = Path(os.path.realpath(path))
    for source in inputs:
        place = Path(os.path.realpath(source))
        if real == place or real in place.parents:
            raise OutputError(
                f"The output folder '{path}' would be replaced, and holds the input '{source}'.",
                "Choose another output folder.",
            )


def write_result(folder: Path, result: Reconstruction | CtReconstruction) -> None:
    """Write ``{bone}.ply`` of every bone found, and ``report.json``.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    for bone, mesh in result.bones.items():
        write_mesh(folder / f"{bone}.ply", mesh, COLOURS[bone])
    write_text(folder / REPORT, json.dumps(result.report, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8 with plain newlines.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    try:
        path.write_bytes(text.encode())
    except OSError as error:
        raise OutputError(
            f"'{path}' cannot be written ({error.strerror or error}).",
            "Choose a folder that you may write to, on a disk with space left.",
        ) from error

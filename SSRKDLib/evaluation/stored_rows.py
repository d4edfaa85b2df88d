"""Rows of a long measurement, kept on disk, so that one that was interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.input_files import read_json
from SSRKDLib.core.output_folder import grown_folder, write_into
from SSRKDLib.core.output_manifest import ResultKind


class StoredRows:
    """The rows of one measurement, a JSON list in a file.

    Args:
        folder: made where it is not there.
        kind: of the folder's results.
        name: of the file.
        others: names of what else the measurement writes, checked before the work.

    Raises:
        OutputError: a file there was not written by this program.
        InputError: the rows there cannot be read.
    """

    def __init__(
        self, folder: Path, kind: ResultKind, name: str, others: Sequence[str] = ()
    ) -> None:
        grown_folder(folder, kind, [name, *others])
        self._place = (folder, kind, name)
        self.rows: list[dict] = _read(folder / name)

    def add(self, rows: Sequence[dict]) -> None:
        """Keep more rows. Raises :class:`~SSRKDLib.core.errors.OutputError`."""
        self.rows += rows
        write_into(*self._place, json.dumps(self.rows, indent=1) + "\n")


def _read(path: Path) -> list[dict]:
    rows = read_json(path, InputError, "Choose another folder.") if path.exists() else []
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return rows
    raise InputError("'{path}' is not a list of rows.", "Choose another folder.", path=path)

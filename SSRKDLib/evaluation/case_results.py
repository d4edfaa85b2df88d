"""The result of one case of an evaluation on disk: ``cases/NAME.json``.

It is written whole when a case is finished, with a signature of the case's files. One that is
damaged, or of other files, is made again; what stands there and is no result at all is set aside.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.forms import misfit
from SSRKDLib.core.input_files import files_below, json_or_none
from SSRKDLib.core.output_file import cannot_write, write_file
from SSRKDLib.evaluation.metrics import MEASURES
from SSRKDLib.surfaces.knee import JOINT_CENTRE

#: Where finished cases are, in an evaluation's folder.
FINISHED = "cases"

_FIGURE = (float, None)
_RESULT = {
    "case": str,
    "error": str,
    "side": {"", "L", "R"},
    "seconds": _FIGURE,
    "warnings": [str],
    "joint_centre": {JOINT_CENTRE},
    "final": {True},
    "rows": [{"bone": {*BONES, "mean"}, **dict.fromkeys(MEASURES, _FIGURE), "note": str}],
    "clinical": [
        {
            "measure": str, "unit": str, "note": str,
            **dict.fromkeys(("reconstruction", "reference", "error"), _FIGURE),
        }
    ],
}  # fmt: skip


def signature(case: Path) -> list[list]:
    """Name, size and time of every file of a case: another one means that the case has changed.
    Empty where they cannot be looked at."""
    try:
        stats = [(path, path.stat()) for path in files_below(case)]
    except (InputError, OSError):
        return []
    return [[path.relative_to(case).as_posix(), s.st_size, s.st_mtime_ns] for path, s in stats]


def read_result(case: Path, output: Path) -> dict | None:
    """The final result of a case whose files are those it was made from, its region around the
    joint's centre as now defined; None where it must be made."""
    found = json_or_none(_place(case, output))
    if not isinstance(found, dict) or misfit(found, _RESULT) or found["case"] != case.name:
        return None
    bones = [row["bone"] for row in found["rows"]]
    if len(bones) != len(set(bones)) or not (found["error"] or set(BONES) <= set(bones)):
        return None
    return found if found.pop("signature", None) == signature(case) else None


def write_result(case: Path, output: Path, result: dict, signed: list[list]) -> None:
    """Write a case's result, completely or not at all; ``signed`` is the case's signature before.

    Raises:
        OutputError: it cannot be written.
    """
    place = _place(case, output)
    found = None if place.is_symlink() else json_or_none(place)
    ours = isinstance(found, dict) and {"signature", "case", "rows"} <= found.keys()
    if os.path.lexists(place) and not ours:
        try:
            place.rename(place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}"))
        except OSError as error:
            raise cannot_write(place, error) from error
    text = json.dumps({"signature": signed, **result}, indent=1, allow_nan=False)
    write_file(place, text + "\n")


def _place(case: Path, output: Path) -> Path:
    return output / FINISHED / f"{case.name}.json"

"""The worker, which looks for a knee in radiographs once in a run of tests and remembers what it
found: most of them ask for the bones of one and the same pair, and some for one comparison.

It reads, tells its progress, loads weights and writes as ever. Only for what was asked before, to
the last bit, the result comes from a file in the folder that it is started with; and not while
:data:`FORGETFUL` lies there.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from dataclasses import fields
from pathlib import Path

from SSRKDLib.evaluation import comparison, metrics
from SSRKDLib.geometry.views import Rig
from SSRKDLib.radiographs.exposure import Exposure
from SSRKDLib.reconstruction import radiographs, segmentation
from SSRKDLib.surfaces.mesh import Mesh
from Testing.support.few_points import FEW

#: A file in its folder; while it is there, nothing is remembered.
FORGETFUL = "forgetful"


def remembering(function, folder: Path):
    """A function with a memory; progress is among its arguments, by place."""

    def remembered(*given):
        place = next(index for index, one in enumerate(given) if callable(one))
        rest, progress = [*given[:place], *given[place + 1 :]], given[place]
        asked = (function.__name__, _said(rest))
        file = folder / hashlib.sha256(pickle.dumps(asked)).hexdigest()
        if file.exists() and not (folder / FORGETFUL).exists():
            steps, result = pickle.loads(file.read_bytes())
            for step in steps:
                progress(*step)
            return result
        steps = []

        def listen(*step):
            progress(*step)
            steps.append(step)

        result = function(*rest[:place], listen, *rest[place:])
        part = file.with_suffix(f".{os.getpid()}")  # tests kill the worker
        part.write_bytes(pickle.dumps((steps, result)))
        part.replace(file)
        return result

    return remembered


def _said(argument):
    """What an argument says: not where images lie, nor what an object has computed of itself."""
    if isinstance(argument, (list, tuple)):
        return [_said(one) for one in argument]
    if isinstance(argument, dict):
        return {key: _said(one) for key, one in argument.items()}
    if isinstance(argument, Exposure):
        return [argument.view, argument.line_integral, argument.valid]
    if isinstance(argument, Rig):
        return [getattr(argument, entry.name) for entry in fields(Rig)]
    if isinstance(argument, Mesh):
        return [argument.vertices, argument.faces]
    if hasattr(argument, "manifest"):
        return [argument.manifest, argument.device]
    return argument


if __name__ == "__main__":
    from SSRKDLib.cli.main import main

    for room, name in (
        (radiographs, "reconstruct"), (segmentation, "segment"), (comparison, "compare_knees"),
    ):  # fmt: skip
        setattr(room, name, remembering(getattr(room, name), Path(sys.argv[1])))
    metrics.PAPER_POINTS = FEW
    sys.exit(main(["worker"]))

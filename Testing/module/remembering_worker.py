"""The worker, which looks for a knee in radiographs once in a run of tests and remembers what it
found: most of them ask for the bones of one and the same pair.

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

from SSRKDLib.geometry.views import Rig
from SSRKDLib.reconstruction import radiographs, segmentation

#: A file in its folder; while it is there, nothing is remembered.
FORGETFUL = "forgetful"


def remembering(function, folder: Path):
    """A function of exposures, rig, model, and further arguments, progress among them, with a
    memory."""

    def remembered(exposures, rig, model, *given):
        place = next(index for index, one in enumerate(given) if callable(one))
        rest, progress = [*given[:place], *given[place + 1 :]], given[place]
        pixels = [(one.view, one.line_integral, one.valid) for one in exposures]
        how = [getattr(rig, entry.name) for entry in fields(Rig)]  # not the images' paths
        asked = (function.__name__, pixels, how, model.manifest, model.device, rest)
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

        result = function(exposures, rig, model, *rest[:place], listen, *rest[place:])
        part = file.with_suffix(f".{os.getpid()}")  # tests kill the worker
        part.write_bytes(pickle.dumps((steps, result)))
        part.replace(file)
        return result

    return remembered


if __name__ == "__main__":
    from SSRKDLib.cli.main import main

    for room, name in ((radiographs, "reconstruct"), (segmentation, "segment")):
        setattr(room, name, remembering(getattr(room, name), Path(sys.argv[1])))
    sys.exit(main(["worker"]))

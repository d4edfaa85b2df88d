"""The worker, which computes a reconstruction from radiographs once in a run of tests and remembers
it: most of them ask for the bones of one and the same pair.

It reads, tells its progress, loads weights and writes as ever. Only for what was asked before, to
the last bit, the bones come from a file in the folder that it is started with; and not while
:data:`FORGETFUL` lies there.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from dataclasses import fields
from pathlib import Path

from SSRKDLib.core.progress import Progress
from SSRKDLib.geometry.views import Rig
from SSRKDLib.reconstruction import radiographs

#: A file in its folder; while it is there, nothing is remembered.
FORGETFUL = "forgetful"

_reconstruct = radiographs.reconstruct


def remembering(folder: Path):
    """:func:`SSRKDLib.reconstruction.radiographs.reconstruct` with a memory."""

    def reconstruct(exposures, rig, model, spacing, masks, progress: Progress, surface, pose):
        pixels = [(one.view, one.line_integral, one.valid) for one in exposures]
        how = [getattr(rig, entry.name) for entry in fields(Rig)]  # not the images' paths
        asked = (pixels, how, model.manifest, model.device, spacing, masks, surface, pose)
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

        result = _reconstruct(exposures, rig, model, spacing, masks, listen, surface, pose)
        file.write_bytes(pickle.dumps((steps, result)))
        return result

    return reconstruct


if __name__ == "__main__":
    from SSRKDLib.cli.main import main

    radiographs.reconstruct = remembering(Path(sys.argv[1]))
    sys.exit(main(["worker"]))

"""What each task's request must look like, checked before the task begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from SSRKDLib.core.anatomy import BONES
from SSRKDLib.core.errors import InputError
from SSRKDLib.core.forms import Within, misfit
from SSRKDLib.evaluation.alignment import MODES
from SSRKDLib.models.devices import DEVICES
from SSRKDLib.reconstruction.choices import POSES, SURFACES
from SSRKDLib.simulation.writing import ENERGIES, PROJECTORS

if TYPE_CHECKING:
    from SSRKDLib.core.progress import Progress
    from SSRKDLib.worker.server import Task

_NETWORKS = {"output": Path, "weights?": (Path, None), "device?": set(DEVICES)}
_FILES = ([(Path, None)], None)
_RADIOGRAPHS = {"rig": Path, "fields?": _FILES, **_NETWORKS}
_BONES = {"recon": Path, "output": Path, "laterality": {"L", "R"}}
_DOUBTS = {
    "errors?": ({f"{bone}?": Within(0, 1000) for bone in BONES}, None),
    "pose?": (set(POSES), None),
}

#: Forms (:mod:`SSRKDLib.core.forms`) of the requests, by task; what the entries are, the tasks say.
REQUESTS: dict[str, dict] = {
    "describe": {},
    "import_weights": {"files": [Path]},
    "reconstruct": {
        **_RADIOGRAPHS, "masks?": _FILES, "spacing?": Within(0.1, 10),
        "surface?": (set(SURFACES), None), "pose?": set(POSES),
    },
    "reconstruct_ct": {
        "ct": Path, "laterality?": ({"L", "R"}, None), "surface?": (set(SURFACES), None),
        **_NETWORKS,
    },  # fmt: skip
    "segment": _RADIOGRAPHS,
    "locate": _RADIOGRAPHS,
    "simulate": {
        "ct": Path, "rig": Path, "output": Path, "energy?": Within(*ENERGIES), "noise_free?": bool,
        "seed?": int, "projector?": set(PROJECTORS),
    },
    "compare": {
        **_BONES, **_DOUBTS, "reference": Path, "align": set(MODES), "rig?": (Path, None),
    },
    "measure": {**_BONES, **_DOUBTS},
    "landmarks": _BONES,
}  # fmt: skip


def checked(name: str, task: Task) -> Task:
    """A task that raises :class:`~SSRKDLib.core.errors.InputError` where its request is not one."""

    def run(request: dict, progress: Progress) -> dict:
        wrong = misfit(request, REQUESTS[name])
        if wrong is not None:
            raise InputError(
                "The request '{name}' cannot be used: {wrong}.",
                "Correct it; SSRKDLib/worker/tasks.py says what the entries are.",
                name=name,
                wrong=wrong,
            )
        return task(request, progress)

    return run

"""What each task's request must look like, checked before the task begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from SSRKDLib.core.errors import InputError
from SSRKDLib.core.forms import Within, misfit
from SSRKDLib.evaluation.alignment import MODES
from SSRKDLib.models.devices import DEVICES
from SSRKDLib.reconstruction.choices import POSES, SURFACES
from SSRKDLib.simulation.writing import ENERGIES, PROJECTORS

if TYPE_CHECKING:
    from SSRKDLib.core.progress import Progress
    from SSRKDLib.worker.server import Task

_NETWORKS = {"output": str, "weights?": (str, None), "device?": set(DEVICES)}
_FILES = ([(str, None)], None)
_RADIOGRAPHS = {"rig": str, "fields?": _FILES, **_NETWORKS}

#: Forms (:mod:`SSRKDLib.core.forms`) of the requests, by task; what the entries are, the tasks say.
REQUESTS: dict[str, dict] = {
    "describe": {},
    "import_weights": {"files": [str]},
    "reconstruct": {
        **_RADIOGRAPHS, "masks?": _FILES, "spacing?": Within(0.1, 10),
        "surface?": (set(SURFACES), None), "pose?": set(POSES),
    },
    "reconstruct_ct": {
        "ct": str, "laterality?": ({"L", "R"}, None), "surface?": (set(SURFACES), None),
        **_NETWORKS,
    },  # fmt: skip
    "segment": _RADIOGRAPHS,
    "locate": _RADIOGRAPHS,
    "simulate": {
        "ct": str, "rig": str, "output": str, "energy?": Within(*ENERGIES), "noise_free?": bool,
        "seed?": int, "projector?": set(PROJECTORS),
    },
    "compare": {
        "recon": str, "reference": str, "output": str, "align": set(MODES),
        "laterality": {"L", "R"}, "rig?": (str, None),
    },
    "measure": {"recon": str, "output": str, "laterality": {"L", "R"}},
    "landmarks": {"recon": str, "output": str, "laterality": {"L", "R"}},
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

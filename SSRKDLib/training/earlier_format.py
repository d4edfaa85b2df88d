"""What the first version's training of the default weights left: ``checkpoint.pt``, and flat
configurations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from SSRKDLib.datasets.virtual_cohort import ViewRanges
from SSRKDLib.radiographs.normalisation import LOCAL_CONTRAST
from SSRKDLib.training.data.virtual_modules import SOURCE

#: The checkpoint's name in a training's folder.
CHECKPOINT = "checkpoint.pt"

_KEYS = {"settings", "networks", "average", "optimiser", "step"}
_MODEL = ("networks", "learning_rate", "weight_decay", "warm_up", "averaging", "precision", "seed")
_DATA = {"knees": "knees", "seed": "seed", "batch": "batch_size", "points": "points",
         "framing": "framing"}  # fmt: skip


def is_earlier(values: Any) -> bool:
    """Whether a file's values are an earlier version's checkpoint."""
    return isinstance(values, dict) and set(values) >= _KEYS


def configuration(settings: dict[str, Any]) -> dict[str, Any]:
    """Flat settings as today's configuration: ``model`` and ``data``."""
    return {
        "model": {key: settings[key] for key in _MODEL if key in settings},
        "data": {new: settings[old] for old, new in _DATA.items() if old in settings},
    }


def described(values: dict[str, Any]) -> dict[str, Any]:
    """What today's checkpoints record of the networks (see
    :meth:`SSRKDLib.training.tasks.base.Task.on_save_checkpoint`)."""
    settings = values["settings"]
    flat = {k: v for k, v in settings.items() if k not in ("framing", "networks")}
    return {
        "task": "DefaultTask",
        "steps": values["step"],
        "networks": {
            name: {
                "architecture": name.title().replace("_", ""),
                "arguments": arguments,
                "attribute": f"average.{name}",
            }
            for name, arguments in settings["networks"].items()
        },
        "normalisation": LOCAL_CONTRAST,
        "options": flat,
        "about": {
            "data": SOURCE,
            "geometry": {"framing": settings["framing"], **asdict(ViewRanges())},
        },
    }


def tensors(values: dict[str, Any]) -> dict[str, Any]:
    """The averaged networks as in today's ``state_dict``."""
    return {f"average.{key}": tensor for key, tensor in values["average"].items()}

"""From a training's state to a bundle that Reconstruct reads."""

from __future__ import annotations

import json
from pathlib import Path

from SSRKDLib.core.anatomy import LABELS
from SSRKDLib.training.tasks.default import NETWORKS
from SSRKDLib.weights.bundle import write_bundle


def export(state: dict, path: Path, scores: Path | None = None) -> None:
    """Write the averaged weights of :meth:`SSRKDLib.training.tasks.default.Training.state`.

    Args:
        state: what a checkpoint holds.
        path: the bundle to write, ``.zip``.
        scores: JSON of the evaluation to record in it.
    """
    settings = state["settings"]
    manifest = {
        "name": "virtual-knee",
        "title": "Virtual knees (bundled; for research, not for diagnosis)",
        "kind": "ssrkd",
        "storage": "float16",
        "networks": {
            name: {"architecture": kind.__name__, "arguments": settings["networks"][name]}
            for name, kind in NETWORKS.items()
        },
        "labels": LABELS,
        "geometry": {
            "framing": settings["framing"],
            "source_to_detector_mm": [900, 2000],
            "magnification": [1.05, 1.6],
            "angle_between_views_degrees": [45, 135],
        },
        "normalisation": "local-contrast-1",
        "training": {
            "data": (
                "virtual knees made from people 0 to 19 of LLP26 (Auckland Bioengineering "
                "Institute, MPL-2.0); people 20 to 25 held out"
            ),
            "steps": state["step"],
            **{k: v for k, v in settings.items() if k not in ("framing", "networks")},
        },
        "scores": {} if scores is None else json.loads(scores.read_text()),
        "licence": "MIT; for research, not for diagnosis",
    }
    write_bundle(path, manifest, state["average"])

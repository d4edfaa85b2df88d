"""What report.json says of every reconstruction, from radiographs or from a CT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from SSRKDLib import __version__
from SSRKDLib.core.anatomy import BONES

if TYPE_CHECKING:
    from SSRKDLib.models.ct_model import CtModel
    from SSRKDLib.models.knee_model import KneeModel
    from SSRKDLib.models.official_model import OfficialKneeModel
    from SSRKDLib.surfaces.mesh import Mesh


def report_of(
    model: KneeModel | OfficialKneeModel | CtModel,
    bones: Mapping[str, Mesh],
    seconds: Mapping[str, float],
    details: Mapping[str, Any],
    by_bone: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A report, plain JSON values; null in place of a number that JSON cannot hold (NaN, infinity).

    Args:
        model: what reconstructed.
        bones: what was found, mm.
        seconds: by stage.
        details: what else this kind of reconstruction reports.
        by_bone: what it reports of each bone beside what every report does.
    """
    report = {
        "program": f"SSRKD {__version__}",
        "weights": model.name,
        "weights_sha256": model.manifest.get("sha256"),
        "device": model.device,
        **details,
        "seconds": {**seconds, "total": round(sum(seconds.values()), 3)},
        "bones": {
            bone: {
                "found": bone in bones,
                "volume_mm3": round(bones[bone].volume(), 1) if bone in bones else None,
                **(by_bone or {}).get(bone, {}),
            }
            for bone in BONES
        },
        "note": "For research, not for diagnosis.",
    }
    return _without_nan(report)


def expected_errors(report: Mapping[str, Any]) -> dict[str, float] | None:
    """Of a reconstruction's report, by bone, the mean distance from the real bone that is to be
    expected, mm; None where the report says nothing of it."""
    known = {
        bone: entry["expected_error_mm"]
        for bone, entry in report["bones"].items()
        if entry.get("expected_error_mm") is not None
    }
    return known or None


def _without_nan(value: Any) -> Any:
    """The same JSON values, None for each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""How long reconstructions take on this machine, estimated from earlier ones."""

from __future__ import annotations

import json

import slicer

_KEY = "SSRKD/Seconds"

#: Setting: name of the GPU that the worker found last.
GPU = "SSRKD/Gpu"

#: Share of the newest run in what is remembered.
_NEWEST = 0.4


def _key(weights, device, spacing, surface):
    return f"{weights}|{device}|{float(spacing):g}|{surface or ''}"


def _table():
    try:
        table = json.loads(slicer.app.settings().value(_KEY, "{}"))
    except (TypeError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def remember(weights, device, spacing, surface, seconds):
    """Take a run into account."""
    table = _table()
    key = _key(weights, device, spacing, surface)
    before = table.get(key, {"seconds": seconds, "runs": 0})
    mixed = (1 - _NEWEST) * before["seconds"] + _NEWEST * seconds
    table[key] = {"seconds": round(mixed, 2), "runs": before["runs"] + 1}
    slicer.app.settings().setValue(_KEY, json.dumps(table))


def rememberGpu(name):
    """Keep the name of the GPU that a job ran on; None changes nothing."""
    if name:
        slicer.app.settings().setValue(GPU, name)


def knownGpu():
    """Name of the GPU that the worker found last, or ""."""
    return slicer.app.settings().value(GPU, "") or ""


def estimate(weights, device, spacing, surface):
    """(seconds, runs) that are expected, or None where nothing is known."""
    known = _table().get(_key(weights, device, spacing, surface))
    return None if known is None else (known["seconds"], known["runs"])
